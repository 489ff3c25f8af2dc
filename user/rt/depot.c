/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/rt/depot.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/rt/check.h"
#include "user/rt/core.h"

#define CACHE_SHARE 8u	/* a cache holds an eighth of all numbers at most … */
#define CACHE_LEAST 16u /* … or none: it would be refilled all the time */
#define PATIENCE 100u	/* looks at a busy owner before somebody else may run */

static int barrier(int command)
{
	return (int)syscall(SYS_membarrier, command, 0, 0);
}

/* --- the stack ------------------------------------------------------------------------ */

/* Opens this thread's cache again, if another has closed it. */
static void open_cache(struct shunt_depot *depot)
{
	unsigned int mine = shunt_thread_number();
	struct shunt_depot_cache *cache;

	if (mine == SHUNT_THREADS)
		return;
	cache = &depot->caches[mine];
	/* Acquire: pairs with the release in close_cache(): it is empty. */
	if (atomic_load_explicit(&cache->state, memory_order_acquire) ==
	    SHUNT_DEPOT_CLOSED)
		/* Release: who closes it next sees that it was. */
		atomic_store_explicit(&cache->state, SHUNT_DEPOT_OPEN,
				      memory_order_release);
}

/* Is it worth having caches, with so many on the stack? */
static bool is_plenty(const struct shunt_depot *depot)
{
	return depot->n >= 2 * depot->cache_max;
}

static uint32_t take(struct shunt_depot *depot, uint32_t *to, uint32_t n, bool *plenty)
{
	pthread_mutex_lock(&depot->lock);
	if (n > depot->n)
		n = depot->n;
	depot->n -= n;
	memcpy(to, depot->free + depot->n, n * sizeof(*to));
	*plenty = is_plenty(depot);
	pthread_mutex_unlock(&depot->lock);
	return n;
}

static bool give(struct shunt_depot *depot, const uint32_t *from, uint32_t n)
{
	bool plenty;

	pthread_mutex_lock(&depot->lock);
	assert(n <= depot->total - depot->n); /* else one was given back twice */
	memcpy(depot->free + depot->n, from, n * sizeof(*from));
	depot->n += n;
	plenty = is_plenty(depot);
	pthread_mutex_unlock(&depot->lock);
	return plenty;
}

/* --- closing caches ------------------------------------------------------------------- */

static bool is_worth_closing(const struct shunt_depot_cache *cache)
{
	/* Relaxed: hints. A busy owner may be about to fill it. */
	return (atomic_load_explicit(&cache->n, memory_order_relaxed) ||
		atomic_load_explicit(&cache->busy, memory_order_relaxed)) &&
	       atomic_load_explicit(&cache->state, memory_order_relaxed) ==
		       SHUNT_DEPOT_OPEN;
}

/* Waits until the owner has left, and takes what is in there. */
static void close_cache(struct shunt_depot *depot, struct shunt_depot_cache *cache)
{
	unsigned int looks = 0;
	uint32_t n;

	/* Sequential: pairs with shunt_depot_enter() and, as acquire, with ..._leave(). */
	while (atomic_load_explicit(&cache->busy, memory_order_seq_cst))
		if (++looks % PATIENCE)
			shunt_core_relax();
		else
			sched_yield();
	n = atomic_load_explicit(&cache->n, memory_order_relaxed);
	atomic_store_explicit(&cache->n, 0, memory_order_relaxed);
	give(depot, cache->free, n);
	/* Release: pairs with the acquire in open_cache(). */
	atomic_store_explicit(&cache->state, SHUNT_DEPOT_CLOSED, memory_order_release);
}

/* Has all that is cached come back to the stack. */
static void close_caches(struct shunt_depot *depot)
{
	uint64_t closing = 0;
	unsigned int i;

	pthread_mutex_lock(&depot->closing);
	for (i = 0; i < SHUNT_THREADS; i++) {
		if (!is_worth_closing(&depot->caches[i]))
			continue;
		closing |= UINT64_C(1) << i;
		/* Sequential: pairs with shunt_depot_enter(), before `busy` is read. */
		atomic_store_explicit(&depot->caches[i].state, SHUNT_DEPOT_CLOSING,
				      memory_order_seq_cst);
	}
	if (closing && !depot->fenced)
		barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	for (; closing; closing &= closing - 1)
		close_cache(depot, &depot->caches[__builtin_ctzll(closing)]);
	pthread_mutex_unlock(&depot->closing);
}

