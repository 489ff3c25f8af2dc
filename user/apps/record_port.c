/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/record_port.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "user/apps/record_report.h"
#include "user/apps/report.h"
#include "user/apps/stop.h"
#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/io/port.h"
#include "user/io/ringbuf.h"

#define NS_PER_S UINT64_C(1000000000)
#define SPIN_NS 20000u	 /* about as long as waking a sleeper takes */
#define LOOK_NS 1000000u /* how often a port is looked at that cannot be waited for */

struct loop {
	const struct shunt_record_port_opts *opts;
	struct shunt_port *port;
	struct shunt_recorder *recorder;
	struct shunt_record_report_opts report;
	struct shunt_stop stop;
	struct shunt_port_stats before;
	uint64_t start_ns, end_ns, tick_ns;
	uint64_t unread;
};

static uint64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* --- packets ------------------------------------------------------------------------- */

static int record(struct loop *loop, const struct shunt_frame *frames, unsigned int n,
		  uint32_t bytes, uint64_t now_ns, struct shunt_err *err)
{
	const struct shunt_ring_event *event = shunt_frame_event(frames);
	uint64_t time_ns = shunt_frame_time(frames);
	struct shunt_record_packet packet = {
		.len = event ? event->len : bytes,
		.time_ns = time_ns ? time_ns : now_ns,
		.event = event,
	};

	return shunt_record_frames(loop->recorder, &packet, frames, n, err);
}

/* A burst: how many frames, or -errno. */
static int serve(struct loop *loop, struct shunt_err *err)
{
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int n = shunt_port_rx(loop->port, frames, SHUNT_BURST), at, one;
	uint64_t now_ns = n ? wall_ns() : 0;
	uint32_t bytes;
	int code = 0;

	for (at = 0; at < n && code >= 0; at += one) {
		one = shunt_packet_frames(frames + at, n - at, &bytes);
		if (!one)
			break;
		if (shunt_record_is_full(loop->recorder))
			loop->unread++;
		else
			code = record(loop, frames + at, one, bytes, now_ns, err);
	}
	shunt_frames_put(frames, n);
	return code < 0 ? code : (int)n;
}

/* --- reports ------------------------------------------------------------------------- */

static int tell(struct loop *loop, bool final, struct shunt_err *err)
{
	struct shunt_port_stats stats;
	int code = shunt_port_stats(loop->port, &stats, err);

	if (code)
		return code;
	shunt_report_links(loop->port->name, &stats, &loop->before);
	shunt_record_lost(loop->recorder, stats.rx_dropped + stats.rx_ring_full);
	code = shunt_record_tick(loop->recorder, err);
	if (code)
		return code;
	return shunt_record_report(&loop->report, loop->recorder,
				   (shunt_now_ns() - loop->start_ns) / 1e9,
				   loop->unread, final, err);
}

/* --- the loop ------------------------------------------------------------------------ */

static int nap(struct loop *loop, uint64_t now, struct shunt_err *err)
{
	struct pollfd fds[SHUNT_PORT_FDS + 1] = { { .fd = loop->stop.event,
						    .events = POLLIN } };
	uint64_t until = loop->tick_ns < loop->end_ns ? loop->tick_ns : loop->end_ns;
	uint64_t left = until > now ? until - now : 0;
	struct timespec timeout;
	unsigned int used = 1;
	int code = shunt_record_tick(loop->recorder, err);

	if (code)
		return code;
	if (loop->port->caps & SHUNT_PORT_WAIT)
		used += loop->port->ops->wait(loop->port, fds + 1, SHUNT_PORT_FDS);
	else if (left > LOOK_NS)
		left = LOOK_NS;
	timeout = (struct timespec){ .tv_sec = (time_t)(left / NS_PER_S),
				     .tv_nsec = (long)(left % NS_PER_S) };
	if (ppoll(fds, used, &timeout, NULL) < 0 && errno != EINTR)
		return shunt_fail_errno(err, -errno, "wait for packets of %s",
					loop->port->name);
	return 0;
}

