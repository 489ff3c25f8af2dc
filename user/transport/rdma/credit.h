/* SPDX-License-Identifier: BSD-2-Clause */
/* Credits: who may send how much, so that no receiver is overrun. */
#pragma once

/*
 *     receiver: owe ─▶ grant ─▶ tell ─▶ …the wire… ─▶ allow ─▶ spend   :sender
 *               ▲                                                │
 *               └──── handed on ◀── take ◀── …the wire… ◀────────┘
 *
 * A credit is a promise of one place of the receive queue, which all peers share. Counts
 * begin anywhere and wrap: granted ≥ told ≥ (what the sender knows) ≥ (what it has spent) ≥
 * received. A grant is told by whatever is sent anyway, or by a note; a note takes a place
 * as well. One is sent when half of the credits are new, or when the peer has none left;
 * since what is not yet known cannot be spent, three at most are under way, or four where
 * one is cut in two at the end of a table. So many places are kept for every peer that there
 * can be, before anything is granted to anybody.
 *
 * Nothing here knows of verbs; one thread.
 */
#include <stdbool.h>
#include <stdint.h>

#define SHUNT_RDMA_NOTE 0x80000000u /* in an immediate number: no message */
#define SHUNT_RDMA_NOTES 4u
#define SHUNT_RDMA_CREDITS_MIN 4u
#define SHUNT_RDMA_CREDITS_MAX 4096u
#define SHUNT_RDMA_GRANTS 256u /* credits of a peer at most, unless told */
#define SHUNT_RDMA_LEAST (SHUNT_RDMA_CREDITS_MIN + SHUNT_RDMA_NOTES)

/* Places of the receive queue. */
struct shunt_rdma_places {
	uint32_t budget;
	uint32_t posted;   /* of them are filled */
	uint32_t promised; /* credits that peers have */
	uint32_t claimed;  /* credits that peers may have at most */
	uint32_t peers, peers_most;
};

/* Between us and one peer. */
struct shunt_rdma_credit {
	uint32_t most; /* that it may have; 0: it has nothing to do with credits */
	uint32_t granted, told, received; /* to it */
	uint32_t owed;			  /* is to be granted again */
	uint32_t allowed, spent;	  /* by it, to us */
};

/* How many peers a queue of so many places has room for: each needs the least, and as much
 * again as half of that is to be shared out. */
static inline uint32_t shunt_rdma_peers_most(uint32_t budget)
{
	const uint32_t each = SHUNT_RDMA_LEAST + SHUNT_RDMA_CREDITS_MIN;

	if (budget < SHUNT_RDMA_LEAST)
		return 0;
	return budget < each ? 1 : budget / each;
}

/* What is neither claimed nor the least that peers to come will need. */
static inline uint32_t shunt_rdma_places_spare(const struct shunt_rdma_places *places)
{
	uint32_t kept = places->peers_most * SHUNT_RDMA_NOTES +
			(places->peers_most - places->peers) * SHUNT_RDMA_CREDITS_MIN;

	return places->budget - places->claimed - kept;
}

/*
 * Another peer, with room for `told` credits, or an eighth of what is spare where that is 0;
 * never more than `most`. All of them are owed to it. False: there is no room for it.
 */
static inline bool shunt_rdma_credit_begin(struct shunt_rdma_credit *credit,
					   struct shunt_rdma_places *places,
					   uint32_t told, uint32_t most)
{
	uint32_t more;

	if (places->peers >= places->peers_most || !most)
		return false;
	more = shunt_rdma_places_spare(places);
	if (!told)
		more /= 8;
	else if (more > told - SHUNT_RDMA_CREDITS_MIN)
		more = told - SHUNT_RDMA_CREDITS_MIN;
	credit->most = SHUNT_RDMA_CREDITS_MIN + more;
	if (credit->most > most)
		credit->most = most;
	credit->owed = credit->most;
	places->claimed += credit->most;
	places->peers++;
	return true;
}

/* It goes, with all that it was granted. */
static inline void shunt_rdma_credit_end(struct shunt_rdma_credit *credit,
					 struct shunt_rdma_places *places)
{
	if (!credit->most)
		return;
	places->promised -= credit->granted - credit->received;
	places->claimed -= credit->most;
	places->peers--;
	credit->most = credit->owed = 0;
}

/* --- the receiver's ----------------------------------------------------------------------- */

/* Is one owed, and is there a place that is neither promised nor kept for notes? */
static inline bool shunt_rdma_credit_can(const struct shunt_rdma_credit *credit,
					 const struct shunt_rdma_places *places)
{
	return credit->owed &&
	       places->posted >
		       places->promised + places->peers_most * SHUNT_RDMA_NOTES;
}

static inline void shunt_rdma_credit_grant(struct shunt_rdma_credit *credit,
					   struct shunt_rdma_places *places)
{
	credit->granted++;
	credit->owed--;
	places->promised++;
}

/* Is what was granted to be told by a note of its own? */
static inline bool shunt_rdma_credit_due(const struct shunt_rdma_credit *credit)
{
	uint32_t news = credit->granted - credit->told;

	return news && (news >= credit->most / 2 || credit->told == credit->received);
}

/* A message has come; false: it was not granted. */
static inline bool shunt_rdma_credit_take(struct shunt_rdma_credit *credit,
					  struct shunt_rdma_places *places)
{
	if (credit->received == credit->granted)
		return false;
	credit->received++;
	places->promised--;
	return true;
}

/* --- the sender's ------------------------------------------------------------------------- */

static inline bool shunt_rdma_credit_left(const struct shunt_rdma_credit *credit)
{
	return credit->spent != credit->allowed;
}

/* So many more than before; false: more in all than anybody grants. */
static inline bool shunt_rdma_credit_allow(struct shunt_rdma_credit *credit,
					   uint32_t more, uint32_t most)
{
	if (more > most || credit->allowed - credit->spent > most - more)
		return false;
	credit->allowed += more;
	return true;
}

/* The peer's count of what it has granted, modulo 2^31, which an immediate number has. */
static inline bool shunt_rdma_credit_hear(struct shunt_rdma_credit *credit,
					  uint32_t word)
{
	return shunt_rdma_credit_allow(credit,
				       (word - credit->allowed) & ~SHUNT_RDMA_NOTE,
				       SHUNT_RDMA_CREDITS_MAX);
}
