/* SPDX-License-Identifier: BSD-2-Clause */
/* An intake: the stream as it arrives, and the messages in it until they are released. */
#pragma once

/*
 *           freed          lent          whole        received   later: what is
 *     ────────┼──────────────┼─────────────┼─────────────┼──[  ]───[      ]──────
 *       free  │ lent, some   │ messages to │ part of one │
 *             │ released     │ be had      │             │
 *
 * A ring, with room for one more message behind its end: a message that goes on at the
 * ring's beginning is put together there, when it is lent. A message that was released,
 * while an older one was not, is marked in the two bytes that are 0 on the wire.
 */
#include "user/transport/grant.h"

struct shunt_intake_island {
	uint64_t from;
	uint64_t to;
};

struct shunt_intake {
	uint8_t *ring;
	uint64_t mask; /* its size - 1 */
	uint64_t freed;
	uint64_t lent;
	uint64_t whole;
	uint64_t received;
	bool begun;	 /* the head of the message at `whole` was looked at */
	uint32_t length; /* its length */

	struct shunt_intake_island *island; /* upwards; they don't touch */
	uint32_t islands;
	uint32_t islands_max;
};

/* The size is a power of two, and no smaller than the window that is granted. -ENOMEM. */
SHUNT_MUST_CHECK int shunt_intake_open(struct shunt_intake *intake, uint64_t bytes,
				       uint32_t message_max, uint32_t islands,
				       uint64_t start);
void shunt_intake_close(struct shunt_intake *intake);

/* Bytes of the stream, none beyond what was granted. False: there is no memory for one more
 * island; they were left. */
SHUNT_MUST_CHECK bool shunt_intake_put(struct shunt_intake *intake, uint64_t offset,
				       const uint8_t *bytes, uint32_t length);

/* Finds the messages that are whole now; how many, or -EPROTO. */
SHUNT_MUST_CHECK int shunt_intake_parse(struct shunt_intake *intake,
					struct shunt_grant *grant);

/* Lends the oldest message that is whole: its place in the stream, which is its token.
 * False: there is none. */
bool shunt_intake_lend(struct shunt_intake *intake, uint64_t *token,
		       struct shunt_segment_message *message, const uint8_t **data);

/* Takes it back, and frees what nothing older holds. */
void shunt_intake_release(struct shunt_intake *intake, struct shunt_grant *grant,
			  uint64_t token);
