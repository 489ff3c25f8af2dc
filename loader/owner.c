/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/owner.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>

#include "loader/bpffs.h"
#include "loader/netlink.h"
#include "user/base/cleanup.h"

/* --- programs ---------------------------------------------------------------- */

/* The program that a descriptor, of a program or of a link, stands for; 0: neither. */
static uint32_t fdinfo_program(const char *path)
{
	_file_ FILE *file = fopen(path, "re");
	char line[128];
	unsigned int id;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "prog_id: %u", &id) == 1)
			return id;
	return 0;
}

static bool process_holds(const char *pid, uint32_t prog_id)
{
	char path[64 + 2 * sizeof(((struct dirent *)0)->d_name)];
	struct dirent *entry;
	bool holds = false;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo", pid);
	_dir_ DIR *dir = opendir(path);
	while (dir && !holds && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, entry->d_name);
		holds = fdinfo_program(path) == prog_id;
	}
	return holds;
}

/* The first process that holds the program, by number and name. */
static size_t describe_holder(uint32_t prog_id, char *text, size_t room)
{
	_dir_ DIR *proc = opendir("/proc");
	struct dirent *entry;
	size_t n = 0;

	while (proc && !n && (entry = readdir(proc))) {
		char path[64], name[32] = "?";

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
		    atoi(entry->d_name) == getpid() ||
		    !process_holds(entry->d_name, prog_id))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", entry->d_name);
		_file_ FILE *comm = fopen(path, "re");
		if (comm && fgets(name, sizeof(name), comm))
			name[strcspn(name, "\n")] = 0;
		n = snprintf(text, room, ", held by process %.20s (%s)", entry->d_name,
			     name);
	}
	return n;
}

/* nftw() has no argument for its callback. */
static __thread struct {
	uint32_t prog_id;
	char path[SHUNT_PIN_MAX];
} sought;

static int is_pin_of(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	char info[64];

	(void)st;
	(void)ftw;
	if (kind != FTW_F)
		return 0;
	_fd_ int fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	snprintf(info, sizeof(info), "/proc/self/fdinfo/%d", fd);
	if (fdinfo_program(info) != sought.prog_id)
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
