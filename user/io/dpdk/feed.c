/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/dpdk/feed.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>

#include "feed.skel.h"
#include "loader/claim.h"
#include "loader/nic.h"
#include "loader/owner.h"
#include "user/base/cleanup.h"

#define QUEUE_BYTES 216 /* of the driver's record of a queue (DPDK 22.11) */
#define FEED_NAME "shunt_feed"
#define SHUNT_NAME "shunt_" /* what programs of a policy are called begins so */

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 /* Linux 6.17 */
#endif

/* --- before the driver ------------------------------------------------------------- */

static int program_info(uint32_t id, struct bpf_prog_info *info)
{
	_fd_ int fd = bpf_prog_get_fd_by_id(id);
	__u32 len = sizeof(*info);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, info, &len) ? -errno : 0;
}

static int take_off(unsigned int ifindex, uint32_t program)
{
	_fd_ int fd = bpf_prog_get_fd_by_id(program);
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = fd);

	return fd < 0 ? fd : bpf_xdp_detach(ifindex, XDP_FLAGS_REPLACE, &opts);
}

/* There is a program, and we hold the claim. */
static int make_way(const struct shunt_feed *feed, uint32_t program,
		    struct shunt_err *err)
{
	struct bpf_prog_info info = { 0 };
	char owner[SHUNT_OWNER_TEXT];
	int ret = program_info(program, &info);

	if (ret)
		return shunt_fail_errno(err, ret,
					"look at the XDP program of %s (id %u)",
					feed->ifname, program);
	if (!strcmp(info.name, FEED_NAME) && !take_off(feed->ifindex, program))
		return 0;
	if (!strncmp(info.name, SHUNT_NAME, strlen(SHUNT_NAME)))
		return shunt_fail(
			err, -EBUSY,
			"port dpdk:%s: a Shunt policy is on %s, and DPDK wants the "
			"interface for itself: open the consumer of a policy as "
			"af_xdp:%s, or `shunt detach %s` first",
			feed->ifname, feed->ifname, feed->ifname, feed->ifname);
	return shunt_fail(err, -EBUSY,
			  "port dpdk:%s: the XDP program %s is on %s, and DPDK wants "
			  "the interface for itself: end its owner, or, if a killed "
			  "process has left it behind, `ip link set dev %s xdp off`",
			  feed->ifname, shunt_owner_describe(program, owner),
			  feed->ifname, feed->ifname);
}

static int offer_program(struct shunt_feed *feed, struct shunt_err *err)
{
	size_t bytes;
	const void *elf = feed_bpf__elf_bytes(&bytes);

	feed->object = memfd_create(FEED_NAME, MFD_CLOEXEC);
	if (feed->object < 0 || write(feed->object, elf, bytes) != (ssize_t)bytes)
		return shunt_fail_errno(err, errno ? -errno : -EIO,
					"port dpdk:%s: write its program",
					feed->ifname);
	return 0;
}

static int look_and_claim(struct shunt_feed *feed, struct shunt_err *err)
{
	char claim[SHUNT_CLAIM_MAX];
	struct shunt_nic nic;
	int ret = shunt_nic_look(&nic, feed->ifname, err);

	if (ret)
		return ret;
	feed->ifindex = nic.ifindex;
	feed->mtu = nic.mtu;
	feed->zero_copy = !nic.knows_xdp || nic.xdp & SHUNT_NIC_XDP_ZEROCOPY;
	snprintf(claim, sizeof(claim), "shunt-dpdk:%u", nic.ifindex);
	feed->claim = shunt_claim(claim);
	if (feed->claim == -EADDRINUSE)
		return shunt_fail(err, -EBUSY,
				  "port dpdk:%s: another port of this kind is open on "
				  "it, and DPDK wants the interface for itself: close "
				  "that one first (several queues: queues=0-3)",
				  feed->ifname);
	if (feed->claim < 0)
		return shunt_fail_errno(err, feed->claim, "port dpdk:%s: claim it",
					feed->ifname);
	/* anew: what was there before the claim may be gone since */
	ret = shunt_nic_look(&nic, feed->ifname, err);
	if (!ret && nic.xdp_prog)
		ret = make_way(feed, nic.xdp_prog, err);
	return ret;
}

