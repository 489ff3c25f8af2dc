/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening an AF_XDP socket: down the ladder of what drivers and kernels can. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "loader/nic.h"
#include "loader/queues.h"
#include "user/io/xsk_impl.h"

#define BUSY_TRIES 150
#define BUSY_PAUSE_NS (20 * 1000 * 1000)
#define FRAME_BYTES_MIN 2048u /* XDP_UMEM_MIN_CHUNK_SIZE of the kernel */
#define LINK_BYTES 18u	      /* Ethernet and one VLAN tag: what MTU does not count */

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#define SO_BUSY_POLL_BUDGET 70
#endif

/* One rung of the ladder. */
struct rung {
	bool zero_copy;
	bool multi;
};

struct attempt {
	struct shunt_xsk *xsk;
	struct shunt_memory *memory;
	const struct shunt_xsk_opts *opts; /* its zeros replaced */
	struct shunt_xsk_place place;
	struct rung rung;
	bool fresh; /* the queue is ours alone: it is not bound yet */
};

/* --- errors ------------------------------------------------------------------------- */

static int fail_unable(const struct attempt *attempt, int code, struct shunt_err *err)
{
	const char *ifname = attempt->xsk->ifname;

	if (code == -EINVAL && !(shunt_queues(ifname) >> attempt->place.queue & 1))
		return shunt_fail(err, code,
				  "%s has no receive queue %u (%s lists its queues)",
				  ifname, attempt->place.queue, "ethtool -l");
	if (attempt->rung.zero_copy)
		return shunt_fail_errno(
			err, code,
			"zero copy on %s, queue %u: its driver cannot%s; leave the "
			"mode to Shunt, which takes the best there is",
			ifname, attempt->place.queue,
			attempt->rung.multi ? " (or not with packets of several frames)"
					    : "");
	if (attempt->rung.multi)
		return shunt_fail_errno(err, code,
					"packets of several frames on %s: that takes "
					"Linux 6.6",
					ifname);
	return shunt_fail_errno(err, code, "open an AF_XDP socket on %s, queue %u",
				ifname, attempt->place.queue);
}

static int fail_open(const struct attempt *attempt, int code, struct shunt_err *err)
{
	const char *ifname = attempt->xsk->ifname;
	unsigned int queue = attempt->place.queue;

	switch (-code) {
	case EBUSY:
		return shunt_fail(
			err, code,
			"queue %u of %s is already served by another AF_XDP "
			"socket: a queue serves one process at a time, end that "
			"one or choose other queues",
			queue, ifname);
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
			"or choose fewer frames",
			ifname, queue, attempt->memory->bytes);
	default:
		return fail_unable(attempt, code, err);
	}
}

/* --- one attempt ------------------------------------------------------------------- */

static int find_queue(struct attempt *attempt)
{
	const struct shunt_xsk_opts *opts = attempt->opts;
	struct shunt_xsk *xsk = attempt->xsk;
	socklen_t len = sizeof(attempt->place.netns);
	/*
	 * Twice what is to be with the kernel: it shows received frames before it says that
	 * their fill entries are free.
	 */
	uint32_t fill = 4 * opts->ring;

	if (getsockopt(xsk->fd, SOL_SOCKET, SO_NETNS_COOKIE, &attempt->place.netns,
		       &len))
		return -errno;
	xsk->queue = shunt_xsk_queue_find(attempt->memory, &attempt->place);
	attempt->fresh = !xsk->queue;
	/* what is completed has a place even if nobody looks for long */
	return xsk->queue ? 0
			  : shunt_xsk_queue_make(&xsk->queue, xsk->fd, attempt->memory,
						 fill, opts->tx_ring);
}

