/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/owner.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "loader/bpffs.h"
#include "loader/holders.h"
#include "loader/netlink.h"
#include "user/base/cleanup.h"
#include "user/base/folder.h"

/* --- programs ---------------------------------------------------------------- */

/* The first process that holds a program. */
struct search {
	uint32_t prog_id;
	char process[32]; /* "/proc/17" */
};

/* By a descriptor of it, or of its link. */
static bool is_it(void *ctx, const char *path)
{
	const struct search *search = ctx;
	struct shunt_fdinfo info;

	shunt_fdinfo_read(&info, path);
	return info.id[SHUNT_OBJECT_PROGRAM] == search->prog_id;
}

static bool holds(void *ctx, const char *process)
{
	struct search *search = ctx;
	char folder[PATH_MAX];

	if (atoi(process + strlen("/proc/")) == getpid())
		return false;
	snprintf(search->process, sizeof(search->process), "%s", process);
	snprintf(folder, sizeof(folder), "%.32s/fdinfo", process);
	return shunt_folder_walk(folder, is_it, search);
}

/* That process, by number and name. */
static size_t describe_holder(uint32_t prog_id, char *text, size_t room)
{
	struct search search = { .prog_id = prog_id };
	char path[64], name[32] = "?";

	if (!shunt_processes_walk(holds, &search))
		return 0;
	snprintf(path, sizeof(path), "%s/comm", search.process);
	_file_ FILE *comm = fopen(path, "re");
	if (comm && fgets(name, sizeof(name), comm))
		name[strcspn(name, "\n")] = 0;
	return snprintf(text, room, ", held by process %s (%s)",
			search.process + strlen("/proc/"), name);
}

/* nftw() has no argument for its callback. */
static __thread struct {
	uint32_t prog_id;
	char path[SHUNT_PIN_MAX];
} sought;

static int is_pin_of(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	struct shunt_fdinfo info;
	char at[64];

	(void)st;
	(void)ftw;
	if (kind != FTW_F)
		return 0;
	_fd_ int fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	snprintf(at, sizeof(at), "/proc/self/fdinfo/%d", fd);
	shunt_fdinfo_read(&info, at);
	if (info.id[SHUNT_OBJECT_PROGRAM] != sought.prog_id)
		return 0;
	snprintf(sought.path, sizeof(sought.path), "%s", path);
	return 1;
}

const char *shunt_owner_describe(uint32_t prog_id, char text[SHUNT_OWNER_TEXT])
{
	_fd_ int fd = bpf_prog_get_fd_by_id(prog_id);
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	struct passwd *user;
	size_t n;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len)) {
		snprintf(text, SHUNT_OWNER_TEXT, "id %u", prog_id);
		return text;
	}
	user = getpwuid(info.created_by_uid);
	n = snprintf(text, SHUNT_OWNER_TEXT, "\"%s\" (id %u), loaded by uid %u (%s)",
		     info.name, prog_id, info.created_by_uid,
		     user ? user->pw_name : "unknown");
	n += describe_holder(prog_id, text + n, SHUNT_OWNER_TEXT - n);
	sought.prog_id = prog_id;
	if (n < SHUNT_OWNER_TEXT &&
	    nftw(SHUNT_BPFFS, is_pin_of, 16, FTW_PHYS | FTW_MOUNT) == 1)
		snprintf(text + n, SHUNT_OWNER_TEXT - n, ", pinned at %s", sought.path);
	return text;
}

/* --- qdiscs ------------------------------------------------------------------ */

/* Does the kernel list any filter under this parent? 1: yes; or 0, or -errno. */
static int has_filter(int fd, unsigned int ifindex, uint32_t parent)
{
	struct {
		struct nlmsghdr head;
		struct tcmsg tc;
	} ask = {
		.head = { .nlmsg_len = sizeof(ask),
			  .nlmsg_type = RTM_GETTFILTER,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.tc = { .tcm_family = AF_UNSPEC,
			.tcm_ifindex = ifindex,
			.tcm_parent = parent },
	};
	char buf[8192];
	int found = 0;

	if (send(fd, &ask, sizeof(ask), 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		struct nlmsghdr *head = (struct nlmsghdr *)buf;

		if (n <= 0)
			return n ? -errno : -EBADMSG;
		for (; NLMSG_OK(head, n); head = NLMSG_NEXT(head, n)) {
			if (head->nlmsg_type == NLMSG_DONE)
				return found;
			if (head->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(head))->error;
			found = 1;
		}
	}
}

int shunt_clsact_exists(unsigned int ifindex, bool *exists, struct shunt_err *err)
{
	const struct tcmsg ask = { .tcm_family = AF_UNSPEC,
				   .tcm_ifindex = ifindex,
				   .tcm_parent = TC_H_CLSACT };
	struct shunt_nl nl;
	const char *kind;
	size_t bytes;
	int ret;

	*exists = false;
	/* without the flag this request is acknowledged, but not answered */
	shunt_nl_start(&nl, RTM_GETQDISC, NLM_F_ECHO, &ask, sizeof(ask));
	ret = shunt_nl_talk(&nl, NETLINK_ROUTE);
	/* no qdisc, no interface */
	if (ret == -ENOENT || ret == -EINVAL || ret == -ENODEV)
		return 0;
	if (ret)
		return shunt_fail_errno(err, ret, "ask for the clsact qdisc");
	/* one that was removed has left the kernel's own, "noop", behind */
	kind = shunt_nl_find(&nl, sizeof(ask), TCA_KIND, &bytes);
	*exists = kind && (!strcmp(kind, "clsact") || !strcmp(kind, "ingress"));
	return 0;
}

int shunt_clsact_in_use(unsigned int ifindex, bool *in_use, struct shunt_err *err)
{
	_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int ret = fd < 0 ? -errno
			 : has_filter(fd, ifindex,
				      TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS));

	if (!ret)
		ret = has_filter(fd, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS));
	*in_use = ret > 0;
	return ret < 0 ? shunt_fail_errno(err, ret, "list the filters of the qdisc")
		       : 0;
}