int shunt_feed_open(struct shunt_feed *feed, const char *ifname, struct shunt_err *err)
{
	int ret;

	*feed = (struct shunt_feed){ .claim = -1, .object = -1, .link = -1 };
	snprintf(feed->ifname, sizeof(feed->ifname), "%s", ifname);
	ret = look_and_claim(feed, err);
	if (!ret)
		ret = offer_program(feed, err);
	if (ret)
		shunt_feed_close(feed);
	return ret;
}

const char *shunt_feed_path(const struct shunt_feed *feed, char path[SHUNT_FEED_PATH])
{
	snprintf(path, SHUNT_FEED_PATH, "/proc/self/fd/%d", feed->object);
	return path;
}

/* --- its sockets --------------------------------------------------------------------- */

/* Calls `each` with every descriptor of the process. */
static void each_fd(void (*each)(void *self, int fd), void *self)
{
	_dir_ DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir))
			each(self, atoi(entry->d_name));
}

static bool is_xsk(int fd)
{
	int domain = 0;
	socklen_t size = sizeof(domain);

	return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) &&
	       domain == AF_XDP;
}

static void note_socket(void *self, int fd)
{
	struct shunt_feed_fds *fds = self;

	if (is_xsk(fd) && fds->n < sizeof(fds->fd) / sizeof(*fds->fd))
		fds->fd[fds->n++] = fd;
}

void shunt_feed_before(struct shunt_feed_fds *fds)
{
	fds->n = 0;
	each_fd(note_socket, fds);
}

static bool had(const struct shunt_feed_fds *fds, int fd)
{
	unsigned int i;

	for (i = 0; i < fds->n; i++)
		if (fds->fd[i] == fd)
			return true;
	return false;
}

/* The driver's own record of a queue is private, but for what rx polls: a pollfd. */
static bool is_of(const void *queue, int fd)
{
	const char *at = queue;
	struct pollfd poll;
	size_t i;

	for (i = 0; i + sizeof(poll) <= QUEUE_BYTES; i += sizeof(int)) {
		memcpy(&poll, at + i, sizeof(poll));
		if (poll.fd == fd && poll.events == POLLIN)
			return true;
	}
	return false;
}

void shunt_feed_after(struct shunt_feed *feed, const struct shunt_feed_fds *before,
		      void *const *queues, unsigned int n)
{
	struct shunt_feed_fds now;
	struct stat st;
	unsigned int i, k;

	shunt_feed_before(&now);
	feed->sockets = 0;
	for (k = 0; k < n; k++) {
		for (i = 0; i < now.n; i++)
			if (!had(before, now.fd[i]) && is_of(queues[k], now.fd[i]))
				break;
		if (i == now.n || fstat(now.fd[i], &st) ||
		    feed->sockets == sizeof(feed->socket) / sizeof(*feed->socket))
			continue;
		feed->socket[feed->sockets] = now.fd[i];
		feed->inode[feed->sockets++] = st.st_ino;
	}
}

static void close_sockets(struct shunt_feed *feed)
{
	struct stat st;

	for (; feed->sockets; feed->sockets--) {
		unsigned int i = feed->sockets - 1;

		if (is_xsk(feed->socket[i]) && !fstat(feed->socket[i], &st) &&
		    st.st_ino == feed->inode[i])
			close(feed->socket[i]);
	}
}

/* --- its program ---------------------------------------------------------------------- */

static int note_program(struct shunt_feed *feed)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	int ret = bpf_xdp_query((int)feed->ifindex, 0, &query);
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info), map = 0;

	if (ret)
		return ret;
	_fd_ int fd = bpf_prog_get_fd_by_id(query.prog_id);
	info.map_ids = (uintptr_t)&map;
	info.nr_map_ids = 1;
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (strcmp(info.name, FEED_NAME) != 0)
		return -EBUSY;
	feed->native = query.attach_mode == XDP_ATTACHED_DRV;
	feed->program = info.id;
	feed->map = map;
	feed->btf = info.btf_id;
	return 0;
}

