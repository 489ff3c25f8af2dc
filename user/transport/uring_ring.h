/* SPDX-License-Identifier: BSD-2-Clause */
/* A ring of io_uring, and the frames that the kernel receives into. */
#pragma once

/*
 *     sqe ─▶ enter ─▶ kernel ─▶ cqe
 *                       ▲  │
 *     memory ─ refill ──┘  └─▶ shunt_uring_take(): the frame is the caller's
 *
 * The ring of provided buffers holds frames of a memory. What the kernel has filled is
 * taken out with its frame and lent as it is; another frame of the memory takes its place.
 * Nothing is copied, and a frame comes back to the kernel by way of its pool.
 *
 * Where the kernel has it, completions are run when their owner enters the kernel
 * (DEFER_TASKRUN), which makes the ring one thread's: of the first that enters. Then poll()
 * on the ring's own descriptor is not woken, as there is no completion before it is run;
 * an eventfd is, and it stays silent while nobody waits for it.
 */
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/rt/pool.h"

#define SHUNT_URING_GROUP 1	      /* the group of buffers */
#define SHUNT_URING_BUFFERS 512u      /* in it, at most; a power of two */
#define SHUNT_URING_ENTRIES 512u      /* of the ring of submissions */
#define SHUNT_URING_COMPLETIONS 4096u /* of the other one */

/* How what has completed comes into the ring; from the best on. */
enum shunt_uring_work {
	SHUNT_URING_DEFERRED,	  /* when its one thread enters the kernel */
	SHUNT_URING_COOPERATIVE,  /* when a thread enters the kernel anyway */
	SHUNT_URING_INTERRUPTING, /* at once, by an interrupt if need be */
	SHUNT_URING_POLLED,	  /* by a thread of the kernel (SQPOLL) */
	SHUNT_URING_WORKS,
};

extern const char *const shunt_uring_works[]; /* their names in describe */

struct shunt_uring_opts {
	struct shunt_memory *memory; /* whose frames are lent to the kernel */
	uint32_t in_front; /* bytes in front of a frame's data that it may fill, too */
	uint32_t files;	   /* places for registered files; 0: none */
	bool sqpoll;
	bool any_thread;  /* several threads may take turns */
	uint64_t napi_us; /* busy poll of the NIC while it waits; 0: none */
};

struct shunt_uring {
	struct io_uring io;
	bool open, begun;
	enum shunt_uring_work work;
	bool files;	  /* are registered */
	int event;	  /* an eventfd, for poll() */
	bool listens;	  /* the kernel writes to it */
	uint64_t owner;	  /* the thread that it is for; 0: any */
	uint64_t entered; /* system calls */

	struct shunt_memory *memory;
	struct io_uring_buf_ring *ring;
	uint32_t size; /* of it */
	uint32_t in_front;
	uint32_t missing;		     /* places without a frame */
	uint16_t place[SHUNT_URING_BUFFERS]; /* these */
	uint32_t token[SHUNT_URING_BUFFERS]; /* the frame in a place */
};

/* A sentence on why there can be no ring here; NULL: there can. */
const char *shunt_uring_absent(char *room, size_t bytes);

/* A zeroed one. What it leaves open on failure, close deals with. */
SHUNT_MUST_CHECK int shunt_uring_open(struct shunt_uring *ring,
				      const struct shunt_uring_opts *opts,
				      struct shunt_err *err);

/* Gives back the frames that the kernel had. Fine on one half open. */
void shunt_uring_close(struct shunt_uring *ring);

/* A place in the table of registered files; fd -1 empties it. */
SHUNT_MUST_CHECK int shunt_uring_file(struct shunt_uring *ring, uint32_t place, int fd);

/* Has a prepared request use a registered file where there are any. After its flags. */
static inline void shunt_uring_use(const struct shunt_uring *ring,
				   struct io_uring_sqe *sqe, int fd, uint32_t place)
{
	sqe->fd = ring->files ? (int)place : fd;
	if (ring->files)
		sqe->flags |= IOSQE_FIXED_FILE;
}

/* What poll() is to wait for; enter once more before that. */
struct pollfd shunt_uring_listen(struct shunt_uring *ring);

/* Something has come: nobody is going to sleep. */
static inline void shunt_uring_hush(struct shunt_uring *ring)
{
	if (ring->listens)
		(void)io_uring_cq_eventfd_toggle(&ring->io, false);
	ring->listens = false;
}

/* --- submitting ----------------------------------------------------------------------- */

/*
 * Hands on what was prepared, and has the kernel run what has completed. 0 or -errno;
 * -EEXIST: another thread owns the ring.
 */
SHUNT_MUST_CHECK int shunt_uring_enter(struct shunt_uring *ring);

/* The same, and waits for `completions` or until the time is over: 1, 0 or -errno. */
SHUNT_MUST_CHECK int shunt_uring_wait(struct shunt_uring *ring, uint32_t completions,
				      uint64_t timeout_ns);

/* One to prepare; NULL: the ring is full, and cannot be handed on. */
struct io_uring_sqe *shunt_uring_sqe(struct shunt_uring *ring);

static inline uint32_t shunt_uring_prepared(const struct shunt_uring *ring)
{
	return io_uring_sq_ready(&ring->io);
}

/* Only entering brings what has completed, or hands on what was prepared. */
static inline bool shunt_uring_calls(const struct shunt_uring *ring)
{
	uint32_t flags = IO_URING_READ_ONCE(*ring->io.sq.kflags);

	return flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW) ||
	       shunt_uring_prepared(ring);
}

/* --- buffers ---------------------------------------------------------------------------- */

/* Frames for the places without one, as far as the memory has any. How many the kernel
 * has then. */
uint32_t shunt_uring_refill(struct shunt_uring *ring);

/* The frame that a completion names, with the bytes that came; data where the kernel
 * began to write. */
void shunt_uring_take(struct shunt_uring *ring, uint32_t cqe_flags, uint32_t bytes,
		      struct shunt_frame *frame);