static bool may_sleep(enum shunt_wait wait, uint64_t idle_ns)
{
	return wait == SHUNT_WAIT_POLL ||
	       (wait == SHUNT_WAIT_ADAPTIVE && idle_ns >= SPIN_NS);
}

static bool is_over(const struct loop *loop, uint64_t now)
{
	return shunt_stop_wanted() || now >= loop->end_ns ||
	       shunt_record_is_full(loop->recorder) || loop->port->ended;
}

/* Reading a file may come to its end by an error, which kick tells. */
static int run(struct loop *loop, struct shunt_err *err)
{
	uint64_t now = loop->start_ns, busy = now;
	int code = 0;

	while (!code && !is_over(loop, now)) {
		int n = serve(loop, err);

		if (n < 0)
			return n;
		now = shunt_now_ns();
		if (now >= loop->tick_ns) {
			code = tell(loop, false, err);
			loop->tick_ns = now + loop->opts->interval_ns;
		}
		if (n) {
			busy = now;
		} else if (!code) {
			code = shunt_port_kick(loop->port, err);
			if (!code && may_sleep(loop->opts->wait, now - busy)) {
				code = nap(loop, now, err);
				now = busy = shunt_now_ns();
			}
		}
	}
	return code;
}

/* --- opening ------------------------------------------------------------------------- */

/* Which names of rules there are, only an interface's tap knows. */
static int check_questions(const struct shunt_record_port_opts *opts,
			   struct shunt_err *err)
{
	const struct shunt_record_opts *record = &opts->record;
	bool events = !strncmp(opts->port, "ringbuf:", strlen("ringbuf:"));

	if (record->rule)
		return shunt_fail(err, -EINVAL,
				  "run capture: a port does not name rules: instead of "
				  "%s, give the interface and --copies or --consumer",
				  opts->port);
	if (!events && (record->verdict || record->reason))
		return shunt_fail(err, -EINVAL,
				  "run capture: what comes by %s has no verdict or "
				  "reason; what comes by ringbuf:INTERFACE has",
				  opts->port);
	return 0;
}

static int open_and_run(struct loop *loop, const char *spec, struct shunt_err *err)
{
	int code = shunt_port_open(&loop->port, spec, NULL, err), later;

	if (!code)
		code = shunt_port_need(loop->port, SHUNT_PORT_RX, err);
	if (!code)
		code = shunt_record_open(&loop->recorder, &loop->opts->record, err);
	if (code)
		return code;
	loop->start_ns = shunt_now_ns();
	loop->end_ns = loop->opts->duration_ns
			       ? loop->start_ns + loop->opts->duration_ns
			       : UINT64_MAX;
	loop->tick_ns = loop->start_ns + loop->opts->interval_ns;
	code = run(loop, err);
	later = tell(loop, true, code ? NULL : err);
	return code ? code : later;
}

int shunt_app_record_port(const struct shunt_record_port_opts *opts,
			  struct shunt_err *err)
{
	struct loop loop = {
		.opts = opts,
		.report = { .out = opts->out, .json = opts->json, .source = opts->port }
	};
	struct shunt_feed *feed = NULL;
	_free_ char *spec = NULL;
	int code, later;

	code = check_questions(opts, err);
	if (!code)
		code = shunt_stop_open(&loop.stop, err);
	if (code)
		return code;
	code = shunt_feed_open(&feed, &spec, opts->port, true, &opts->feed, err);
	if (!code)
		code = open_and_run(&loop, spec, err);
	later = shunt_record_close(loop.recorder, code ? NULL : err);
	code = code ? code : later;
	shunt_port_close(loop.port);
	later = shunt_feed_close(feed, code ? NULL : err);
	shunt_stop_close(&loop.stop);
	return code ? code : later;
}