int shunt_feed_adopt(struct shunt_feed *feed, struct shunt_err *err)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	int ret = note_program(feed);

	if (ret)
		return shunt_fail_errno(err, ret,
					"port dpdk:%s: find the program that DPDK has "
					"attached",
					feed->ifname);
	_fd_ int fd = bpf_prog_get_fd_by_id(feed->program);
	opts.flags = feed->native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
	ret = fd < 0 ? fd : take_off(feed->ifindex, feed->program);
	if (!ret)
		ret = feed->link =
			bpf_link_create(fd, (int)feed->ifindex, BPF_XDP, &opts);
	return ret < 0 ? shunt_fail_errno(err, ret,
					  "port dpdk:%s: hold its program by a link",
					  feed->ifname)
		       : 0;
}

void shunt_feed_stop(struct shunt_feed *feed)
{
	if (feed->link >= 0)
		close(feed->link);
	else if (feed->program || !note_program(feed))
		take_off(feed->ifindex, feed->program);
	feed->link = -1;
}

/* The driver opens a BPF object and never closes it. */
static void close_forgotten(void *self, int fd)
{
	const struct shunt_feed *feed = self;
	char path[64], line[128];
	unsigned int id;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	_file_ FILE *info = fopen(path, "re");
	while (info && fgets(line, sizeof(line), info))
		if ((sscanf(line, "prog_id: %u", &id) == 1 && id == feed->program) ||
		    (sscanf(line, "map_id: %u", &id) == 1 && id == feed->map) ||
		    (sscanf(line, "btf_id: %u", &id) == 1 && id == feed->btf)) {
			close(fd);
			return;
		}
}

void shunt_feed_clear(struct shunt_feed *feed)
{
	close_sockets(feed);
	if (feed->program)
		each_fd(close_forgotten, feed);
	feed->program = 0;
}

void shunt_feed_close(struct shunt_feed *feed)
{
	if (feed->object >= 0)
		close(feed->object);
	if (feed->claim >= 0)
		close(feed->claim);
	feed->object = feed->claim = -1;
}

/* --- what the kernel says ------------------------------------------------------------- */

bool shunt_feed_zero_copy(const struct shunt_feed *feed)
{
	struct xdp_options options = { 0 };
	socklen_t size = sizeof(options);

	return feed->sockets &&
	       !getsockopt(feed->socket[0], SOL_XDP, XDP_OPTIONS, &options, &size) &&
	       options.flags & XDP_OPTIONS_ZEROCOPY;
}

bool shunt_feed_budget(const struct shunt_feed *feed, unsigned int frames)
{
	unsigned int i, set = 0;

	for (i = 0; i < feed->sockets; i++)
		set += !setsockopt(feed->socket[i], SOL_XDP, XDP_MAX_TX_SKB_BUDGET,
				   &frames, sizeof(frames));
	return set && set == feed->sockets;
}

int shunt_feed_count(const struct shunt_feed *feed, struct shunt_port_stats *stats)
{
	unsigned int i;

	for (i = 0; i < feed->sockets; i++) {
		struct xdp_statistics kernel = { 0 };
		socklen_t size = sizeof(kernel);

		if (getsockopt(feed->socket[i], SOL_XDP, XDP_STATISTICS, &kernel,
			       &size))
			return -errno;
		stats->rx_dropped += kernel.rx_dropped;
		stats->rx_ring_full += kernel.rx_ring_full;
		stats->rx_fill_empty += kernel.rx_fill_ring_empty_descs;
		stats->rx_invalid += kernel.rx_invalid_descs;
		stats->tx_failed += kernel.tx_invalid_descs;
	}
	return 0;
}

int shunt_feed_check(const struct shunt_feed *feed, struct shunt_err *err)
{
	/* Receives nothing; the kernel looks at the device first. */
	if (!feed->sockets || !recv(feed->socket[0], NULL, 0, MSG_DONTWAIT))
		return 0;
	if (errno == ENETDOWN)
		return shunt_fail(err, -ENETDOWN,
				  "%s went down: no frame can arrive; `ip link set %s "
				  "up` and start again",
				  feed->ifname, feed->ifname);
	if (errno == ENXIO)
		return shunt_fail(err, -ENODEV,
				  "%s is gone: the interface was deleted or moved to "
				  "another network namespace",
				  feed->ifname);
	return 0;
}
