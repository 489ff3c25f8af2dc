/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames through an AF_XDP socket: rx, tx, and telling the kernel. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "user/io/xsk_impl.h"

#define FRAME_MIN 14u /* an Ethernet header */

/* --- receiving ------------------------------------------------------------------- */

static void name_frame(const struct shunt_xsk_queue *queue, const struct xdp_desc *desc,
		       struct shunt_frame *frame)
{
	uint64_t base = desc->addr;
	uint8_t *data = queue->memory->area + base;

	if (queue->unaligned) {
		base = xsk_umem__extract_addr(desc->addr);
		data = queue->memory->area + base +
		       xsk_umem__extract_offset(desc->addr);
	}
	*frame = (struct shunt_frame){
		.data = data,
		.pool = &queue->memory->pool,
		.token = shunt_xsk_token(queue, base),
		.len = desc->len,
		.flags = desc->options & SHUNT_XDP_PKT_CONTD ? SHUNT_FRAME_MORE : 0,
	};
}

/* Frames up to the end of the last whole packet. */
static unsigned int whole_packets(const struct shunt_frame *frames, unsigned int n)
{
	while (n && frames[n - 1].flags & SHUNT_FRAME_MORE)
		n--;
	return n;
}

static void count_rx(struct shunt_xsk *xsk, const struct shunt_frame *frames,
		     unsigned int n)
{
	unsigned int i, packets = 0;
	uint64_t bytes = 0;

	for (i = 0; i < n; i++) {
		bytes += frames[i].len;
		packets += !(frames[i].flags & SHUNT_FRAME_MORE);
	}
	xsk->received += packets;
	xsk->count->rx_packets += packets;
	xsk->count->rx_bytes += bytes;
}

void shunt_xsk_wake_rx(struct shunt_xsk *xsk)
{
	struct shunt_xsk_queue *queue = xsk->queue;

	if (xsk->busy_poll ||
	    (queue->wakes && xsk_ring_prod__needs_wakeup(&queue->fill))) {
		recv(xsk->fd, NULL, 0, MSG_DONTWAIT);
		xsk->count->wakeups++;
	}
}

/* A packet of more frames than anybody wants stands in the way: it is lost, and counted. */
static void skip_packet(struct shunt_xsk *xsk)
{
	struct shunt_frame frame;
	__u32 at;

	do {
		if (!xsk_ring_cons__peek(&xsk->rx, 1, &at))
			break;
		name_frame(xsk->queue, xsk_ring_cons__rx_desc(&xsk->rx, at), &frame);
		xsk_ring_cons__release(&xsk->rx, 1);
		shunt_xsk_queue_took(xsk->queue, &frame, 1);
		shunt_frames_put(&frame, 1);
	} while (frame.flags & SHUNT_FRAME_MORE);
	xsk->received++;
	xsk->count->rx_dropped++;
}

unsigned int shunt_xsk_rx(struct shunt_xsk *xsk, struct shunt_frame *frames,
			  unsigned int max)
{
	unsigned int i, n, whole;
	__u32 at;

	n = xsk->has_rx ? xsk_ring_cons__peek(&xsk->rx, max, &at) : 0;
	if (!n) {
		if (xsk->has_rx) { /* for want of frames, perhaps */
			shunt_xsk_fill(xsk);
			shunt_xsk_wake_rx(xsk);
		}
		return 0;
	}
	for (i = 0; i < n; i++)
		name_frame(xsk->queue, xsk_ring_cons__rx_desc(&xsk->rx, at + i),
			   &frames[i]);
	whole = xsk->multi ? whole_packets(frames, n) : n;
	xsk_ring_cons__cancel(&xsk->rx, n - whole);
	if (!whole) {
		if (n == max)
			skip_packet(xsk);
		return 0;
	}
	xsk_ring_cons__release(&xsk->rx, whole);
	count_rx(xsk, frames, whole);
	shunt_xsk_queue_took(xsk->queue, frames, whole);
	return whole;
}

void shunt_xsk_fill(struct shunt_xsk *xsk)
{
	struct shunt_xsk_queue *queue = xsk->queue;

	if (__atomic_load_n(&queue->posted, __ATOMIC_RELAXED) !=
	    __atomic_load_n(&queue->target, __ATOMIC_RELAXED))
		shunt_xsk_queue_aim(queue, 0);
}

/* --- transmitting ----------------------------------------------------------------- */

/* What one call of tx has put into the ring so far. */
struct batch {
	uint32_t at;	/* index of its first descriptor */
	uint32_t used;	/* descriptors written */
	uint32_t room;	/* descriptors that the ring had */
	uint64_t bytes; /* of the packets */
	uint32_t packets, copied;
};

static void put_desc(struct shunt_xsk *xsk, struct batch *batch, uint64_t addr,
		     uint32_t len, bool more)
{
	struct xdp_desc *desc =
		xsk_ring_prod__tx_desc(&xsk->tx, batch->at + batch->used++);

	*desc = (struct xdp_desc){
		.addr = addr,
		.len = len,
		.options = more ? SHUNT_XDP_PKT_CONTD : 0,
	};
}

/* Can the packet's frames be sent from where they are? */
static bool is_ours(const struct shunt_xsk *xsk, const struct shunt_frame *frames,
		    unsigned int n)
{
	unsigned int i;

	if (n > 1 && (!xsk->multi || n > SHUNT_XSK_FRAMES_MAX - 1))
		return false;
	for (i = 0; i < n; i++)
		if (frames[i].pool != &xsk->queue->memory->pool ||
		    frames[i].len > xsk->segment_max || !frames[i].len)
			return false;
	return true;
}

