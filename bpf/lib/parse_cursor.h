/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The cursor that takes headers off a frame, or says no. */
#pragma once

/*
 * No byte is read that was not asked for by length. Lengths are checked at both ends: a
 * header must lie inside the frame and inside what the layer above it claims, so that
 * Ethernet padding is never taken for a header.
 */
#include "bpf/lib/compiler.h"
#include "maps/pkt.h"
#include "maps/reason.h"

/* The answer of a parser that has nothing to complain about. */
#define SHUNT_PARSE_OK (-1)

struct shunt_cursor {
	const __u8 *data; /* start of the packet: the frame, or what a tunnel carries */
	const __u8 *pos;
	const __u8 *end; /* of the bytes that can be read here */
	__u32 off;	 /* of pos, from data */
	__u32 limit;	 /* offset at which the current layer's payload ends */
	__u32 base;	 /* of data, from the start of the frame */
	__u32 hidden;	 /* the frame goes on behind `end` */
	__u16 *join;	 /* see shunt_join() */
#ifdef SHUNT_PARSE_COPY
	const __u8 *frame; /* start of the frame */
#endif
};

/*
 * shunt_take(): the next n bytes, or NULL; the caller says what is missing by
 * shunt_parse_short().
 *
 * Ends of a packet are shown to the verifier by comparing pointers. Netfilter has a copy
 * of the frame's first SHUNT_PARSE_COPY bytes instead: of those they are shown by numbers.
 */
#ifdef SHUNT_PARSE_COPY
SHUNT_INLINE void shunt_cursor_frame(struct shunt_cursor *c, const void *frame)
{
	c->frame = frame;
}

SHUNT_INLINE const void *shunt_take(struct shunt_cursor *c, __u32 n)
{
	__u32 at = c->base + c->off;

	if (c->off + n > c->limit || c->pos + n > c->end)
		return 0;
	SHUNT_OPAQUE(at);
	if (at > SHUNT_PARSE_COPY - n)
		return 0;
	c->pos += n;
	c->off += n;
	return c->frame + at;
}
#else
SHUNT_INLINE void shunt_cursor_frame(struct shunt_cursor *c, const void *frame)
{
	(void)c;
	(void)frame;
}

SHUNT_INLINE const void *shunt_take(struct shunt_cursor *c, __u32 n)
{
	const __u8 *at = c->pos;

	if (c->off + n > c->limit || at + n > c->end)
		return 0;
	c->pos = at + n;
	c->off += n;
	return at;
}
#endif

/* Steps over n more bytes that need not be readable. */
SHUNT_INLINE int shunt_skip(struct shunt_cursor *c, __u32 n)
{
	if (c->off + n > c->limit)
		return 0;
	c->pos += n;
	c->off += n;
	return 1;
}

/*
 * To be called where paths join. Stored and read back, the offset is any small number to
 * the verifier: what follows is then verified once, not once for each way that leads here.
 * (Offsets stay far below the mask: 22 bytes, IPv6, and 8 headers of at most 2048.)
 */
SHUNT_INLINE void shunt_join(struct shunt_cursor *c)
{
	*c->join = c->off;
	c->off = *(volatile __u16 *)c->join;
	SHUNT_OPAQUE(c->off);
	c->off &= 0x7fff;
	c->pos = c->data + c->off;
}

/* Why shunt_take() said no: the layer ends, or our view of it does. */
SHUNT_INLINE int shunt_parse_short(const struct shunt_cursor *c, __u32 n, int reason)
{
	return c->hidden && c->off + n <= c->limit ? SHUNT_REASON_DEEP : reason;
}
