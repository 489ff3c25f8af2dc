/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/run.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "user/apps/report.h"
#include "user/apps/stop.h"
#include "user/base/cleanup.h"
#include "user/base/clock.h"

#define NS_PER_S UINT64_C(1000000000)

/* How long what waits for a full port may go on waiting at the end. */
#define FLUSH_NS NS_PER_S

/* How long ports are kicked on behind the last frame: a send may have to be tried again. */
#define LINGER_NS (NS_PER_S / 500)

/* How long what has come in before the end is read, where ports can be stopped. */
#define DRAIN_NS (NS_PER_S / 4)

enum stage { STAGE_RUN, STAGE_FLUSH };

/* An app and its mailbox. */
struct member {
	struct run *run;
	struct shunt_app *app;
	const struct shunt_run_app *config;
	int event; /* main writes: there is something in the mailbox */
	bool asked_to_wait;
	uint32_t answered;  /* the worker's own, as is the next */
	uint64_t drain_ns;  /* it reads what is left until then; 0: has not begun */
	uint64_t linger_ns; /* it kicks its ports until then; 0: something waits yet */

	/*
	 * The mailbox. main writes `asked` with release; the worker reads it with acquire,
	 * fills in count and port, and writes `answer` with release, which main reads with
	 * acquire. Who may touch count and port is therefore clear at any time.
	 */
	_Atomic uint32_t asked, answer;
	struct shunt_app_counts count;
	struct shunt_port_stats port[SHUNT_RUN_APP_PORTS];
	_Atomic bool done; /* release and acquire, so that main sees what it did */
};

struct run {
	const struct shunt_run_config *config;
	const struct shunt_run_opts *opts;
	struct shunt_memory *memory[SHUNT_RUN_MEMORIES];
	struct shunt_feed *feed[SHUNT_RUN_PORTS];
	struct shunt_port *port[SHUNT_RUN_PORTS];
	struct member member[SHUNT_RUN_APPS];
	struct shunt_app_limit limit;
	_Atomic int stage; /* relaxed: it says nothing about other memory */
	int reply;	   /* workers write: an answer, or done */
	struct shunt_stop stop;
	struct shunt_workers *workers;
	struct shunt_reporter reporter;
	struct shunt_run_report report;
	uint64_t start_ns;
};

static void ring(int event)
{
	const uint64_t one = 1;

	if (write(event, &one, sizeof(one)) != sizeof(one))
		return; /* its count is at the end: it is readable */
}

static void unring(int event)
{
	uint64_t count;

	if (read(event, &count, sizeof(count)) != sizeof(count))
		return; /* nobody has rung */
}

/* --- a worker's side ------------------------------------------------------------------- */

static int answer(struct member *member, uint32_t asked, struct shunt_err *err)
{
	struct shunt_app *app = member->app;
	unsigned int i;
	int ret = 0;

	member->count = app->count;
	for (i = 0; i < app->ports && !ret; i++)
		ret = shunt_port_stats(app->port[i], &member->port[i], err);
	member->answered = asked;
	atomic_store_explicit(&member->answer, asked, memory_order_release);
	ring(member->run->reply);
	return ret;
}

/* The ports have taken all that waits: lets them bring it out. */
static int linger(struct member *member, struct shunt_err *err)
{
	struct shunt_app *app = member->app;
	uint64_t now = shunt_now_ns();
	bool busy = false;
	unsigned int i;
	int ret = 0;

	if (!member->linger_ns)
		member->linger_ns = now + (app->ports ? LINGER_NS : 0);
	for (i = 0; i < app->ports && !ret; i++) {
		ret = shunt_port_kick(app->port[i], err);
		busy |= app->port[i]->ops->under_way &&
			app->port[i]->ops->under_way(app->port[i]);
	}
	if (ret || busy || now < member->linger_ns)
		return ret;
	atomic_store_explicit(&member->done, true, memory_order_release);
	ring(member->run->reply);
	return 0;
}

static int finish(struct member *member, struct shunt_err *err)
{
	int ret = member->app->ops->flush(member->app, err);

	return ret == 1 ? linger(member, err) : ret;
}

/* Ports that can be stopped are read until they are empty: nothing of them is lost. */
static int drain(struct member *member, struct shunt_err *err)
{
	struct shunt_app *app = member->app;
	unsigned int i, stopped = 0;
	uint64_t now = shunt_now_ns();

	for (i = 0; i < app->ports; i++) {
		if (!shunt_app_reads(app, i) || !app->port[i]->ops->stop)
			continue;
		if (!member->drain_ns)
			shunt_port_stop(app->port[i]);
		stopped++;
	}
	if (!member->drain_ns)
		member->drain_ns = shunt_now_ns() + DRAIN_NS;
	return stopped && now < member->drain_ns ? app->ops->run(app, err) : 0;
}

