/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/rt/steal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORTION 16u /* own jobs that a burst runs */

/* --- a deque ------------------------------------------------------------------------- */

int shunt_deque_open(struct shunt_deque *deque, uint32_t slots, struct shunt_err *err)
{
	*deque = (struct shunt_deque){ 0 };
	if (!slots || slots & (slots - 1))
		return shunt_fail(err, -EINVAL,
				  "a deque of %u jobs: it takes a power of two", slots);
	deque->slots = calloc(slots, sizeof(*deque->slots));
	if (!deque->slots)
		return shunt_fail_errno(err, -ENOMEM, "make a deque of %u jobs", slots);
	deque->mask = (int64_t)slots - 1;
	return 0;
}

void shunt_deque_close(struct shunt_deque *deque)
{
	free((void *)deque->slots);
	deque->slots = NULL;
}

/* --- a pool ---------------------------------------------------------------------------- */

struct member {
	struct shunt_deque deque;
	struct shunt_bell bell;

	/* the worker's alone */
	_Alignas(SHUNT_CORE_APART) struct shunt_steal *pool;
	uint32_t number;
	uint32_t random;
	bool idle; /* its bit is, or was, set */
	shunt_metric run, stolen, lost, woken, refused;
};

struct shunt_steal {
	struct shunt_steal_opts opts;
	struct member *member;
	/* Who sleeps, or is about to: a bit for each. */
	_Alignas(SHUNT_CORE_APART) _Atomic uint64_t idle;
};

int shunt_steal_open(struct shunt_steal **out, const struct shunt_steal_opts *given,
		     struct shunt_err *err)
{
	struct shunt_steal_opts opts = { 0 };
	struct shunt_steal *pool;
	uint32_t i;
	int ret = 0;

	*out = NULL;
	memcpy(&opts, given, given->sz < sizeof(opts) ? given->sz : sizeof(opts));
	if (!opts.workers || opts.workers > SHUNT_STEAL_WORKERS)
		return shunt_fail(err, -EINVAL,
				  "a pool of %u workers: there may be 1 to %u",
				  opts.workers, SHUNT_STEAL_WORKERS);
	if (!opts.slots)
		opts.slots = SHUNT_STEAL_SLOTS;
	pool = aligned_alloc(_Alignof(struct shunt_steal), sizeof(*pool));
	if (!pool)
		return shunt_fail_errno(err, -ENOMEM, "make a pool of workers");
	memset(pool, 0, sizeof(*pool));
	pool->opts = opts;
	pool->member = aligned_alloc(_Alignof(struct member),
				     opts.workers * sizeof(*pool->member));
	if (!pool->member)
		ret = shunt_fail_errno(err, -ENOMEM, "make a pool of workers");
	else
		memset(pool->member, 0, opts.workers * sizeof(*pool->member));
	for (i = 0; i < opts.workers && !ret; i++)
		pool->member[i].bell.fd = -1;
	for (i = 0; i < opts.workers && !ret; i++) {
		pool->member[i].pool = pool;
		pool->member[i].number = i;
		pool->member[i].random = 2 * i + 1;
		ret = shunt_bell_open(&pool->member[i].bell, err)
			      ?: shunt_deque_open(&pool->member[i].deque, opts.slots,
						  err);
	}
	if (ret) {
		shunt_steal_close(pool);
		return ret;
	}
	*out = pool;
	return 0;
}

void shunt_steal_close(struct shunt_steal *pool)
{
	uint32_t i;

	if (!pool)
		return;
	for (i = 0; pool->member && i < pool->opts.workers; i++) {
		if (pool->member[i].bell.fd >= 0)
			shunt_bell_close(&pool->member[i].bell);
		shunt_deque_close(&pool->member[i].deque);
	}
	free(pool->member);
	free(pool);
}

/* --- waking ------------------------------------------------------------------------------ */

/*
 * Wakes one who sleeps, if there is one. As with a bell, both sides exchange the same
 * word: a worker sets its bit, then looks for jobs once more; here the job is there first,
 * and then the bits are read. Whichever exchange comes second sees what the other did.
 */
