/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/netfilter.h"

#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/netfilter.h>

#include "loader/bpffs.h"
#include "loader/namespaces.h"
#include "user/base/cleanup.h"

/* The headers of Debian 12 are older than these (Linux 6.4). */
#define PROG_TYPE_NETFILTER 32
#define ATTACH_NETFILTER 45

/*
 * Before defragmentation (-400), so that a fragment is judged as at the other hooks, and
 * so before the raw table (-300) and connection tracking (-200), for which a packet that
 * is dropped costs nothing; behind what came to be before everything (from INT_MIN on).
 * No two programs may have one priority: each takes the next free one in front.
 */
#define PRIORITY (-500)
#define PRIORITY_TRIES 4096

#define LEAF_MAX 32

static const struct family {
	uint32_t number;
	const char *leaf; /* the pin's */
} families[] = { { NFPROTO_IPV4, "netfilter" }, { NFPROTO_IPV6, "netfilter6" } };

#define FAMILIES (sizeof(families) / sizeof(*families))

/* Of union bpf_attr's link_create, and of struct bpf_link_info, as of Linux 6.4. */
struct nf_link {
	uint32_t family, hook;
	int32_t priority;
	uint32_t flags;
};

struct nf_link_create {
	uint32_t prog_fd, target_fd, attach_type, flags;
	struct nf_link link;
};

/* --- one link ---------------------------------------------------------------- */

static int create(int prog_fd, uint32_t family, int32_t priority)
{
	const struct nf_link_create ask = {
		.prog_fd = prog_fd,
		.attach_type = ATTACH_NETFILTER,
		.link = { .family = family,
			  .hook = NF_INET_PRE_ROUTING,
			  .priority = priority },
	};
	union bpf_attr attr;
	int fd;

	_Static_assert(sizeof(ask) <= sizeof(attr), "known to the oldest headers");
	memset(&attr, 0, sizeof(attr));
	memcpy(&attr, &ask, sizeof(ask));
	fd = syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : fd;
}

int shunt_nf_link(int prog_fd, uint32_t family, int32_t priority)
{
	int tries, fd = -EBUSY;

	for (tries = 0; fd == -EBUSY && tries < PRIORITY_TRIES; tries++)
		fd = create(prog_fd, family, priority - tries);
	return fd;
}

static void link_path(char path[SHUNT_PIN_MAX], const char *instance, size_t f,
		      const char *suffix)
{
	char leaf[LEAF_MAX];

	snprintf(leaf, sizeof(leaf), "%s%s", families[f].leaf, suffix);
	shunt_pin_path(path, instance, "links", leaf);
}

/* Takes a pinned link off, at once, and its pin. */
static int drop(const char *instance, size_t f, const char *suffix,
		struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];

	link_path(path, instance, f, suffix);
	_fd_ int fd = bpf_obj_get(path);
	if (fd >= 0)
		bpf_link_detach(fd);
	if (unlink(path) && errno != ENOENT)
		return shunt_fail_errno(err, -errno, "unpin %s", path);
	return 0;
}

/* --- programs ---------------------------------------------------------------- */

int shunt_nf_least(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = NF_ACCEPT },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = ATTACH_NETFILTER);

	return bpf_prog_load((enum bpf_prog_type)PROG_TYPE_NETFILTER, "shunt_probe",
			     "GPL", insns, 2, &opts);
}

int shunt_nf_known(struct shunt_err *err)
{
	_fd_ int fd = shunt_nf_least();

	if (fd >= 0 || fd == -EPERM)
		return 0;
	return shunt_fail(err, -EOPNOTSUPP,
			  "this kernel knows no netfilter programs (%s): the hook "
			  "netfilter needs Linux 6.4, built with "
			  "CONFIG_NETFILTER_BPF_LINK=y; tc-ingress works without",
			  strerror(-fd));
}

void shunt_nf_type(struct bpf_program *program)
{
	bpf_program__set_type(program, (enum bpf_prog_type)PROG_TYPE_NETFILTER);
	bpf_program__set_expected_attach_type(program,
					      (enum bpf_attach_type)ATTACH_NETFILTER);
}

