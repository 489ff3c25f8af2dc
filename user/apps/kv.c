/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/kv.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "user/apps/stop.h"
#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/base/json.h"

#define LINE_MAX (SHUNT_KV_KEY_MAX + SHUNT_KV_VALUE_MAX + 16u)

static const char *const names[] = {
#define X(id, value, name, up, help) [value] = name,
	SHUNT_KV_RESULTS(X)
#undef X
};

#define NAMES (sizeof(names) / sizeof(*names))

struct run {
	const struct shunt_app_kv_opts *opts;
	uint64_t begin_ns, report_ns;
	uint64_t changes, refused;
	uint64_t count[SHUNT_KV_RESULT_MAX];
	uint64_t answered; /* of the last line, and when that was */
	double seconds;
	int changes_fd;
	char line[LINE_MAX];
	size_t len;
	bool skips; /* the rest of a line that is too long */
};

/* --- changes ------------------------------------------------------------------------------- */

static int change(struct run *run, char *line, struct shunt_err *err)
{
	char *key = strchr(line, ' '), *value;

	if (key)
		*key++ = '\0';
	if (key && !strcmp(line, "del"))
		return shunt_kv_del(run->opts->kv, key, err);
	value = key ? strchr(key, ' ') : NULL;
	if (!value || strcmp(line, "set"))
		return shunt_fail(err, -EINVAL,
				  "\"%.20s\": a line is \"set KEY VALUE\" or \"del "
				  "KEY\"",
				  line);
	*value++ = '\0';
	return shunt_kv_set(run->opts->kv, key, value, strlen(value), err);
}

static void read_line(struct run *run)
{
	struct shunt_err err;
	int ret;

	run->line[run->len] = '\0';
	if (run->skips)
		ret = shunt_fail(&err, -EINVAL, "a line of more than %u bytes",
				 LINE_MAX - 1);
	else
		ret = change(run, run->line, &err);
	run->changes += !ret;
	run->refused += ret != 0;
	if (ret)
		fprintf(stderr, "shunt: change refused: %s\n", err.message);
	run->len = 0;
	run->skips = false;
}

static void read_changes(struct run *run)
{
	char some[4096];
	ssize_t n = read(run->changes_fd, some, sizeof(some)), i;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	for (i = 0; i < n; i++) {
		if (some[i] == '\n')
			read_line(run);
		else if (run->len < LINE_MAX - 1)
			run->line[run->len++] = some[i];
		else
			run->skips = true;
	}
	if (n > 0)
		return;
	if (run->len)
		read_line(run);
	run->changes_fd = -1;
}

/* --- reports ------------------------------------------------------------------------------- */

static uint64_t sum_answered(const struct run *run)
{
	return run->count[SHUNT_KV_ECHO] + run->count[SHUNT_KV_HIT] +
	       run->count[SHUNT_KV_MISS];
}

static int print_json(const struct run *run, bool final, struct shunt_err *err)
{
	_json_ cJSON *json = cJSON_CreateObject();
	cJSON *results;
	_free_ char *text = NULL;
	size_t i;

	if (json && cJSON_AddStringToObject(json, "schema", "shunt.run.kv/1") &&
	    cJSON_AddStringToObject(json, "interface", run->opts->interface) &&
	    cJSON_AddStringToObject(json, "mode", shunt_kv_mode(run->opts->kv)) &&
	    cJSON_AddBoolToObject(json, "final", final) &&
	    cJSON_AddNumberToObject(json, "seconds", run->seconds) &&
	    cJSON_AddNumberToObject(json, "keys", shunt_kv_keys(run->opts->kv)) &&
	    (results = cJSON_AddObjectToObject(json, "results"))) {
		for (i = 0; i < NAMES; i++)
			shunt_json_add_u64(results, names[i], run->count[i]);
		shunt_json_add_u64(json, "answered", sum_answered(run));
		shunt_json_add_u64(json, "changes", run->changes);
		shunt_json_add_u64(json, "refused", run->refused);
		text = cJSON_PrintUnformatted(json);
	}
	if (!text)
		return shunt_fail_errno(err, -ENOMEM, "report");
	fprintf(run->opts->out, "%s\n", text);
	return 0;
}

