/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "bpf/lib/parse.h"
#include "loader/pkt_json.h"
#include "loader/program.h"
#include "loader/state.h"
#include "maps/reason.h"
#include "maps/ring.h"
#include "user/apps/apps.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/io/pcapng.h"
#include "user/io/ring.h"
#include "user/net/line.h"

#define NS_PER_S INT64_C(1000000000)

struct sample {
	const struct shunt_consume_opts *opts;
	struct shunt_pcapng *file; /* NULL: lines, or objects */
	int64_t offset_ns;	   /* of the wall clock to that of the events */
};

static const char *kind_name(uint32_t kind)
{
	static const char *const names[] = {
#define X(id, value, name, help) [value] = name,
		SHUNT_RING_KINDS(X)
#undef X
	};

	return kind < sizeof(names) / sizeof(*names) ? names[kind] : "unknown";
}

/* --- one copy ---------------------------------------------------------------- */

static int64_t to_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static struct timespec when(const struct sample *sample,
			    const struct shunt_ring_event *event)
{
	int64_t ns = event->time_ns + sample->offset_ns;

	return (struct timespec){ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
}

static const char *rule_name(const struct sample *sample,
			     const struct shunt_ring_event *event)
{
	return shunt_tap_rule(sample->opts->tap, event->counter, event->generation);
}

/* A frame that is cut is parsed as far as it goes; that it is cut is no fault of it. */
static int parse(const struct shunt_ring_event *event, const uint8_t *frame,
		 struct shunt_pkt *pkt)
{
	bool cut = event->captured < event->len;
	int reason;

	memset(pkt, 0, sizeof(*pkt));
	pkt->len = event->len;
	reason = shunt_parse(frame, frame + event->captured, cut, pkt);
	return cut && reason == SHUNT_REASON_DEEP ? SHUNT_PARSE_OK : reason;
}

static void put_line(const struct sample *sample, const struct shunt_ring_event *event,
		     const uint8_t *frame)
{
	struct timespec time = when(sample, event);
	const char *rule = rule_name(sample, event);
	char text[SHUNT_LINE_ROOM], clock[16];
	struct shunt_pkt pkt;
	struct tm tm;
	int reason = parse(event, frame, &pkt);

	localtime_r(&time.tv_sec, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	fprintf(sample->opts->out, "%s.%06ld %s %s rule %s: %s (%s) %u %s\n", clock,
		time.tv_nsec / 1000, kind_name(event->kind),
		shunt_hook_name(event->hook), rule ? rule : "?",
		shunt_action_name(event->verdict), shunt_reason_name(event->reason),
		event->len, shunt_line(&pkt, reason, text));
}

static cJSON *to_object(const struct sample *sample,
			const struct shunt_ring_event *event, const uint8_t *frame)
{
	_json_ cJSON *json = cJSON_CreateObject();
	const char *rule = rule_name(sample, event);
	struct timespec time = when(sample, event);
	struct shunt_pkt pkt;
	int reason = parse(event, frame, &pkt);

	cJSON_AddStringToObject(json, "schema", "shunt.run.sample/1");
	shunt_json_add_u64(json, "time_ns",
			   (uint64_t)time.tv_sec * NS_PER_S + time.tv_nsec);
	cJSON_AddStringToObject(json, "kind", kind_name(event->kind));
	cJSON_AddStringToObject(json, "hook", shunt_hook_name(event->hook));
	cJSON_AddNumberToObject(json, "ifindex", event->ifindex);
	cJSON_AddNumberToObject(json, "queue", event->queue);
	shunt_json_add_u64(json, "generation", event->generation);
	if (rule)
		cJSON_AddStringToObject(json, "rule", rule);
	else
		cJSON_AddNullToObject(json, "rule");
	cJSON_AddStringToObject(json, "verdict", shunt_action_name(event->verdict));
	cJSON_AddStringToObject(json, "reason", shunt_reason_name(event->reason));
	cJSON_AddNumberToObject(json, "length", event->len);
	cJSON_AddNumberToObject(json, "captured", event->captured);
	if (reason >= 0)
		cJSON_AddStringToObject(json, "malformed", shunt_frame_fault(reason));
	if (!cJSON_AddItemToObject(json, "packet", shunt_pkt_json(&pkt)))
		return NULL;
	return shunt_steal(&json);
}

static int put_object(const struct sample *sample, const struct shunt_ring_event *event,
		      const uint8_t *frame, struct shunt_err *err)
{
	_json_ cJSON *json = to_object(sample, event, frame);
	_free_ char *text = json ? cJSON_PrintUnformatted(json) : NULL;

	if (!text)
		return shunt_fail_errno(err, -ENOMEM, "show a sample");
	fprintf(sample->opts->out, "%s\n", text);
	return 0;
}

/* --- the sink ---------------------------------------------------------------- */

static int check_output(const struct sample *sample, struct shunt_err *err)
{
	if (!ferror(sample->opts->out))
		return 0;
	return shunt_fail(err, -EIO,
			  "write to the output: it is closed or its disk is full");
}

static int put_packet(const struct sample *sample, const struct shunt_ring_event *event,
		      const uint8_t *frame, struct shunt_err *err)
{
	const struct shunt_pcapng_packet packet = {
		.time_ns = event->time_ns + (uint64_t)sample->offset_ns,
		.bytes = frame,
		.captured = event->captured,
		.len = event->len,
	};

	return shunt_pcapng_put(sample->file, &packet, err);
}

static int sample_burst(void *self, unsigned int queue,
			const struct shunt_frame *frames, unsigned int n,
			struct shunt_err *err)
{
	const struct sample *sample = self;
	unsigned int i;
	int code = 0;

	(void)queue;
	for (i = 0; i < n && !code; i++) {
		const uint8_t *frame = frames[i].data;
		const struct shunt_ring_event *event = shunt_ring_event_of(frame);

		if (sample->file)
			code = put_packet(sample, event, frame, err);
		else if (sample->opts->json)
			code = put_object(sample, event, frame, err);
		else
			put_line(sample, event, frame);
	}
	return code ? code : check_output(sample, err);
}

static int sample_idle(void *self, struct shunt_err *err)
{
	const struct sample *sample = self;

	if (sample->file)
		return shunt_pcapng_flush(sample->file, err);
	fflush(sample->opts->out);
	return check_output(sample, err);
}

static int sample_tick(void *self, const struct shunt_consume_totals *totals,
		       struct shunt_err *err)
{
	const struct sample *sample = self;
	uint64_t lost;
	int code;

	if (!totals->final)
		return 0;
	code = shunt_tap_lost(sample->opts->tap, &lost, err);
	if (code)
		return code;
	fprintf(stderr, "%" PRIu64 " copies, %" PRIu64 " lost", totals->sum.packets,
		lost);
	if (totals->sum.unread)
		fprintf(stderr, ", %" PRIu64 " unread", totals->sum.unread);
	fputc('\n', stderr);
	return sample_idle(self, err);
}

int shunt_app_sample(const struct shunt_consume_opts *opts, struct shunt_err *err)
{
	static const struct shunt_consume_sink sink = { .burst = sample_burst,
							.tick = sample_tick,
							.idle = sample_idle };
	struct sample sample = {
		.opts = opts,
		.offset_ns = to_ns(CLOCK_REALTIME) - to_ns(CLOCK_MONOTONIC),
	};
	const struct shunt_pcapng_opts format = {
		.sz = sizeof(format),
		.format = opts->write ? shunt_pcapng_format_of(opts->write) : 0
	};
	int code = 0, later;

	if (opts->write)
		code = shunt_pcapng_open(&sample.file, opts->write, &format, err);
	if (!code)
		code = shunt_consume(opts, &sink, &sample, err);
	later = shunt_pcapng_close(sample.file, code ? NULL : err);
	return code ? code : later;
}
