/* SPDX-License-Identifier: BSD-2-Clause */
/* A stream's messages: cut out of the bytes that a connection brings, and queued for it. */
#pragma once

/*
 *     connection ─▶ room, came ─┐                             ┌─▶ next: a whole message
 *                               ├─▶ what has come, in frames ─┤
 *     ring of buffers ─▶ feed ──┘                             └─▶ 0: read on
 *
 *     frames ─▶ push ─▶ backlog ─▶ iov ─▶ connection ─▶ wrote: back to their pools
 *
 * Both ways a frame has one owner. A read goes into a frame of the pool, where one message
 * that came alone stays: it is lent as it lies. Of several in one read the last is lent
 * so, and those in front of it are copied. A message longer than a frame of the pool gets
 * memory of its own, as soon as its header is there, into which the rest is read: at most
 * message_max and only once a stream, whatever a header claims.
 *
 * An idle stream holds no frame.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "user/rt/frame.h"
#include "user/transport/backend.h"
#include "user/transport/wire.h"

/* --- receiving ----------------------------------------------------------------------- */

/* Zero is an idle one. */
struct shunt_stream_in {
	struct shunt_frame
		frame;		 /* what has come: data is the first byte not yet taken,
				     len how many there are; pool NULL: no frame */
	struct shunt_frame more; /* fed, behind these */
	uint32_t room;		 /* bytes from data on, in frame */
};

/* Gives back what it holds; it is idle then. */
void shunt_stream_in_close(struct shunt_stream_in *in);

/*
 * For those who read when there is something: where to, and how much. False: there is no
 * frame now. Only after next has said 0.
 */
SHUNT_MUST_CHECK bool shunt_stream_room(struct shunt_stream_in *in,
					struct shunt_transport *transport, void **to,
					uint32_t *bytes);

/* So many bytes were read there; 0 gives the frame back if nothing is in it. */
void shunt_stream_came(struct shunt_stream_in *in, uint32_t bytes);

/*
 * For those who are given buffers with what has come: takes over a frame of len > 0. Only
 * after next has said 0.
 */
void shunt_stream_feed(struct shunt_stream_in *in, const struct shunt_frame *frame);

/*
 * The next whole message, header first: 1, and the frame is the caller's; 0: there is none
 * yet; -EBADMSG: what comes is no message, nor will be any more; -ENOBUFS: there is no
 * frame for it now: later.
 */
SHUNT_MUST_CHECK int shunt_stream_next(struct shunt_stream_in *in,
				       struct shunt_transport *transport,
				       struct shunt_frame *message);

/*
 * Moves a message that has begun out of the pool's frame: for a pool that streams have
 * emptied which never go on. False: there was none, or no memory.
 */
bool shunt_stream_spill(struct shunt_stream_in *in, struct shunt_transport *transport);

/* A message has begun that is not whole: where a stream ends like this, it was cut. */
static inline bool shunt_stream_cut(const struct shunt_stream_in *in)
{
	return in->frame.len || in->more.len;
}

/* --- sending --------------------------------------------------------------------------- */

#define SHUNT_STREAM_BACKLOG 32u /* frames; a power of two */

/* Zero is an empty one. */
struct shunt_stream_out {
	struct shunt_frame frames[SHUNT_STREAM_BACKLOG];
	uint32_t head, tail; /* the next one in, the next one out; they wrap */
};

/* Gives back what was not sent. */
void shunt_stream_out_close(struct shunt_stream_out *out);

static inline uint32_t shunt_stream_waiting(const struct shunt_stream_out *out)
{
	return out->head - out->tail;
}

/* Takes the frame; false: it is full. */
SHUNT_MUST_CHECK bool shunt_stream_push(struct shunt_stream_out *out,
					const struct shunt_frame *frame);

/* The frame that is to be written next; there is one. */
static inline const struct shunt_frame *shunt_stream_oldest(
	const struct shunt_stream_out *out)
{
	return &out->frames[out->tail % SHUNT_STREAM_BACKLOG];
}

/* The same, which is written, but is the caller's now. */
static inline struct shunt_frame shunt_stream_pop(struct shunt_stream_out *out)
{
	return out->frames[out->tail++ % SHUNT_STREAM_BACKLOG];
}

/* What is to be written next, from the oldest on. */
unsigned int shunt_stream_iov(const struct shunt_stream_out *out, struct iovec *iov,
			      unsigned int max);

/* So many bytes of it were. Returns how many frames that ended. */
unsigned int shunt_stream_wrote(struct shunt_stream_out *out, uint64_t bytes);
