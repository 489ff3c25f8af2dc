/* SPDX-License-Identifier: BSD-2-Clause */
/* Jobs that workers steal from each other: each is run exactly once. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/model/random.h"
#include "user/base/clock.h"
#include "user/rt/steal.h"

#define DEADLINE_S 60 /* jobs that are lost end the test */
#define JOBS 200000u
#define THIEVES 3

static _Atomic uint8_t
	taken[JOBS]; /* how often a job was had; jobs are their addresses */

static void begin(void)
{
	uint32_t i;

	for (i = 0; i < JOBS; i++)
		atomic_init(&taken[i], 0);
}

static void have(void *job)
{
	atomic_fetch_add_explicit((_Atomic uint8_t *)job, 1, memory_order_relaxed);
}

static void check_once(void)
{
	uint32_t i;

	for (i = 0; i < JOBS; i++)
		if (atomic_load(&taken[i]) != 1)
			fail_msg("job %u was had %u times", i, atomic_load(&taken[i]));
}

/* --- a deque --------------------------------------------------------------------------- */

/* One thread alone: what comes out at either end is what a list says. */
static void a_deque_beside_a_model(void **state)
{
	struct shunt_random r = { .state = 3 };
	uint32_t first = 0, n = 0, step;
	struct shunt_deque deque;
	uint32_t list[64];
	bool again;
	void *job;

	(void)state;
	assert_int_equal(shunt_deque_open(&deque, 3, NULL), -EINVAL);
	assert_int_equal(shunt_deque_open(&deque, 16, NULL), 0);
	for (step = 0; step < 300000; step++) {
		switch (shunt_random_below(&r, 4)) {
		case 0:
		case 1:
			assert_int_equal(shunt_deque_push(&deque,
							  (void *)&taken[step % JOBS]),
					 n < 16);
			if (n < 16)
				list[(first + n++) % 64] = step % JOBS;
			break;
		case 2:
			job = shunt_deque_take(&deque);
			assert_ptr_equal(job,
					 n ? (void *)&taken[list[(first + n - 1) % 64]]
					   : NULL);
			n -= n > 0;
			break;
		default:
			job = shunt_deque_steal(&deque, &again);
			assert_false(again);
			assert_ptr_equal(job,
					 n ? (void *)&taken[list[first % 64]] : NULL);
			first += n > 0;
			n -= n > 0;
		}
		assert_int_equal(shunt_deque_fill(&deque), n);
	}
	shunt_deque_close(&deque);
}

static struct shunt_deque shared;
static _Atomic bool over;

static void *be_thief(void *arg)
{
	bool again;
	void *job;

	(void)arg;
	for (;;) {
		/* Acquire: pairs with the release below: nothing is pushed any more. */
		bool last = atomic_load_explicit(&over, memory_order_acquire);

		job = shunt_deque_steal(&shared, &again);
		if (job)
			have(job);
		else if (last && !again)
			return NULL;
	}
}

/* An owner that pushes and takes in bursts, and thieves, over few slots. */
static void thieves_and_an_owner_share_out_all(void **state)
{
	struct shunt_random r = { .state = 5 };
	pthread_t thieves[THIEVES];
	uint32_t next = 0, i;
	void *job;

	(void)state;
	begin();
	atomic_store(&over, false);
	assert_int_equal(shunt_deque_open(&shared, 8, NULL), 0);
	for (i = 0; i < THIEVES; i++)
		assert_int_equal(pthread_create(&thieves[i], NULL, be_thief, NULL), 0);
	while (next < JOBS) {
		for (i = shunt_random_below(&r, 12); i && next < JOBS; i--)
			next += shunt_deque_push(&shared, (void *)&taken[next]);
		for (i = shunt_random_below(&r, 12); i; i--) {
			job = shunt_deque_take(&shared);
			if (job)
				have(job);
		}
	}
	while ((job = shunt_deque_take(&shared)))
		have(job);
	/* Release: pairs with the acquire in be_thief(). */
	atomic_store_explicit(&over, true, memory_order_release);
	for (i = 0; i < THIEVES; i++)
		pthread_join(thieves[i], NULL);
	check_once();
	shunt_deque_close(&shared);
}

/* --- a pool ------------------------------------------------------------------------------ */

#define WORKERS 4u

static struct shunt_steal *pool;
static _Atomic uint32_t done;
/* By worker: the first of its jobs that it has not submitted, and their end. */
static struct {
	uint32_t next, end;
} part[WORKERS];

static int run_job(void *context, uint32_t worker, void *job, struct shunt_err *err)
{
	uint32_t number = (uint32_t)((_Atomic uint8_t *)job - taken);

	(void)context;
	(void)err;
	(void)worker;
	have(job);
	if (number % 4096 == 77)
		usleep(50); /* a long one: the others overtake this worker */
	atomic_fetch_add_explicit(&done, 1, memory_order_relaxed);
	return 0;
}

