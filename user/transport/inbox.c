// SPDX-License-Identifier: BSD-2-Clause
#include "user/transport/inbox.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MARK 6u /* where in a message's head: the two bytes that are 0 on the wire */

int shunt_inbox_open(struct shunt_inbox *inbox, uint64_t bytes, uint32_t message_max,
		     uint32_t islands, uint64_t start)
{
	*inbox = (struct shunt_inbox){
		.ring = malloc(bytes + message_max),
		.mask = bytes - 1,
		.freed = start,
		.lent = start,
		.whole = start,
		.received = start,
		.island = malloc(islands * sizeof(*inbox->island)),
		.islands_max = islands,
	};
	return inbox->ring && inbox->island ? 0 : -ENOMEM;
}

void shunt_inbox_close(struct shunt_inbox *inbox)
{
	free(inbox->ring);
	free(inbox->island);
}

static void ring_put(struct shunt_inbox *inbox, uint64_t offset, const uint8_t *bytes,
		     uint32_t length)
{
	uint64_t at = offset & inbox->mask, fit = inbox->mask + 1 - at;

	if (fit > length)
		fit = length;
	memcpy(inbox->ring + at, bytes, fit);
	memcpy(inbox->ring, bytes + fit, length - fit);
}

/* --- islands ----------------------------------------------------------------------------- */

/* Adds what lies behind `received`; false: there are too many already. */
static bool island_add(struct shunt_inbox *inbox, uint64_t from, uint64_t to)
{
	struct shunt_inbox_island *island = inbox->island;
	uint32_t at = inbox->islands, last;

	/* The first that ends at `from` or behind: mostly new bytes are the last. */
	while (at && island[at - 1].to >= from)
		at--;
	for (last = at; last < inbox->islands && island[last].from <= to; last++)
		continue;
	if (at == last) {
		if (inbox->islands == inbox->islands_max)
			return false;
		memmove(island + at + 1, island + at,
			(inbox->islands - at) * sizeof(*island));
		inbox->islands++;
		island[at] = (struct shunt_inbox_island){ from, to };
		return true;
	}
	/* It joins those from `at` to before `last`. */
	if (island[at].from < from)
		from = island[at].from;
	if (island[last - 1].to > to)
		to = island[last - 1].to;
	island[at] = (struct shunt_inbox_island){ from, to };
	memmove(island + at + 1, island + last,
		(inbox->islands - last) * sizeof(*island));
	inbox->islands -= last - at - 1;
	return true;
}

/* Goes on over the islands that `received` has reached. */
static void islands_reach(struct shunt_inbox *inbox)
{
	uint32_t n = 0;

	while (n < inbox->islands && inbox->island[n].from <= inbox->received) {
		if (inbox->island[n].to > inbox->received)
			inbox->received = inbox->island[n].to;
		n++;
	}
	inbox->islands -= n;
	memmove(inbox->island, inbox->island + n,
		inbox->islands * sizeof(*inbox->island));
}

bool shunt_inbox_put(struct shunt_inbox *inbox, uint64_t offset, const uint8_t *bytes,
		     uint32_t length)
{
	uint64_t end = offset + length;

	if (end <= inbox->received)
		return true;
	if (offset < inbox->received) {
		/* What is here already may be lent, and stays as it is. */
		bytes += inbox->received - offset;
		length = end - inbox->received;
		offset = inbox->received;
	}
	if (offset > inbox->received && !island_add(inbox, offset, end))
		return false;
	ring_put(inbox, offset, bytes, length);
	if (offset > inbox->received)
		return true;
	inbox->received = end;
	if (inbox->islands)
		islands_reach(inbox);
	return true;
}

/* --- messages ---------------------------------------------------------------------------- */

static bool head_of(const struct shunt_inbox *inbox, uint64_t token,
		    struct shunt_segment_message *message)
{
	return shunt_segment_message_read(message, inbox->ring + (token & inbox->mask));
}

int shunt_inbox_parse(struct shunt_inbox *inbox, struct shunt_grant *grant)
{
	struct shunt_segment_message message;
	int n = 0, err;

	for (;;) {
		if (!inbox->begun) {
			if (inbox->received - inbox->whole < SHUNT_SEGMENT_MESSAGE)
				return n;
			if (!head_of(inbox, inbox->whole, &message))
				return -EPROTO;
			err = shunt_grant_accept(grant, message.length);
			if (err)
				return err;
			inbox->length = message.length;
			inbox->begun = true;
		}
		if (inbox->received - inbox->whole < shunt_segment_cost(inbox->length))
			return n;
		inbox->whole += shunt_segment_cost(inbox->length);
		inbox->begun = false;
		n++;
	}
}

bool shunt_inbox_lend(struct shunt_inbox *inbox, uint64_t *token,
		      struct shunt_segment_message *message, const uint8_t **data)
{
	uint64_t at = (inbox->lent + SHUNT_SEGMENT_MESSAGE) & inbox->mask;
	uint64_t size = inbox->mask + 1;

	if (inbox->lent == inbox->whole)
		return false;
	head_of(inbox, inbox->lent, message);
	if (at + message->length > size)
		memcpy(inbox->ring + size, inbox->ring, at + message->length - size);
	*data = inbox->ring + at;
	*token = inbox->lent;
	inbox->lent += shunt_segment_cost(message->length);
	return true;
}

void shunt_inbox_release(struct shunt_inbox *inbox, struct shunt_grant *grant,
			 uint64_t token)
{
	struct shunt_segment_message message;

	/* Not lent, or given back twice: the owner lost count. */
	assert(token - inbox->freed < inbox->lent - inbox->freed);
	assert(!inbox->ring[(token & inbox->mask) + MARK]);
	inbox->ring[(token & inbox->mask) + MARK] = 1;
	while (inbox->freed != inbox->lent && !head_of(inbox, inbox->freed, &message)) {
		shunt_grant_consumed(grant, message.length);
		inbox->freed += shunt_segment_cost(message.length);
	}
}