static void print_interval(const struct run *run, double since, uint64_t before)
{
	FILE *out = run->opts->out;

	if (!since)
		fprintf(out, "%9s %14s %14s %14s %10s\n", "seconds", "answered", "hits",
			"misses", "answers/s");
	fprintf(out, "%9.1f %14" PRIu64 " %14" PRIu64 " %14" PRIu64 " %10.0f\n",
		run->seconds, sum_answered(run), run->count[SHUNT_KV_HIT],
		run->count[SHUNT_KV_MISS],
		(double)(sum_answered(run) - before) / (run->seconds - since));
}

static void print_summary(const struct run *run)
{
	FILE *out = run->opts->out;
	size_t i;

	fprintf(out,
		"%s, %s XDP, %.3f s: %" PRIu64 " answered; %u keys, %" PRIu64
		" changes\n",
		run->opts->interface, shunt_kv_mode(run->opts->kv), run->seconds,
		sum_answered(run), shunt_kv_keys(run->opts->kv), run->changes);
	for (i = 0; i < NAMES; i++)
		if (run->count[i])
			fprintf(out, "  %-10s %" PRIu64 "\n", names[i], run->count[i]);
}

static int report(struct run *run, bool final, struct shunt_err *err)
{
	double since = run->seconds;
	uint64_t before = run->answered;
	int ret = shunt_kv_counts(run->opts->kv, run->count, err);

	if (ret)
		return ret;
	run->seconds = (double)(shunt_now_ns() - run->begin_ns) / 1e9;
	run->answered = sum_answered(run);
	if (run->opts->json)
		ret = print_json(run, final, err);
	else if (final)
		print_summary(run);
	else
		print_interval(run, since, before);
	if (!ret && (fflush(run->opts->out) || ferror(run->opts->out)))
		ret = shunt_fail(err, -EIO,
				 "write the report: the output is closed or its disk "
				 "is full");
	return ret;
}

/* --- the run ------------------------------------------------------------------------------- */

/* Milliseconds to the next report or the end; -1: neither comes. */
static int wait_ms(const struct run *run, uint64_t now, uint64_t end_ns)
{
	uint64_t next = run->report_ns < end_ns ? run->report_ns : end_ns;

	if (next == UINT64_MAX)
		return -1;
	return next > now ? (int)((next - now) / 1000000 + 1) : 0;
}

static int serve(struct run *run, const struct shunt_stop *stop, struct shunt_err *err)
{
	const struct shunt_app_kv_opts *opts = run->opts;
	uint64_t now = shunt_now_ns(), end_ns = UINT64_MAX;
	int ret = 0;

	run->begin_ns = now;
	if (opts->duration_ns)
		end_ns = now + opts->duration_ns;
	run->report_ns = opts->interval_ns ? now + opts->interval_ns : UINT64_MAX;
	while (!ret && !shunt_stop_wanted() && now < end_ns) {
		struct pollfd fds[2] = { { .fd = stop->event, .events = POLLIN },
					 { .fd = run->changes_fd, .events = POLLIN } };

		if (poll(fds, 2, wait_ms(run, now, end_ns)) < 0 && errno != EINTR)
			return shunt_fail_errno(err, -errno, "wait");
		if (fds[1].revents)
			read_changes(run);
		now = shunt_now_ns();
		if (now < run->report_ns || now >= end_ns)
			continue;
		run->report_ns = now + opts->interval_ns;
		ret = report(run, false, err);
	}
	return ret ? ret : report(run, true, err);
}

int shunt_app_kv(const struct shunt_app_kv_opts *opts, struct shunt_err *err)
{
	struct run run = { .opts = opts, .changes_fd = opts->changes_fd };
	struct shunt_err note;
	struct shunt_stop stop;
	int ret = shunt_stop_open(&stop, err);

	if (ret)
		return ret;
	ret = shunt_kv_attach(opts->kv, &note, err);
	if (!ret && *note.message)
		fprintf(stderr, "shunt: %s\n", note.message);
	if (!ret)
		fprintf(stderr, "shunt: %s answers\n", opts->interface);
	if (!ret)
		ret = serve(&run, &stop, err);
	shunt_stop_close(&stop);
	return ret;
}
