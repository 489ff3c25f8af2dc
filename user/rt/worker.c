/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/rt/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "user/base/clock.h"
#include "user/base/cleanup.h"
#include "user/rt/metric.h"
#include "user/rt/core.h"

#define NAME_BYTES 16  /* of a thread, in the kernel */
#define SLACK_NS 1000u /* by how much a sleep may be longer; the kernel's is 50 us */
#define CROWDED_NS 1000000u /* longest sleep when not all that is waited for had room */

struct worker {
	/* written by the worker alone, all the time */
	_Alignas(SHUNT_CORE_LINE) shunt_metric bursts;
	shunt_metric work;
	shunt_metric spins;
	shunt_metric sleeps;
	shunt_metric cpu_ns; /* of a thread that has ended */
	_Atomic bool ended;

	/* written before its tasks are run */
	_Alignas(SHUNT_CORE_LINE) struct shunt_workers *all;
	struct shunt_task *tasks;
	unsigned int count;
	enum shunt_wait wait;
	clockid_t clock;
	pthread_t thread;
	char name[NAME_BYTES];
	struct pollfd fds[SHUNT_WORKER_FDS + 1]; /* the first: stop_fd */
};

struct shunt_workers {
	_Atomic bool stop;
	int stop_fd; /* an eventfd that is never read: written once, it wakes them all */
	sem_t ready; /* each worker: its clock is set */
	sem_t go;    /* all are there: begin */
	size_t n;
	size_t started;
	pthread_mutex_t lock; /* for what follows */
	int first;	      /* the first error, and its sentence */
	struct shunt_err err;
	struct worker worker[];
};

static void stop_all(struct shunt_workers *workers)
{
	uint64_t one = 1;

	/* Relaxed: it says nothing about other memory; joining the threads does. */
	atomic_store_explicit(&workers->stop, true, memory_order_relaxed);
	if (write(workers->stop_fd, &one, sizeof(one)) != sizeof(one))
		return; /* its count is at the end: it is readable */
}

static bool is_stopped(const struct worker *worker)
{
	return atomic_load_explicit(&worker->all->stop, memory_order_relaxed);
}

/* --- a worker's thread ------------------------------------------------------------- */

static void keep_error(struct worker *worker, const char *task, int code,
		       struct shunt_err *err)
{
	struct shunt_workers *all = worker->all;

	pthread_mutex_lock(&all->lock);
	if (!all->first) {
		all->first = shunt_fail_in(err, code, "worker %s: %s%s", worker->name,
					   task ? task : "", task ? ": " : "");
		all->err = *err;
	}
	pthread_mutex_unlock(&all->lock);
	stop_all(all);
}

/* Runs each task once: how much work there was, or -errno. */
static int64_t run_tasks(struct worker *worker)
{
	struct shunt_err err;
	int64_t done = 0;
	unsigned int i;

	for (i = 0; i < worker->count; i++) {
		const struct shunt_task *task = &worker->tasks[i];
		int ret;

		err.message[0] = '\0';
		ret = task->run(task->self, &err);
		if (ret < 0) {
			if (!err.message[0])
				shunt_fail(&err, ret, "%s", strerror(-ret));
			keep_error(worker, task->name, ret, &err);
			return ret;
		}
		done += ret;
	}
	if (done) {
		shunt_metric_add(&worker->bursts, 1);
		shunt_metric_add(&worker->work, (uint64_t)done);
	}
	return done;
}

/* When a task is due, at the latest. */
static uint64_t next_due(const struct worker *worker)
{
	uint64_t next = UINT64_MAX;
	unsigned int i;

	for (i = 0; i < worker->count; i++) {
		const struct shunt_task *task = &worker->tasks[i];
		uint64_t due = task->due ? task->due(task->self) : UINT64_MAX;

		if (due < next)
			next = due;
	}
	return next;
}

/* Asks the tasks what to wait for; how many descriptors that makes, stop_fd included. */
static unsigned int ask_tasks(struct worker *worker, bool *crowded)
{
	unsigned int i, used = 1;

	worker->fds[0] =
		(struct pollfd){ .fd = worker->all->stop_fd, .events = POLLIN };
	*crowded = false;
	for (i = 0; i < worker->count; i++) {
		const struct shunt_task *task = &worker->tasks[i];
		unsigned int room = SHUNT_WORKER_FDS + 1 - used, n;

		if (!task->wait)
			continue;
		n = task->wait(task->self, worker->fds + used, room);
		*crowded |= n >= room;
		used += n < room ? n : room;
	}
	return used;
}

/* A closed descriptor would wake the worker for ever. */
static int check_fds(struct worker *worker, unsigned int n)
{
	struct shunt_err err;
	unsigned int i;

	for (i = 0; i < n && !(worker->fds[i].revents & POLLNVAL); i++)
		;
	if (i == n)
		return 0;
	shunt_fail(&err, -EBADF, "a task waits for descriptor %d, which is not open",
		   worker->fds[i].fd);
	keep_error(worker, NULL, -EBADF, &err);
	return -EBADF;
}

