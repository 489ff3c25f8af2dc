/* SPDX-License-Identifier: BSD-2-Clause */
/* A segment: what a packet of the reliable layer looks like on the wire. */
#pragma once

/*
 *      0       1       2       3
 *     ┌───────┬───────┬───────────────┐   flags     what follows, see below
 *     │ flags │ranges │     back      │   ranges    pairs in the acknowledgement
 *     ├───────┴───────┴───────────────┤   number    of this packet; one without NUMBERED
 *     │            number             │             says what the next one will have
 *     ├───────────────────────────────┤   back      the sender waits for no
 *     │         credit bytes          │             acknowledgement of a number below
 *     ├───────────────────────────────┤             number - back
 *     │        credit messages        │   credit    how far the other side may go: an
 *     └───────────────────────────────┘             offset in its stream, and messages
 *     ┌───────────────────────────────┐   ACK
 *     │            before             │   before    all numbers below it have come or
 *     ├───────────────────────────────┤             were given up
 *     │           received            │   received  the stream is whole up to here
 *     ├───────────────────────────────┤   delay_us  since the newest number came
 *     │           delay_us            │
 *     ├───────────────┬───────────────┤   × ranges, upwards from `before`: so many
 *     │      gap      │    length     │             numbers not (told of), so many that
 *     └───────────────┴───────────────┘             came; neither is 0
 *     ┌───────────────────────────────┐   WANT
 *     │          want bytes           │   want      the credit that the next message
 *     ├───────────────────────────────┤             needs
 *     │         want messages         │
 *     └───────────────────────────────┘
 *     ┌───────────────────────────────┐   DATA
 *     │            offset             │   offset    of the bytes that follow, in the
 *     ├────────────── …               │             stream: up to the packet's end
 *
 * All in network order. Counts are of 64 bits and travel as their low 32: the other side
 * knows about where they are (shunt_segment_whole()).
 *
 * The stream is messages in a row, each with 8 bytes in front and 0 to 7 zeros behind:
 *
 *     ┌───────────────────────────────┐   length    bytes of the message
 *     │            length             │
 *     ├───────────────┬───────────────┤   channel   chosen by the sender
 *     │    channel    │       0       │
 *     ├───────────────┴───────────────┤
 *     │ the message, filled up to 8 …
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"

enum shunt_segment_flag {
	SHUNT_SEGMENT_NUMBERED = 1, /* wants to be acknowledged */
	SHUNT_SEGMENT_ACK = 2,
	SHUNT_SEGMENT_WANT = 4,
	SHUNT_SEGMENT_DATA = 8, /* without NUMBERED only where nothing is lost */
};
#define SHUNT_SEGMENT_FLAGS 15u

#define SHUNT_SEGMENT_RANGES 32u /* at most */
#define SHUNT_SEGMENT_FIXED 16u	 /* bytes of each part */
#define SHUNT_SEGMENT_ACK_BYTES 12u
#define SHUNT_SEGMENT_RANGE_BYTES 4u
#define SHUNT_SEGMENT_WANT_BYTES 8u
#define SHUNT_SEGMENT_DATA_BYTES 4u

#define SHUNT_SEGMENT_MESSAGE 8u /* bytes in front of a message */

struct shunt_segment_range {
	uint16_t gap;
	uint16_t length;
};

/* A packet, in host order. */
struct shunt_segment {
	uint8_t flags;
	uint8_t ranges;
	uint16_t back;
	uint32_t number;
	uint32_t credit_bytes;
	uint32_t credit_messages;
	uint32_t before;
	uint32_t received;
	uint32_t delay_us;
	uint32_t want_bytes;
	uint32_t want_messages;
	uint32_t offset;
	const uint8_t *data; /* borrowed from the packet */
	uint32_t data_len;   /* at least 1 with DATA */
	struct shunt_segment_range range[SHUNT_SEGMENT_RANGES];
};

/* False where it is unsound: too short, unknown flags, parts that contradict. */
bool shunt_segment_read(struct shunt_segment *segment, const void *packet,
			uint32_t bytes);

/* Bytes of all in front of the data, as flags and ranges have it. */
static inline uint32_t shunt_segment_head(const struct shunt_segment *segment)
{
	uint32_t bytes = SHUNT_SEGMENT_FIXED;

	if (segment->flags & SHUNT_SEGMENT_ACK)
		bytes += SHUNT_SEGMENT_ACK_BYTES +
			 segment->ranges * SHUNT_SEGMENT_RANGE_BYTES;
	if (segment->flags & SHUNT_SEGMENT_WANT)
		bytes += SHUNT_SEGMENT_WANT_BYTES;
	if (segment->flags & SHUNT_SEGMENT_DATA)
		bytes += SHUNT_SEGMENT_DATA_BYTES;
	return bytes;
}

/* Writes all in front of the data, shunt_segment_head() bytes; returns how many. */
uint32_t shunt_segment_write(const struct shunt_segment *segment, void *to);

/* The count with these low 32 bits that is nearest to `about`. */
static inline uint64_t shunt_segment_whole(uint64_t about, uint32_t low)
{
	return about + (uint64_t)(int64_t)(int32_t)(low - (uint32_t)about);
}

/* --- messages in the stream -------------------------------------------------------------- */

struct shunt_segment_message {
	uint32_t length;
	uint16_t channel;
};

/* What a message of so many bytes takes of the stream, and of credits. */
static inline uint32_t shunt_segment_cost(uint32_t length)
{
	return SHUNT_SEGMENT_MESSAGE + ((length + 7u) & ~7u);
}

void shunt_segment_message_write(const struct shunt_segment_message *message, void *to);
/* False: what is to be 0 is not. */
bool shunt_segment_message_read(struct shunt_segment_message *message,
				const void *from);