static int run_member(void *self, struct shunt_err *err)
{
	struct member *member = self;
	uint32_t asked;
	int ret;

	if (member->asked_to_wait) {
		/* before the mailbox is looked into: who rings later wakes us */
		unring(member->event);
		member->asked_to_wait = false;
	}
	asked = atomic_load_explicit(&member->asked, memory_order_acquire);
	if (asked != member->answered) {
		ret = answer(member, asked, err);
		if (ret)
			return ret;
	}
	if (atomic_load_explicit(&member->done, memory_order_relaxed))
		return 0;
	if (member->app->ops->is_done(member->app))
		return finish(member, err);
	if (atomic_load_explicit(&member->run->stage, memory_order_relaxed) !=
	    STAGE_FLUSH)
		return member->app->ops->run(member->app, err);
	ret = drain(member, err);
	return ret ? ret : finish(member, err);
}

/* Has it anything to wait for: packets, or the end of what it sends? */
static bool is_waited_for(const struct shunt_app *app, unsigned int port)
{
	const uint32_t caps = app->port[port]->caps;

	return shunt_app_reads(app, port) ||
	       (caps & SHUNT_PORT_WAIT && !(caps & SHUNT_PORT_RX));
}

static unsigned int wait_for_member(void *self, struct pollfd *fds, unsigned int max)
{
	struct member *member = self;
	unsigned int i, used = 0;

	member->asked_to_wait = true;
	if (max)
		fds[used++] = (struct pollfd){ .fd = member->event, .events = POLLIN };
	if (atomic_load_explicit(&member->done, memory_order_relaxed))
		return used;
	for (i = 0; i < member->app->ports; i++) {
		struct shunt_port *port = member->app->port[i];

		if (is_waited_for(member->app, i))
			used += port->ops->wait(port, fds + used, max - used);
	}
	return used;
}

static uint64_t due_member(void *self)
{
	struct member *member = self;
	uint64_t due;

	if (atomic_load_explicit(&member->done, memory_order_relaxed))
		return UINT64_MAX;
	due = member->linger_ns ? member->linger_ns
				: member->app->ops->due(member->app);
	return due < member->app->check_ns ? due : member->app->check_ns;
}

/* --- opening --------------------------------------------------------------------------- */

static int open_memories(struct run *run, struct shunt_err *err)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < run->config->memories && !ret; i++) {
		const struct shunt_run_memory *memory = &run->config->memory[i];
		const struct shunt_memory_opts opts = {
			.sz = sizeof(opts),
			.frames = memory->frames,
			.frame_bytes = memory->frame_bytes,
			.huge = memory->huge,
		};

		ret = shunt_memory_open(&run->memory[i], &opts, err);
		if (ret)
			shunt_fail_in(err, ret, "memory %s: ", memory->name);
	}
	return ret;
}

static int open_port(struct run *run, unsigned int i, struct shunt_err *err)
{
	const struct shunt_run_port *port = &run->config->port[i];
	struct shunt_port_opts opts = { .sz = sizeof(opts) };
	_free_ char *spec = NULL;
	int ret;

	if (port->memory >= 0)
		opts.pool = &run->memory[port->memory]->pool;
	ret = shunt_feed_open(&run->feed[i], &spec, port->spec,
			      shunt_run_receives(run->config, i), &run->opts->feed,
			      err);
	if (!ret)
		ret = shunt_port_open(&run->port[i], spec, &opts, err);
	if (!ret && port->insists && run->port[i]->pool != opts.pool)
		ret = shunt_fail(err, -EINVAL,
				 "port %s has memory of its own, and cannot use %s: "
				 "leave \"memory\" out",
				 port->name, run->config->memory[port->memory].name);
	return ret;
}

static int open_app(struct run *run, unsigned int i, struct shunt_err *err)
{
	const struct shunt_run_app *config = &run->config->app[i];
	struct shunt_port *ports[SHUNT_RUN_APP_PORTS];
	struct member *member = &run->member[i];
	unsigned int p;
	int ret;

	for (p = 0; p < config->ports; p++)
		ports[p] = run->port[config->port[p]];
	member->run = run;
	member->config = config;
	member->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (member->event < 0)
		return shunt_fail_errno(err, -errno, "make an event");
	ret = shunt_app_of(config)->open(&member->app, config, ports, err);
	if (!ret)
		member->app->limit = &run->limit;
	return ret;
}