/* Sleeps until there is something to do; 0, also when it has found work, or -errno. */
static int sleep_once(struct worker *worker)
{
	struct timespec timeout;
	bool crowded;
	unsigned int n = ask_tasks(worker, &crowded);
	uint64_t now, due;
	int64_t done = run_tasks(worker);
	int ret;

	if (done)
		return done < 0 ? (int)done : 0;
	due = next_due(worker);
	now = due == UINT64_MAX && !crowded ? 0 : shunt_now_ns();
	if (crowded && due > now + CROWDED_NS)
		due = now + CROWDED_NS;
	if (due <= now)
		return 0;
	timeout = (struct timespec){ .tv_sec = (time_t)((due - now) / 1000000000u),
				     .tv_nsec = (long)((due - now) % 1000000000u) };
	shunt_metric_add(&worker->sleeps, 1);
	ret = ppoll(worker->fds, n, due == UINT64_MAX ? NULL : &timeout, NULL);
	return ret > 0 ? check_fds(worker, n) : 0;
}

/* Is it worth staying awake for? idle_since: 0 when the last round had work. */
static bool is_spinning(const struct worker *worker, uint64_t *idle_since)
{
	uint64_t now;

	if (worker->wait == SHUNT_WAIT_SPIN)
		return true;
	if (worker->wait == SHUNT_WAIT_POLL)
		return false;
	now = shunt_now_ns();
	if (!*idle_since)
		*idle_since = now;
	return now - *idle_since < SHUNT_WORKER_SPIN_NS;
}

static void work(struct worker *worker)
{
	uint64_t idle_since = 0;

	while (!is_stopped(worker)) {
		int64_t done = run_tasks(worker);

		if (done < 0)
			return;
		if (done) {
			idle_since = 0;
			continue;
		}
		shunt_metric_add(&worker->spins, 1);
		if (is_spinning(worker, &idle_since)) {
			shunt_core_relax();
			continue;
		}
		if (sleep_once(worker))
			return;
		idle_since = 0;
	}
}

static uint64_t thread_cpu_ns(clockid_t clock)
{
	struct timespec spent;

	if (clock_gettime(clock, &spent))
		return 0;
	return (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct shunt_workers *all = worker->all;

	pthread_setname_np(pthread_self(), worker->name);
	prctl(PR_SET_TIMERSLACK, SLACK_NS, 0, 0, 0);
	pthread_getcpuclockid(pthread_self(), &worker->clock);
	sem_post(&all->ready);
	while (sem_wait(&all->go))
		;
	work(worker);
	atomic_store_explicit(&worker->cpu_ns, thread_cpu_ns(CLOCK_THREAD_CPUTIME_ID),
			      memory_order_relaxed);
	/* Release: pairs with the acquire in shunt_worker_time(), for cpu_ns. */
	atomic_store_explicit(&worker->ended, true, memory_order_release);
	return NULL;
}

/* --- starting ------------------------------------------------------------------------ */

/* The cores in a set, as "0-3,6". */
static void name_cores(const cpu_set_t *set, char *text, size_t room)
{
	size_t used = 0;
	int first, last;

	text[0] = '\0';
	for (first = 0; first < CPU_SETSIZE && used + 1 < room; first = last + 1) {
		last = first;
		if (!CPU_ISSET(first, set))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
			last++;
		used += (size_t)snprintf(text + used, room - used,
					 first == last ? "%s%d" : "%s%d-%d",
					 used ? "," : "", first, last);
	}
}

static int fail_core(const struct worker *worker, int core, int code,
		     struct shunt_err *err)
{
	char cores[128];
	cpu_set_t set;

	memset(&set, 0xff, sizeof(set)); /* the kernel keeps those that may be used */
	if (pthread_setaffinity_np(worker->thread, sizeof(set), &set) ||
	    pthread_getaffinity_np(worker->thread, sizeof(set), &set))
		return shunt_fail_errno(err, code, "worker %s: pin it to core %d",
					worker->name, core);
	name_cores(&set, cores, sizeof(cores));
	return shunt_fail(err, code,
			  "worker %s: core %d is none that this process may use; it "
			  "may use %s: choose one of them, or widen its cpuset",
			  worker->name, core, cores);
}

static int pin(const struct worker *worker, int core, struct shunt_err *err)
{
	cpu_set_t set;
	int ret;

	if (core == SHUNT_WORKER_ANY)
		return 0;
	if (core < 0 || core >= CPU_SETSIZE)
		return fail_core(worker, core, -EINVAL, err);
	CPU_ZERO(&set);
	CPU_SET(core, &set);
	ret = pthread_setaffinity_np(worker->thread, sizeof(set), &set);
	return ret ? fail_core(worker, core, -ret, err) : 0;
}

static int start_one(struct worker *worker, struct shunt_workers *all,
		     const struct shunt_worker_opts *given, struct shunt_err *err)
{
	struct shunt_worker_opts opts = { 0 };
	int ret;

	memcpy(&opts, given, given->sz < sizeof(opts) ? given->sz : sizeof(opts));
	worker->all = all;
	worker->wait = opts.wait;
	worker->count = opts.count;
	snprintf(worker->name, sizeof(worker->name), "%s",
		 opts.name ? opts.name : "worker");
	if (opts.count > SHUNT_WORKER_TASKS)
		return shunt_fail(err, -E2BIG,
				  "worker %s: %u tasks; there may be %u: share them "
				  "out over more workers",
				  worker->name, opts.count, SHUNT_WORKER_TASKS);
	worker->tasks = calloc(opts.count + 1, sizeof(*worker->tasks));
	if (!worker->tasks)
		return shunt_fail_errno(err, -ENOMEM, "start worker %s", worker->name);
	if (opts.count)
		memcpy(worker->tasks, opts.tasks, opts.count * sizeof(*opts.tasks));
	ret = pthread_create(&worker->thread, NULL, worker_main, worker);
	if (ret)
		return shunt_fail_errno(err, -ret, "start worker %s", worker->name);
	all->started++;
	while (sem_wait(&all->ready))
		;
	return pin(worker, opts.core, err);
}

static struct shunt_workers *make(size_t n)
{
	struct shunt_workers *workers;
	size_t bytes = sizeof(*workers) + n * sizeof(*workers->worker);

	workers = aligned_alloc(_Alignof(struct worker), bytes);
	if (!workers)
		return NULL;
	memset(workers, 0, bytes);
	workers->n = n;
	workers->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (workers->stop_fd < 0) {
		free(workers);
		return NULL;
	}
	sem_init(&workers->ready, 0, 0);
	sem_init(&workers->go, 0, 0);
	pthread_mutex_init(&workers->lock, NULL);
	return workers;
}

/* A thread inherits them blocked. */
static void block_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, before);
}

