// SPDX-License-Identifier: BSD-2-Clause
#include "user/transport/intake.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MARK 6u /* where in a message's head: the two bytes that are 0 on the wire */

int shunt_intake_open(struct shunt_intake *intake, uint64_t bytes, uint32_t message_max,
		      uint32_t islands, uint64_t start)
{
	*intake = (struct shunt_intake){
		.ring = malloc(bytes + message_max),
		.mask = bytes - 1,
		.freed = start,
		.lent = start,
		.whole = start,
		.received = start,
		.island = malloc(islands * sizeof(*intake->island)),
		.islands_max = islands,
	};
	return intake->ring && intake->island ? 0 : -ENOMEM;
}

void shunt_intake_close(struct shunt_intake *intake)
{
	free(intake->ring);
	free(intake->island);
}

static void ring_put(struct shunt_intake *intake, uint64_t offset, const uint8_t *bytes,
		     uint32_t length)
{
	uint64_t at = offset & intake->mask, fit = intake->mask + 1 - at;

	if (fit > length)
		fit = length;
	memcpy(intake->ring + at, bytes, fit);
	memcpy(intake->ring, bytes + fit, length - fit);
}

/* --- islands ----------------------------------------------------------------------------- */

/* Adds what lies behind `received`; false: there are too many already. */
static bool island_add(struct shunt_intake *intake, uint64_t from, uint64_t to)
{
	struct shunt_intake_island *island = intake->island;
	uint32_t at = intake->islands, last;

	/* The first that ends at `from` or behind: mostly new bytes are the last. */
	while (at && island[at - 1].to >= from)
		at--;
	for (last = at; last < intake->islands && island[last].from <= to; last++)
		continue;
	if (at == last) {
		if (intake->islands == intake->islands_max)
			return false;
		memmove(island + at + 1, island + at,
			(intake->islands - at) * sizeof(*island));
		intake->islands++;
		island[at] = (struct shunt_intake_island){ from, to };
		return true;
	}
	/* It joins those from `at` to before `last`. */
	if (island[at].from < from)
		from = island[at].from;
	if (island[last - 1].to > to)
		to = island[last - 1].to;
	island[at] = (struct shunt_intake_island){ from, to };
	memmove(island + at + 1, island + last,
		(intake->islands - last) * sizeof(*island));
	intake->islands -= last - at - 1;
	return true;
}

/* Goes on over the islands that `received` has reached. */
static void islands_reach(struct shunt_intake *intake)
{
	uint32_t n = 0;

	while (n < intake->islands && intake->island[n].from <= intake->received) {
		if (intake->island[n].to > intake->received)
			intake->received = intake->island[n].to;
		n++;
	}
	intake->islands -= n;
	memmove(intake->island, intake->island + n,
		intake->islands * sizeof(*intake->island));
}

bool shunt_intake_put(struct shunt_intake *intake, uint64_t offset,
		      const uint8_t *bytes, uint32_t length)
{
	uint64_t end = offset + length;

	if (end <= intake->received)
		return true;
	if (offset < intake->received) {
		/* What is here already may be lent, and stays as it is. */
		bytes += intake->received - offset;
		length = end - intake->received;
		offset = intake->received;
	}
	if (offset > intake->received && !island_add(intake, offset, end))
		return false;
	ring_put(intake, offset, bytes, length);
	if (offset > intake->received)
		return true;
	intake->received = end;
	if (intake->islands)
		islands_reach(intake);
	return true;
}

/* --- messages ---------------------------------------------------------------------------- */

static bool head_of(const struct shunt_intake *intake, uint64_t token,
		    struct shunt_segment_message *message)
{
	return shunt_segment_message_read(message,
					  intake->ring + (token & intake->mask));
}

int shunt_intake_parse(struct shunt_intake *intake, struct shunt_grant *grant)
{
	struct shunt_segment_message message;
	int n = 0, err;

	for (;;) {
		if (!intake->begun) {
			if (intake->received - intake->whole < SHUNT_SEGMENT_MESSAGE)
				return n;
			if (!head_of(intake, intake->whole, &message))
				return -EPROTO;
			err = shunt_grant_accept(grant, message.length);
			if (err)
				return err;
			intake->length = message.length;
			intake->begun = true;
		}
		if (intake->received - intake->whole <
		    shunt_segment_cost(intake->length))
			return n;
		intake->whole += shunt_segment_cost(intake->length);
		intake->begun = false;
		n++;
	}
}

bool shunt_intake_lend(struct shunt_intake *intake, uint64_t *token,
		       struct shunt_segment_message *message, const uint8_t **data)
{
	uint64_t at = (intake->lent + SHUNT_SEGMENT_MESSAGE) & intake->mask;
	uint64_t size = intake->mask + 1;

	if (intake->lent == intake->whole)
		return false;
	head_of(intake, intake->lent, message);
	if (at + message->length > size)
		memcpy(intake->ring + size, intake->ring, at + message->length - size);
	*data = intake->ring + at;
	*token = intake->lent;
	intake->lent += shunt_segment_cost(message->length);
	return true;
}

void shunt_intake_release(struct shunt_intake *intake, struct shunt_grant *grant,
			  uint64_t token)
{
	struct shunt_segment_message message;

	/* Not lent, or given back twice: the owner lost count. */
	assert(token - intake->freed < intake->lent - intake->freed);
	assert(!intake->ring[(token & intake->mask) + MARK]);
	intake->ring[(token & intake->mask) + MARK] = 1;
	while (intake->freed != intake->lent &&
	       !head_of(intake, intake->freed, &message)) {
		shunt_grant_consumed(grant, message.length);
		intake->freed += shunt_segment_cost(message.length);
	}
}
