/* SPDX-License-Identifier: BSD-2-Clause */
/* An AF_XDP socket that is open: being fed, what the kernel says, and its end. */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "maps/consumer.h"
#include "user/base/clock.h"
#include "user/io/xsk_impl.h"

#define FLUSH_NS (100 * 1000 * 1000)
#define FLUSH_PAUSE_NS (1000 * 1000)

/* --- the end -------------------------------------------------------------------------- */

/* What tx has taken is on its way before the frames are somebody else's. */
static void flush(struct shunt_xsk *xsk)
{
	const struct timespec pause = { .tv_nsec = FLUSH_PAUSE_NS };
	uint64_t deadline = shunt_now_ns() + FLUSH_NS;

	while (!shunt_xsk_kick(xsk, NULL) &&
	       __atomic_load_n(&xsk->queue->sent, __ATOMIC_RELAXED) &&
	       shunt_now_ns() < deadline)
		nanosleep(&pause, NULL);
}

/* For those that stay on the queue: what this one has not received is theirs again. */
static void empty_rx(struct shunt_xsk *xsk)
{
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int n;

	if (xsk->xskmap_fd >= 0) {
		shunt_xsk_unregister(xsk);
		shunt_xsk_settle();
	}
	while ((n = shunt_xsk_rx(xsk, frames, SHUNT_BURST)))
		shunt_frames_put(frames, n);
}

void shunt_xsk_close(struct shunt_xsk *xsk)
{
	if (!xsk)
		return;
	if (xsk->has_tx && xsk->queue)
		flush(xsk);
	if (xsk->queue) {
		shunt_xsk_queue_aim(xsk->queue, -(int32_t)xsk->posts);
		if (shunt_xsk_queue_is_shared(xsk->queue))
			empty_rx(xsk);
	}
	if (xsk->xskmap_fd >= 0)
		close(xsk->xskmap_fd);
	shunt_xsk_unmap(&xsk->rx_map);
	shunt_xsk_unmap(&xsk->tx_map);
	if (xsk->fd >= 0)
		close(xsk->fd);
	shunt_xsk_queue_leave(xsk->queue);
	free(xsk);
}

/* --- being fed ------------------------------------------------------------------------ */

int shunt_xsk_register(struct shunt_xsk *xsk, int xskmap_fd, uint32_t slot,
		       struct shunt_err *err)
{
	unsigned int queue = xsk->facts.queue;
	__u32 key = shunt_consumer_key(slot, queue);
	int map;

	if (slot >= SHUNT_CONSUMER_SLOTS || queue >= SHUNT_QUEUE_MAX)
		return shunt_fail(err, -ERANGE,
				  "consumer slot %u, queue %u: slots end at %u and "
				  "queues at %u",
				  slot, queue, SHUNT_CONSUMER_SLOTS - 1,
				  SHUNT_QUEUE_MAX - 1);
	map = dup(xskmap_fd);
	if (map < 0)
		return shunt_fail_errno(err, -errno, "use the XSKMAP of %s",
					xsk->ifname);
	if (bpf_map_update_elem(map, &key, &xsk->fd, BPF_NOEXIST)) {
		int code = -errno;

		close(map);
		if (code != -EEXIST)
			return shunt_fail_errno(err, code,
						"register queue %u of %s in slot %u",
						queue, xsk->ifname, slot);
		return shunt_fail(
			err, code,
			"queue %u of %s in slot %u is already served by another "
			"process: end that one first",
			queue, xsk->ifname, slot);
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

/* --- what the kernel gave, and says ------------------------------------------------------ */

void shunt_xsk_facts(const struct shunt_xsk *xsk, struct shunt_xsk_facts *facts)
{
	*facts = xsk->facts;
}

uint64_t shunt_xsk_received(const struct shunt_xsk *xsk)
{
	return xsk->received;
}

int shunt_xsk_fd(const struct shunt_xsk *xsk)
{
	return xsk->fd;
}

int shunt_xsk_fail_io(const struct shunt_xsk *xsk, int code, const char *what,
		      struct shunt_err *err)
{
	switch (-code) {
	case ENETDOWN:
		return shunt_fail(err, -ENETDOWN,
				  "%s went down: no frame can arrive or leave; "
				  "`ip link set %s up` and start again",
				  xsk->ifname, xsk->ifname);
	case ENXIO:
		return shunt_fail(err, -ENODEV,
				  "%s is gone: the interface was deleted or moved to "
				  "another network namespace",
				  xsk->ifname);
	default:
		return shunt_fail_errno(err, code, "%s %s, queue %u", what, xsk->ifname,
					xsk->facts.queue);
	}
}

int shunt_xsk_check(const struct shunt_xsk *xsk, struct shunt_err *err)
{
	/* Receives nothing; the kernel looks at the device first. */
	if (!recv(xsk->fd, NULL, 0, MSG_DONTWAIT))
		return 0;
	if (errno == EAGAIN || errno == EINTR || (errno == ENOBUFS && !xsk->has_rx))
		return 0;
	return shunt_xsk_fail_io(xsk, -errno, "receive from", err);
}

int shunt_xsk_stats(const struct shunt_xsk *xsk, struct shunt_xsk_stats *stats,
		    struct shunt_err *err)
{
	struct xdp_statistics kernel = { 0 };
	socklen_t size = sizeof(kernel);

	if (getsockopt(xsk->fd, SOL_XDP, XDP_STATISTICS, &kernel, &size))
		return shunt_fail_errno(err, -errno, "read the drops of %s, queue %u",
					xsk->ifname, xsk->facts.queue);
	*stats = (struct shunt_xsk_stats){
		.rx_dropped = kernel.rx_dropped - xsk->before.rx_dropped,
		.rx_ring_full = kernel.rx_ring_full - xsk->before.rx_ring_full,
		.rx_fill_ring_empty = kernel.rx_fill_ring_empty_descs -
				      xsk->before.rx_fill_ring_empty,
		.rx_invalid_descs =
			kernel.rx_invalid_descs - xsk->before.rx_invalid_descs,
		.tx_invalid_descs =
			kernel.tx_invalid_descs - xsk->before.tx_invalid_descs,
	};
	return 0;
}
