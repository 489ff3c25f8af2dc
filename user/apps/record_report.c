/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/record_report.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "user/base/cleanup.h"
#include "user/base/json.h"

static cJSON *to_json(const struct shunt_record_report_opts *opts,
		      const struct shunt_record_totals *totals, double seconds,
		      uint64_t unread, bool final)
{
	_json_ cJSON *json = cJSON_CreateObject();

	if (!json || !cJSON_AddStringToObject(json, "schema", "shunt.run.capture/1") ||
	    !cJSON_AddStringToObject(json, "source", opts->source) ||
	    !(opts->consumer ? cJSON_AddStringToObject(json, "consumer", opts->consumer)
			     : cJSON_AddNullToObject(json, "consumer")) ||
	    !cJSON_AddBoolToObject(json, "final", final) ||
	    !cJSON_AddNumberToObject(json, "seconds", seconds))
		return NULL;
	shunt_json_add_u64(json, "seen", totals->seen.received);
	shunt_json_add_u64(json, "written", totals->seen.accepted);
	shunt_json_add_u64(json, "bytes", totals->bytes);
	shunt_json_add_u64(json, "lost", totals->seen.lost);
	shunt_json_add_u64(json, "unread", unread);
	shunt_json_add_u64(json, "files", totals->files);
	if (!cJSON_AddStringToObject(json, "file", totals->name))
		return NULL;
	return shunt_steal(&json);
}

static int put_json(const struct shunt_record_report_opts *opts,
		    const struct shunt_record_totals *totals, double seconds,
		    uint64_t unread, bool final, struct shunt_err *err)
{
	_json_ cJSON *json = to_json(opts, totals, seconds, unread, final);
	_free_ char *text = json ? cJSON_PrintUnformatted(json) : NULL;

	if (!text)
		return shunt_fail_errno(err, -ENOMEM, "report the capture");
	fprintf(opts->out, "%s\n", text);
	if (fflush(opts->out) || ferror(opts->out))
		return shunt_fail(err, -EIO,
				  "report the capture: the output is closed or its "
				  "disk is full");
	return 0;
}

/* Over the line before, until the last one. */
static void put_words(const struct shunt_record_totals *totals, uint64_t unread,
		      bool final)
{
	bool live = isatty(STDERR_FILENO);

	if (!live && !final)
		return;
	fprintf(stderr, "%s%" PRIu64 " packets, %" PRIu64 " written to %s",
		live ? "\r\033[K" : "", totals->seen.received, totals->seen.accepted,
		totals->name);
	if (totals->files > 1)
		fprintf(stderr, " (file %" PRIu64 ")", totals->files);
	fprintf(stderr, ", %" PRIu64 " lost", totals->seen.lost);
	if (unread)
		fprintf(stderr, ", %" PRIu64 " unread", unread);
	if (final)
		fputc('\n', stderr);
	fflush(stderr);
}

int shunt_record_report(const struct shunt_record_report_opts *opts,
			const struct shunt_recorder *recorder, double seconds,
			uint64_t unread, bool final, struct shunt_err *err)
{
	struct shunt_record_totals totals;

	shunt_record_totals(recorder, &totals);
	if (opts->json)
		return put_json(opts, &totals, seconds, unread, final, err);
	put_words(&totals, unread, final);
	return 0;
}
