/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/xsk.h"

#include <assert.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <xdp/xsk.h>

#include "maps/consumer.h"

#define BUSY_TRIES 50
#define BUSY_PAUSE_NS (20 * 1000 * 1000)

/*
 * libxdp sets up a ring only in part: what it leaves alone must be zero, which calloc
 * sees to.
 */
struct shunt_xsk {
	struct xsk_ring_cons rx;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons completion; /* a UMEM has one, used or not */
	uint8_t *area;
	size_t area_bytes;
	struct xsk_umem *umem;
	struct xsk_socket *socket;
	unsigned int queue;
	int xskmap_fd; /* -1: not registered */
	uint32_t key;
	char ifname[IF_NAMESIZE];
};

void shunt_xsk_close(struct shunt_xsk *xsk)
{
	if (!xsk)
		return;
	if (xsk->xskmap_fd >= 0)
		close(xsk->xskmap_fd);
	if (xsk->socket)
		xsk_socket__delete(xsk->socket);
	if (xsk->umem)
		xsk_umem__delete(xsk->umem);
	if (xsk->area)
		munmap(xsk->area, xsk->area_bytes);
	free(xsk);
}

/* Hands all the frames to the kernel. */
static int fill_up(struct shunt_xsk *xsk, unsigned int frames, struct shunt_err *err)
{
	unsigned int i;
	__u32 at;

	if (xsk_ring_prod__reserve(&xsk->fill, frames, &at) != frames)
		return shunt_fail(
			err, -EIO,
			"open an AF_XDP socket on %s, queue %u: a fill ring of "
			"%u places does not take %u frames",
			xsk->ifname, xsk->queue, xsk->fill.size, frames);
	for (i = 0; i < frames; i++)
		*xsk_ring_prod__fill_addr(&xsk->fill, at + i) =
			(__u64)i * SHUNT_XSK_FRAME_BYTES;
	xsk_ring_prod__submit(&xsk->fill, frames);
	return 0;
}

static int fail_bind(const struct shunt_xsk *xsk, int code, struct shunt_err *err)
{
	const char *ifname = xsk->ifname;
	unsigned int queue = xsk->queue;

	switch (-code) {
	case EBUSY:
		return shunt_fail(
			err, code,
			"queue %u of %s is already served by another AF_XDP "
			"socket: a queue serves one process at a time, end that "
			"one or choose other queues",
			queue, ifname);
	case EINVAL:
		return shunt_fail(err, code,
				  "%s has no receive queue %u (%s lists its queues)",
				  ifname, queue, "ethtool -l");
	case EPERM:
		return shunt_fail(
			err, code,
			"open an AF_XDP socket on %s, queue %u: not permitted; "
			"it takes root or CAP_NET_RAW",
			ifname, queue);
	case ENOBUFS:
		return shunt_fail(
			err, code,
			"open an AF_XDP socket on %s, queue %u: %zu bytes of "
			"locked memory are over the limit; raise it (ulimit -l) "
			"or choose a smaller ring",
			ifname, queue, xsk->area_bytes);
	default:
		return shunt_fail_errno(err, code,
					"open an AF_XDP socket on %s, queue %u", ifname,
					queue);
	}
}

/* One attempt; what it made before it failed is closed by the caller. */
static int bind_queue(struct shunt_xsk *xsk, unsigned int ring, struct shunt_err *err)
{
	const struct xsk_umem_config umem = {
		/*
		 * Twice the frames: the kernel shows received frames before it says
		 * that their fill entries are free, so a frame can come back while its
		 * old entry still looks taken.
		 */
		.fill_size = 4 * ring,
		.comp_size = XSK_RING_CONS__DEFAULT_NUM_DESCS,
		.frame_size = SHUNT_XSK_FRAME_BYTES,
	};
	const struct xsk_socket_config socket = {
		.rx_size = ring,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
	};
	void *area;
	int code;

	xsk->area_bytes = 2ul * ring * SHUNT_XSK_FRAME_BYTES;
	area = mmap(NULL, xsk->area_bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (area == MAP_FAILED)
		return fail_bind(xsk, -errno, err);
	xsk->area = area;
	code = xsk_umem__create(&xsk->umem, area, xsk->area_bytes, &xsk->fill,
				&xsk->completion, &umem);
	if (code)
		return fail_bind(xsk, code, err);
	code = xsk_socket__create(&xsk->socket, xsk->ifname, xsk->queue, xsk->umem,
				  &xsk->rx, NULL, &socket);
	if (code)
		return fail_bind(xsk, code, err);
	return fill_up(xsk, 2 * ring, err);
}

int shunt_xsk_open(struct shunt_xsk **out, const char *ifname, unsigned int queue,
		   const struct shunt_xsk_opts *opts, struct shunt_err *err)
{
	const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NS };
	struct shunt_xsk_opts given = { 0 };
	unsigned int ring;
	int code, i;

	*out = NULL;
	if (opts)
		memcpy(&given, opts,
		       opts->sz < sizeof(given) ? opts->sz : sizeof(given));
	ring = given.ring ? given.ring : SHUNT_XSK_RING;
	if (ring & (ring - 1) || ring > SHUNT_XSK_RING_MAX)
		return shunt_fail(
			err, -EINVAL,
			"a receive ring of %u places: it must be a power of two "
			"up to %u",
			ring, SHUNT_XSK_RING_MAX);
	if (!if_nametoindex(ifname))
		return shunt_fail(err, -ENODEV,
				  "there is no interface %s in this network namespace",
				  ifname);
	for (i = 0;; i++) {
		struct shunt_xsk *xsk = calloc(1, sizeof(*xsk));

		if (!xsk)
			return shunt_fail_errno(err, -ENOMEM,
						"open an AF_XDP socket on %s", ifname);
		xsk->xskmap_fd = -1;
		xsk->queue = queue;
		strncpy(xsk->ifname, ifname, sizeof(xsk->ifname) - 1);
		code = bind_queue(xsk, ring, err);
		if (!code) {
			*out = xsk;
			return 0;
		}
		shunt_xsk_close(xsk);
		if (code != -EBUSY || i == BUSY_TRIES)
			return code;
		nanosleep(&pause, NULL);
	}
}