/* Ends those that were started, and frees all; the first error of one of them. */
static int end_all(struct shunt_workers *workers, struct shunt_err *err)
{
	size_t i;
	int first;

	stop_all(workers);
	for (i = 0; i < workers->started; i++)
		sem_post(&workers->go);
	for (i = 0; i < workers->started; i++)
		pthread_join(workers->worker[i].thread, NULL);
	first = workers->first;
	if (first && err)
		*err = workers->err;
	for (i = 0; i < workers->n; i++)
		free(workers->worker[i].tasks);
	close(workers->stop_fd);
	sem_destroy(&workers->ready);
	sem_destroy(&workers->go);
	pthread_mutex_destroy(&workers->lock);
	free(workers);
	return first;
}

int shunt_workers_start(struct shunt_workers **out,
			const struct shunt_worker_opts *opts, size_t n,
			struct shunt_err *err)
{
	struct shunt_workers *workers = make(n);
	sigset_t before;
	size_t i;
	int ret = 0;

	*out = NULL;
	if (!workers)
		return shunt_fail_errno(err, -ENOMEM, "start %zu workers", n);
	block_signals(&before);
	for (i = 0; i < n && !ret; i++)
		ret = start_one(&workers->worker[i], workers, &opts[i], err);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret) {
		end_all(workers, NULL); /* told before they begin: no task is run */
		return ret;
	}
	for (i = 0; i < n; i++)
		sem_post(&workers->go);
	*out = workers;
	return 0;
}

/* --- ending and looking -------------------------------------------------------------- */

int shunt_workers_fd(const struct shunt_workers *workers)
{
	return workers->stop_fd;
}

int shunt_workers_stop(struct shunt_workers *workers, struct shunt_err *err)
{
	return workers ? end_all(workers, err) : 0;
}

void shunt_worker_time(const struct shunt_workers *workers, size_t worker,
		       struct shunt_worker_time *time)
{
	const struct worker *one = &workers->worker[worker];

	*time = (struct shunt_worker_time){
		.bursts = shunt_metric_read(&one->bursts),
		.work = shunt_metric_read(&one->work),
		.spins = shunt_metric_read(&one->spins),
		.sleeps = shunt_metric_read(&one->sleeps),
		.cpu_ns = thread_cpu_ns(one->clock),
	};
	/*
	 * Looked at after the clock: a thread that hasn't ended by now had a clock. The
	 * clock of one that has may be another's. Acquire: pairs with worker_main().
	 */
	if (atomic_load_explicit(&one->ended, memory_order_acquire))
		time->cpu_ns = shunt_metric_read(&one->cpu_ns);
}
