/* SPDX-License-Identifier: BSD-2-Clause */
/* Workers: what they run, when they sleep, what wakes them, and how they end. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "user/base/clock.h"
#include "user/rt/worker.h"

#define DEADLINE_NS 20000000000u /* on a busy machine, under a sanitizer */

/* Waits until the condition holds; fails the test when it never does. */
#define await(condition)                                                               \
	do {                                                                           \
		uint64_t end_ = shunt_now_ns() + DEADLINE_NS;                          \
		while (!(condition)) {                                                 \
			assert_true(shunt_now_ns() < end_);                            \
			sched_yield();                                                 \
		}                                                                      \
	} while (0)

/* A task that takes a number from an eventfd, and notes where it was run. */
struct job {
	int fd;
	_Atomic uint64_t taken;
	_Atomic uint64_t runs;
	_Atomic int error; /* 0, or what run returns from now on */
	_Atomic bool pending;
	bool offers; /* wait() makes work that no descriptor tells of */
	_Atomic uint64_t offered;
	uint64_t due;
	_Atomic int core;
	_Atomic bool blocks;
	char thread[16];
};

static int job_run(void *self, struct shunt_err *err)
{
	struct job *job = self;
	uint64_t n = 0;
	sigset_t mask;

	job->core = sched_getcpu();
	pthread_getname_np(pthread_self(), job->thread, sizeof(job->thread));
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	job->blocks = sigismember(&mask, SIGTERM) == 1;
	job->runs++;
	if (job->error)
		return shunt_fail(err, job->error, "broken on purpose");
	if (atomic_exchange(&job->pending, false))
		n = 1;
	else if (job->fd < 0 || read(job->fd, &n, sizeof(n)) != sizeof(n))
		return 0;
	job->taken += n;
	return (int)n;
}

static unsigned int job_wait(void *self, struct pollfd *fds, unsigned int max)
{
	struct job *job = self;

	if (job->offers && job->offered < 1000) {
		job->offered++;
		job->pending = true;
	}
	if (job->fd < 0 || !max)
		return 0;
	fds[0] = (struct pollfd){ .fd = job->fd, .events = POLLIN };
	return 1;
}

static uint64_t job_due(void *self)
{
	struct job *job = self;

	return job->due ? shunt_now_ns() + job->due : UINT64_MAX;
}

static void job_send(struct job *job, uint64_t n)
{
	assert_int_equal(write(job->fd, &n, sizeof(n)), sizeof(n));
}

#define JOB_TASK(job)                                                                  \
	{                                                                              \
		.name = "job", .self = (job), .run = job_run, .wait = job_wait,        \
		.due = job_due                                                         \
	}

static struct shunt_workers *start(const struct shunt_worker_opts *opts, size_t n)
{
	struct shunt_workers *workers;
	struct shunt_err err = { 0 };

	if (shunt_workers_start(&workers, opts, n, &err))
		fail_msg("%s", err.message);
	return workers;
}

static struct shunt_workers *start_job(struct job *job, enum shunt_wait wait)
{
	struct shunt_task task = JOB_TASK(job);
	struct shunt_worker_opts opts = { .sz = sizeof(opts),
					  .name = "one",
					  .core = SHUNT_WORKER_ANY,
					  .wait = wait,
					  .tasks = &task,
					  .count = 1 };

	return start(&opts, 1);
}

static struct shunt_worker_time time_of(const struct shunt_workers *workers, size_t i)
{
	struct shunt_worker_time time;

	shunt_worker_time(workers, i, &time);
	return time;
}

static void works_and_counts(enum shunt_wait wait)
{
	struct job job = { .fd = eventfd(0, EFD_NONBLOCK) };
	struct shunt_workers *workers = start_job(&job, wait);
	struct shunt_worker_time time;
	uint64_t i;

	for (i = 1; i <= 300; i++) {
		job_send(&job, 2);
		await(job.taken == 2 * i);
	}
	await((time = time_of(workers, 0)).work == 600);
	assert_int_equal(time.bursts, 300);
	assert_true(time.cpu_ns > 0);
	if (wait == SHUNT_WAIT_SPIN)
		assert_int_equal(time.sleeps, 0);
	assert_int_equal(shunt_workers_stop(workers, NULL), 0);
	close(job.fd);
}

static void adaptive_works(void **state)
{
	(void)state;
	works_and_counts(SHUNT_WAIT_ADAPTIVE);
}

static void polling_works(void **state)
{
	(void)state;
	works_and_counts(SHUNT_WAIT_POLL);
}

static void spinning_works_and_never_sleeps(void **state)
{
	(void)state;
	works_and_counts(SHUNT_WAIT_SPIN);
}