static int map_rings(struct shunt_xsk *xsk, const struct shunt_xsk_opts *opts)
{
	struct xdp_mmap_offsets at;
	socklen_t len = sizeof(at);
	int ret = 0;

	if ((!opts->no_rx && setsockopt(xsk->fd, SOL_XDP, XDP_RX_RING, &opts->ring,
					sizeof(opts->ring))) ||
	    (!opts->no_tx && setsockopt(xsk->fd, SOL_XDP, XDP_TX_RING, &opts->tx_ring,
					sizeof(opts->tx_ring))) ||
	    getsockopt(xsk->fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &len))
		return -errno;
	if (!opts->no_rx)
		ret = shunt_xsk_map_cons(&xsk->rx_map, &xsk->rx, xsk->fd, &at.rx,
					 opts->ring, sizeof(struct xdp_desc),
					 XDP_PGOFF_RX_RING);
	if (!ret && !opts->no_tx)
		ret = shunt_xsk_map_prod(&xsk->tx_map, &xsk->tx, xsk->fd, &at.tx,
					 opts->tx_ring, sizeof(struct xdp_desc),
					 XDP_PGOFF_TX_RING);
	xsk->has_rx = !opts->no_rx;
	xsk->has_tx = !opts->no_tx;
	return ret;
}

