/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two sides of a hand-over tell each other. */
#pragma once

#include <stdint.h>

#include "user/io/af_xdp_impl.h"
#include "user/io/xsk_impl.h"

/* Raise it with every change of these structures, or of those that they contain. */
#define SHUNT_HANDOVER_VERSION 1u
#define SHUNT_HANDOVER_MAGIC 0x73686f76u
#define SHUNT_HANDOVER_ANSWER_MS 5000u /* for a running one that is asked to answer */

/* Whose the sockets are. */
enum shunt_handover_word {
	SHUNT_HANDOVER_OFFERED = 1,
	SHUNT_HANDOVER_TAKEN,	/* the successor's, for good */
	SHUNT_HANDOVER_REVOKED, /* the running one's again */
};

/* The first message, either way; with the second one come the descriptors. */
struct shunt_handover_hello {
	uint32_t magic;
	uint32_t version;
	uint32_t bytes; /* of a struct shunt_handover; 0 in a question */
	uint32_t lanes;
};

/* A socket and its queue, as they stand. */
struct shunt_handover_lane {
	struct shunt_xsk_place place;
	struct shunt_xsk_facts facts;
	struct shunt_xsk_stats before; /* what its socket has counted so far */
	uint32_t key;		       /* in the XSKMAP */
	uint32_t fill, completion;     /* places of the rings */
	uint32_t posted, target, sent;
	uint32_t posts, frame_max, segment_max;
	uint8_t has_rx, has_tx, multi, need_wakeup, busy_poll, wakes;
	uint8_t pad[6];
};

struct shunt_handover {
	uint32_t word; /* enum shunt_handover_word */
	uint32_t lanes;
	uint32_t caps, frame_max; /* of the port */
	uint32_t frames, frame_bytes, huge, pad;
	struct shunt_handover_lane lane[SHUNT_QUEUE_MAX];
};

/* Behind it, for each lane: a bit a frame, set: the kernel holds it. */
static inline size_t shunt_handover_words(uint32_t frames)
{
	return (frames + 63) / 64;
}

static inline size_t shunt_handover_bytes(uint32_t lanes, uint32_t frames)
{
	return sizeof(struct shunt_handover) +
	       lanes * shunt_handover_words(frames) * sizeof(uint64_t);
}

static inline uint64_t *shunt_handover_held(struct shunt_handover *state, uint32_t lane)
{
	return (uint64_t *)(state + 1) + lane * shunt_handover_words(state->frames);
}

/* The descriptors: this memory, that of the frames, then socket and claim of each lane. */
enum {
	SHUNT_HANDOVER_FD_STATE,
	SHUNT_HANDOVER_FD_AREA,
	SHUNT_HANDOVER_FD_LANES,
};

static inline unsigned int shunt_handover_fds(uint32_t lanes)
{
	return SHUNT_HANDOVER_FD_LANES + 2 * lanes;
}

/* From one state of the word to another; false: it was not in that state. */
static inline bool shunt_handover_turn(struct shunt_handover *state, uint32_t from,
				       uint32_t to)
{
	/* Sequential: all that came before is seen by who finds the new word. */
	return __atomic_compare_exchange_n(&state->word, &from, to, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
