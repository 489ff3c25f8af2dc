/* SPDX-License-Identifier: BSD-2-Clause */
/* Work stealing: jobs that workers make for themselves, and that idle ones take over. */
#pragma once

/*
 *     owner ── push ─▶ [ top … bottom ) ── take ─▶ owner      the newest one first
 *                        │
 *                        └── steal ─▶ anybody                 the oldest one first
 *
 * The deque is that of Chase and Lev (Dynamic circular work-stealing deque, SPAA 2005) as
 * Lê, Pop, Cohen and Zappa Nardelli proved it for the memory model of C11 (Correct and
 * efficient work-stealing for weak memory models, PPoPP 2013), but bounded: what does not
 * fit stays with the caller. Their fences are orders of the accesses here, which is no
 * weaker, and which ThreadSanitizer understands.
 *
 * A job is a pointer, which changes hands as it is. A pool is a deque and a bell for each
 * worker, and a task: it runs its own jobs, and looks at others', from a random one on,
 * when it has none. Under an even load nobody steals, and that costs a look when a worker
 * runs dry; where jobs belong to a core (to its port, its pool), don't use it.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/rt/bell.h"
#include "user/rt/core.h"
#include "user/rt/worker.h"

/* --- a deque ------------------------------------------------------------------------- */

struct shunt_deque {
	_Atomic(void *) *slots;
	int64_t mask;
	_Alignas(SHUNT_CORE_APART) _Atomic int64_t bottom; /* written by its owner */
	_Alignas(SHUNT_CORE_APART) _Atomic int64_t top; /* by whoever takes the last */
};

/* Room for so many jobs: a power of two. */
SHUNT_MUST_CHECK int shunt_deque_open(struct shunt_deque *deque, uint32_t slots,
				      struct shunt_err *err);

/* Of a deque that was opened, or zeroed. */
void shunt_deque_close(struct shunt_deque *deque);

/* By its owner; false: it is full. */
static inline bool shunt_deque_push(struct shunt_deque *deque, void *job)
{
	/* Relaxed: our own. */
	int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
	/* Acquire: pairs with the exchange of a thief, who has read the slot before. */
	int64_t top = atomic_load_explicit(&deque->top, memory_order_acquire);

	if (bottom - top > deque->mask)
		return false;
	/* Relaxed: `bottom` publishes it. */
	atomic_store_explicit(&deque->slots[bottom & deque->mask], job,
			      memory_order_relaxed);
	/* Release: pairs with the load in shunt_deque_steal(), for the slot and the job. */
	atomic_store_explicit(&deque->bottom, bottom + 1, memory_order_release);
	return true;
}

/* By its owner: the newest job; NULL: there is none. */
static inline void *shunt_deque_take(struct shunt_deque *deque)
{
	int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed) - 1;
	int64_t top;
	void *job;

	/*
	 * Sequential, both: pairs with the two loads in shunt_deque_steal(). Either the
	 * thief sees that we want this job, or we see that it has it.
	 */
	atomic_store_explicit(&deque->bottom, bottom, memory_order_seq_cst);
	top = atomic_load_explicit(&deque->top, memory_order_seq_cst);
	if (top < bottom)
		return atomic_load_explicit(&deque->slots[bottom & deque->mask],
					    memory_order_relaxed);
	job = NULL;
	if (top == bottom) {
		job = atomic_load_explicit(&deque->slots[bottom & deque->mask],
					   memory_order_relaxed);
		/* The last one. Sequential: pairs with the exchange of a thief. */
		if (!atomic_compare_exchange_strong_explicit(&deque->top, &top, top + 1,
							     memory_order_seq_cst,
							     memory_order_relaxed))
			job = NULL;
	}
	/* Release: a thief that reads this instead of what push wrote sees as much. */
	atomic_store_explicit(&deque->bottom, bottom + 1, memory_order_release);
	return job;
}

/* By anybody: the oldest job; NULL: there is none, or another one was faster (*again). */
static inline void *shunt_deque_steal(struct shunt_deque *deque, bool *again)
{
	/* Sequential, both: pairs with the store and the load in shunt_deque_take(). */
	int64_t top = atomic_load_explicit(&deque->top, memory_order_seq_cst);
	int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_seq_cst);
	void *job;

	*again = false;
	if (top >= bottom)
		return NULL;
	/* Relaxed: if it is overwritten meanwhile, the exchange fails. */
	job = atomic_load_explicit(&deque->slots[top & deque->mask],
				   memory_order_relaxed);
	/* Sequential: pairs with the same here and in take, and with the load in push. */
	if (atomic_compare_exchange_strong_explicit(&deque->top, &top, top + 1,
						    memory_order_seq_cst,
						    memory_order_relaxed))
		return job;
	*again = true;
	return NULL;
}

/* How many are in it, about. */
static inline uint32_t shunt_deque_fill(const struct shunt_deque *deque)
{
	/* Relaxed: a figure. */
	int64_t top = atomic_load_explicit(&deque->top, memory_order_relaxed);
	int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);

	return bottom > top ? (uint32_t)(bottom - top) : 0;
}

/* --- a pool of workers ------------------------------------------------------------------ */

#define SHUNT_STEAL_WORKERS 64u
#define SHUNT_STEAL_SLOTS 1024u /* jobs that a worker may have waiting, unless told */

struct shunt_steal;

struct shunt_steal_opts {
	size_t sz;
	uint32_t workers; /* 1 … SHUNT_STEAL_WORKERS */
	uint32_t slots;	  /* a power of two */
	bool alone;	  /* nobody steals: for comparison */
	void *context;
	/* Runs a job for a worker, which may submit more. 0, or -errno, which ends them. */
	int (*run)(void *context, uint32_t worker, void *job, struct shunt_err *err);
};

SHUNT_MUST_CHECK int shunt_steal_open(struct shunt_steal **pool,
				      const struct shunt_steal_opts *opts,
				      struct shunt_err *err);

/* Jobs that still wait are nobody's. NULL is fine. */
void shunt_steal_close(struct shunt_steal *pool);

/*
 * By the thread of that worker (before the workers are started: by who starts them). How
 * many it took, from the front; wakes one who sleeps.
 */
uint32_t shunt_steal_submit(struct shunt_steal *pool, uint32_t worker,
			    void *const *jobs, uint32_t n);

/* The task of a worker; the pool must outlive it. */
struct shunt_task shunt_steal_task(struct shunt_steal *pool, uint32_t worker);

struct shunt_steal_stats {
	uint64_t run;	  /* jobs that it ran */
	uint64_t stolen;  /* of these, those of others */
	uint64_t lost;	  /* tries in which another thief was faster */
	uint64_t woken;	  /* sleepers that it woke */
	uint64_t refused; /* jobs that found no room */
};

/* May be asked while they work. */
void shunt_steal_stats(const struct shunt_steal *pool, uint32_t worker,
		       struct shunt_steal_stats *stats);
