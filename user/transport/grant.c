// SPDX-License-Identifier: BSD-2-Clause
#include "user/transport/grant.h"

#include <errno.h>
#include <string.h>

#include "bpf/lib/wire.h"

/* --- terms ------------------------------------------------------------------------------- */

struct terms {
	__be32 window_bytes;
	__be32 window_messages;
	__be32 message_max;
	__be32 ack_delay_us;
};

_Static_assert(sizeof(struct terms) == SHUNT_TERMS_BYTES, "as it travels");

bool shunt_terms_sound(const struct shunt_terms *terms)
{
	return terms->window_bytes <= SHUNT_TERMS_WINDOW_MAX &&
	       terms->window_messages - 1 < SHUNT_TERMS_WINDOW_MAX &&
	       terms->message_max < SHUNT_TERMS_WINDOW_MAX &&
	       shunt_segment_cost(terms->message_max) <= terms->window_bytes &&
	       terms->ack_delay_us <= SHUNT_TERMS_ACK_DELAY_MAX;
}

void shunt_terms_write(const struct shunt_terms *terms, void *to)
{
	const struct terms wire = {
		.window_bytes = shunt_be32(terms->window_bytes),
		.window_messages = shunt_be32(terms->window_messages),
		.message_max = shunt_be32(terms->message_max),
		.ack_delay_us = shunt_be32(terms->ack_delay_us),
	};

	memcpy(to, &wire, sizeof(wire));
}

bool shunt_terms_read(struct shunt_terms *terms, const void *from)
{
	struct terms wire;

	memcpy(&wire, from, sizeof(wire));
	terms->window_bytes = shunt_be32(wire.window_bytes);
	terms->window_messages = shunt_be32(wire.window_messages);
	terms->message_max = shunt_be32(wire.message_max);
	terms->ack_delay_us = shunt_be32(wire.ack_delay_us);
	return shunt_terms_sound(terms);
}

/* --- counts ------------------------------------------------------------------------------ */

static bool reaches(const struct shunt_grant_count *a,
		    const struct shunt_grant_count *b)
{
	return a->bytes >= b->bytes && a->messages >= b->messages;
}

static struct shunt_grant_count beyond(const struct shunt_grant_count *count,
				       const struct shunt_terms *window)
{
	return (struct shunt_grant_count){
		count->bytes + window->window_bytes,
		count->messages + window->window_messages,
	};
}

struct shunt_grant_count shunt_grant_now(const struct shunt_grant *grant)
{
	return beyond(&grant->consumed, &grant->ours);
}

void shunt_grant_init(struct shunt_grant *grant, const struct shunt_terms *ours,
		      const struct shunt_terms *theirs, uint64_t start)
{
	const struct shunt_grant_count zero = { start, start };

	*grant = (struct shunt_grant){
		.ours = *ours,
		.theirs = *theirs,
		.taken = zero,
		.accepted = zero,
		.consumed = zero,
		.wanted = zero,
		.credit = beyond(&zero, theirs),
		.told = beyond(&zero, ours),
		.since = zero,
		.wanted_since = start,
	};
}

/* --- the sender -------------------------------------------------------------------------- */

int shunt_grant_take(struct shunt_grant *grant, uint32_t length)
{
	struct shunt_grant_count need;

	if (length > grant->theirs.message_max)
		return -EMSGSIZE;
	need.bytes = grant->taken.bytes + shunt_segment_cost(length);
	need.messages = grant->taken.messages + 1;
	if (__builtin_expect(reaches(&grant->credit, &need), 1)) {
		grant->taken = need;
		return 1;
	}
	/* Who tries messages of different lengths, one after the other, asks for the
	 * shortest, and no more often than it gets shorter. */
	if (!grant->stuck || need.bytes < grant->want.bytes) {
		grant->want = need;
		grant->stuck = true;
		grant->want_told = false;
	}
	return 0;
}

/* A count that the peer tells, and can be `most`; false: it went back, or too far. */
static bool learn_one(uint64_t *credit, uint64_t *since, uint32_t low, uint64_t number,
		      uint64_t most)
{
	uint64_t count = shunt_segment_whole(*credit, low);

	if (count > most)
		return false;
	if (count < *credit)
		return number <= *since;
	if (count > *credit || number < *since)
		*since = number;
	*credit = count;
	return true;
}

/* The peer's message begins within what we told, and is not too long. */
static bool learn_want(struct shunt_grant *grant, const struct shunt_segment *segment,
		       uint64_t number)
{
	const struct shunt_grant_count *told = &grant->told;
	struct shunt_grant_count wanted = {
		shunt_segment_whole(told->bytes, segment->want_bytes),
		shunt_segment_whole(told->messages, segment->want_messages),
	};

	if (wanted.bytes > told->bytes + shunt_segment_cost(grant->ours.message_max) ||
	    wanted.messages > told->messages + 1)
		return false;
	if (number < grant->wanted_since)
		return true;
	grant->wanted_since = number + 1;
	if (wanted.bytes != grant->wanted.bytes ||
	    wanted.messages != grant->wanted.messages) {
		grant->wanted = wanted;
		grant->asked = true;
		grant->answered = false;
	}
	return true;
}

int shunt_grant_learn(struct shunt_grant *grant, const struct shunt_segment *segment,
		      uint64_t number)
{
	struct shunt_grant_count most = beyond(&grant->taken, &grant->theirs);

	if (!learn_one(&grant->credit.bytes, &grant->since.bytes, segment->credit_bytes,
		       number, most.bytes) ||
	    !learn_one(&grant->credit.messages, &grant->since.messages,
		       segment->credit_messages, number, most.messages))
		return -EPROTO;
	if (grant->stuck && reaches(&grant->credit, &grant->want))
		grant->stuck = false;
	if (segment->flags & SHUNT_SEGMENT_WANT && !learn_want(grant, segment, number))
		return -EPROTO;
	return 0;
}

/* --- the receiver ------------------------------------------------------------------------ */

int shunt_grant_accept(struct shunt_grant *grant, uint32_t length)
{
	if (length > grant->ours.message_max)
		return -EPROTO;
	grant->accepted.bytes += shunt_segment_cost(length);
	grant->accepted.messages++;
	return reaches(&grant->told, &grant->accepted) ? 0 : -EPROTO;
}

void shunt_grant_consumed(struct shunt_grant *grant, uint32_t length)
{
	grant->consumed.bytes += shunt_segment_cost(length);
	grant->consumed.messages++;
}

bool shunt_grant_answers(const struct shunt_grant *grant)
{
	struct shunt_grant_count now = shunt_grant_now(grant);

	return grant->asked && !grant->answered && reaches(&now, &grant->wanted);
}

static bool is_half(uint64_t moved, uint32_t window)
{
	return moved && 2 * moved >= window;
}

bool shunt_grant_moved(const struct shunt_grant *grant)
{
	struct shunt_grant_count now = shunt_grant_now(grant);

	return is_half(now.bytes - grant->told.bytes, grant->ours.window_bytes) ||
	       is_half(now.messages - grant->told.messages,
		       grant->ours.window_messages);
}

void shunt_grant_tell(struct shunt_grant *grant, struct shunt_segment *segment)
{
	grant->told = shunt_grant_now(grant);
	segment->credit_bytes = grant->told.bytes;
	segment->credit_messages = grant->told.messages;
	if (segment->flags & SHUNT_SEGMENT_WANT) {
		segment->want_bytes = grant->want.bytes;
		segment->want_messages = grant->want.messages;
		grant->want_told = true;
	}
}
