/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages and notes on their way in. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "user/rt/pool.h"
#include "user/transport/rdma/rdma.h"

#define POLLED 32

/* --- places ----------------------------------------------------------------------------------- */

static struct ibv_sge sge_of(const struct shunt_rdma *rdma,
			     const struct shunt_frame *frame)
{
	uint32_t front = rdma->options.mode == SHUNT_RDMA_UD ? SHUNT_RDMA_GRH : 0;

	return (struct ibv_sge){ .addr = (uint64_t)(uintptr_t)frame->data - front,
				 .length = rdma->transport.pool->room + front,
				 .lkey = rdma->device.mr->lkey };
}

static uint32_t number_of(const struct shunt_rdma *rdma,
			  const struct shunt_frame *frame)
{
	return (uint32_t)shunt_memory_token(rdma->transport.memory,
					    (uint64_t)(frame->data -
						       rdma->transport.memory->area));
}

/* Posts n places, with these frames; NULL: for what is written elsewhere. */
static unsigned int post_places(struct shunt_rdma *rdma,
				const struct shunt_frame *frames, unsigned int n)
{
	struct ibv_recv_wr wr[SHUNT_BURST], *bad = NULL;
	struct ibv_sge sge[SHUNT_BURST];
	unsigned int i;

	for (i = 0; i < n; i++) {
		wr[i] = (struct ibv_recv_wr){ .wr_id = SHUNT_RDMA_CAME,
					      .next = i + 1 < n ? &wr[i + 1] : NULL };
		if (!frames)
			continue;
		sge[i] = sge_of(rdma, &frames[i]);
		wr[i].wr_id |= number_of(rdma, &frames[i]);
		wr[i].sg_list = &sge[i];
		wr[i].num_sge = 1;
		rdma->frames[number_of(rdma, &frames[i])] = frames[i];
	}
	if (ibv_post_srq_recv(rdma->device.srq, wr, &bad) && bad)
		n = (unsigned int)(bad - wr);
	rdma->places.posted += n;
	return n;
}

void shunt_rdma_fill(struct shunt_rdma *rdma)
{
	bool has_frames = rdma->options.mode != SHUNT_RDMA_WRITE;
	struct shunt_frame frames[SHUNT_BURST];

	for (;;) {
		uint32_t used = rdma->places.posted + (has_frames ? rdma->arrived : 0);
		unsigned int n = rdma->device.budget - used, posted;

		if (used >= rdma->device.budget)
			return;
		n = n < SHUNT_BURST ? n : SHUNT_BURST;
		if (has_frames)
			n = shunt_pool_get(rdma->transport.pool, frames, n);
		if (!n)
			return;
		posted = post_places(rdma, has_frames ? frames : NULL, n);
		if (has_frames)
			shunt_frames_put(frames + posted, n - posted);
		if (posted < n)
			return;
	}
}

/* --- what has come ------------------------------------------------------------------------------ */

static void arrive(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer,
		   const struct shunt_frame *frame, uint32_t bytes)
{
	uint32_t at = (rdma->first + rdma->arrived) % rdma->device.budget;
	struct shunt_rdma_arrival *arrival = &rdma->arrivals[at];

	arrival->frame = *frame;
	arrival->frame.len = bytes;
	arrival->peer = peer;
	rdma->arrived++;
	peer->arrived++;
}

static void came_by_send(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer,
			 const struct ibv_wc *wc, const struct shunt_frame *frame)
{
	uint32_t word = be32toh(wc->imm_data);

	if (peer && peer->plain) {
		arrive(rdma, peer, frame, wc->byte_len);
		return;
	}
	if (!peer || !(wc->wc_flags & IBV_WC_WITH_IMM)) {
		shunt_frames_put(frame, 1);
		return;
	}
	if (!shunt_rdma_credit_hear(&peer->credit, word))
		shunt_rdma_lose(rdma, peer);
	if (word & SHUNT_RDMA_NOTE) {
		if (!post_places(rdma, frame, 1))
			shunt_frames_put(frame, 1);
		return;
	}
	/* more than it was granted: that is none of ours */
	if (!shunt_rdma_credit_take(&peer->credit, &rdma->places)) {
		shunt_frames_put(frame, 1);
		shunt_rdma_lose(rdma, peer);
		return;
	}
	arrive(rdma, peer, frame, wc->byte_len);
}

static void came_by_write(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer,
			  const struct ibv_wc *wc)
{
	uint32_t word = be32toh(wc->imm_data);
	const struct shunt_frame *frame;

	if (!peer)
		return;
	if (word & SHUNT_RDMA_NOTE) {
		if (!shunt_rdma_credit_allow(&peer->credit, word & ~SHUNT_RDMA_NOTE,
					     peer->conn->ring))
			shunt_rdma_lose(rdma, peer);
		return;
	}
	frame = &peer->given[peer->credit.received % peer->credit.most];
	/* frames are written to in the order in which they were granted */
	if (!shunt_rdma_credit_take(&peer->credit, &rdma->places)) {
		shunt_rdma_lose(rdma, peer);
		return;
	}
	if (number_of(rdma, frame) != word ||
	    wc->byte_len > rdma->transport.pool->room) {
		shunt_frames_put(frame, 1);
		shunt_rdma_lose(rdma, peer);
		return;
	}
	arrive(rdma, peer, frame, wc->byte_len);
}

