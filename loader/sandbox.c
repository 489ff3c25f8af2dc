/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/sandbox.h"

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "loader/netlink.h"

struct run {
	void (*try)(const struct shunt_sandbox *, void *);
	void *ctx;
	struct shunt_err *err;
	int ret;
};

static int make_pair(void)
{
	const struct ifinfomsg head = { .ifi_family = AF_UNSPEC };
	struct nlattr *info, *data, *peer;
	struct shunt_nl nl;

	shunt_nl_start(&nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head,
		       sizeof(head));
	shunt_nl_put(&nl, IFLA_IFNAME, SHUNT_SANDBOX_VETH, sizeof(SHUNT_SANDBOX_VETH));
	info = shunt_nl_put(&nl, IFLA_LINKINFO, NULL, 0);
	shunt_nl_put(&nl, IFLA_INFO_KIND, "veth", sizeof("veth"));
	data = shunt_nl_put(&nl, IFLA_INFO_DATA, NULL, 0);
	peer = shunt_nl_put(&nl, VETH_INFO_PEER, &head, sizeof(head));
	shunt_nl_put(&nl, IFLA_IFNAME, SHUNT_SANDBOX_PEER, sizeof(SHUNT_SANDBOX_PEER));
	shunt_nl_end(&nl, peer);
	shunt_nl_end(&nl, data);
	shunt_nl_end(&nl, info);
	return shunt_nl_talk(&nl, NETLINK_ROUTE);
}

static int set_up(unsigned int ifindex)
{
	const struct ifinfomsg head = { .ifi_family = AF_UNSPEC,
					.ifi_index = ifindex,
					.ifi_flags = IFF_UP,
					.ifi_change = IFF_UP };
	struct shunt_nl nl;

	shunt_nl_start(&nl, RTM_NEWLINK, 0, &head, sizeof(head));
	return shunt_nl_talk(&nl, NETLINK_ROUTE);
}

static void *live(void *arg)
{
	struct shunt_sandbox sandbox;
	struct run *run = arg;

	if (unshare(CLONE_NEWNET)) {
		run->ret = shunt_fail_errno(run->err, -errno,
					    "make a network namespace to try in");
		return NULL;
	}
	run->ret = make_pair();
	sandbox.veth = if_nametoindex(SHUNT_SANDBOX_VETH);
	sandbox.peer = if_nametoindex(SHUNT_SANDBOX_PEER);
	if (!run->ret)
		run->ret = set_up(sandbox.veth);
	if (!run->ret)
		run->ret = set_up(sandbox.peer);
	if (run->ret)
		shunt_fail_errno(run->err, run->ret, "make a pair of veths to try on");
	else
		run->try(&sandbox, run->ctx);
	return NULL;
}

int shunt_sandbox_run(void (*try)(const struct shunt_sandbox *, void *), void *ctx,
		      struct shunt_err *err)
{
	struct run run = { .try = try, .ctx = ctx, .err = err };
	pthread_t thread;
	int ret = pthread_create(&thread, NULL, live, &run);

	if (ret)
		return shunt_fail_errno(err, -ret, "start a thread to try in");
	pthread_join(thread, NULL);
	return run.ret;
}
