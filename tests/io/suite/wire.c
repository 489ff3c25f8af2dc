/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/io/suite/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "loader/netlink.h"
#include "user/base/clock.h"

/* Peers must not lose what they are sent: room for every frame of a test. */
#define ROOM_BYTES (64 << 20)

#define SEND_NS UINT64_C(5000000000)

static bool is_borrowed;

void wire_enter(void)
{
	static const char path[] = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
	int fd;

	if (unshare(CLONE_NEWNET)) {
		perror("make a network namespace");
		_exit(1);
	}
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return; /* a kernel without IPv6 is as quiet */
	if (write(fd, "1", 1) != 1) {
		perror(path);
		_exit(1);
	}
	close(fd);
}

/* verb: of tests/vm/nics */
static bool move_nics(const char *verb)
{
	char line[256];

	snprintf(line, sizeof(line),
		 "tests/vm/nics %s /proc/%d/ns/net %s /proc/%d/ns/net %s", verb,
		 getpid(), WIRE_NEAR, getpid(), WIRE_FAR);
	return !system(line);
}

bool wire_borrow(void)
{
	wire_enter();
	is_borrowed = getenv("SHUNT_NICS") && move_nics("take");
	return is_borrowed;
}

void wire_return(void)
{
	if (is_borrowed && !move_nics("give"))
		fprintf(stderr, "the NICs stay in a namespace of the test's\n");
	is_borrowed = false;
}

static void put_end(struct shunt_nl *nl, const char *name, unsigned int mtu)
{
	shunt_nl_put(nl, IFLA_IFNAME, name, strlen(name) + 1);
	shunt_nl_put(nl, IFLA_MTU, &mtu, sizeof(mtu));
}

/* A NIC hears what is for it: here, everything. */
static void set_nic(const char *interface, unsigned int mtu)
{
	const struct ifinfomsg head = { .ifi_family = AF_UNSPEC,
					.ifi_index = (int)if_nametoindex(interface),
					.ifi_flags = IFF_PROMISC,
					.ifi_change = IFF_PROMISC };
	struct shunt_nl nl;
	int ret;

	shunt_nl_start(&nl, RTM_NEWLINK, 0, &head, sizeof(head));
	shunt_nl_put(&nl, IFLA_MTU, &mtu, sizeof(mtu));
	ret = shunt_nl_talk(&nl, NETLINK_ROUTE);
	if (ret)
		fail_msg("%s: MTU %u: %s", interface, mtu, strerror(-ret));
}

static void make_pair(unsigned int mtu)
{
	const struct ifinfomsg head = { .ifi_family = AF_UNSPEC };
	struct nlattr *info, *data, *peer;
	struct shunt_nl nl;
	int ret;

	shunt_nl_start(&nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head,
		       sizeof(head));
	put_end(&nl, WIRE_NEAR, mtu);
	info = shunt_nl_put(&nl, IFLA_LINKINFO, NULL, 0);
	shunt_nl_put(&nl, IFLA_INFO_KIND, "veth", sizeof("veth"));
	data = shunt_nl_put(&nl, IFLA_INFO_DATA, NULL, 0);
	peer = shunt_nl_put(&nl, VETH_INFO_PEER, &head, sizeof(head));
	put_end(&nl, WIRE_FAR, mtu);
	shunt_nl_end(&nl, peer);
	shunt_nl_end(&nl, data);
	shunt_nl_end(&nl, info);
	ret = shunt_nl_talk(&nl, NETLINK_ROUTE);
	if (ret)
		fail_msg("make a pair of veths: %s", strerror(-ret));
}

void wire_set_up(const char *interface, int up)
{
	const struct ifinfomsg head = { .ifi_family = AF_UNSPEC,
					.ifi_index = (int)if_nametoindex(interface),
					.ifi_flags = up ? IFF_UP : 0,
					.ifi_change = IFF_UP };
	struct shunt_nl nl;
	int ret;

	shunt_nl_start(&nl, RTM_NEWLINK, 0, &head, sizeof(head));
	ret = shunt_nl_talk(&nl, NETLINK_ROUTE);
	if (ret)
		fail_msg("%s: up %d: %s", interface, up, strerror(-ret));
}

void wire_delete(const char *interface)
{
	const struct ifinfomsg head = { .ifi_family = AF_UNSPEC,
					.ifi_index = (int)if_nametoindex(interface) };
	struct shunt_nl nl;
	int ret;

	if (!head.ifi_index)
		return;
	shunt_nl_start(&nl, RTM_DELLINK, 0, &head, sizeof(head));
	ret = shunt_nl_talk(&nl, NETLINK_ROUTE);
	if (ret)
		fail_msg("delete %s: %s", interface, strerror(-ret));
}

void wire_open(struct wire *wire, unsigned int mtu)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL) };
	const int room = ROOM_BYTES, on = 1;

	if (is_borrowed) {
		set_nic(WIRE_NEAR, mtu);
		set_nic(WIRE_FAR, mtu);
	} else {
		make_pair(mtu);
	}
	wire_set_up(WIRE_NEAR, 1);
	wire_set_up(WIRE_FAR, 1);
	wire->mtu = mtu;
	wire->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(wire->fd >= 0);
	assert_int_equal(setsockopt(wire->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room,
				    sizeof(room)),
			 0);
	/* queueing disciplines sleep for a second after their interface comes up */
	assert_int_equal(setsockopt(wire->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on,
				    sizeof(on)),
			 0);
	address.sll_ifindex = (int)if_nametoindex(WIRE_FAR);
	assert_int_equal(bind(wire->fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
}

void wire_close(struct wire *wire)
{
	if (wire->fd > 0)
		close(wire->fd);
	wire->fd = 0;
	if (is_borrowed) {
		wire_set_up(WIRE_NEAR, 0);
		wire_set_up(WIRE_FAR, 0);
	} else {
		wire_delete(WIRE_NEAR);
	}
}

void wire_send(const struct wire *wire, const uint8_t *bytes, uint32_t len)
{
	uint64_t deadline = shunt_now_ns() + SEND_NS;

	while (send(wire->fd, bytes, len, 0) != (ssize_t)len)
		if (errno != ENOBUFS || shunt_now_ns() > deadline)
			fail_msg("send %u bytes: %s", len, strerror(errno));
}

uint32_t wire_receive(const struct wire *wire, uint8_t *bytes, uint32_t room,
		      int wait_ms)
{
	struct sockaddr_ll from;
	socklen_t size = sizeof(from);
	struct pollfd fd = { .fd = wire->fd, .events = POLLIN };

	for (;;) {
		ssize_t n = recvfrom(wire->fd, bytes, room, MSG_DONTWAIT,
				     (struct sockaddr *)&from, &size);

		if (n > 0 && from.sll_pkttype != PACKET_OUTGOING)
			return (uint32_t)n;
		if (n < 0 && poll(&fd, 1, wait_ms) <= 0)
			return 0;
	}
}