int shunt_xsk_register(struct shunt_xsk *xsk, int xskmap_fd, uint32_t slot,
		       struct shunt_err *err)
{
	__u32 key = shunt_consumer_key(slot, xsk->queue);
	int fd = xsk_socket__fd(xsk->socket);
	int map;

	if (slot >= SHUNT_CONSUMER_SLOTS || xsk->queue >= SHUNT_QUEUE_MAX)
		return shunt_fail(err, -ERANGE,
				  "consumer slot %u, queue %u: slots end at %u and "
				  "queues at %u",
				  slot, xsk->queue, SHUNT_CONSUMER_SLOTS - 1,
				  SHUNT_QUEUE_MAX - 1);
	map = dup(xskmap_fd);
	if (map < 0)
		return shunt_fail_errno(err, -errno, "use the XSKMAP of %s",
					xsk->ifname);
	if (bpf_map_update_elem(map, &key, &fd, BPF_NOEXIST)) {
		int code = -errno;

		close(map);
		if (code != -EEXIST)
			return shunt_fail_errno(err, code,
						"register queue %u of %s in slot %u",
						xsk->queue, xsk->ifname, slot);
		return shunt_fail(
			err, code,
			"queue %u of %s in slot %u is already served by another "
			"process: end that one first",
			xsk->queue, xsk->ifname, slot);
	}
	xsk->xskmap_fd = map;
	xsk->key = key;
	return 0;
}

void shunt_xsk_unregister(struct shunt_xsk *xsk)
{
	if (xsk->xskmap_fd < 0)
		return;
	bpf_map_delete_elem(xsk->xskmap_fd, &xsk->key);
	close(xsk->xskmap_fd);
	xsk->xskmap_fd = -1;
}

/* A program runs, and its redirected frames are flushed, inside one RCU grace period. */
void shunt_xsk_settle(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

unsigned int shunt_xsk_rx(struct shunt_xsk *xsk, struct shunt_frame *frames,
			  unsigned int max)
{
	unsigned int i, n;
	__u32 at;

	n = xsk_ring_cons__peek(&xsk->rx, max, &at);
	if (!n)
		return 0;
	for (i = 0; i < n; i++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&xsk->rx, at + i);

		frames[i] = (struct shunt_frame){
			.data = xsk->area + desc->addr,
			.token = desc->addr,
			.len = desc->len,
		};
	}
	xsk_ring_cons__release(&xsk->rx, n);
	return n;
}

void shunt_xsk_release(struct shunt_xsk *xsk, const struct shunt_frame *frames,
		       unsigned int n)
{
	unsigned int i, room;
	__u32 at;

	room = xsk_ring_prod__reserve(&xsk->fill, n, &at);
	assert(room == n); /* see fill_size */
	for (i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&xsk->fill, at + i) =
			frames[i].token & ~(__u64)(SHUNT_XSK_FRAME_BYTES - 1);
	xsk_ring_prod__submit(&xsk->fill, n);
}

int shunt_xsk_fd(const struct shunt_xsk *xsk)
{
	return xsk_socket__fd(xsk->socket);
}

int shunt_xsk_check(const struct shunt_xsk *xsk, struct shunt_err *err)
{
	/* Receives nothing; the kernel looks at the device first. */
	if (!recv(xsk_socket__fd(xsk->socket), NULL, 0, MSG_DONTWAIT))
		return 0;
	switch (errno) {
	case ENETDOWN:
		return shunt_fail(err, -ENETDOWN,
				  "%s went down: no frame can arrive; "
				  "`ip link set %s up` and start again",
				  xsk->ifname, xsk->ifname);
	case ENXIO:
		return shunt_fail(err, -ENODEV,
				  "%s is gone: the interface was deleted or moved to "
				  "another network namespace",
				  xsk->ifname);
	case EAGAIN:
	case EINTR:
		return 0;
	default:
		return shunt_fail_errno(err, -errno, "receive from %s, queue %u",
					xsk->ifname, xsk->queue);
	}
}

int shunt_xsk_stats(const struct shunt_xsk *xsk, struct shunt_xsk_stats *stats,
		    struct shunt_err *err)
{
	struct xdp_statistics kernel = { 0 };
	socklen_t size = sizeof(kernel);

	if (getsockopt(xsk_socket__fd(xsk->socket), SOL_XDP, XDP_STATISTICS, &kernel,
		       &size))
		return shunt_fail_errno(err, -errno, "read the drops of %s, queue %u",
					xsk->ifname, xsk->queue);
	*stats = (struct shunt_xsk_stats){
		.rx_dropped = kernel.rx_dropped,
		.rx_ring_full = kernel.rx_ring_full,
		.rx_fill_ring_empty = kernel.rx_fill_ring_empty_descs,
		.rx_invalid_descs = kernel.rx_invalid_descs,
	};
	return 0;
}
