/* SPDX-License-Identifier: BSD-2-Clause */
/* A frame: bytes of a packet in a buffer that is borrowed from a pool. */
#pragma once

/*
 * A frame has one owner at any time. Who got it (from a port, from a pool, or from another
 * worker over a ring) gives it back (shunt_frames_put()) or sends it on (shunt_port_tx(),
 * which takes from the front and says how many it took). The struct is a handle and may be
 * copied; the buffer is not.
 *
 * A packet that is longer than a buffer comes as several frames in a row: all but the last
 * are marked SHUNT_FRAME_MORE. Ports without SHUNT_PORT_MULTI neither make nor take them.
 */
#include <stdint.h>
#include <string.h>

struct shunt_pool;

#define SHUNT_BURST 64u /* frames that are worth moving together */

/* The packet goes on in the next frame. */
#define SHUNT_FRAME_MORE 1u

/*
 * What is known of a packet lies in front of its data, until data is moved or what is in
 * front of it is written to; whoever does either clears these.
 */
#define SHUNT_FRAME_TIME 2u  /* when it was received: shunt_frame_time() */
#define SHUNT_FRAME_EVENT 4u /* what the program says of it: user/io/ringbuf.h */

struct shunt_frame {
	uint8_t *data;		 /* the first byte; may be moved within the buffer */
	struct shunt_pool *pool; /* whose buffer it is; NULL: nobody wants it back */
	uint64_t token;		 /* what the pool calls the buffer */
	uint32_t len;		 /* bytes from data on */
	uint32_t flags;		 /* SHUNT_FRAME_… */
};

_Static_assert(sizeof(struct shunt_frame) == 32, "two in a cache line");

/* Nanoseconds since 1970; 0: not known. */
static inline uint64_t shunt_frame_time(const struct shunt_frame *frame)
{
	uint64_t time_ns = 0;

	if (frame->flags & SHUNT_FRAME_TIME)
		memcpy(&time_ns, frame->data - sizeof(time_ns), sizeof(time_ns));
	return time_ns;
}

/* Needs 8 bytes of headroom. */
static inline void shunt_frame_stamp(struct shunt_frame *frame, uint64_t time_ns)
{
	memcpy(frame->data - sizeof(time_ns), &time_ns, sizeof(time_ns));
	frame->flags |= SHUNT_FRAME_TIME;
}