/* --- the hook ---------------------------------------------------------------- */

uint64_t shunt_nf_namespace(void)
{
	struct stat st;

	return stat("/proc/thread-self/ns/net", &st) ? 0 : st.st_ino;
}

bool shunt_nf_lives(uint64_t netns, unsigned int ifindex)
{
	char name[IF_NAMESIZE];

	return netns == shunt_nf_namespace() ? if_indextoname(ifindex, name) != NULL
					     : shunt_namespaces_has(netns);
}

int shunt_nf_attach(const char *instance, int prog_fd, uint64_t *netns, int *link_fd,
		    struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	/* no record has those that a killed attach may have left */
	int ret = shunt_nf_detach(instance, err);

	if (ret)
		return ret;
	*netns = shunt_nf_namespace();
	_fd_ int four = shunt_nf_link(prog_fd, families[0].number, PRIORITY);
	_fd_ int six = shunt_nf_link(prog_fd, families[1].number, PRIORITY);
	if (four < 0 || six < 0)
		return shunt_fail_errno(err, four < 0 ? four : six,
					"attach the netfilter program for IPv%d (needs "
					"Linux 6.4)",
					four < 0 ? 4 : 6);
	link_path(path, instance, 1, "");
	ret = shunt_pin_put(six, path, err);
	if (!ret)
		*link_fd = shunt_steal_fd(&four);
	return ret;
}

int shunt_nf_detach(const char *instance, struct shunt_err *err)
{
	int ret = 0;
	size_t f;

	for (f = 0; !ret && f < FAMILIES; f++) {
		ret = drop(instance, f, "", err);
		if (!ret)
			ret = drop(instance, f, "_next", err);
	}
	return ret;
}

/* --- one program for another ------------------------------------------------- */

/* A link in front of the one that is pinned, and pinned beside it. */
static int prepare(const char *instance, size_t f, int prog_fd)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	char path[SHUNT_PIN_MAX];
	struct nf_link old;

	link_path(path, instance, f, "");
	_fd_ int old_fd = bpf_obj_get(path);
	if (old_fd < 0 || bpf_obj_get_info_by_fd(old_fd, &info, &len))
		return -errno;
	memcpy(&old, (char *)&info + offsetof(struct bpf_link_info, xdp), sizeof(old));
	_fd_ int fd = shunt_nf_link(prog_fd, families[f].number, old.priority - 1);
	if (fd < 0)
		return fd;
	link_path(path, instance, f, "_next");
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

/* The new link's pin takes the place of the old one's, and the old link leaves. */
static int take_place(const char *instance, size_t f)
{
	char from[SHUNT_PIN_MAX], to[SHUNT_PIN_MAX];

	link_path(from, instance, f, "_next");
	link_path(to, instance, f, "");
	_fd_ int old = bpf_obj_get(to);
	if (rename(from, to))
		return -errno;
	if (old >= 0)
		bpf_link_detach(old);
	return 0;
}

static int drop_next(const char *instance, struct shunt_err *err)
{
	int ret = 0;
	size_t f;

	for (f = 0; !ret && f < FAMILIES; f++)
		ret = drop(instance, f, "_next", err);
	return ret;
}

int shunt_nf_replace(const char *instance, int prog_fd)
{
	int ret = drop_next(instance, NULL), again;
	size_t f;

	for (f = 0; !ret && f < FAMILIES; f++)
		ret = prepare(instance, f, prog_fd);
	if (!ret)
		ret = take_place(instance, 0);
	if (ret) {
		/* should that fail too, the next command settles it */
		again = drop_next(instance, NULL);
		(void)again;
		return ret;
	}
	return take_place(instance, 1);
}

int shunt_nf_settle(const char *instance, bool forward, struct shunt_err *err)
{
	int ret = forward ? take_place(instance, 1) : drop_next(instance, err);

	if (ret == -ENOENT)
		return 0;
	return forward && ret ? shunt_fail_errno(err, ret,
						 "put the new netfilter link for IPv6 "
						 "into its place")
			      : ret;
}