static int bind_socket(struct attempt *attempt)
{
	struct shunt_xsk *xsk = attempt->xsk;
	struct sockaddr_xdp address = { .sxdp_family = AF_XDP,
					.sxdp_ifindex = attempt->place.ifindex,
					.sxdp_queue_id = attempt->place.queue };

	if (attempt->fresh) {
		address.sxdp_flags =
			(attempt->rung.zero_copy ? XDP_ZEROCOPY : XDP_COPY) |
			(attempt->rung.multi ? SHUNT_XDP_USE_SG : 0) |
			(attempt->opts->no_need_wakeup ? 0 : XDP_USE_NEED_WAKEUP);
	} else { /* all else is as the first socket had it */
		address.sxdp_flags = XDP_SHARED_UMEM;
		address.sxdp_shared_umem_fd = (uint32_t)xsk->queue->fd;
	}
	if (bind(xsk->fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	if (attempt->fresh) {
		xsk->queue->multi = attempt->rung.multi;
		xsk->queue->wakes = !attempt->opts->no_need_wakeup;
		shunt_xsk_queue_publish(xsk->queue, &attempt->place);
	}
	return 0;
}

static int try_rung(struct attempt *attempt)
{
	struct shunt_xsk *xsk = attempt->xsk;
	int ret;

	xsk->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	ret = xsk->fd < 0 ? -errno : find_queue(attempt);
	if (!ret)
		ret = map_rings(xsk, attempt->opts);
	if (!ret) {
		/* a driver that fills frames itself wants some as soon as it is bound */
		xsk->posts = xsk->has_rx ? attempt->opts->posts : 0;
		shunt_xsk_queue_aim(xsk->queue, (int32_t)xsk->posts);
		ret = bind_socket(attempt);
	}
	if (!ret)
		return 0;
	if (xsk->queue)
		shunt_xsk_queue_aim(xsk->queue, -(int32_t)xsk->posts);
	xsk->posts = 0;
	/* a socket that could not be bound is not good for another try */
	shunt_xsk_unmap(&xsk->rx_map);
	shunt_xsk_unmap(&xsk->tx_map);
	if (xsk->fd >= 0)
		close(xsk->fd);
	xsk->fd = -1;
	shunt_xsk_queue_leave(xsk->queue);
	xsk->queue = NULL;
	return ret;
}

/* --- the ladder --------------------------------------------------------------------- */

/* No other rung would help. */
static bool is_final(int code)
{
	return !code || code == -EBUSY || code == -EPERM || code == -ENODEV ||
	       code == -ENOBUFS || code == -ENOMEM;
}

static int climb_down(struct attempt *attempt, bool multi)
{
	const struct shunt_xsk_opts *opts = attempt->opts;
	int code = -EINVAL, zero_copy, several;

	for (zero_copy = opts->bind != SHUNT_XSK_COPY;
	     zero_copy >= (opts->bind == SHUNT_XSK_ZERO_COPY); zero_copy--) {
		for (several = multi; several >= (opts->multi == SHUNT_XSK_MULTI_ON);
		     several--) {
			attempt->rung = (struct rung){ zero_copy, several };
			code = try_rung(attempt);
			if (is_final(code))
				return code;
			if (zero_copy)
				attempt->xsk->facts.zero_copy_errno = (uint16_t)-code;
		}
	}
	return code;
}

static int climb_until_free(struct attempt *attempt, bool multi)
{
	const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NS };
	int code, i;

	for (i = 0;; i++) {
		code = climb_down(attempt, multi);
		if (code != -EBUSY || i == BUSY_TRIES)
			return code;
		nanosleep(&pause, NULL);
	}
}

/* --- what comes on top of it ----------------------------------------------------------- */

static int set_busy_poll(const struct shunt_xsk *xsk, const struct shunt_xsk_opts *opts,
			 struct shunt_err *err)
{
	const int prefer = 1, usecs = (int)opts->busy_poll_us;
	const int budget = (int)opts->busy_poll_budget;

	if (!usecs)
		return 0;
	if (setsockopt(xsk->fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &prefer,
		       sizeof(prefer)) ||
	    setsockopt(xsk->fd, SOL_SOCKET, SO_BUSY_POLL, &usecs, sizeof(usecs)) ||
	    (budget && setsockopt(xsk->fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget,
				  sizeof(budget))))
		return shunt_fail_errno(err, -errno,
					"busy polling of %s for %d microseconds",
					xsk->ifname, usecs);
	return 0;
}

static int set_budget(struct shunt_xsk *xsk, const struct shunt_xsk_opts *opts,
		      struct shunt_err *err)
{
	uint32_t budget = opts->tx_budget ? opts->tx_budget : opts->tx_ring;

	if (opts->no_tx || budget < SHUNT_XSK_BUDGET_MIN)
		return 0;
	if (!setsockopt(xsk->fd, SOL_XDP, SHUNT_XDP_MAX_TX_SKB_BUDGET, &budget,
			sizeof(budget)))
		xsk->facts.tx_budget = budget;
	else if (opts->tx_budget)
		return shunt_fail_errno(err, -errno,
					"send up to %u packets a system call on %s: "
					"that takes Linux 6.17, and a number from %u "
					"to that of the transmit ring",
					budget, xsk->ifname, SHUNT_XSK_BUDGET_MIN);
	return 0;
}

static int note_facts(struct attempt *attempt, uint32_t mtu, struct shunt_err *err)
{
	const struct shunt_xsk_opts *opts = attempt->opts;
	struct shunt_xsk *xsk = attempt->xsk;
	struct xdp_options kernel = { 0 };
	struct shunt_pool *pool = &attempt->memory->pool;
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE), room = pool->room;
	socklen_t len = sizeof(kernel);

	if (getsockopt(xsk->fd, SOL_XDP, XDP_OPTIONS, &kernel, &len))
		return shunt_fail_errno(err, -errno, "ask what %s, queue %u got",
					xsk->ifname, attempt->place.queue);
	xsk->segment_max = attempt->memory->frame_bytes < page
				   ? attempt->memory->frame_bytes
				   : page;
	if (room > xsk->segment_max)
		room = xsk->segment_max;
	xsk->multi = xsk->queue->multi;
	xsk->need_wakeup = xsk->queue->wakes;
	xsk->busy_poll = opts->busy_poll_us;
	xsk->frame_max = xsk->multi ? room * (SHUNT_XSK_FRAMES_MAX - 1) : room;
	if (xsk->frame_max > mtu + LINK_BYTES)
		xsk->frame_max = mtu + LINK_BYTES;
	xsk->facts.queue = attempt->place.queue;
	xsk->facts.zero_copy = kernel.flags & XDP_OPTIONS_ZEROCOPY;
	if (xsk->facts.zero_copy)
		xsk->facts.zero_copy_errno = 0;
	xsk->facts.multi = xsk->multi;
	xsk->facts.unaligned = xsk->queue->unaligned;
	xsk->facts.shares_queue = !attempt->fresh;
	xsk->facts.need_wakeup = xsk->need_wakeup;
	xsk->facts.ring = opts->no_rx ? 0 : opts->ring;
	xsk->facts.tx_ring = opts->no_tx ? 0 : opts->tx_ring;
	xsk->facts.busy_poll_us = opts->busy_poll_us;
	xsk->facts.frame_max = xsk->frame_max;
	return 0;
}

