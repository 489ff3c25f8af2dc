/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages and notes on their way out. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "user/rt/pool.h"
#include "user/transport/rdma/rdma.h"

#define SIGNAL_EACH                                                                    \
	16u /* of those that are sent in a row, so many need no completion */

struct post {
	struct ibv_send_wr wr[SHUNT_BURST];
	struct ibv_sge sge[SHUNT_BURST];
};

static uint32_t places_left(const struct shunt_rdma_out *out)
{
	return SHUNT_RDMA_SENDS - (out->posted - out->done);
}

/* --- what was sent -------------------------------------------------------------------------- */

/* Everything in front of a number has been sent. */
static void retire(struct shunt_rdma_out *out, uint32_t until)
{
	for (; out->done != until; out->done++) {
		struct shunt_frame *frame = &out->frame[out->done % SHUNT_RDMA_SENDS];

		if (frame->data)
			shunt_frames_put(frame, 1);
		frame->data = NULL;
	}
}

uint32_t shunt_rdma_give_up(struct shunt_rdma_out *out)
{
	uint32_t left = out->posted - out->done;

	retire(out, out->posted);
	return left;
}

/* A datagram found no way; those behind it come back, too. */
static void one_failed(struct shunt_rdma *rdma, uint32_t number)
{
	rdma->transport.count.tx_failed++;
	rdma->stuck = true;
	retire(&rdma->ud, number + 1);
}

void shunt_rdma_sent(struct shunt_rdma *rdma)
{
	struct ibv_wc wc[16];
	int i, n;

	while ((n = ibv_poll_cq(rdma->device.sent, 16, wc)) > 0) {
		rdma->completions += (uint64_t)n;
		for (i = 0; i < n; i++) {
			struct shunt_rdma_peer *peer = NULL;
			struct shunt_rdma_out *out = &rdma->ud;

			if (!out->qp) {
				peer = shunt_rdma_find(rdma, wc[i].qp_num, NULL);
				out = peer ? peer->out : NULL;
			}
			if (wc[i].status == IBV_WC_SUCCESS && out)
				retire(out, (uint32_t)wc[i].wr_id + 1);
			else if (peer)
				shunt_rdma_lose(rdma, peer);
			else if (out)
				one_failed(rdma, (uint32_t)wc[i].wr_id);
		}
	}
}

/* --- one message ---------------------------------------------------------------------------- */

static bool may_send(const struct shunt_rdma *rdma, const struct shunt_rdma_peer *peer)
{
	/* notes must find a place as well */
	return places_left(peer->out) > SHUNT_RDMA_NOTES &&
	       (rdma->options.mode == SHUNT_RDMA_UD || peer->plain ||
		shunt_rdma_credit_left(&peer->credit));
}

static bool is_registered(const struct shunt_rdma *rdma,
			  const struct shunt_frame *frame)
{
	const struct shunt_memory *memory = rdma->transport.memory;

	return frame->data >= memory->area &&
	       frame->data + frame->len <= memory->area + memory->bytes;
}

/* A frame of the heap can't be read by the device: a copy goes in its place. */
static bool bring_in(struct shunt_rdma *rdma, struct shunt_frame *frame)
{
	struct shunt_frame copy;

	if (is_registered(rdma, frame))
		return true;
	if (frame->len > rdma->transport.pool->room ||
	    !shunt_pool_get(rdma->transport.pool, &copy, 1))
		return false;
	memcpy(copy.data, frame->data, frame->len);
	copy.len = frame->len;
	shunt_frames_put(frame, 1);
	*frame = copy;
	return true;
}

static void aim_write(struct shunt_rdma_peer *peer, struct ibv_send_wr *wr)
{
	const struct shunt_rdma_hello *theirs = &peer->conn->theirs;
	uint32_t number = peer->conn->grants[peer->credit.spent % peer->conn->ring];

	wr->opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
	wr->imm_data = htobe32(number);
	wr->wr.rdma.rkey = theirs->area_key;
	wr->wr.rdma.remote_addr = theirs->area +
				  (uint64_t)number * theirs->frame_bytes +
				  theirs->headroom;
}

static void aim(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer,
		struct ibv_send_wr *wr)
{
	switch (rdma->options.mode) {
	case SHUNT_RDMA_WRITE:
		aim_write(peer, wr);
		break;
	case SHUNT_RDMA_UD:
		wr->opcode = IBV_WR_SEND;
		wr->wr.ud.ah = peer->ah;
		wr->wr.ud.remote_qpn = peer->pair;
		wr->wr.ud.remote_qkey = RDMA_UDP_QKEY;
		break;
	default:
		wr->opcode = peer->plain ? IBV_WR_SEND : IBV_WR_SEND_WITH_IMM;
		wr->imm_data = htobe32(peer->credit.granted & ~SHUNT_RDMA_NOTE);
	}
}

/* The next request of a run; the frame is the queue's from now on. */
static void add(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer,
		struct post *post, unsigned int i, const struct shunt_frame *frame)
{
	struct shunt_rdma_out *out = peer->out;
	struct ibv_send_wr *wr = &post->wr[i];

	post->sge[i] = (struct ibv_sge){ .addr = (uint64_t)(uintptr_t)frame->data,
					 .length = frame->len,
					 .lkey = rdma->device.mr->lkey };
	*wr = (struct ibv_send_wr){ .wr_id = out->posted,
				    .sg_list = &post->sge[i],
				    .num_sge = frame->len ? 1 : 0 };
	if (frame->len && frame->len <= rdma->device.inline_max)
		wr->send_flags |= IBV_SEND_INLINE;
	if (out->posted % SIGNAL_EACH == SIGNAL_EACH - 1)
		wr->send_flags |= IBV_SEND_SIGNALED;
	aim(rdma, peer, wr);
	if (i)
		post->wr[i - 1].next = wr;
	out->frame[out->posted % SHUNT_RDMA_SENDS] = *frame;
	out->posted++;
	peer->credit.spent++;
}

