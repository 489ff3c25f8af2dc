/* SPDX-License-Identifier: BSD-2-Clause */
/* Workers: threads that own what they work on, each on a core of its own. */
#pragma once

/*
 *     shunt_workers_start() ─▶ worker: run its tasks in turn ─▶ nothing to do? idle
 *                                       ▲                           │ spin, then poll()
 *                                       └───────────────────────────┘
 *
 * A task is a bounded portion of work over things that one worker owns: ports, pools,
 * rings, counters. Workers share nothing that a message could carry (user/rt/spsc.h,
 * user/rt/mpsc.h). A worker without work takes no CPU time unless it is told to spin.
 */
#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/rt/idle.h"

struct shunt_task {
	const char *name;
	void *self;
	/* A burst of work: how much it was (0: nothing), or -errno, which ends them all. */
	int (*run)(void *self, struct shunt_err *err);
	/* What poll() wakes for when there is work: fills up to max, returns how many. */
	unsigned int (*wait)(void *self, struct pollfd *fds, unsigned int max);
};

#define SHUNT_WORKER_ANY (-1) /* not pinned */
#define SHUNT_WORKER_TASKS 64
#define SHUNT_WORKER_FDS 256

struct shunt_worker_opts {
	size_t sz;
	const char *name; /* of the thread; up to 15 bytes are shown */
	int core; /* SHUNT_WORKER_ANY, or the number of a core of this machine */
	enum shunt_wait wait;
	const struct shunt_task *tasks; /* copied */
	unsigned int count;
};

struct shunt_workers;

/* Starts all of them, or none. -EINVAL names a core that this process may not use. */
SHUNT_MUST_CHECK int shunt_workers_start(struct shunt_workers **workers,
					 const struct shunt_worker_opts *opts, size_t n,
					 struct shunt_err *err);

/* For poll(): readable once a worker has ended by itself. */
int shunt_workers_fd(const struct shunt_workers *workers);

/*
 * Tells them to end after their burst, wakes them, and waits for them; the first error
 * that ended one is returned. Tasks are run no more. NULL is fine.
 */
SHUNT_MUST_CHECK int shunt_workers_stop(struct shunt_workers *workers,
					struct shunt_err *err);

/* What a worker has spent its time on, since it began; may be read while it works. */
struct shunt_worker_time {
	uint64_t bursts; /* portions of work that were not empty */
	uint64_t work;	 /* what run returned, summed up */
	uint64_t spins;	 /* empty rounds */
	uint64_t sleeps; /* calls of poll() */
	uint64_t cpu_ns; /* CPU time of the thread */
};

void shunt_worker_time(const struct shunt_workers *workers, size_t worker,
		       struct shunt_worker_time *time);