static void without_work_no_task_is_run(enum shunt_wait wait)
{
	struct job job = { .fd = eventfd(0, EFD_NONBLOCK) };
	struct shunt_workers *workers = start_job(&job, wait);
	uint64_t runs, spins;
	int i;

	/* From here on it is in poll(), or on its way there. */
	await(time_of(workers, 0).sleeps == 1);
	runs = job.runs;
	spins = time_of(workers, 0).spins;
	for (i = 0; i < 2000; i++)
		sched_yield();
	assert_int_equal(job.runs, runs);
	assert_int_equal(time_of(workers, 0).spins, spins);
	assert_int_equal(time_of(workers, 0).sleeps, 1);

	job_send(&job, 1);
	await(time_of(workers, 0).sleeps == 2);
	assert_int_equal(job.taken, 1);
	assert_int_equal(shunt_workers_stop(workers, NULL), 0);
	close(job.fd);
}

static void adaptive_sleeps(void **state)
{
	(void)state;
	without_work_no_task_is_run(SHUNT_WAIT_ADAPTIVE);
}

static void polling_sleeps(void **state)
{
	(void)state;
	without_work_no_task_is_run(SHUNT_WAIT_POLL);
}

static void work_that_comes_while_asking_is_not_slept_over(void **state)
{
	struct job job = { .fd = -1, .offers = true };
	struct shunt_workers *workers = start_job(&job, SHUNT_WAIT_POLL);

	(void)state;
	await(job.taken == 1000);
	await(time_of(workers, 0).sleeps == 1);
	assert_int_equal(shunt_workers_stop(workers, NULL), 0);
}

static void what_is_due_runs_without_a_descriptor(void **state)
{
	struct job job = { .fd = -1, .due = 100000 };
	struct shunt_workers *workers = start_job(&job, SHUNT_WAIT_POLL);

	(void)state;
	await(job.runs >= 50);
	assert_true(time_of(workers, 0).sleeps >= 10);
	assert_int_equal(shunt_workers_stop(workers, NULL), 0);
}

static void each_is_pinned_and_named(void **state)
{
	struct job jobs[2] = { { .fd = -1, .core = -1 }, { .fd = -1, .core = -1 } };
	struct shunt_task tasks[2] = { JOB_TASK(&jobs[0]), JOB_TASK(&jobs[1]) };
	struct shunt_worker_opts opts[2];
	struct shunt_workers *workers;
	cpu_set_t usable;
	int i, core = -1;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(usable), &usable), 0);
	for (i = 0; i < 2; i++) {
		do
			core = (core + 1) % CPU_SETSIZE;
		while (!CPU_ISSET(core, &usable));
		opts[i] = (struct shunt_worker_opts){
			.sz = sizeof(opts[i]),
			.name = i ? "a-name-that-is-too-long" : "first",
			.core = core,
			.wait = SHUNT_WAIT_SPIN,
			.tasks = &tasks[i],
			.count = 1
		};
	}
	workers = start(opts, 2);
	await(jobs[0].runs > 100 && jobs[1].runs > 100);
	assert_int_equal(shunt_workers_stop(workers, NULL), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(jobs[i].core, opts[i].core);
	assert_string_equal(jobs[0].thread, "first");
	assert_string_equal(jobs[1].thread, "a-name-that-is-");
	assert_true(jobs[0].blocks);
}

static void a_core_that_is_not_there_starts_none(int core)
{
	struct job job = { .fd = -1 };
	struct shunt_task task = JOB_TASK(&job);
	struct shunt_worker_opts opts[2] = {
		{ .sz = sizeof(opts[0]),
		  .core = SHUNT_WORKER_ANY,
		  .wait = SHUNT_WAIT_SPIN,
		  .tasks = &task,
		  .count = 1 },
		{ .sz = sizeof(opts[0]), .name = "far", .core = core },
	};
	struct shunt_workers *workers = (void *)&job;
	struct shunt_err err = { 0 };

	assert_int_equal(shunt_workers_start(&workers, opts, 2, &err), -EINVAL);
	assert_null(workers);
	assert_int_equal(job.runs, 0);
	assert_non_null(strstr(err.message, "worker far: core "));
	assert_non_null(strstr(err.message, "it may use 0"));
}

static void a_wrong_core_is_an_error(void **state)
{
	(void)state;
	a_core_that_is_not_there_starts_none(CPU_SETSIZE - 1);
	a_core_that_is_not_there_starts_none(CPU_SETSIZE + 5);
	a_core_that_is_not_there_starts_none(-7);
}

static void the_first_error_ends_all_and_keeps_its_sentence(void **state)
{
	struct job jobs[3] = { { .fd = -1 }, { .fd = -1 }, { .fd = -1 } };
	struct shunt_task tasks[3] = { JOB_TASK(&jobs[0]), JOB_TASK(&jobs[1]),
				       JOB_TASK(&jobs[2]) };
	struct shunt_worker_opts opts[3];
	struct shunt_workers *workers;
	struct shunt_worker_time time;
	struct shunt_err err = { 0 };
	struct pollfd ended = { .events = POLLIN };
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		opts[i] = (struct shunt_worker_opts){ .sz = sizeof(opts[i]),
						      .name = i == 1 ? "mid" : "other",
						      .core = SHUNT_WORKER_ANY,
						      .wait = i == 1 ? SHUNT_WAIT_SPIN
								     : SHUNT_WAIT_POLL,
						      .tasks = &tasks[i],
						      .count = 1 };
	workers = start(opts, 3);
	await(time_of(workers, 0).sleeps && time_of(workers, 2).sleeps);
	ended.fd = shunt_workers_fd(workers);
	assert_int_equal(poll(&ended, 1, 0), 0);
	jobs[1].error = -EPIPE;
	assert_int_equal(poll(&ended, 1, 20000), 1);
	/* Times of threads that have ended can still be read. */
	for (i = 0; i < 3; i++) {
		time = time_of(workers, i);
		assert_true(time.cpu_ns > 0);
	}
	assert_int_equal(shunt_workers_stop(workers, &err), -EPIPE);
	assert_string_equal(err.message, "worker mid: job: broken on purpose");
}