/* Submits what it has as there is room. */
static int feed(void *self, struct shunt_err *err)
{
	uint32_t worker = (uint32_t)(uintptr_t)self, n, i, took;
	void *jobs[24];

	(void)err;
	n = part[worker].end - part[worker].next;
	n = n < 24 ? n : 24;
	for (i = 0; i < n; i++)
		jobs[i] = (void *)&taken[part[worker].next + i];
	took = n ? shunt_steal_submit(pool, worker, jobs, n) : 0;
	part[worker].next += took;
	return (int)took;
}

/* All jobs begin with worker 0 (`even`: are shared out). */
static void run_pool(bool even, bool alone, enum shunt_wait wait)
{
	struct shunt_steal_opts opts = { .sz = sizeof(opts),
					 .workers = WORKERS,
					 .slots = 64,
					 .alone = alone,
					 .run = run_job };
	struct shunt_task tasks[WORKERS][2];
	struct shunt_worker_opts w[WORKERS];
	struct shunt_steal_stats stats;
	struct shunt_workers *workers;
	struct shunt_err err = { 0 };
	uint64_t run = 0, stolen = 0;
	uint32_t i;

	begin();
	atomic_store(&done, 0);
	if (shunt_steal_open(&pool, &opts, &err))
		fail_msg("%s", err.message);
	for (i = 0; i < WORKERS; i++) {
		part[i].next = even ? JOBS / WORKERS * i : 0;
		part[i].end = even ? JOBS / WORKERS * (i + 1) : i ? 0 : JOBS;
		tasks[i][0] = shunt_steal_task(pool, i);
		tasks[i][1] = (struct shunt_task){ .name = "feed",
						   .self = (void *)(uintptr_t)i,
						   .run = feed };
		w[i] = (struct shunt_worker_opts){ .sz = sizeof(w[i]),
						   .name = "worker",
						   .core = SHUNT_WORKER_ANY,
						   .wait = wait,
						   .tasks = tasks[i],
						   .count = 2 };
	}
	if (shunt_workers_start(&workers, w, WORKERS, &err))
		fail_msg("%s", err.message);
	while (atomic_load_explicit(&done, memory_order_relaxed) < JOBS)
		usleep(100);
	if (shunt_workers_stop(workers, &err))
		fail_msg("%s", err.message);
	check_once();
	for (i = 0; i < WORKERS; i++) {
		shunt_steal_stats(pool, i, &stats);
		run += stats.run;
		stolen += stats.stolen;
		if (!alone)
			continue;
		assert_int_equal(stats.run, even ? JOBS / WORKERS : i ? 0 : JOBS);
		assert_int_equal(stats.stolen, 0);
	}
	assert_int_equal(run, JOBS);
	/* Worker 0 sleeps in some of its jobs: somebody else has run others. */
	if (!even && !alone)
		assert_true(stolen > 0);
	shunt_steal_close(pool);
}

static void idle_workers_steal_from_a_busy_one(void **state)
{
	(void)state;
	run_pool(false, false, SHUNT_WAIT_POLL);
	run_pool(false, false, SHUNT_WAIT_ADAPTIVE);
}

static void an_even_load_is_run_once(void **state)
{
	(void)state;
	run_pool(true, false, SHUNT_WAIT_POLL);
}

static void alone_each_runs_its_own(void **state)
{
	(void)state;
	run_pool(false, true, SHUNT_WAIT_POLL);
	run_pool(true, true, SHUNT_WAIT_ADAPTIVE);
}

static int fail_job(void *context, uint32_t worker, void *job, struct shunt_err *err)
{
	(void)context;
	(void)job;
	return shunt_fail(err, -EIO, "worker %u: the disk is full", worker);
}

static void a_failing_job_ends_the_workers(void **state)
{
	struct shunt_steal_opts opts = { .sz = sizeof(opts),
					 .workers = 1,
					 .run = fail_job };
	struct shunt_worker_opts w = { .sz = sizeof(w),
				       .core = SHUNT_WORKER_ANY,
				       .count = 1 };
	struct shunt_workers *workers;
	void *job = (void *)&taken[0];
	struct pollfd ended;
	struct shunt_task task;
	struct shunt_err err;

	(void)state;
	assert_int_equal(shunt_steal_open(&pool, &opts, NULL), 0);
	assert_int_equal(shunt_steal_submit(pool, 0, &job, 1), 1);
	task = shunt_steal_task(pool, 0);
	w.tasks = &task;
	assert_int_equal(shunt_workers_start(&workers, &w, 1, NULL), 0);
	ended = (struct pollfd){ .fd = shunt_workers_fd(workers), .events = POLLIN };
	assert_int_equal(poll(&ended, 1, DEADLINE_S * 1000), 1);
	assert_int_equal(shunt_workers_stop(workers, &err), -EIO);
	assert_non_null(strstr(err.message, "the disk is full"));
	shunt_steal_close(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_deque_beside_a_model),
		cmocka_unit_test(thieves_and_an_owner_share_out_all),
		cmocka_unit_test(idle_workers_steal_from_a_busy_one),
		cmocka_unit_test(an_even_load_is_run_once),
		cmocka_unit_test(alone_each_runs_its_own),
		cmocka_unit_test(a_failing_job_ends_the_workers),
	};

	alarm(DEADLINE_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