static int open_all(struct run *run, struct shunt_err *err)
{
	unsigned int i;
	int ret;

	run->limit.max = run->config->packets;
	run->reply = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (run->reply < 0)
		return shunt_fail_errno(err, -errno, "make an event");
	ret = open_memories(run, err);
	for (i = 0; i < run->config->ports && !ret; i++)
		ret = open_port(run, i, err);
	for (i = 0; i < run->config->apps && !ret; i++)
		ret = open_app(run, i, err);
	return ret;
}

static int close_all(struct run *run, struct shunt_err *err)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < run->config->apps; i++) {
		if (run->member[i].app)
			run->member[i].app->ops->close(run->member[i].app);
		shunt_cleanup_fd(&run->member[i].event);
	}
	for (i = 0; i < run->config->ports; i++)
		shunt_port_close(run->port[i]);
	for (i = 0; i < run->config->ports; i++) {
		int later = shunt_feed_close(run->feed[i], ret ? NULL : err);

		ret = ret ? ret : later;
	}
	for (i = 0; i < run->config->memories; i++)
		shunt_memory_close(run->memory[i]);
	shunt_cleanup_fd(&run->reply);
	return ret;
}

static int start(struct run *run, struct shunt_err *err)
{
	struct shunt_worker_opts worker[SHUNT_RUN_WORKERS];
	struct shunt_task task[SHUNT_RUN_APPS];
	unsigned int w, a, used = 0;

	for (w = 0; w < run->config->workers; w++) {
		const struct shunt_run_worker *config = &run->config->worker[w];

		worker[w] = (struct shunt_worker_opts){
			.sz = sizeof(worker[w]),
			.name = config->name,
			.core = config->core,
			.wait = config->wait,
			.tasks = &task[used],
			.count = config->apps,
		};
		for (a = 0; a < config->apps; a++) {
			struct member *member = &run->member[config->app[a]];

			task[used++] = (struct shunt_task){
				.name = member->config->name,
				.self = member,
				.run = run_member,
				.wait = wait_for_member,
				.due = due_member,
			};
		}
	}
	return shunt_workers_start(&run->workers, worker, run->config->workers, err);
}

/* --- the caller's side ----------------------------------------------------------------- */

static void ring_all(struct run *run)
{
	unsigned int i;

	for (i = 0; i < run->config->apps; i++)
		ring(run->member[i].event);
}

static bool all_done(struct run *run)
{
	unsigned int i;

	for (i = 0; i < run->config->apps; i++)
		if (!atomic_load_explicit(&run->member[i].done, memory_order_acquire))
			return false;
	return true;
}

static bool has_failed(struct run *run)
{
	struct pollfd fd = { .fd = shunt_workers_fd(run->workers), .events = POLLIN };

	return poll(&fd, 1, 0) > 0;
}

/* Sleeps until a worker or a signal has something to say, or the moment has come. */
static void sleep_until(struct run *run, uint64_t moment)
{
	uint64_t now = shunt_now_ns(), left = moment > now ? moment - now : 0;
	struct timespec timeout = { .tv_sec = (time_t)(left / NS_PER_S),
				    .tv_nsec = (long)(left % NS_PER_S) };
	struct pollfd fds[] = {
		{ .fd = run->reply, .events = POLLIN },
		{ .fd = shunt_workers_fd(run->workers), .events = POLLIN },
		{ .fd = shunt_stop_wanted() ? -1 : run->stop.event, .events = POLLIN },
	};

	if (ppoll(fds, 3, moment == UINT64_MAX ? NULL : &timeout, NULL) > 0)
		unring(run->reply);
}

static void take_times(struct run *run)
{
	unsigned int i;

	for (i = 0; i < run->config->workers; i++)
		shunt_worker_time(run->workers, i, &run->report.worker[i]);
}

/* What a member counted, into the report. */
static void take(struct run *run, unsigned int i, const struct shunt_app_counts *count,
		 const struct shunt_port_stats *port)
{
	const struct shunt_run_app *config = &run->config->app[i];
	unsigned int p;

	run->report.app[i] = *count;
	for (p = 0; p < config->ports; p++)
		run->report.port[config->port[p]] = port[p];
}

static void ask(struct run *run)
{
	unsigned int i;

	for (i = 0; i < run->config->apps; i++)
		atomic_fetch_add_explicit(&run->member[i].asked, 1,
					  memory_order_release);
	ring_all(run);
}

