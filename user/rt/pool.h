/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools: where the buffers of frames come from, and where they go back to. */
#pragma once

/*
 *     shunt_pool_get() ─▶ owner ─▶ shunt_frames_put()
 *
 * A pool is an interface: our own memory (shunt_memory_open(), which AF_XDP ports share as
 * their UMEM), a mempool of DPDK, or a ring of the kernel whose slots are borrowed. Any
 * thread may get from a pool and put into it; our own memory keeps a cache for each thread,
 * so that threads meet only when a cache is empty or full. get comes short only when the
 * frames are really out, or just on their way between two threads: what lies in the caches
 * of others is fetched (user/rt/depot.h).
 */
#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/rt/frame.h"

struct shunt_pool_ops {
	/*
	 * Up to n empty frames (len 0, data behind the headroom); returns how many there
	 * were. A pool that only lends what was received has none.
	 */
	unsigned int (*get)(struct shunt_pool *pool, struct shunt_frame *frames,
			    unsigned int n);
	/* Takes all of them back, in any order. */
	void (*put)(struct shunt_pool *pool, const struct shunt_frame *frames,
		    unsigned int n);
};

/* The part that all pools have; a kind of pool has it as its first member. */
struct shunt_pool {
	const struct shunt_pool_ops *ops;
	uint32_t room;	   /* bytes from data to the end of an empty frame's buffer */
	uint32_t headroom; /* bytes in front of data */
};

static inline unsigned int shunt_pool_get(struct shunt_pool *pool,
					  struct shunt_frame *frames, unsigned int n)
{
	return pool->ops->get(pool, frames, n);
}

/* Gives each frame to the pool that it came from. */
void shunt_frames_put(const struct shunt_frame *frames, unsigned int n);

/* --- our own memory ------------------------------------------------------------ */

#define SHUNT_MEMORY_FRAMES 4096u
#define SHUNT_MEMORY_FRAMES_MAX (1u << 24)
#define SHUNT_MEMORY_FRAME_BYTES 4096u
#define SHUNT_MEMORY_FRAME_BYTES_MAX (1u << 20)
#define SHUNT_MEMORY_HEADROOM 256u /* XDP_PACKET_HEADROOM: what AF_XDP leaves free */

/*
 * What may be said of it, for those who read options from a user: the member of
 * shunt_memory_opts, its kind (SHUNT_SPEC_…), least and most, what its value is called,
 * and what it means.
 */
#define SHUNT_MEMORY_OPTIONS(X)                                                        \
	X(frames, NUMBER, 1, SHUNT_MEMORY_FRAMES_MAX, "N",                             \
	  "frames in the memory; 4096 unless told")                                    \
	X(frame_bytes, NUMBER, 2 * SHUNT_MEMORY_HEADROOM + 1,                          \
	  SHUNT_MEMORY_FRAME_BYTES_MAX, "BYTES",                                       \
	  "size of a frame with its 256 bytes of headroom; 4096 unless told")          \
	X(huge, SWITCH, 0, 1, "on|off", "huge pages where there are any")

/* 0 is the default of each. */
struct shunt_memory_opts {
	size_t sz;
	uint64_t frames;
	uint64_t
		frame_bytes; /* what is no power of two, or over a page, suits unaligned
				 UMEMs only */
	unsigned int huge;   /* 1: huge pages where there are any, else ordinary ones */
};

/* Frames in one area, shared with the kernel, a port or another process by its memfd. */
struct shunt_memory {
	struct shunt_pool pool;
	uint8_t *area;
	size_t bytes;
	uint32_t frames;
	uint32_t frame_bytes;
	int fd;	  /* memfd */
	int huge; /* huge pages were really given */
	struct shunt_depot *depot;
};

SHUNT_MUST_CHECK int shunt_memory_open(struct shunt_memory **memory,
				       const struct shunt_memory_opts *opts,
				       struct shunt_err *err);

/* Every port on it is closed; frames that are still out are void. NULL is fine. */
void shunt_memory_close(struct shunt_memory *memory);

/* The memory behind a pool; NULL: the pool is of another kind. */
struct shunt_memory *shunt_memory_of(struct shunt_pool *pool);

/* Frames that are in nobody's hands: exact while no other thread works on it. */
uint32_t shunt_memory_free_frames(const struct shunt_memory *memory);

/*
 * As shunt_pool_get() and shunt_frames_put(), for those who need no more than the frames'
 * tokens: to fill a ring of the kernel, or to empty one. Not for plug-ins: they bring a
 * copy of this code along, which knows threads by other numbers than the pool's own.
 */
uint32_t shunt_memory_get_tokens(struct shunt_memory *memory, uint32_t *tokens,
				 uint32_t n);
void shunt_memory_put_tokens(struct shunt_memory *memory, const uint32_t *tokens,
			     uint32_t n);

/* The frame that begins the buffer in which an offset into the area lies. */
static inline uint64_t shunt_memory_token(const struct shunt_memory *memory,
					  uint64_t offset)
{
	return offset / memory->frame_bytes;
}
