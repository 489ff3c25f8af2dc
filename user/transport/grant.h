/* SPDX-License-Identifier: BSD-2-Clause */
/* Grants: how much a peer may send us, and we it, until somebody has consumed it. */
#pragma once

/*
 *     application ─▶ take() ─▶ … network … ─▶ accept() ─▶ application ─▶ consumed()
 *                      ▲                                                    │
 *                      └──────────── credit, in every packet ◀──────────────┘
 *
 * A receiver grants bytes of the stream (user/transport/segment.h) and messages, as far
 * as it has room: what was consumed so far, and its window beyond. A sender takes a
 * message only if all of it is covered, so that whatever was taken can be received, and a
 * slow receiver stops the application at the other end. Both counts only grow.
 *
 * A sender without credit says once what it wants; the receiver then answers as soon as it
 * can grant that. Nobody has to guess, nothing has to be polled, and no threshold can
 * leave the two waiting for each other.
 *
 * One thread at a time uses it; it holds no memory and makes no calls.
 */
#include "user/transport/segment.h"

/* What a side grants at first, and what it takes: told to the other when they meet. */
struct shunt_terms {
	uint32_t window_bytes;	  /* of the stream: SHUNT_TERMS_WINDOW_MAX at most */
	uint32_t window_messages; /* SHUNT_TERMS_WINDOW_MAX at most */
	uint32_t message_max;	  /* bytes; its cost fits into window_bytes */
	uint32_t ack_delay_us;	  /* how long its acknowledgements wait at most */
};

#define SHUNT_TERMS_WINDOW_MAX (1u << 30) /* counts travel as 32 bits */
#define SHUNT_TERMS_ACK_DELAY_MAX 1000000u

#define SHUNT_TERMS_BYTES 16u /* as it travels, in network order */

/* Sound, by the limits above, and no window is 0. */
bool shunt_terms_sound(const struct shunt_terms *terms);
void shunt_terms_write(const struct shunt_terms *terms, void *to);
/* False where they are unsound. */
SHUNT_MUST_CHECK bool shunt_terms_read(struct shunt_terms *terms, const void *from);

/* Ever, so that they only grow. */
struct shunt_grant_count {
	uint64_t bytes;
	uint64_t messages;
};

struct shunt_grant {
	struct shunt_terms ours, theirs;

	/* what we send */
	struct shunt_grant_count taken;
	struct shunt_grant_count credit; /* how far we may go */
	struct shunt_grant_count since;	 /* number of the packet that first said so */
	struct shunt_grant_count want;	 /* what would let us go on */
	bool stuck;			 /* it is more than we have */
	bool want_told;

	/* what we receive */
	struct shunt_grant_count accepted;
	struct shunt_grant_count consumed;
	struct shunt_grant_count told;	 /* the credit that was told last */
	struct shunt_grant_count wanted; /* by the other side */
	uint64_t wanted_since;		 /* older packets say nothing new of it */
	bool asked;			 /* it has said so */
	bool answered;
};

/* `start`: where the counts begin, the same for both sides; 0 but in tests. The terms are
 * sound. */
void shunt_grant_init(struct shunt_grant *grant, const struct shunt_terms *ours,
		      const struct shunt_terms *theirs, uint64_t start);

/* --- the sender -------------------------------------------------------------------------- */

/* Takes credit for a message: 1, or 0 where there is none (want says what is missing);
 * -EMSGSIZE: the peer takes none so long. */
SHUNT_MUST_CHECK int shunt_grant_take(struct shunt_grant *grant, uint32_t length);

/*
 * What a segment says of credits and wants. Of two packets the one with the greater number
 * was sent later; of two with the same number nothing is known. -EPROTO: no sound peer
 * says that.
 */
SHUNT_MUST_CHECK int shunt_grant_learn(struct shunt_grant *grant,
				       const struct shunt_segment *segment,
				       uint64_t number);

/* We are stuck, and have not said so yet, or the packet that did was lost. */
static inline bool shunt_grant_asks(const struct shunt_grant *grant)
{
	return grant->stuck && !grant->want_told;
}

/* --- the receiver ------------------------------------------------------------------------ */

/* What we grant now: what was consumed, and the window. */
struct shunt_grant_count shunt_grant_now(const struct shunt_grant *grant);

/* A message came; -EPROTO: it is too long, or was not covered. */
SHUNT_MUST_CHECK int shunt_grant_accept(struct shunt_grant *grant, uint32_t length);

/* One that came was consumed. */
void shunt_grant_consumed(struct shunt_grant *grant, uint32_t length);

/* The peer is stuck, and what it wants can be granted: it is to be told. */
bool shunt_grant_answers(const struct shunt_grant *grant);

/* Half of a window was consumed since credit was told: worth a packet of its own. */
bool shunt_grant_moved(const struct shunt_grant *grant);

/* Puts the credit into a segment that is to be sent, and what we want where flags have
 * WANT. */
void shunt_grant_tell(struct shunt_grant *grant, struct shunt_segment *segment);
