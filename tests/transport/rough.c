/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/transport/rough.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "loader/ethtool.h"
#include "loader/netlink.h"

static const char *const inner[ROUGH_ENDS] = { "m0", "m1" };

static void die(const char *what, int error)
{
	fprintf(stderr, "rough wire: %s: %s\n", what, strerror(error));
	abort();
}

static int namespace_here(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("open the namespace", errno);
	return fd;
}

static int new_namespace(void)
{
	if (unshare(CLONE_NEWNET))
		die("make a namespace", errno);
	return namespace_here();
}

static void enter(int fd)
{
	if (setns(fd, CLONE_NEWNET))
		die("enter a namespace", errno);
}

static void talk(struct shunt_nl *nl, const char *what)
{
	int ret = shunt_nl_talk(nl, NETLINK_ROUTE);

	if (ret)
		die(what, -ret);
}

/* --- an end -------------------------------------------------------------------------------- */

static void set_up(const char *interface)
{
	const struct ifinfomsg head = { .ifi_index = (int)if_nametoindex(interface),
					.ifi_flags = IFF_UP,
					.ifi_change = IFF_UP };
	struct shunt_nl nl;

	shunt_nl_start(&nl, RTM_NEWLINK, 0, &head, sizeof(head));
	talk(&nl, "set an interface up");
}

static void mac_of(uint8_t mac[6], unsigned int end)
{
	const uint8_t of[6] = { 2, 0, 0, 0, 0, (uint8_t)(0x0a + end) };

	memcpy(mac, of, sizeof(of));
}

/* In the end's namespace; the inner interface goes to the middle. */
static void make_pair(const struct rough *rough, unsigned int end)
{
	const struct ifinfomsg head = { 0 };
	const char *name = ROUGH_INTERFACE(end);
	struct nlattr *info, *data, *peer;
	struct shunt_nl nl;
	uint8_t mac[6];

	mac_of(mac, end);
	shunt_nl_start(&nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head,
		       sizeof(head));
	shunt_nl_put(&nl, IFLA_IFNAME, name, strlen(name) + 1);
	shunt_nl_put(&nl, IFLA_ADDRESS, mac, sizeof(mac));
	info = shunt_nl_put(&nl, IFLA_LINKINFO, NULL, 0);
	shunt_nl_put(&nl, IFLA_INFO_KIND, "veth", sizeof("veth"));
	data = shunt_nl_put(&nl, IFLA_INFO_DATA, NULL, 0);
	peer = shunt_nl_put(&nl, VETH_INFO_PEER, &head, sizeof(head));
	shunt_nl_put(&nl, IFLA_IFNAME, inner[end], strlen(inner[end]) + 1);
	shunt_nl_put(&nl, IFLA_NET_NS_FD, &rough->mid, sizeof(rough->mid));
	shunt_nl_end(&nl, peer);
	shunt_nl_end(&nl, data);
	shunt_nl_end(&nl, info);
	talk(&nl, "make a pair of veths");
}

static void set_address(unsigned int end, int family)
{
	const char *text = family == AF_INET ? ROUGH_IP4(end) : ROUGH_IP6(end);
	const size_t bytes = family == AF_INET ? 4 : 16;
	const struct ifaddrmsg head = {
		.ifa_family = (uint8_t)family,
		.ifa_prefixlen = family == AF_INET ? 24 : 64,
		.ifa_flags = IFA_F_NODAD,
		.ifa_index = if_nametoindex(ROUGH_INTERFACE(end)),
	};
	struct shunt_nl nl;
	uint8_t address[16];

	inet_pton(family, text, address);
	shunt_nl_start(&nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &head,
		       sizeof(head));
	shunt_nl_put(&nl, IFA_LOCAL, address, bytes);
	shunt_nl_put(&nl, IFA_ADDRESS, address, bytes);
	talk(&nl, "set an address");
}

static void set_neighbour(unsigned int end, int family)
{
	const char *text = family == AF_INET ? ROUGH_IP4(!end) : ROUGH_IP6(!end);
	const struct ndmsg head = {
		.ndm_family = (uint8_t)family,
		.ndm_ifindex = (int)if_nametoindex(ROUGH_INTERFACE(end)),
		.ndm_state = NUD_PERMANENT,
	};
	struct shunt_nl nl;
	uint8_t address[16], mac[6];

	mac_of(mac, !end);
	inet_pton(family, text, address);
	shunt_nl_start(&nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &head,
		       sizeof(head));
	shunt_nl_put(&nl, NDA_DST, address, family == AF_INET ? 4 : 16);
	shunt_nl_put(&nl, NDA_LLADDR, mac, sizeof(mac));
	talk(&nl, "set a neighbour");
}

/* What impair.h asks of the ends. */
static void set_feature(const char *interface, uint32_t command, uint32_t on)
{
	struct ethtool_value value = { .cmd = command, .data = on };
	int ret = shunt_ethtool(interface, &value);

	if (ret)
		die("set a feature", -ret);
}

static void make_end(const struct rough *rough, unsigned int end)
{
	const char *name = ROUGH_INTERFACE(end);

	make_pair(rough, end);
	set_up("lo");
	set_up(name);
	set_address(end, AF_INET);
	set_address(end, AF_INET6);
	set_neighbour(end, AF_INET);
	set_neighbour(end, AF_INET6);
	set_feature(name, ETHTOOL_STXCSUM, 0);
	set_feature(name, ETHTOOL_SGRO, 1);
}

/* --- the wire ------------------------------------------------------------------------------ */

void rough_open(struct rough *rough, const struct impair_opts *opts)
{
	struct impair_opts how = *opts;
	struct shunt_err err;
	unsigned int end;

	rough->own = namespace_here();
	rough->mid = new_namespace();
	for (end = 0; end < ROUGH_ENDS; end++) {
		rough->end[end] = new_namespace();
		make_end(rough, end);
		how.interface[end] = inner[end];
	}
	enter(rough->mid);
	for (end = 0; end < ROUGH_ENDS; end++)
		set_up(inner[end]);
	if (impair_open(&rough->impair, &how, &err)) {
		fprintf(stderr, "rough wire: %s\n", err.message);
		abort();
	}
	enter(rough->own);
}

void rough_close(struct rough *rough)
{
	impair_close(rough->impair);
	close(rough->end[0]);
	close(rough->end[1]);
	close(rough->mid);
	close(rough->own);
}

void rough_enter(const struct rough *rough, unsigned int end)
{
	enter(rough->end[end]);
}

void rough_leave(const struct rough *rough)
{
	enter(rough->own);
}
