/* SPDX-License-Identifier: BSD-2-Clause */
/* A backlog: the stream of messages that a peer has not received yet. */
#pragma once

/*
 *          received          sent             end          size
 *     ─────────┼───────────────┼───────────────┼─────────────┤
 *        free  │ under way, or │  to be sent   │    free
 *              │ lost          │
 *
 * Each byte between `received` and `sent` is part of a packet under way
 * (user/transport/flight.h), or of a range that is known to be lost. There is a place for
 * so many ranges; if they are more, all that was sent is sent again: too much, but
 * never too little.
 */
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"

/* Bytes of the stream. */
struct shunt_backlog_range {
	uint64_t offset;
	uint32_t length;
};

struct shunt_backlog {
	uint8_t *ring;
	uint64_t mask; /* its size - 1 */
	uint64_t received;
	uint64_t sent;
	uint64_t sent_most; /* ever */
	uint64_t end;

	struct shunt_backlog_range *lost; /* a ring; the oldest at lost_first */
	uint32_t lost_mask;
	uint32_t lost_first;
	uint32_t lost_n;

	uint64_t resent_bytes;
	uint64_t collapsed; /* times that everything had to be sent again */
};

/* Both sizes are powers of two. -ENOMEM. */
SHUNT_MUST_CHECK int shunt_backlog_open(struct shunt_backlog *backlog, uint64_t bytes,
					uint32_t ranges, uint64_t start);
void shunt_backlog_close(struct shunt_backlog *backlog);

static inline uint64_t shunt_backlog_room(const struct shunt_backlog *backlog)
{
	return backlog->mask + 1 - (backlog->end - backlog->received);
}

/* A copy of a message, for whose cost (shunt_segment_cost()) there is room. */
void shunt_backlog_put(struct shunt_backlog *backlog, uint16_t channel,
		       const void *bytes, uint32_t length);

/* Something waits to be sent. */
static inline bool shunt_backlog_waits(const struct shunt_backlog *backlog)
{
	return backlog->lost_n || backlog->sent != backlog->end;
}

/* What is to be sent next, up to `max` bytes: it is under way from now on. False: nothing
 * (which was lost may have come after all). */
bool shunt_backlog_take(struct shunt_backlog *backlog, uint32_t max,
			struct shunt_backlog_range *range);

/* The bytes of a range that was taken. */
void shunt_backlog_copy(const struct shunt_backlog *backlog,
			const struct shunt_backlog_range *range, uint8_t *to);

/* A range is not under way any more, and has not arrived. */
void shunt_backlog_lose(struct shunt_backlog *backlog,
			const struct shunt_backlog_range *range);

/* The peer has the stream up to here; false: it was never sent. */
bool shunt_backlog_received(struct shunt_backlog *backlog, uint32_t low);
