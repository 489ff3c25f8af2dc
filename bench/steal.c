/* SPDX-License-Identifier: BSD-2-Clause */
/* What work stealing gains under uneven load and costs under an even one. */

/*
 * Jobs are loops of known length. Three subjects run the same jobs on the same cores:
 *
 *     steal   each worker begins with an equal number of them in its deque (user/rt/steal.h)
 *     static  the same, but nobody steals: shared out once and for all
 *     mutex   one queue for all, under a pthread mutex, a job at a time
 *
 * An even load has jobs of one length. In an uneven one the first eighth of them is ten
 * times as long, and so with the first worker; in the last one all jobs are the first
 * worker's. The figure is the time from the start of all to the end of the last job; the
 * subjects take turns, round by round, and the ratio is the median over the rounds of ours
 * to the peer's.
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/options.h"
#include "bench/stat.h"
#include "user/rt/steal.h"

#define JOBS 8192u
#define WORKERS_MAX 16u

static struct {
	bool json, quick;
	unsigned int rounds, workers;
} opt = { .rounds = BENCH_ROUNDS_UNTOLD };

enum load { EVEN, UNEVEN, ONE, LOADS };
static const char *const loads[] = { "even", "uneven", "one worker's" };

enum subject { STEAL, STATIC, MUTEX, SUBJECTS };
static const char *const subjects[] = { "steal", "static", "mutex" };

static uint32_t jobs[JOBS]; /* turns of the loop */

/* What a worker has done, on a line of its own. */
static struct {
	_Alignas(SHUNT_CORE_APART) shunt_metric done;
	uint64_t sum; /* what the loops have come to, which has them be run */
} tally[WORKERS_MAX];

static struct shunt_steal *pool;
static struct {
	pthread_mutex_t lock;
	uint32_t next;
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- jobs ------------------------------------------------------------------------------ */

static int run_job(void *context, uint32_t worker, void *job, struct shunt_err *err)
{
	uint64_t x = worker;
	uint32_t i;

	(void)context;
	(void)err;
	for (i = *(uint32_t *)job; i; i--)
		x = x * 6364136223846793005u + 1442695040888963407u;
	tally[worker].sum += x;
	shunt_metric_add(&tally[worker].done, 1);
	return 0;
}

static bool all_done(void)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < opt.workers; i++)
		sum += shunt_metric_read(&tally[i].done);
	return sum == JOBS;
}

static void make_jobs(enum load load, uint32_t turns)
{
	uint32_t i;

	for (i = 0; i < JOBS; i++)
		jobs[i] = load == UNEVEN && i < JOBS / 8 ? 10 * turns : turns;
}

static void share_out(enum load load)
{
	uint32_t i, part = JOBS / opt.workers;

	for (i = 0; i < JOBS; i++) {
		uint32_t worker = load == ONE ? 0 : i / part;
		void *job = &jobs[i];

		if (worker >= opt.workers)
			worker = opt.workers - 1;
		if (shunt_steal_submit(pool, worker, &job, 1) != 1)
			abort(); /* there is room for all of them with each */
	}
}

/* --- workers ----------------------------------------------------------------------------- */

struct worker {
	uint32_t number;
	enum subject subject;
	pthread_barrier_t *ready;
	double from_ns, to_ns;
};

static void run_queue(uint32_t worker)
{
	uint32_t next;

	for (;;) {
		pthread_mutex_lock(&queue.lock);
		next = queue.next++;
		pthread_mutex_unlock(&queue.lock);
		if (next >= JOBS)
			return;
		run_job(NULL, worker, &jobs[next], NULL);
	}
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct shunt_task task = shunt_steal_task(pool, worker->number);
	struct shunt_err err;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((int)worker->number, &set);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	pthread_barrier_wait(worker->ready);
	worker->from_ns = bench_now_ns(CLOCK_MONOTONIC);
	if (worker->subject == MUTEX)
		run_queue(worker->number);
	else
		while (task.run(task.self, &err) > 0 ||
		       (worker->subject == STEAL && !all_done()))
			shunt_core_relax();
	worker->to_ns = bench_now_ns(CLOCK_MONOTONIC);
	return NULL;
}