/* --- opening ------------------------------------------------------------------------- */

static int check_ring(const char *what, uint32_t places, struct shunt_err *err)
{
	if (places && !(places & (places - 1)) && places <= SHUNT_XSK_RING_MAX)
		return 0;
	return shunt_fail(err, -EINVAL,
			  "a %s ring of %u places: it must be a power of two up to %u",
			  what, places, SHUNT_XSK_RING_MAX);
}

static int check_opts(const struct shunt_xsk_opts *opts,
		      const struct shunt_memory *memory, struct shunt_err *err)
{
	int ret = check_ring("receive", opts->ring, err);

	if (!ret)
		ret = check_ring("transmit", opts->tx_ring, err);
	if (!ret && opts->no_rx && opts->no_tx)
		ret = shunt_fail(err, -EINVAL,
				 "an AF_XDP socket that neither receives nor "
				 "transmits: leave one of them on");
	if (!ret && memory->frame_bytes < FRAME_BYTES_MIN)
		ret = shunt_fail(err, -EINVAL,
				 "frames of %u bytes: AF_XDP wants at least %u",
				 memory->frame_bytes, FRAME_BYTES_MIN);
	return ret;
}

static int open_on(struct attempt *attempt, struct shunt_err *err)
{
	const struct shunt_xsk_opts *opts = attempt->opts;
	struct shunt_xsk *xsk = attempt->xsk;
	struct shunt_nic nic;
	bool multi;
	int ret = shunt_nic_look(&nic, xsk->ifname, err);

	if (ret)
		return ret;
	attempt->place.ifindex = nic.ifindex;
	multi = opts->multi == SHUNT_XSK_MULTI_ON ||
		(opts->multi == SHUNT_XSK_MULTI_AUTO &&
		 nic.mtu + LINK_BYTES > attempt->memory->pool.room);
	ret = climb_until_free(attempt, multi);
	if (ret)
		return fail_open(attempt, ret, err);
	ret = note_facts(attempt, nic.mtu, err);
	if (!ret)
		ret = set_budget(xsk, opts, err);
	if (!ret)
		ret = set_busy_poll(xsk, opts, err);
	if (!ret && !opts->no_rx)
		shunt_xsk_wake_rx(xsk);
	return ret;
}

int shunt_xsk_open(struct shunt_xsk **out, struct shunt_memory *memory,
		   const char *ifname, unsigned int queue,
		   const struct shunt_xsk_opts *opts, struct shunt_port_stats *count,
		   struct shunt_err *err)
{
	struct shunt_xsk_opts given = { 0 };
	struct shunt_xsk *xsk;
	struct attempt attempt = { .memory = memory,
				   .opts = &given,
				   .place = { .queue = queue } };
	int ret;

	*out = NULL;
	if (opts)
		memcpy(&given, opts,
		       opts->sz < sizeof(given) ? opts->sz : sizeof(given));
	if (!given.ring)
		given.ring = SHUNT_XSK_RING;
	if (!given.tx_ring)
		given.tx_ring = SHUNT_XSK_TX_RING;
	if (!given.posts || given.posts > given.ring + SHUNT_BURST)
		given.posts = given.ring + SHUNT_BURST;
	ret = check_opts(&given, memory, err);
	if (ret)
		return ret;
	xsk = calloc(1, sizeof(*xsk));
	if (!xsk)
		return shunt_fail_errno(err, -ENOMEM, "open an AF_XDP socket on %s",
					ifname);
	xsk->fd = -1;
	xsk->xskmap_fd = -1;
	xsk->count = count;
	strncpy(xsk->ifname, ifname, sizeof(xsk->ifname) - 1);
	attempt.xsk = xsk;
	ret = open_on(&attempt, err);
	if (ret)
		shunt_xsk_close(xsk);
	else
		*out = xsk;
	return ret;
}