/* Up to n numbers, wherever they are; not between enter and leave. */
static uint32_t find(struct shunt_depot *depot, uint32_t *to, uint32_t n)
{
	bool plenty;
	uint32_t got = take(depot, to, n, &plenty);
	unsigned int i;

	if (plenty)
		open_cache(depot);
	for (i = 0; got < n && i < SHUNT_THREADS; i++)
		if (is_worth_closing(&depot->caches[i])) {
			close_caches(depot);
			return got + take(depot, to + got, n - got, &plenty);
		}
	return got;
}

/* --- when a cache is empty, full, or closed -------------------------------------------- */

uint32_t shunt_depot_get_more(struct shunt_depot *depot,
			      struct shunt_depot_cache *cache, uint32_t *to, uint32_t n)
{
	uint32_t have, some, done = 0;
	bool plenty;

	have = cache ? shunt_depot_cached(cache) : 0;
	while (cache) {
		some = n - done < have ? n - done : have;
		have -= some;
		memcpy(to + done, cache->free + have, some * sizeof(*to));
		done += some;
		if (done < n)
			have = take(depot, cache->free, depot->cache_max / 2, &plenty);
		if (done == n || !have) {
			shunt_depot_set_cached(cache, have);
			shunt_depot_leave(cache);
			break;
		}
	}
	return done < n ? done + find(depot, to + done, n - done) : done;
}

void shunt_depot_put_more(struct shunt_depot *depot, struct shunt_depot_cache *cache,
			  const uint32_t *from, uint32_t n)
{
	uint32_t have, some, half = depot->cache_max / 2;

	if (!cache) {
		if (give(depot, from, n))
			open_cache(depot);
		return;
	}
	have = shunt_depot_cached(cache);
	for (;;) {
		some = depot->cache_max - have < n ? depot->cache_max - have : n;
		memcpy(cache->free + have, from, some * sizeof(*from));
		have += some;
		from += some;
		n -= some;
		if (!n)
			break;
		have -= half;
		give(depot, cache->free + have, half);
	}
	shunt_depot_set_cached(cache, have);
	shunt_depot_leave(cache);
}

/* --- opening --------------------------------------------------------------------------- */

static struct shunt_depot *make(uint32_t total)
{
	struct shunt_depot *depot = aligned_alloc(SHUNT_CORE_APART, sizeof(*depot));
	size_t bytes = SHUNT_THREADS * sizeof(*depot->caches);

	if (!depot)
		return NULL;
	memset(depot, 0, sizeof(*depot));
	pthread_mutex_init(&depot->lock, NULL);
	pthread_mutex_init(&depot->closing, NULL);
	depot->caches = aligned_alloc(SHUNT_CORE_APART, bytes);
	depot->free = calloc(total, sizeof(*depot->free));
	depot->out = SHUNT_CHECK ? calloc(total, 1) : NULL;
	if (!depot->caches || !depot->free || (SHUNT_CHECK && !depot->out)) {
		shunt_depot_close(depot);
		return NULL;
	}
	memset(depot->caches, 0, bytes);
	return depot;
}

int shunt_depot_open(struct shunt_depot **out, uint32_t total, struct shunt_err *err)
{
	struct shunt_depot *depot = make(total);
	uint32_t i, share = total / CACHE_SHARE / 2 * 2;

	*out = depot;
	if (!depot)
		return shunt_fail_errno(err, -ENOMEM, "make a depot of %u", total);
	depot->total = total;
	depot->cache_max = share > SHUNT_DEPOT_CACHE ? SHUNT_DEPOT_CACHE
			   : share < CACHE_LEAST     ? 0
						     : share;
	depot->fenced = barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) < 0;
	for (i = 0; i < total; i++)
		depot->free[i] = total - 1 - i;
	depot->n = total;
	return 0;
}

void shunt_depot_close(struct shunt_depot *depot)
{
	if (!depot)
		return;
	pthread_mutex_destroy(&depot->lock);
	pthread_mutex_destroy(&depot->closing);
	free(depot->caches);
	free(depot->free);
	free(depot->out);
	free(depot);
}

uint32_t shunt_depot_count(struct shunt_depot *depot)
{
	uint32_t sum, i;

	pthread_mutex_lock(&depot->lock);
	sum = depot->n;
	pthread_mutex_unlock(&depot->lock);
	for (i = 0; i < SHUNT_THREADS; i++)
		sum += atomic_load_explicit(&depot->caches[i].n, memory_order_relaxed);
	return sum;
}

void shunt_depot_note(struct shunt_depot *depot, const uint32_t *numbers, uint32_t n,
		      bool out)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		uint8_t was;

		assert(numbers[i] < depot->total);
		/* Relaxed: a number changes hands by other means. */
		was = atomic_exchange_explicit(&depot->out[numbers[i]], out,
					       memory_order_relaxed);
		assert(was != out); /* else it is taken, or given back, twice */
	}
}
