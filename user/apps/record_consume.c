/* SPDX-License-Identifier: BSD-2-Clause */
/* Recording what a policy hands to a consumer, samples or mirrors. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "user/apps/apps.h"
#include "user/apps/record.h"
#include "user/apps/record_report.h"
#include "user/io/ring.h"

#define NAMES 256u

/*
 * Names of rules that have been asked for: the tap looks through all of them. They are
 * good until the tap sees another generation.
 */
struct names {
	uint64_t generation;
	struct {
		bool known;
		uint32_t counter;
		const char *name; /* the tap's; NULL: it has none */
	} at[NAMES];
};

struct record {
	const struct shunt_consume_opts *opts;
	const char *consumer; /* NULL: samples and mirrored packets */
	struct shunt_recorder *recorder;
	struct shunt_record_report_opts report;
	struct names names;
	uint64_t offset_ns; /* of the wall clock to that of the events */
};

static uint64_t to_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static const char *name_of(struct record *record, const struct shunt_ring_event *event)
{
	struct names *names = &record->names;
	uint32_t place = event->counter % NAMES;

	if (event->generation != names->generation) {
		memset(names, 0, sizeof(*names));
		names->generation = event->generation;
	}
	if (!names->at[place].known || names->at[place].counter != event->counter) {
		names->at[place].name =
			shunt_tap_rule(record->opts->tap, event->counter,
				       event->generation);
		names->at[place].counter = event->counter;
		names->at[place].known = true;
	}
	return names->at[place].name;
}

static struct shunt_record_packet packet_of(struct record *record, unsigned int queue,
					    const struct shunt_frame *frame,
					    uint64_t now_ns)
{
	struct shunt_record_packet packet = { .time_ns = now_ns,
					      .consumer = record->consumer,
					      .queue = queue };
	const struct shunt_ring_event *event;

	if (queue != SHUNT_CONSUME_RING)
		return packet;
	event = shunt_ring_event_of(frame->data);
	packet.event = event;
	packet.len = event->len;
	packet.time_ns = event->time_ns + record->offset_ns;
	packet.rule = name_of(record, event);
	return packet;
}

/* -ECANCELED ends the loop: the limit of written packets is not its own. */
static int record_burst(void *self, unsigned int queue,
			const struct shunt_frame *frames, unsigned int n,
			struct shunt_err *err)
{
	struct record *record = self;
	uint64_t now_ns = to_ns(CLOCK_REALTIME);
	unsigned int i, one;
	uint32_t bytes;

	for (i = 0; i < n; i += one) {
		struct shunt_record_packet packet =
			packet_of(record, queue, &frames[i], now_ns);
		int code;

		one = shunt_packet_frames(frames + i, n - i, &bytes);
		one = one ? one : n - i;
		if (!packet.event)
			packet.len = bytes;

		if (shunt_record_is_full(record->recorder))
			return -ECANCELED;
		code = shunt_record_frames(record->recorder, &packet, frames + i, one,
					   err);
		if (code < 0)
			return code;
	}
	return shunt_record_is_full(record->recorder) ? -ECANCELED : 0;
}

static int record_idle(void *self, struct shunt_err *err)
{
	const struct record *record = self;

	return shunt_record_tick(record->recorder, err);
}

static int record_tick(void *self, const struct shunt_consume_totals *totals,
		       struct shunt_err *err)
{
	struct record *record = self;
	uint64_t lost = 0;
	int code = 0;

	/* what a consumer has no room for is not lost: its if_down decides */
	if (!record->consumer)
		code = shunt_tap_lost(record->opts->tap, &lost, err);
	shunt_record_lost(record->recorder, lost + shunt_consume_lost(&totals->sum));
	if (!code)
		code = shunt_record_tick(record->recorder, err);
	if (code)
		return code;
	return shunt_record_report(&record->report, record->recorder, totals->seconds,
				   totals->sum.unread, totals->final, err);
}

/* What comes by a socket is the frame alone. */
static int check_questions(const struct shunt_consume_opts *opts, struct shunt_err *err)
{
	const struct shunt_record_opts *record = opts->record;

	if (!opts->queues || !(record->rule || record->verdict || record->reason))
		return 0;
	return shunt_fail(err, -EINVAL,
			  "consumer %s: what comes by its sockets does not say which "
			  "rule decided, so that --rule, --verdict and --reason find "
			  "nothing: give the consumer the kind \"ring\", or mirror the "
			  "rule's packets and use --copies",
			  opts->consumer);
}

int shunt_app_record(const struct shunt_consume_opts *opts, struct shunt_err *err)
{
	static const struct shunt_consume_sink sink = { .burst = record_burst,
							.tick = record_tick,
							.idle = record_idle };
	struct shunt_consume_opts loop = *opts;
	struct shunt_record_opts file = *opts->record;
	struct record record = {
		.opts = opts,
		.consumer = opts->seats ? opts->consumer : NULL,
		.report = { .out = opts->out,
			    .json = opts->json,
			    .source = opts->interface,
			    .consumer = opts->seats ? opts->consumer : NULL },
		.offset_ns = to_ns(CLOCK_REALTIME) - to_ns(CLOCK_MONOTONIC),
	};
	int code = check_questions(opts, err), later;

	loop.packets = 0; /* it counts those that are not wanted, too */
	file.packets = opts->packets;
	if (!code)
		code = shunt_record_open(&record.recorder, &file, err);
	if (code)
		return code;
	code = shunt_consume(&loop, &sink, &record, err);
	if (code == -ECANCELED)
		code = 0;
	later = shunt_record_close(record.recorder, code ? NULL : err);
	return code ? code : later;
}
