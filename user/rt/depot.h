/* SPDX-License-Identifier: BSD-2-Clause */
/* A depot: the numbers that are in nobody's hands, and a cache of them for each thread. */
#pragma once

/*
 *     thread ─ enter ─▶ its cache ─ refill, spill: half a cache ─▶ stack, under a lock
 *                           ▲
 *     a thread that finds the stack empty closes all caches and takes what they hold
 *
 * A thread has its cache to itself between enter and leave, without a locked instruction:
 * it says that it is busy, then looks whether the cache is closed. One that wants to close
 * it says so, has the kernel put a barrier into every running thread (membarrier(2)), and
 * waits until the owner isn't busy. That is slow, and only done when the stack is empty.
 * So no number is out of reach: neither what a thread cached that has ended, nor what one
 * caches that sleeps. While a cache is closed, its thread works on the stack; it opens the
 * cache again when there is plenty.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/rt/thread.h"
#include "user/rt/slots.h"

#define SHUNT_DEPOT_CACHE 512u /* numbers in a cache, at most */

enum shunt_depot_state {
	SHUNT_DEPOT_OPEN,    /* set by the owner alone, once it is closed */
	SHUNT_DEPOT_CLOSING, /* by the one who closes: the owner may still be busy */
	SHUNT_DEPOT_CLOSED,  /* by the one who has closed and emptied it */
};

struct shunt_depot_cache {
	_Alignas(SHUNT_SLOTS_APART) _Atomic uint32_t busy;
	_Atomic uint32_t state;
	_Atomic uint32_t
		n; /* read by others only as a hint, unless they have closed it */
	uint32_t free[SHUNT_DEPOT_CACHE];
};

struct shunt_depot {
	uint32_t total;
	uint32_t cache_max; /* what a cache holds; 0: too few numbers to cache any */
	bool fenced;	    /* no membarrier(2) here: owners pay for the barrier */
	struct shunt_depot_cache *caches; /* SHUNT_THREADS */
	_Atomic uint8_t *out; /* by number; checked builds only: who has it? */

	_Alignas(SHUNT_SLOTS_APART) pthread_mutex_t lock; /* of what follows */
	uint32_t n;
	uint32_t *free;

	pthread_mutex_t closing; /* one thread at a time closes caches */
};

/* With the numbers 0 … total - 1 in it. */
SHUNT_MUST_CHECK int shunt_depot_open(struct shunt_depot **depot, uint32_t total,
				      struct shunt_err *err);

/* NULL is fine. */
void shunt_depot_close(struct shunt_depot *depot);

/* How many are in it: exact while no other thread works on it. */
uint32_t shunt_depot_count(struct shunt_depot *depot);

/* --- the stack --------------------------------------------------------------------- */

/* Up to n numbers off the stack alone. */
uint32_t shunt_depot_take(struct shunt_depot *depot, uint32_t *to, uint32_t n);

/* Up to n numbers, wherever they are; not between enter and leave. */
uint32_t shunt_depot_find(struct shunt_depot *depot, uint32_t *to, uint32_t n);

/* Back on the stack. */
void shunt_depot_give(struct shunt_depot *depot, const uint32_t *from, uint32_t n);

/* --- a thread's cache --------------------------------------------------------------- */

/* Has numbers change hands, in checked builds: none is taken or given back twice. */
void shunt_depot_note(struct shunt_depot *depot, const uint32_t *numbers, uint32_t n,
		      bool out);

static inline void shunt_depot_leave(struct shunt_depot_cache *cache)
{
	/* Release: pairs with the acquire of who closes it (close_cache()). */
	atomic_store_explicit(&cache->busy, 0, memory_order_release);
}

/* The calling thread's cache, until it leaves it; NULL: work on the stack. */
static inline struct shunt_depot_cache *shunt_depot_enter(struct shunt_depot *depot)
{
	unsigned int mine = shunt_thread_number();
	struct shunt_depot_cache *cache;

	if (mine >= SHUNT_THREADS || !depot->cache_max)
		return NULL;
	cache = &depot->caches[mine];
	if (depot->fenced) /* Sequential: pairs with the same in close_cache(). */
		atomic_exchange_explicit(&cache->busy, 1, memory_order_seq_cst);
	else
		atomic_store_explicit(&cache->busy, 1, memory_order_relaxed);
	/* For the compiler; for the core, membarrier() in close_caches() does it. */
	atomic_signal_fence(memory_order_seq_cst);
	/* Sequential: as above, and it acquires what the one who closed it left. */
	if (atomic_load_explicit(&cache->state, memory_order_seq_cst) !=
	    SHUNT_DEPOT_OPEN) {
		shunt_depot_leave(cache);
		return NULL;
	}
	return cache;
}