/*
 * A run to one peer, with one ring of its door. What was copied into the queue gives its frame
 * back at once; the last one is told of, so that none waits for ever.
 */
static void hand_on(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer,
		    struct post *post, unsigned int n)
{
	struct shunt_rdma_out *out = peer->out;
	struct ibv_send_wr *bad = NULL;
	unsigned int i;

	post->wr[n - 1].send_flags |= IBV_SEND_SIGNALED;
	if (ibv_post_send(out->qp, post->wr, &bad)) {
		shunt_rdma_lose(rdma, peer);
		return;
	}
	for (i = 0; i < n; i++) {
		struct shunt_frame *frame =
			&out->frame[post->wr[i].wr_id % SHUNT_RDMA_SENDS];

		if (!(post->wr[i].send_flags & IBV_SEND_INLINE))
			continue;
		shunt_frames_put(frame, 1);
		frame->data = NULL;
	}
}

/* How many of those to the first one's peer were taken. */
static unsigned int send_run(struct shunt_rdma *rdma, struct shunt_datagram *datagrams,
			     unsigned int n)
{
	struct shunt_rdma_peer *peer = shunt_rdma_peer_of(datagrams[0].peer);
	struct post post;
	unsigned int i;

	for (i = 0; i < n && i < SHUNT_BURST; i++) {
		if (datagrams[i].peer != &peer->state || !may_send(rdma, peer) ||
		    !bring_in(rdma, &datagrams[i].frame))
			break;
		add(rdma, peer, &post, i, &datagrams[i].frame);
	}
	if (!i)
		return 0;
	if (rdma->options.mode == SHUNT_RDMA_RC)
		peer->credit.told = peer->credit.granted;
	hand_on(rdma, peer, &post, i);
	rdma->transport.count.tx_datagrams += i;
	return i;
}

/* Who is told that a peer is gone finds no trace of it, unless rx has yet to hand some on. */
static void mourn(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer)
{
	shunt_rdma_came(rdma);
	if (!peer->arrived && peer->state.handle)
		rdma->transport.host->drop(&rdma->transport, &peer->state);
}

int shunt_rdma_tx(struct shunt_transport *transport, struct shunt_datagram *datagrams,
		  unsigned int n)
{
	struct shunt_rdma *rdma = shunt_rdma_of(transport);
	unsigned int sent = 0;

	shunt_rdma_sent(rdma);
	if (rdma->stuck && !shunt_rdma_ud_mend(rdma)) {
		rdma->short_of_room = true;
		return 0;
	}
	while (sent < n) {
		struct shunt_rdma_peer *peer = shunt_rdma_peer_of(datagrams[sent].peer);
		unsigned int now;

		if (peer->gone || !peer->conn) {
			mourn(rdma, peer);
			return sent ? (int)sent : -ENOTCONN;
		}
		if (!may_send(rdma, peer)) {
			shunt_rdma_news(rdma);
			shunt_rdma_came(rdma);
		}
		now = send_run(rdma, datagrams + sent, n - sent);
		if (!now)
			break;
		sent += now;
	}
	rdma->short_of_room = sent < n;
	return (int)sent;
}

/* --- notes ---------------------------------------------------------------------------------- */

/* Frames' numbers, from the first one that was not told; up to the table's end at a time. */
static uint32_t aim_numbers(const struct shunt_rdma_peer *peer, struct ibv_send_wr *wr,
			    struct ibv_sge *sge)
{
	const struct shunt_rdma_conn *conn = peer->conn;
	uint32_t at = peer->credit.told % conn->ring;
	uint32_t n = peer->credit.granted - peer->credit.told, left = conn->ring - at;

	if (n > left)
		n = left;
	*sge = (struct ibv_sge){
		.addr = (uint64_t)(uintptr_t)(conn->grants + conn->places + at),
		.length = n * (uint32_t)sizeof(*conn->grants),
		.lkey = conn->grants_mr->lkey,
	};
	wr->sg_list = sge;
	wr->num_sge = 1;
	wr->opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
	wr->imm_data = htobe32(SHUNT_RDMA_NOTE | n);
	wr->wr.rdma.rkey = conn->theirs.grants_key;
	wr->wr.rdma.remote_addr = conn->theirs.grants + at * sizeof(*conn->grants);
	return n;
}

bool shunt_rdma_note(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer)
{
	struct shunt_rdma_out *out = peer->out;
	struct ibv_send_wr wr = { .send_flags = IBV_SEND_SIGNALED }, *bad;
	struct ibv_sge sge;
	uint32_t n;

	if (!places_left(out)) {
		shunt_rdma_sent(rdma);
		if (!places_left(out))
			return false;
	}
	wr.wr_id = out->posted;
	if (peer->given) {
		n = aim_numbers(peer, &wr, &sge);
	} else {
		n = peer->credit.granted - peer->credit.told;
		wr.opcode = IBV_WR_SEND_WITH_IMM;
		wr.imm_data = htobe32(SHUNT_RDMA_NOTE | peer->credit.granted);
	}
	out->frame[out->posted % SHUNT_RDMA_SENDS].data = NULL;
	if (ibv_post_send(out->qp, &wr, &bad)) {
		shunt_rdma_lose(rdma, peer);
		return false;
	}
	out->posted++;
	peer->credit.told += n;
	return true;
}