/* Who sent it: its IPv4 address as the header has it, or the IPv6 one (RoCE v2, annex A17:
 * the packet's own header lies in front, IPv4 in the last 20 of the 40 bytes). */
static union ibv_gid gid_of(const struct shunt_rdma *rdma, const uint8_t *grh)
{
	union ibv_gid gid = { 0 };

	if (rdma->transport.local.l3 == SHUNT_L3_IP6) {
		memcpy(gid.raw, grh + 8, 16);
		return gid;
	}
	gid.raw[10] = gid.raw[11] = 0xff;
	memcpy(gid.raw + 12, grh + 20 + 12, 4);
	return gid;
}

/* It may have been accepted just now. */
static struct shunt_rdma_peer *sender_of(struct shunt_rdma *rdma, uint32_t pair,
					 const union ibv_gid *gid)
{
	struct shunt_rdma_peer *peer = shunt_rdma_find(rdma, pair, gid);

	if (peer)
		return peer;
	shunt_rdma_welcome(rdma);
	return shunt_rdma_find(rdma, pair, gid);
}

static void came_as_datagram(struct shunt_rdma *rdma, const struct ibv_wc *wc,
			     const struct shunt_frame *frame)
{
	union ibv_gid gid = gid_of(rdma, frame->data - SHUNT_RDMA_GRH);
	struct shunt_rdma_peer *peer = sender_of(rdma, wc->src_qp, &gid);

	if (peer && wc->byte_len >= SHUNT_RDMA_GRH) {
		arrive(rdma, peer, frame, wc->byte_len - SHUNT_RDMA_GRH);
		return;
	}
	rdma->transport.count.no_peer++;
	shunt_frames_put(frame, 1);
}

static void one_came(struct shunt_rdma *rdma, const struct ibv_wc *wc)
{
	const struct shunt_frame *frame = &rdma->frames[(uint32_t)wc->wr_id];
	bool has_frame = rdma->options.mode != SHUNT_RDMA_WRITE;
	struct shunt_rdma_peer *peer = NULL;

	rdma->places.posted--;
	if (rdma->options.mode != SHUNT_RDMA_UD)
		peer = sender_of(rdma, wc->qp_num, NULL);
	if (wc->status != IBV_WC_SUCCESS) {
		if (has_frame)
			shunt_frames_put(frame, 1);
		if (peer)
			shunt_rdma_lose(rdma, peer);
		return;
	}
	if (peer)
		peer->up = true;
	if (rdma->options.mode == SHUNT_RDMA_UD)
		came_as_datagram(rdma, wc, frame);
	else if (has_frame)
		came_by_send(rdma, peer, wc, frame);
	else
		came_by_write(rdma, peer, wc);
}

void shunt_rdma_came(struct shunt_rdma *rdma)
{
	struct ibv_wc wc[POLLED];
	int i, n;

	/* what cannot be put in line stays where it is */
	while (rdma->arrived < rdma->device.budget) {
		uint32_t room = rdma->device.budget - rdma->arrived;

		n = ibv_poll_cq(rdma->device.came, (int)(room < POLLED ? room : POLLED),
				wc);
		for (i = 0; i < n; i++)
			one_came(rdma, &wc[i]);
		if (n <= 0)
			return;
	}
}

unsigned int shunt_rdma_rx(struct shunt_transport *transport,
			   struct shunt_datagram *datagrams, unsigned int max)
{
	struct shunt_rdma *rdma = shunt_rdma_of(transport);
	unsigned int n = 0;

	shunt_rdma_bury(rdma);
	shunt_rdma_news(rdma);
	shunt_rdma_came(rdma);
	while (n < max && rdma->arrived) {
		struct shunt_rdma_arrival *arrival = &rdma->arrivals[rdma->first];

		datagrams[n].frame = arrival->frame;
		datagrams[n++].peer = &arrival->peer->state;
		arrival->peer->arrived--;
		shunt_rdma_owe(rdma, arrival->peer, 1);
		rdma->first = (rdma->first + 1) % rdma->device.budget;
		rdma->arrived--;
	}
	transport->count.rx_datagrams += n;
	if (n)
		shunt_rdma_sent(rdma);
	shunt_rdma_fill(rdma);
	shunt_rdma_grant(rdma);
	return n;
}

void shunt_rdma_forget(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer)
{
	uint32_t i, kept = 0, n = rdma->arrived, budget = rdma->device.budget;

	if (!peer->arrived)
		return;
	for (i = 0; i < n; i++) {
		struct shunt_rdma_arrival *from =
			&rdma->arrivals[(rdma->first + i) % budget];

		if (from->peer == peer)
			shunt_frames_put(&from->frame, 1);
		else
			rdma->arrivals[(rdma->first + kept++) % budget] = *from;
	}
	rdma->arrived = kept;
	peer->arrived = 0;
}
