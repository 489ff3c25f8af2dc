// SPDX-License-Identifier: BSD-2-Clause
#include "user/transport/segment.h"

#include <string.h>

#include "bpf/lib/wire.h"

/* The parts as they lie in a packet. */
struct fixed {
	uint8_t flags;
	uint8_t ranges;
	__be16 back;
	__be32 number;
	__be32 credit_bytes;
	__be32 credit_messages;
};

struct ack {
	__be32 before;
	__be32 received;
	__be32 delay_us;
};

struct range {
	__be16 gap;
	__be16 length;
};

struct want {
	__be32 bytes;
	__be32 messages;
};

struct head {
	__be32 length;
	__be16 channel;
	__be16 zero;
};

_Static_assert(sizeof(struct fixed) == SHUNT_SEGMENT_FIXED, "as it travels");
_Static_assert(sizeof(struct ack) == SHUNT_SEGMENT_ACK_BYTES, "as it travels");
_Static_assert(sizeof(struct range) == SHUNT_SEGMENT_RANGE_BYTES, "as it travels");
_Static_assert(sizeof(struct want) == SHUNT_SEGMENT_WANT_BYTES, "as it travels");
_Static_assert(sizeof(struct head) == SHUNT_SEGMENT_MESSAGE, "as it travels");

/* What is left of a packet. */
struct cursor {
	const uint8_t *at;
	uint32_t left;
};

static bool take(struct cursor *cursor, void *to, uint32_t bytes)
{
	if (cursor->left < bytes)
		return false;
	memcpy(to, cursor->at, bytes);
	cursor->at += bytes;
	cursor->left -= bytes;
	return true;
}

static bool read_fixed(struct shunt_segment *segment, struct cursor *cursor)
{
	struct fixed fixed;

	if (!take(cursor, &fixed, sizeof(fixed)))
		return false;
	segment->flags = fixed.flags;
	segment->ranges = fixed.ranges;
	segment->back = shunt_be16(fixed.back);
	segment->number = shunt_be32(fixed.number);
	segment->credit_bytes = shunt_be32(fixed.credit_bytes);
	segment->credit_messages = shunt_be32(fixed.credit_messages);
	if (segment->flags & ~SHUNT_SEGMENT_FLAGS ||
	    segment->ranges > SHUNT_SEGMENT_RANGES)
		return false;
	if (segment->ranges && !(segment->flags & SHUNT_SEGMENT_ACK))
		return false;
	return !segment->back || segment->flags & SHUNT_SEGMENT_NUMBERED;
}

static bool read_ack(struct shunt_segment *segment, struct cursor *cursor)
{
	struct range range;
	struct ack ack;
	unsigned int i;

	if (!take(cursor, &ack, sizeof(ack)))
		return false;
	segment->before = shunt_be32(ack.before);
	segment->received = shunt_be32(ack.received);
	segment->delay_us = shunt_be32(ack.delay_us);
	for (i = 0; i < segment->ranges; i++) {
		if (!take(cursor, &range, sizeof(range)))
			return false;
		segment->range[i].gap = shunt_be16(range.gap);
		segment->range[i].length = shunt_be16(range.length);
		if (!segment->range[i].gap || !segment->range[i].length)
			return false;
	}
	return true;
}

static bool read_want(struct shunt_segment *segment, struct cursor *cursor)
{
	struct want want;

	if (!take(cursor, &want, sizeof(want)))
		return false;
	segment->want_bytes = shunt_be32(want.bytes);
	segment->want_messages = shunt_be32(want.messages);
	return true;
}

bool shunt_segment_read(struct shunt_segment *segment, const void *packet,
			uint32_t bytes)
{
	struct cursor cursor = { packet, bytes };
	__be32 offset;

	if (!read_fixed(segment, &cursor))
		return false;
	if (segment->flags & SHUNT_SEGMENT_ACK && !read_ack(segment, &cursor))
		return false;
	if (segment->flags & SHUNT_SEGMENT_WANT && !read_want(segment, &cursor))
		return false;
	segment->data = cursor.at;
	segment->data_len = 0;
	if (!(segment->flags & SHUNT_SEGMENT_DATA))
		return !cursor.left;
	if (!take(&cursor, &offset, sizeof(offset)))
		return false;
	segment->offset = shunt_be32(offset);
	segment->data = cursor.at;
	segment->data_len = cursor.left;
	return cursor.left;
}

static uint8_t *put(uint8_t *at, const void *part, size_t bytes)
{
	memcpy(at, part, bytes);
	return at + bytes;
}

static uint8_t *write_ack(const struct shunt_segment *segment, uint8_t *at)
{
	const struct ack ack = {
		.before = shunt_be32(segment->before),
		.received = shunt_be32(segment->received),
		.delay_us = shunt_be32(segment->delay_us),
	};
	unsigned int i;

	at = put(at, &ack, sizeof(ack));
	for (i = 0; i < segment->ranges; i++) {
		const struct range range = {
			.gap = shunt_be16(segment->range[i].gap),
			.length = shunt_be16(segment->range[i].length),
		};

		at = put(at, &range, sizeof(range));
	}
	return at;
}

uint32_t shunt_segment_write(const struct shunt_segment *segment, void *to)
{
	const struct fixed fixed = {
		.flags = segment->flags,
		.ranges = segment->ranges,
		.back = shunt_be16(segment->back),
		.number = shunt_be32(segment->number),
		.credit_bytes = shunt_be32(segment->credit_bytes),
		.credit_messages = shunt_be32(segment->credit_messages),
	};
	uint8_t *at = put(to, &fixed, sizeof(fixed));

	if (segment->flags & SHUNT_SEGMENT_ACK)
		at = write_ack(segment, at);
	if (segment->flags & SHUNT_SEGMENT_WANT) {
		const struct want want = {
			.bytes = shunt_be32(segment->want_bytes),
			.messages = shunt_be32(segment->want_messages),
		};

		at = put(at, &want, sizeof(want));
	}
	if (segment->flags & SHUNT_SEGMENT_DATA) {
		const __be32 offset = shunt_be32(segment->offset);

		at = put(at, &offset, sizeof(offset));
	}
	return at - (uint8_t *)to;
}

void shunt_segment_message_write(const struct shunt_segment_message *message, void *to)
{
	const struct head head = {
		.length = shunt_be32(message->length),
		.channel = shunt_be16(message->channel),
	};

	memcpy(to, &head, sizeof(head));
}

bool shunt_segment_message_read(struct shunt_segment_message *message, const void *from)
{
	struct head head;

	memcpy(&head, from, sizeof(head));
	message->length = shunt_be32(head.length);
	message->channel = shunt_be16(head.channel);
	return !head.zero;
}
