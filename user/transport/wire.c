/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/wire.h"

#include <errno.h>

/* --- the header ------------------------------------------------------------------------ */

/* Where a fragment's bytes go, or that they can't be of this message. */
static bool place(struct shunt_wire_piece *piece)
{
	uint64_t before = (uint64_t)piece->fragment * piece->bytes;

	if (piece->more) {
		piece->offset = (uint32_t)before;
		return piece->bytes && before + piece->bytes < piece->length;
	}
	if (piece->bytes > piece->length)
		return false;
	piece->offset = piece->length - piece->bytes;
	if (!piece->fragment)
		return !piece->offset;
	/* The others are equally long, and not shorter than the last one. */
	return piece->bytes && !(piece->offset % piece->fragment) &&
	       piece->offset / piece->fragment >= piece->bytes;
}

bool shunt_wire_read(struct shunt_wire_piece *piece, const void *datagram,
		     uint32_t bytes, uint32_t message_max)
{
	struct shunt_wire_header header;

	if (bytes < sizeof(header))
		return false;
	memcpy(&header, datagram, sizeof(header));
	if (header.magic != SHUNT_WIRE_MAGIC || header.flags > SHUNT_WIRE_ANSWER)
		return false;
	if (header.flags == SHUNT_WIRE_ANSWER && header.fragment)
		return false; /* such are never cut */
	*piece = (struct shunt_wire_piece){
		.sequence = shunt_be32(header.sequence),
		.length = shunt_be32(header.length),
		.bytes = bytes - (uint32_t)sizeof(header),
		.channel = shunt_be16(header.channel),
		.fragment = shunt_be16(header.fragment),
		.epoch = shunt_be16(header.epoch),
		.more = header.flags & SHUNT_WIRE_MORE,
		.answer = !!(header.flags & SHUNT_WIRE_ANSWER),
	};
	return piece->length <= message_max && place(piece);
}

int64_t shunt_wire_span(const void *stream, uint32_t bytes, uint32_t message_max)
{
	struct shunt_wire_header header;
	uint32_t length;

	if (bytes < sizeof(header))
		return 0;
	memcpy(&header, stream, sizeof(header));
	length = shunt_be32(header.length);
	if (header.magic != SHUNT_WIRE_MAGIC || header.flags || header.fragment ||
	    length > message_max)
		return -EBADMSG;
	return (int64_t)sizeof(header) + length;
}

/* --- the window (RFC 6479) ---------------------------------------------------------------- */

static bool take(struct shunt_wire_window *window, uint32_t sequence)
{
	uint32_t at = sequence % SHUNT_WIRE_WINDOW;
	uint64_t bit = 1ull << (at % 64), *word = &window->seen[at / 64];
	bool seen = *word & bit;

	*word |= bit;
	return seen;
}

/* A number leaves the window to the left, and another takes its place. */
static void pass(struct shunt_wire_window *window, uint32_t sequence)
{
	uint32_t at = sequence % SHUNT_WIRE_WINDOW;
	uint64_t bit = 1ull << (at % 64), *word = &window->seen[at / 64];

	window->lost += !(*word & bit);
	*word &= ~bit;
}

/* What was before the first one that came is nothing that was lost. */
static void begin(struct shunt_wire_window *window,
		  const struct shunt_wire_piece *piece)
{
	memset(window->seen, 0xff, sizeof(window->seen));
	window->epoch_before = window->begun ? window->epoch : piece->epoch;
	window->epoch = piece->epoch;
	window->newest = piece->sequence;
	window->begun = 1;
}

static void advance(struct shunt_wire_window *window, uint32_t ahead)
{
	uint32_t i, most = ahead < SHUNT_WIRE_WINDOW ? ahead : SHUNT_WIRE_WINDOW;

	/* Beyond the window, all of it leaves, and what it never held is lost as well. */
	window->lost += ahead - most;
	for (i = 1; i <= most; i++)
		pass(window, window->newest + (ahead - most) + i);
	window->newest += ahead;
	take(window, window->newest);
}

static bool refuse(struct shunt_wire_window *window)
{
	window->duplicates++;
	return false;
}

bool shunt_wire_enter(struct shunt_wire_window *window,
		      const struct shunt_wire_piece *piece)
{
	int32_t ahead = (int32_t)(piece->sequence - window->newest);

	if (!window->begun || window->epoch != piece->epoch) {
		/* A straggler of the life before the last restart. */
		if (window->begun && window->epoch != window->epoch_before &&
		    piece->epoch == window->epoch_before)
			return refuse(window);
		window->restarts += window->begun;
		begin(window, piece);
		return true;
	}
	if (ahead > 0) {
		advance(window, (uint32_t)ahead);
		return true;
	}
	if (ahead <= -(int32_t)SHUNT_WIRE_WINDOW || take(window, piece->sequence))
		return refuse(window);
	window->late++;
	return true;
}

uint64_t shunt_wire_lost(const struct shunt_wire_window *window)
{
	uint64_t lost = window->lost;
	unsigned int i;

	if (window->begun)
		for (i = 0; i < SHUNT_WIRE_WINDOW / 64; i++)
			lost += (uint64_t)__builtin_popcountll(~window->seen[i]);
	return lost;
}
