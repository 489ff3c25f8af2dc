/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two sides of a hand-over tell each other. */
#pragma once

#include <stdint.h>

#include "user/io/af_xdp_impl.h"
#include "user/io/pass.h"
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

static inline bool shunt_handover_is_hello(const struct shunt_handover_hello *hello)
{
	return hello->magic == SHUNT_HANDOVER_MAGIC &&
	       hello->version == SHUNT_HANDOVER_VERSION;
}

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

/* For so many lanes; 0: a question. */
static inline struct shunt_handover_hello shunt_handover_greet(uint32_t lanes)
{
	return (struct shunt_handover_hello){
		.magic = SHUNT_HANDOVER_MAGIC,
		.version = SHUNT_HANDOVER_VERSION,
		.bytes = lanes ? sizeof(struct shunt_handover) : 0,
		.lanes = lanes,
	};
}

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

/* --- offering (handover.c) ------------------------------------------------------------- */

/*
 * Offers a port's sockets by an answer with the descriptors, and waits. page_fd: the seats stay
 * here, and the other side gets this in their stead; -1: they go along. True: they were
 * taken, and the port has no sockets any more.
 */
bool shunt_handover_offer(struct shunt_af_xdp *af, int asker_fd, int page_fd,
			  const void *answer, size_t answer_bytes);

/* --- taking (handover_take.c) ------------------------------------------------------------ */

/* What has come from the other side. */
struct shunt_parcel {
	int asked_fd; /* the connection */
	int fd[SHUNT_PASS_FDS];
	unsigned int fds;
	struct shunt_handover *state; /* NULL: not mapped */
	size_t bytes;
	uint32_t lanes;
	uint32_t pid; /* of the other side */
};

#define SHUNT_PARCEL                                                                   \
	{                                                                              \
		.asked_fd = -1                                                         \
	}

void shunt_parcel_close(struct shunt_parcel *parcel);

/* Looks at an answer and its descriptors, and maps the state. */
SHUNT_MUST_CHECK int shunt_parcel_open(struct shunt_parcel *parcel,
				       const struct shunt_handover_hello *hello,
				       struct shunt_err *err);

/*
 * Memory and sockets of the parcel, in a port that has none; and then they are its own, but
 * for the seats. xskmap_fd: -1 where it has none. Should it fail, to close the port closes
 * only what is our own of them.
 */
SHUNT_MUST_CHECK int shunt_parcel_take(struct shunt_parcel *parcel,
				       struct shunt_af_xdp *af, int xskmap_fd,
				       struct shunt_err *err);