static void wake_one(struct shunt_steal *pool, struct member *me)
{
	uint64_t mine = UINT64_C(1) << me->number, bit;
	/* Acquire, release: pairs with the same in wait(). */
	uint64_t idle =
		atomic_fetch_or_explicit(&pool->idle, 0, memory_order_acq_rel) & ~mine;

	for (; idle; idle &= idle - 1) {
		bit = idle & -idle;
		/* Acquire, release: as above; who clears the bit wakes it. */
		if (!(atomic_fetch_and_explicit(&pool->idle, ~bit,
						memory_order_acq_rel) &
		      bit))
			continue;
		shunt_bell_ring(&pool->member[__builtin_ctzll(bit)].bell);
		shunt_metric_add(&me->woken, 1);
		return;
	}
}

uint32_t shunt_steal_submit(struct shunt_steal *pool, uint32_t worker,
			    void *const *jobs, uint32_t n)
{
	struct member *me = &pool->member[worker];
	uint32_t i;

	for (i = 0; i < n && shunt_deque_push(&me->deque, jobs[i]); i++)
		;
	if (i < n)
		shunt_metric_add(&me->refused, n - i);
	if (i && !pool->opts.alone)
		wake_one(pool, me);
	return i;
}

/* --- the task ----------------------------------------------------------------------------- */

/* xorshift (Marsaglia, 2003): good enough to have thieves begin at different places. */
static uint32_t random_of(struct member *me)
{
	me->random ^= me->random << 13;
	me->random ^= me->random >> 17;
	me->random ^= me->random << 5;
	return me->random;
}

/* A job of somebody else; who has more of them has another one woken. */
static void *steal(struct member *me)
{
	struct shunt_steal *pool = me->pool;
	uint32_t n = pool->opts.workers, first = random_of(me) % n, i;
	bool again, lost = false;
	void *job;

	do {
		lost = false;
		for (i = 0; i < n; i++) {
			struct member *other = &pool->member[(first + i) % n];

			if (other == me)
				continue;
			job = shunt_deque_steal(&other->deque, &again);
			if (job) {
				shunt_metric_add(&me->stolen, 1);
				if (shunt_deque_fill(&other->deque))
					wake_one(pool, me);
				return job;
			}
			lost |= again;
		}
		if (lost)
			shunt_metric_add(&me->lost, 1);
	} while (lost);
	return NULL;
}

static int run(void *self, struct shunt_err *err)
{
	struct member *me = self;
	struct shunt_steal *pool = me->pool;
	int done = 0, ret;
	void *job;

	while (done < (int)PORTION) {
		job = shunt_deque_take(&me->deque);
		if (!job && !done && !pool->opts.alone)
			job = steal(me);
		if (!job)
			break;
		if (me->idle) /* awake; acquire, release: as in wake_one() */
			atomic_fetch_and_explicit(&pool->idle,
						  ~(UINT64_C(1) << me->number),
						  memory_order_acq_rel);
		me->idle = false;
		ret = pool->opts.run(pool->opts.context, me->number, job, err);
		if (ret)
			return ret;
		done++;
	}
	if (done)
		shunt_metric_add(&me->run, (uint64_t)done);
	return done;
}

static unsigned int wait(void *self, struct pollfd *fds, unsigned int max)
{
	struct member *me = self;

	if (!shunt_bell_listen(&me->bell, fds, max))
		return 0;
	me->idle = true;
	/* Acquire, release: pairs with the same in wake_one(). */
	atomic_fetch_or_explicit(&me->pool->idle, UINT64_C(1) << me->number,
				 memory_order_acq_rel);
	return 1;
}

struct shunt_task shunt_steal_task(struct shunt_steal *pool, uint32_t worker)
{
	return (struct shunt_task){
		.name = "steal", .self = &pool->member[worker], .run = run, .wait = wait
	};
}

void shunt_steal_stats(const struct shunt_steal *pool, uint32_t worker,
		       struct shunt_steal_stats *stats)
{
	const struct member *me = &pool->member[worker];

	*stats = (struct shunt_steal_stats){
		.run = shunt_metric_read(&me->run),
		.stolen = shunt_metric_read(&me->stolen),
		.lost = shunt_metric_read(&me->lost),
		.woken = shunt_metric_read(&me->woken),
		.refused = shunt_metric_read(&me->refused),
	};
}
