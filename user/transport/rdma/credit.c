/* SPDX-License-Identifier: BSD-2-Clause */
/* Credits: who may send how much, so that no receiver is overrun. */
#include "user/rt/pool.h"
#include "user/transport/rdma/rdma.h"

#define SHARE 64u /* of what is left, a new peer gets this part */

uint32_t shunt_rdma_share(const struct shunt_rdma *rdma)
{
	uint32_t left = rdma->device.budget - rdma->claimed;
	uint32_t share =
		rdma->options.credits ? (uint32_t)rdma->options.credits : left / SHARE;
	uint32_t most = rdma->options.credits ? left / 2 : SHUNT_RDMA_GRANTS;

	if (left < SHUNT_RDMA_CREDITS_MIN + SHUNT_RDMA_NOTES)
		return 0;
	if (share > most)
		share = most;
	return share < SHUNT_RDMA_CREDITS_MIN ? SHUNT_RDMA_CREDITS_MIN : share;
}

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
	if (peer->gone || !peer->credits)
		return;
	peer->owed += n;
	line_up(rdma, peer);
}

/* --- granting ----------------------------------------------------------------------------- */

/* One credit more, where there is a place or a frame for it. */
static bool grant_one(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer)
{
	struct shunt_rdma_conn *conn = peer->conn;
	uint32_t at = peer->granted % peer->credits;

	if (rdma->posted <= rdma->promised)
		return false;
	if (peer->given) {
		struct shunt_frame *frame = &peer->given[at];

		if (!shunt_pool_get(rdma->transport.pool, frame, 1))
			return false;
		conn->grants[conn->places + peer->granted % conn->ring] =
			(uint32_t)shunt_memory_token(
				rdma->transport.memory,
				(uint64_t)(frame->data - rdma->transport.memory->area));
	}
	peer->granted++;
	peer->owed--;
	rdma->promised++;
	return true;
}

/* Is it to be told by a note of its own? */
static bool is_due(const struct shunt_rdma_peer *peer)
{
	uint32_t news = peer->granted - peer->told;

	return news && (news >= peer->credits / 2 || peer->told == peer->received);
}

void shunt_rdma_grant(struct shunt_rdma *rdma)
{
	struct shunt_rdma_peer *peer, *last = rdma->owed_last;

	while ((peer = rdma->owed)) {
		bool full = false;

		while (peer->up && peer->owed && !full)
			full = !grant_one(rdma, peer);
		while (peer->up && is_due(peer) && shunt_rdma_note(rdma, peer))
			;
		leave_line(rdma, peer);
		/* one that can be told later, or granted more, stays in line, at its end */
		if (!peer->gone && (peer->owed || is_due(peer)))
			line_up(rdma, peer);
		if (full || peer == last)
			break;
	}
}

void shunt_rdma_withdraw(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer)
{
	uint32_t number;

	leave_line(rdma, peer);
	if (!peer->credits)
		return;
	for (number = peer->received; peer->given && number != peer->granted; number++)
		shunt_frames_put(&peer->given[number % peer->credits], 1);
	rdma->promised -= peer->granted - peer->received + SHUNT_RDMA_NOTES;
	rdma->claimed -= peer->credits + SHUNT_RDMA_NOTES;
	peer->credits = 0;
}
