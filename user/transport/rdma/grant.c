/* SPDX-License-Identifier: BSD-2-Clause */
/* Granting credits, and frames to write to, in turn to all who are owed some. */
#include "user/rt/pool.h"
#include "user/transport/rdma/rdma.h"

/* --- the line of those that are owed some ------------------------------------------------- */

static void line_up(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer)
{
	if (peer->in_owed)
		return;
	peer->in_owed = true;
	peer->next_owed = NULL;
	if (rdma->owed)
		rdma->owed_last->next_owed = peer;
	else
		rdma->owed = peer;
	rdma->owed_last = peer;
}

static void leave_line(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer)
{
	struct shunt_rdma_peer **at = &rdma->owed, *before = NULL;

	if (!peer->in_owed)
		return;
	while (*at != peer) {
		before = *at;
		at = &before->next_owed;
	}
	*at = peer->next_owed;
	if (rdma->owed_last == peer)
		rdma->owed_last = before;
	peer->in_owed = false;
}

void shunt_rdma_owe(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer, uint32_t n)
{
	if (peer->gone || !peer->credit.most)
		return;
	peer->credit.owed += n;
	line_up(rdma, peer);
}

/* --- granting ----------------------------------------------------------------------------- */

/* One credit more, where there is a place or a frame for it. */
static bool grant_one(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer)
{
	struct shunt_rdma_credit *credit = &peer->credit;
	struct shunt_rdma_conn *conn = peer->conn;

	if (!shunt_rdma_credit_can(credit, &rdma->places))
		return false;
	if (peer->given) {
		struct shunt_frame *frame =
			&peer->given[credit->granted % credit->most];

		if (!shunt_pool_get(rdma->transport.pool, frame, 1))
			return false;
		conn->grants[conn->places + credit->granted % conn->ring] =
			(uint32_t)shunt_memory_token(
				rdma->transport.memory,
				(uint64_t)(frame->data - rdma->transport.memory->area));
	}
	shunt_rdma_credit_grant(credit, &rdma->places);
	return true;
}

void shunt_rdma_grant(struct shunt_rdma *rdma)
{
	struct shunt_rdma_peer *peer, *last = rdma->owed_last;

	while ((peer = rdma->owed)) {
		bool full = false;

		while (peer->up && peer->credit.owed && !full)
			full = !grant_one(rdma, peer);
		while (peer->up && shunt_rdma_credit_due(&peer->credit) &&
		       shunt_rdma_note(rdma, peer))
			;
		leave_line(rdma, peer);
		/* one that can be told later, or granted more, stays in line, at its end */
		if (!peer->gone &&
		    (peer->credit.owed || shunt_rdma_credit_due(&peer->credit)))
			line_up(rdma, peer);
		if (full || peer == last)
			break;
	}
}

void shunt_rdma_withdraw(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer)
{
	struct shunt_rdma_credit *credit = &peer->credit;
	uint32_t number;

	leave_line(rdma, peer);
	for (number = credit->received; peer->given && number != credit->granted;
	     number++)
		shunt_frames_put(&peer->given[number % credit->most], 1);
	shunt_rdma_credit_end(credit, &rdma->places);
}