static bool all_answered(struct run *run)
{
	unsigned int i;

	for (i = 0; i < run->config->apps; i++) {
		struct member *member = &run->member[i];

		/* main alone writes asked */
		if (atomic_load_explicit(&member->answer, memory_order_acquire) !=
		    atomic_load_explicit(&member->asked, memory_order_relaxed))
			return false;
	}
	return true;
}

static int report(struct run *run, bool final, struct shunt_err *err)
{
	unsigned int i;

	for (i = 0; !final && i < run->config->apps; i++)
		take(run, i, &run->member[i].count, run->member[i].port);
	run->report.final = final;
	return shunt_report(&run->reporter, &run->report, err);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Until all apps are done, time is up, ^C, or a worker has failed. */
static int watch(struct run *run, struct shunt_err *err)
{
	const struct shunt_run_config *config = run->config;
	uint64_t interval = config->interval_ns, now = run->start_ns;
	uint64_t end = config->duration_ns ? now + config->duration_ns : UINT64_MAX;
	uint64_t tick = interval ? now + interval : UINT64_MAX;
	bool asked = false;
	int ret;

	while (!shunt_stop_wanted() && now < end && !all_done(run) &&
	       !has_failed(run)) {
		if (asked && all_answered(run)) {
			run->report.seconds = (double)(now - run->start_ns) / 1e9;
			take_times(run);
			ret = report(run, false, err);
			if (ret)
				return ret;
			asked = false;
		}
		if (!asked && now >= tick) {
			ask(run);
			asked = true;
			while (tick <= now)
				tick += interval;
		}
		sleep_until(run, min_u64(end, asked ? end : tick));
		now = shunt_now_ns();
	}
	return 0;
}

/* What waits is sent, for as long as somebody takes it. */
static void flush(struct run *run)
{
	uint64_t end = shunt_now_ns() + FLUSH_NS;

	atomic_store_explicit(&run->stage, STAGE_FLUSH, memory_order_relaxed);
	ring_all(run);
	while (!all_done(run) && !has_failed(run) && shunt_now_ns() < end)
		sleep_until(run, end);
}

/* The workers are gone: what they have left is ours. */
static int tell_end(struct run *run, struct shunt_err *err)
{
	struct shunt_port_stats stats[SHUNT_RUN_APP_PORTS];
	unsigned int i, p;

	for (i = 0; i < run->config->apps; i++) {
		struct shunt_app *app = run->member[i].app;

		app->ops->abandon(app);
		/* of an interface that is gone, what was counted here is known yet */
		for (p = 0; p < app->ports; p++)
			(void)!shunt_port_stats(app->port[p], &stats[p], NULL);
		take(run, i, &app->count, stats);
	}
	return report(run, true, err);
}

static int run_and_flush(struct run *run, struct shunt_err *err)
{
	int ret = start(run, err), later;

	if (ret)
		return ret;
	run->start_ns = shunt_now_ns();
	ret = watch(run, err);
	flush(run);
	run->report.seconds = (double)(shunt_now_ns() - run->start_ns) / 1e9;
	take_times(run);
	later = shunt_workers_stop(run->workers, ret ? NULL : err);
	ret = ret ? ret : later;
	later = tell_end(run, ret ? NULL : err);
	return ret ? ret : later;
}

static struct run *make(const struct shunt_run_config *config,
			const struct shunt_run_opts *opts)
{
	struct run *run = calloc(1, sizeof(*run));
	unsigned int i;

	if (!run)
		return NULL;
	run->config = config;
	run->opts = opts;
	run->reporter.opts = opts;
	run->report.config = config;
	run->report.opened = run->port;
	run->reply = -1;
	for (i = 0; i < SHUNT_RUN_APPS; i++)
		run->member[i].event = -1;
	return run;
}

int shunt_run(const struct shunt_run_config *config, const struct shunt_run_opts *opts,
	      struct shunt_err *err)
{
	_free_ struct run *run = NULL;
	int ret = shunt_run_config_check(config, err), later;

	if (ret)
		return ret;
	run = make(config, opts);
	if (!run)
		return shunt_fail_errno(err, -ENOMEM, "run");
	ret = shunt_stop_open(&run->stop, err);
	if (ret)
		return ret;
	ret = open_all(run, err);
	if (!ret)
		ret = run_and_flush(run, err);
	later = close_all(run, ret ? NULL : err);
	shunt_stop_close(&run->stop);
	return ret ? ret : later;
}
