/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "user/apps/apps.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/io/pcapng.h"
#include "user/net/line.h"
#include "loader/pkt_json.h"

struct dump {
	const struct shunt_consume_opts *opts;
	struct shunt_pcapng *file; /* NULL: lines, or objects */
};

/* --- one packet -------------------------------------------------------------- */

static int dump_line(const struct dump *dump, const struct timespec *now,
		     unsigned int queue, const struct shunt_frame *frame)
{
	char text[SHUNT_LINE_ROOM], clock[16], where[16] = "ring";
	struct shunt_pkt pkt;
	struct tm tm;
	int reason = shunt_frame_parse(frame->data, frame->len, &pkt);

	if (queue != SHUNT_CONSUME_RING)
		snprintf(where, sizeof(where), "q%u", queue);
	localtime_r(&now->tv_sec, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	fprintf(dump->opts->out, "%s.%06ld %s %4u %s\n", clock, now->tv_nsec / 1000,
		where, frame->len, shunt_line(&pkt, reason, text));
	return 0;
}

static cJSON *dump_object(const struct timespec *now, unsigned int queue,
			  const struct shunt_frame *frame)
{
	_json_ cJSON *json = cJSON_CreateObject();
	_json_ cJSON *packet = NULL;
	struct shunt_pkt pkt;
	int reason = shunt_frame_parse(frame->data, frame->len, &pkt);

	packet = shunt_pkt_json(&pkt);
	if (!json || !packet ||
	    !cJSON_AddStringToObject(json, "schema", "shunt.run.dump/1"))
		return NULL;
	shunt_json_add_u64(json, "time_ns",
			   now->tv_sec * UINT64_C(1000000000) + now->tv_nsec);
	if (queue == SHUNT_CONSUME_RING)
		cJSON_AddNullToObject(json, "queue");
	else
		shunt_json_add_u64(json, "queue", queue);
	if (reason >= 0 &&
	    !cJSON_AddStringToObject(json, "malformed", shunt_frame_fault(reason)))
		return NULL;
	if (!cJSON_AddItemToObject(json, "packet", packet))
		return NULL;
	shunt_steal(&packet);
	return shunt_steal(&json);
}

static int dump_json(const struct dump *dump, const struct timespec *now,
		     unsigned int queue, const struct shunt_frame *frame,
		     struct shunt_err *err)
{
	_json_ cJSON *json = dump_object(now, queue, frame);
	_free_ char *text = json ? cJSON_PrintUnformatted(json) : NULL;

	if (!text)
		return shunt_fail_errno(err, -ENOMEM, "show a packet");
	fprintf(dump->opts->out, "%s\n", text);
	return 0;
}

/* --- the sink ---------------------------------------------------------------- */

static int check_output(const struct dump *dump, struct shunt_err *err)
{
	if (!ferror(dump->opts->out))
		return 0;
	return shunt_fail(err, -EIO,
			  "write to the output: it is closed or its disk is full");
}

static int dump_write(const struct dump *dump, const struct timespec *now,
		      const struct shunt_frame *frame, struct shunt_err *err)
{
	const struct shunt_pcapng_packet packet = {
		.time_ns = (uint64_t)now->tv_sec * 1000000000u + (uint64_t)now->tv_nsec,
		.bytes = frame->data,
		.captured = frame->len,
		.len = frame->len,
	};

	return shunt_pcapng_put(dump->file, &packet, err);
}

static int dump_burst(void *self, unsigned int queue, const struct shunt_frame *frames,
		      unsigned int n, struct shunt_err *err)
{
	const struct dump *dump = self;
	struct timespec now;
	unsigned int i;
	int code = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	for (i = 0; i < n && !code; i++) {
		if (dump->file)
			code = dump_write(dump, &now, &frames[i], err);
		else if (dump->opts->json)
			code = dump_json(dump, &now, queue, &frames[i], err);
		else
			code = dump_line(dump, &now, queue, &frames[i]);
	}
	return code ? code : check_output(dump, err);
}

static int dump_idle(void *self, struct shunt_err *err)
{
	const struct dump *dump = self;

	if (dump->file)
		return shunt_pcapng_flush(dump->file, err);
	fflush(dump->opts->out);
	return check_output(dump, err);
}

static int dump_tick(void *self, const struct shunt_consume_totals *totals,
		     struct shunt_err *err)
{
	const struct shunt_consume_queue *sum = &totals->sum;

	if (!totals->final)
		return 0;
	fprintf(stderr, "%" PRIu64 " packets, %" PRIu64 " lost", sum->packets,
		shunt_consume_lost(sum));
	if (sum->unread)
		fprintf(stderr, ", %" PRIu64 " unread", sum->unread);
	fputc('\n', stderr);
	return dump_idle(self, err);
}

int shunt_app_dump(const struct shunt_consume_opts *opts, struct shunt_err *err)
{
	static const struct shunt_consume_sink sink = { .burst = dump_burst,
							.tick = dump_tick,
							.idle = dump_idle };
	struct dump dump = { .opts = opts };
	const struct shunt_pcapng_opts format = {
		.sz = sizeof(format),
		.format = opts->write ? shunt_pcapng_format_of(opts->write) : 0
	};
	int code = 0, later;

	if (opts->write)
		code = shunt_pcapng_open(&dump.file, opts->write, &format, err);
	if (!code)
		code = shunt_consume(opts, &sink, &dump, err);
	later = shunt_pcapng_close(dump.file, code ? NULL : err);
	return code ? code : later;
}