/* Fails once another worker has. */
static int fail_late(void *self, struct shunt_err *err)
{
	struct pollfd ended = { .fd = *(_Atomic int *)self, .events = POLLIN };

	if (ended.fd < 0 || poll(&ended, 1, 20000) != 1)
		return 0;
	return shunt_fail(err, -EIO, "broken as well");
}

static void a_later_error_does_not_replace_the_first(void **state)
{
	struct job job = { .fd = -1 };
	_Atomic int ended = -1;
	struct shunt_task tasks[2] = {
		{ .name = "late", .self = &ended, .run = fail_late }, JOB_TASK(&job)
	};
	struct shunt_worker_opts opts[2];
	struct shunt_workers *workers;
	struct shunt_err err = { 0 };
	struct pollfd fd = { .events = POLLIN };
	int i;

	(void)state;
	for (i = 0; i < 2; i++)
		opts[i] = (struct shunt_worker_opts){ .sz = sizeof(opts[i]),
						      .name = "w",
						      .core = SHUNT_WORKER_ANY,
						      .wait = SHUNT_WAIT_SPIN,
						      .tasks = &tasks[i],
						      .count = 1 };
	workers = start(opts, 2);
	ended = fd.fd = shunt_workers_fd(workers);
	await(time_of(workers, 1).spins > 1000);
	job.error = -EPIPE;
	assert_int_equal(poll(&fd, 1, 20000), 1);
	assert_int_equal(shunt_workers_stop(workers, &err), -EPIPE);
	assert_string_equal(err.message, "worker w: job: broken on purpose");
}

static void stopping_wakes_sleepers(void **state)
{
	struct job jobs[4] = { { .fd = -1 }, { .fd = -1 }, { .fd = -1 }, { .fd = -1 } };
	struct shunt_task tasks[4];
	struct shunt_worker_opts opts[4];
	struct shunt_workers *workers;
	int i, round;

	(void)state;
	for (round = 0; round < 50; round++) {
		for (i = 0; i < 4; i++) {
			tasks[i] = (struct shunt_task)JOB_TASK(&jobs[i]);
			opts[i] = (struct shunt_worker_opts){ .sz = sizeof(opts[i]),
							      .core = SHUNT_WORKER_ANY,
							      .tasks = &tasks[i],
							      .count = 1 };
		}
		workers = start(opts, 4);
		if (round % 2)
			for (i = 0; i < 4; i++)
				await(time_of(workers, i).sleeps);
		alarm(20); /* a sleeper that nothing wakes ends the test */
		assert_int_equal(shunt_workers_stop(workers, NULL), 0);
		alarm(0);
	}
}

static void a_closed_descriptor_is_an_error(void **state)
{
	struct job job = { .fd = 1 << 20 }; /* beyond what may be open */
	struct shunt_workers *workers = start_job(&job, SHUNT_WAIT_POLL);
	struct pollfd ended = { .fd = shunt_workers_fd(workers), .events = POLLIN };
	struct shunt_err err = { 0 };

	(void)state;
	assert_int_equal(poll(&ended, 1, 20000), 1);
	assert_int_equal(shunt_workers_stop(workers, &err), -EBADF);
	assert_string_equal(err.message, "worker one: a task waits for descriptor "
					 "1048576, which is not open");
}

static void nothing_is_stopped_at_once(void **state)
{
	(void)state;
	assert_int_equal(shunt_workers_stop(NULL, NULL), 0);
	assert_int_equal(shunt_workers_stop(start(NULL, 0), NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adaptive_works),
		cmocka_unit_test(polling_works),
		cmocka_unit_test(spinning_works_and_never_sleeps),
		cmocka_unit_test(adaptive_sleeps),
		cmocka_unit_test(polling_sleeps),
		cmocka_unit_test(work_that_comes_while_asking_is_not_slept_over),
		cmocka_unit_test(what_is_due_runs_without_a_descriptor),
		cmocka_unit_test(each_is_pinned_and_named),
		cmocka_unit_test(a_wrong_core_is_an_error),
		cmocka_unit_test(the_first_error_ends_all_and_keeps_its_sentence),
		cmocka_unit_test(a_later_error_does_not_replace_the_first),
		cmocka_unit_test(stopping_wakes_sleepers),
		cmocka_unit_test(a_closed_descriptor_is_an_error),
		cmocka_unit_test(nothing_is_stopped_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