static double time_one(enum subject subject, enum load load)
{
	struct shunt_steal_opts opts = { .sz = sizeof(opts),
					 .workers = opt.workers,
					 .slots = JOBS,
					 .alone = subject == STATIC,
					 .run = run_job };
	struct worker workers[WORKERS_MAX];
	pthread_t threads[WORKERS_MAX];
	pthread_barrier_t ready;
	struct shunt_err err;
	unsigned int i;
	double from = 0, to = 0;

	if (shunt_steal_open(&pool, &opts, &err)) {
		fprintf(stderr, "steal: %s\n", err.message);
		exit(1);
	}
	memset(tally, 0, sizeof(tally));
	queue.next = 0;
	if (subject != MUTEX)
		share_out(load);
	pthread_barrier_init(&ready, NULL, opt.workers);
	for (i = 0; i < opt.workers; i++) {
		workers[i] = (struct worker){ i, subject, &ready, 0, 0 };
		if (pthread_create(&threads[i], NULL, work, &workers[i])) {
			fprintf(stderr, "steal: no thread\n");
			exit(1);
		}
	}
	for (i = 0; i < opt.workers; i++) {
		pthread_join(threads[i], NULL);
		from = !i || workers[i].from_ns < from ? workers[i].from_ns : from;
		to = !i || workers[i].to_ns > to ? workers[i].to_ns : to;
	}
	if (!all_done()) {
		fprintf(stderr, "steal: %s has not run all jobs\n", subjects[subject]);
		exit(1);
	}
	pthread_barrier_destroy(&ready);
	shunt_steal_close(pool);
	return (to - from) / 1000;
}

/* --- rows ------------------------------------------------------------------------------------ */

static void print_row(enum load load, uint32_t turns, enum subject peer,
		      struct bench_stat ours, struct bench_stat theirs,
		      struct bench_stat ratio)
{
	if (opt.json)
		printf("{\"load\": \"%s\", \"turns\": %u, \"workers\": %u, \"peer\": "
		       "\"%s\", \"us\": %.1f, \"us_min\": %.1f, \"us_max\": %.1f, "
		       "\"peer_us\": %.1f, \"peer_us_min\": %.1f, \"peer_us_max\": "
		       "%.1f, \"ratio\": %.3f, \"ratio_min\": %.3f, \"ratio_max\": "
		       "%.3f}\n",
		       loads[load], turns, opt.workers, subjects[peer], ours.median,
		       ours.min, ours.max, theirs.median, theirs.min, theirs.max,
		       ratio.median, ratio.min, ratio.max);
	else
		printf("%-13s %6u %-7s %9.0f %9.0f %6.2f  %.2f..%.2f\n", loads[load],
		       turns, subjects[peer], ours.median, theirs.median, ratio.median,
		       ratio.min, ratio.max);
	fflush(stdout);
}

static void run_case(enum load load, uint32_t turns)
{
	double us[SUBJECTS][BENCH_SAMPLES], ratio[BENCH_SAMPLES];
	unsigned int round, i, s;

	make_jobs(load, turns);
	for (round = 0; round < opt.rounds + 1; round++)
		/* The first round warms up. */
		for (s = 0; s < SUBJECTS; s++)
			us[s][round ? round - 1 : 0] = time_one((enum subject)s, load);
	for (s = STATIC; s < SUBJECTS; s++) {
		for (i = 0; i < opt.rounds; i++)
			ratio[i] = us[STEAL][i] / us[s][i];
		print_row(load, turns, (enum subject)s,
			  bench_stat_of(us[STEAL], opt.rounds),
			  bench_stat_of(us[s], opt.rounds),
			  bench_stat_of(ratio, opt.rounds));
	}
}

static const struct bench_option options[] = {
	BENCH_OPTION("json", NULL, &opt.json),
	BENCH_OPTION("quick", NULL, &opt.quick),
	BENCH_OPTION("rounds", "N", &opt.rounds),
	{ NULL },
};

int main(int argc, char **argv)
{
	static const uint32_t lengths[] = { 100, 1000, 10000 };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int load, i;

	if (bench_options(argc, argv, options) != argc ||
	    !bench_rounds(&opt.rounds, opt.quick))
		return bench_usage("steal", options, NULL);
	opt.workers = cores < 2		    ? 2
		      : cores > WORKERS_MAX ? WORKERS_MAX
					    : (unsigned int)cores;
	if (!opt.json)
		printf("%-13s %6s %-7s %9s %9s %6s  %s\n", "load", "turns", "peer",
		       "us", "peer", "ratio", "range");
	for (load = 0; load < LOADS; load++)
		for (i = 0; i < sizeof(lengths) / sizeof(*lengths) - opt.quick; i++)
			run_case((enum load)load, lengths[i]);
	return 0;
}
