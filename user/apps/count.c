/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>

#include "user/apps/apps.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

struct count {
	const struct shunt_consume_opts *opts;
	double seconds; /* of the last line */
	uint64_t packets;
	uint64_t bytes;
};

/* The loop itself counts. */
static int count_burst(void *self, unsigned int queue, const struct shunt_frame *frames,
		       unsigned int n, struct shunt_err *err)
{
	(void)self;
	(void)queue;
	(void)frames;
	(void)n;
	(void)err;
	return 0;
}

static int count_idle(void *self, struct shunt_err *err)
{
	(void)self;
	(void)err;
	return 0;
}

static bool add_counts(cJSON *json, const struct shunt_consume_queue *queue)
{
	cJSON *drops;

	shunt_json_add_u64(json, "packets", queue->packets);
	shunt_json_add_u64(json, "bytes", queue->bytes);
	shunt_json_add_u64(json, "unread", queue->unread);
	drops = cJSON_AddObjectToObject(json, "drops");
	if (!drops)
		return false;
	shunt_json_add_u64(drops, "rx_dropped", queue->drops.rx_dropped);
	shunt_json_add_u64(drops, "rx_ring_full", queue->drops.rx_ring_full);
	shunt_json_add_u64(drops, "fill_ring_empty", queue->drops.rx_fill_empty);
	shunt_json_add_u64(drops, "invalid", queue->drops.rx_invalid);
	return true;
}

static bool add_queues(cJSON *json, const struct shunt_consume_totals *totals)
{
	cJSON *queues = cJSON_AddArrayToObject(json, "queues");
	size_t i;

	if (!queues)
		return false;
	for (i = 0; i < totals->count; i++) {
		cJSON *object = cJSON_CreateObject();

		if (!cJSON_AddItemToArray(queues, object))
			return false;
		if (totals->queues[i].queue == SHUNT_CONSUME_RING)
			cJSON_AddNullToObject(object, "queue");
		else
			shunt_json_add_u64(object, "queue", totals->queues[i].queue);
		if (!add_counts(object, &totals->queues[i]))
			return false;
	}
	return true;
}

static cJSON *count_json(const struct shunt_consume_opts *opts,
			 const struct shunt_consume_totals *totals)
{
	_json_ cJSON *json = cJSON_CreateObject();

	if (!json || !cJSON_AddStringToObject(json, "schema", "shunt.run.count/1") ||
	    !cJSON_AddStringToObject(json, "interface", opts->interface) ||
	    !cJSON_AddStringToObject(json, "consumer", opts->consumer) ||
	    !cJSON_AddBoolToObject(json, "final", totals->final) ||
	    !cJSON_AddNumberToObject(json, "seconds", totals->seconds) ||
	    !add_counts(json, &totals->sum) || !add_queues(json, totals))
		return NULL;
	return shunt_steal(&json);
}

static int print_json(struct count *count, const struct shunt_consume_totals *totals,
		      struct shunt_err *err)
{
	_json_ cJSON *json = count_json(count->opts, totals);
	_free_ char *text = json ? cJSON_PrintUnformatted(json) : NULL;

	if (!text)
		return shunt_fail_errno(err, -ENOMEM, "report the counts");
	fprintf(count->opts->out, "%s\n", text);
	return 0;
}

static void print_interval(struct count *count,
			   const struct shunt_consume_totals *totals)
{
	double seconds = totals->seconds - count->seconds;
	double packets = totals->sum.packets - count->packets;
	double bytes = totals->sum.bytes - count->bytes;

	if (count->seconds == 0)
		fprintf(count->opts->out, "%9s %14s %16s %12s %14s %10s\n", "seconds",
			"packets", "bytes", "lost", "packets/s", "Mbit/s");
	if (seconds > 0)
		fprintf(count->opts->out,
			"%9.1f %14" PRIu64 " %16" PRIu64 " %12" PRIu64
			" %14.0f %10.1f\n",
			totals->seconds, totals->sum.packets, totals->sum.bytes,
			shunt_consume_lost(&totals->sum), packets / seconds,
			bytes * 8 / seconds / 1e6);
	count->seconds = totals->seconds;
	count->packets = totals->sum.packets;
	count->bytes = totals->sum.bytes;
}

static void print_queue(FILE *out, const char *name,
			const struct shunt_consume_queue *queue)
{
	fprintf(out, "%-9s %" PRIu64 " packets, %" PRIu64 " bytes, %" PRIu64 " lost",
		name, queue->packets, queue->bytes, shunt_consume_lost(queue));
	if (shunt_consume_lost(queue))
		fprintf(out, " (ring full %" PRIu64 ", dropped %" PRIu64 ")",
			queue->drops.rx_ring_full, queue->drops.rx_dropped);
	if (queue->unread)
		fprintf(out, ", %" PRIu64 " unread", queue->unread);
	fputc('\n', out);
}

static void print_summary(const struct count *count,
			  const struct shunt_consume_totals *totals)
{
	FILE *out = count->opts->out;
	char name[24];
	size_t i;

	fprintf(out, "%s into %s, %.3f s\n", count->opts->interface,
		count->opts->consumer, totals->seconds);
	for (i = 0; i < totals->count; i++) {
		snprintf(name, sizeof(name), "queue %u", totals->queues[i].queue);
		if (totals->queues[i].queue == SHUNT_CONSUME_RING)
			snprintf(name, sizeof(name), "ring");
		print_queue(out, name, &totals->queues[i]);
	}
	print_queue(out, "total", &totals->sum);
}

static int count_tick(void *self, const struct shunt_consume_totals *totals,
		      struct shunt_err *err)
{
	struct count *count = self;
	int code = 0;

	if (count->opts->json)
		code = print_json(count, totals, err);
	else if (totals->final)
		print_summary(count, totals);
	else
		print_interval(count, totals);
	if (code)
		return code;
	if (fflush(count->opts->out) || ferror(count->opts->out))
		return shunt_fail(err, -EIO,
				  "write the counts: the output is closed or "
				  "its disk is full");
	return 0;
}

int shunt_app_count(const struct shunt_consume_opts *opts, struct shunt_err *err)
{
	static const struct shunt_consume_sink sink = { .burst = count_burst,
							.tick = count_tick,
							.idle = count_idle };
	struct count count = { .opts = opts };

	return shunt_consume(opts, &sink, &count, err);
}
