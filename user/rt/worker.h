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
 *
 * Before it sleeps, a worker asks every task what to wait for, and then runs them all once
 * more: what comes in between is not slept over, if asking also made the doorbells ring
 * (user/rt/bell.h). Signals are left to the threads that start workers.
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
	/* What poll() wakes for when there is work: fills up to max, returns how many.
	 * NULL: only `due`, or the other tasks' work, has it run again. */
	unsigned int (*wait)(void *self, struct pollfd *fds, unsigned int max);
	/*
	 * When it wants to run again though poll() says nothing, as shunt_now_ns() counts:
	 * for timers, and for what can't be waited for. UINT64_MAX, or no function: never.
	 * Asked before every sleep.
	 */
	uint64_t (*due)(void *self);
};

#define SHUNT_WORKER_ANY (-1) /* not pinned */
#define SHUNT_WORKER_TASKS 64
#define SHUNT_WORKER_FDS 256
#define SHUNT_WORKER_SPIN_NS 20000u /* what waking a core costs: SHUNT_WAIT_ADAPTIVE */

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

/* For poll(): readable once a worker has ended by itself, which an error made it do. */
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
