/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/bench/stage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "loader/ethtool.h"
#include "loader/netlink.h"
#include "user/base/cleanup.h"

static const uint8_t client_mac[6] = { 2, 0, 0, 0, 0x18, 1 };
static const uint8_t server_mac[6] = { 2, 0, 0, 0, 0x18, 2 };

static int make_veth(int server)
{
	const struct ifinfomsg head = { .ifi_family = AF_UNSPEC };
	struct nlattr *info, *data, *peer;
	struct shunt_nl nl;

	shunt_nl_start(&nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head,
		       sizeof(head));
	shunt_nl_put(&nl, IFLA_IFNAME, SHUNT_BENCH_CLIENT, sizeof(SHUNT_BENCH_CLIENT));
	shunt_nl_put(&nl, IFLA_ADDRESS, client_mac, sizeof(client_mac));
	info = shunt_nl_put(&nl, IFLA_LINKINFO, NULL, 0);
	shunt_nl_put(&nl, IFLA_INFO_KIND, "veth", sizeof("veth"));
	data = shunt_nl_put(&nl, IFLA_INFO_DATA, NULL, 0);
	peer = shunt_nl_put(&nl, VETH_INFO_PEER, &head, sizeof(head));
	shunt_nl_put(&nl, IFLA_IFNAME, SHUNT_BENCH_SERVER, sizeof(SHUNT_BENCH_SERVER));
	shunt_nl_put(&nl, IFLA_ADDRESS, server_mac, sizeof(server_mac));
	shunt_nl_put(&nl, IFLA_NET_NS_FD, &server, sizeof(server));
	shunt_nl_end(&nl, peer);
	shunt_nl_end(&nl, data);
	shunt_nl_end(&nl, info);
	return shunt_nl_talk(&nl, NETLINK_ROUTE);
}

static int set_up(const char *interface)
{
	const struct ifinfomsg head = { .ifi_family = AF_UNSPEC,
					.ifi_index = (int)if_nametoindex(interface),
					.ifi_flags = IFF_UP,
					.ifi_change = IFF_UP };
	struct shunt_nl nl;

	shunt_nl_start(&nl, RTM_NEWLINK, 0, &head, sizeof(head));
	return shunt_nl_talk(&nl, NETLINK_ROUTE);
}

static int add_address(const char *interface, const char *address)
{
	const struct ifaddrmsg head = { .ifa_family = AF_INET,
					.ifa_prefixlen = 24,
					.ifa_index = if_nametoindex(interface) };
	struct shunt_nl nl;
	struct in_addr ip;

	inet_pton(AF_INET, address, &ip);
	shunt_nl_start(&nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &head,
		       sizeof(head));
	shunt_nl_put(&nl, IFA_LOCAL, &ip, sizeof(ip));
	shunt_nl_put(&nl, IFA_ADDRESS, &ip, sizeof(ip));
	return shunt_nl_talk(&nl, NETLINK_ROUTE);
}

static int add_neighbour(const char *interface, const char *address, const uint8_t *mac)
{
	const struct ndmsg head = { .ndm_family = AF_INET,
				    .ndm_ifindex = (int)if_nametoindex(interface),
				    .ndm_state = NUD_PERMANENT };
	struct shunt_nl nl;
	struct in_addr ip;

	inet_pton(AF_INET, address, &ip);
	shunt_nl_start(&nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &head,
		       sizeof(head));
	shunt_nl_put(&nl, NDA_DST, &ip, sizeof(ip));
	shunt_nl_put(&nl, NDA_LLADDR, mac, 6);
	return shunt_nl_talk(&nl, NETLINK_ROUTE);
}

/* A veth hands frames that XDP has sent on to a peer that runs NAPI alone, which GRO
 * makes it do: so a server in XDP can answer a client that has no program. */
static int set_gro(const char *interface)
{
	struct ethtool_value value = { .cmd = ETHTOOL_SGRO, .data = 1 };

	return shunt_ethtool(interface, &value);
}

/* IPv6 would speak up by itself in the midst of a measurement. */
static void without_ipv6(void)
{
	_fd_ int fd =
		open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1", 1) != 1)
		return; /* a kernel without IPv6 is quiet anyway */
}

static int furnish(const char *interface, const char *own, const char *other,
		   const uint8_t *mac)
{
	int ret = set_up("lo");

	if (!ret)
		ret = add_address(interface, own);
	if (!ret)
		ret = set_up(interface);
	if (!ret)
		ret = set_gro(interface);
	return ret ? ret : add_neighbour(interface, other, mac);
}

/* The calling thread moves into a namespace of its own: a descriptor of it. */
static int new_space(void)
{
	int fd;

	if (unshare(CLONE_NEWNET))
		return -errno;
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	without_ipv6();
	return fd;
}

struct building {
	struct shunt_bench_stage *stage;
	struct shunt_err *err;
	int ret;
};

/* On a thread of its own, which may move about. */
static void *build(void *arg)
{
	struct building *building = arg;
	struct shunt_bench_stage *stage = building->stage;
	const char *what = "make a network namespace";
	int ret = 0;

	stage->server = new_space();
	stage->client = stage->server < 0 ? stage->server : new_space();
	if (stage->client < 0) {
		ret = stage->client;
	} else {
		what = "make a veth between two network namespaces";
		ret = make_veth(stage->server);
	}
	if (!ret) {
		what = "set up the client's end of the veth";
		ret = furnish(SHUNT_BENCH_CLIENT, SHUNT_BENCH_CLIENT_ADDRESS,
			      SHUNT_BENCH_SERVER_ADDRESS, server_mac);
	}
	if (!ret) {
		what = "set up the server's end of the veth";
		ret = setns(stage->server, CLONE_NEWNET) ? -errno : 0;
	}
	if (!ret)
		ret = furnish(SHUNT_BENCH_SERVER, SHUNT_BENCH_SERVER_ADDRESS,
			      SHUNT_BENCH_CLIENT_ADDRESS, client_mac);
	building->ret = ret ? shunt_fail_errno(building->err, ret, "bench: %s%s", what,
					       ret == -EPERM ? " (run it as root)" : "")
			    : 0;
	return NULL;
}

int shunt_bench_stage_open(struct shunt_bench_stage *stage, struct shunt_err *err)
{
	struct building building = { .stage = stage, .err = err };
	pthread_t thread;
	int ret;

	*stage = (struct shunt_bench_stage){ -1, -1 };
	ret = pthread_create(&thread, NULL, build, &building);
	if (ret)
		return shunt_fail_errno(err, -ret, "bench: start a thread");
	pthread_join(thread, NULL);
	if (building.ret)
		shunt_bench_stage_close(stage);
	return building.ret;
}

void shunt_bench_stage_close(struct shunt_bench_stage *stage)
{
	if (stage->client >= 0)
		close(stage->client);
	if (stage->server >= 0)
		close(stage->server);
	*stage = (struct shunt_bench_stage){ -1, -1 };
}