static void send_ours(struct shunt_xsk *xsk, struct batch *batch,
		      const struct shunt_frame *frames, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		put_desc(xsk, batch,
			 (uint64_t)(frames[i].data - xsk->queue->memory->area),
			 frames[i].len, i + 1 < n);
		shunt_xsk_hold(xsk->queue, frames[i].token);
	}
}

/* Spreads a packet over frames of ours, which have room for it. */
static void spread(struct shunt_frame *to, uint32_t room,
		   const struct shunt_frame *from, unsigned int n)
{
	uint32_t done = 0, part;
	unsigned int i;

	for (i = 0; i < n; i++) {
		for (done = 0; done < from[i].len; done += part) {
			if (to->len == room)
				to++;
			part = from[i].len - done;
			if (part > room - to->len)
				part = room - to->len;
			memcpy(to->data + to->len, from[i].data + done, part);
			to->len += part;
		}
	}
}

/* A packet from other memory; false: there is no frame, or no room in the ring. */
static bool send_copy(struct shunt_xsk *xsk, struct batch *batch,
		      const struct shunt_frame *frames, unsigned int n, uint32_t bytes)
{
	struct shunt_pool *pool = &xsk->queue->memory->pool;
	struct shunt_frame own[SHUNT_XSK_FRAMES_MAX];
	uint32_t room = pool->room < xsk->segment_max ? pool->room : xsk->segment_max;
	unsigned int want = (bytes + room - 1) / room, got;

	if (batch->used + want > batch->room)
		return false;
	got = shunt_pool_get(pool, own, want);
	if (got < want) {
		shunt_frames_put(own, got);
		return false;
	}
	spread(own, room, frames, n);
	send_ours(xsk, batch, own, want);
	shunt_frames_put(frames, n);
	batch->copied++;
	return true;
}

/* Takes one packet; false: not now. */
static bool send_packet(struct shunt_xsk *xsk, struct batch *batch,
			const struct shunt_frame *frames, unsigned int n,
			uint32_t bytes)
{
	if (bytes > xsk->frame_max || bytes < FRAME_MIN) {
		shunt_frames_put(frames, n);
		xsk->count->tx_refused++;
		return true;
	}
	if (is_ours(xsk, frames, n)) {
		if (batch->used + n > batch->room)
			return false;
		send_ours(xsk, batch, frames, n);
	} else if (!send_copy(xsk, batch, frames, n, bytes)) {
		return false;
	}
	batch->packets++;
	batch->bytes += bytes;
	return true;
}

unsigned int shunt_xsk_tx(struct shunt_xsk *xsk, struct shunt_frame *frames,
			  unsigned int n)
{
	struct shunt_xsk_queue *queue = xsk->queue;
	struct batch batch = { 0 };
	unsigned int done = 0, count;
	uint32_t bytes;

	if (!xsk->has_tx)
		return 0;
	shunt_xsk_queue_reap(queue);
	/* looks anew as soon as one more packet might not fit */
	batch.room = xsk_prod_nb_free(&xsk->tx, n + SHUNT_XSK_FRAMES_MAX);
	batch.at = xsk->tx.cached_prod;
	pthread_spin_lock(&queue->lock);
	while (done < n) {
		count = shunt_packet_frames(frames + done, n - done, &bytes);
		if (!count || !send_packet(xsk, &batch, frames + done, count, bytes))
			break;
		done += count;
	}
	shunt_xsk_queue_sends(queue, batch.used);
	pthread_spin_unlock(&queue->lock);
	if (batch.used) {
		xsk_ring_prod__reserve(&xsk->tx, batch.used, &batch.at);
		xsk_ring_prod__submit(&xsk->tx, batch.used);
	}
	xsk->count->tx_packets += batch.packets;
	xsk->count->tx_bytes += batch.bytes;
	xsk->count->tx_copied += batch.copied;
	return done;
}

/* --- telling the kernel ------------------------------------------------------------- */

/* Descriptors that the kernel has not looked at yet. */
static uint32_t waiting(const struct shunt_xsk *xsk)
{
	return xsk->tx.cached_prod -
	       __atomic_load_n(xsk->tx.consumer, __ATOMIC_ACQUIRE);
}

/* Has a call sent anything? Older kernels show it by the completions alone. */
static bool has_moved(struct shunt_xsk *xsk, uint32_t before)
{
	uint32_t sent = __atomic_load_n(&xsk->queue->sent, __ATOMIC_RELAXED);

	shunt_xsk_queue_reap(xsk->queue);
	return waiting(xsk) != before ||
	       __atomic_load_n(&xsk->queue->sent, __ATOMIC_RELAXED) != sent;
}

static int wake(struct shunt_xsk *xsk, struct shunt_err *err)
{
	uint32_t calls = xsk->tx.size / SHUNT_XSK_BUDGET_MIN + 1, left;

	for (left = waiting(xsk); left && calls; calls--, left = waiting(xsk)) {
		xsk->count->wakeups++;
		if (sendto(xsk->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
			return 0;
		switch (errno) {
		case EAGAIN: /* its budget is used up, or there is no room for more */
			if (!has_moved(xsk, left))
				return 0;
			break;
		case EBUSY:
		case ENOBUFS:
		case EINTR:
			return 0; /* the next kick tries again */
		default:
			return shunt_xsk_fail_io(xsk, -errno, "send to", err);
		}
	}
	return 0;
}

int shunt_xsk_kick(struct shunt_xsk *xsk, struct shunt_err *err)
{
	int ret = 0;

	if (!xsk->has_tx)
		return 0;
	if (!xsk->need_wakeup || xsk->busy_poll ||
	    xsk_ring_prod__needs_wakeup(&xsk->tx))
		ret = wake(xsk, err);
	shunt_xsk_queue_reap(xsk->queue);
	return ret;
}
