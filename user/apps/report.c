/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/name.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

/* --- figures by name ----------------------------------------------------------------- */

struct figure {
	const char *name;
	size_t offset; /* in its struct */
};

#define APP_FIGURE(name, help) { #name, offsetof(struct shunt_app_counts, name) },
#define PORT_FIGURE(name, help) { #name, offsetof(struct shunt_port_stats, name) },

static const struct figure counters[] = { SHUNT_APP_COUNTERS(APP_FIGURE) };
static const struct figure losses[] = { SHUNT_APP_LOSSES(APP_FIGURE) };
static const struct figure port_counters[] = { SHUNT_PORT_COUNTERS(PORT_FIGURE) };

#define ROWS(table) (sizeof(table) / sizeof(*(table)))

static uint64_t figure_of(const void *from, const struct figure *figure)
{
	uint64_t value;

	memcpy(&value, (const char *)from + figure->offset, sizeof(value));
	return value;
}

uint64_t shunt_app_lost(const struct shunt_app_counts *count)
{
	uint64_t lost = 0;
	size_t i;

	for (i = 0; i < ROWS(losses); i++)
		lost += figure_of(count, &losses[i]);
	return lost;
}

static void add_answers(struct shunt_app_counts *sum,
			const struct shunt_app_counts *count)
{
	size_t i;

	for (i = 0; i < SHUNT_ANSWER_KINDS; i++)
		sum->answers[i] += count->answers[i];
}

struct shunt_app_counts shunt_report_sum(const struct shunt_run_report *report)
{
	struct shunt_app_counts sum = { 0 };
	unsigned int i;

	for (i = 0; i < report->config->apps; i++) {
#define ADD(name, help) sum.name += report->app[i].name;
		SHUNT_APP_COUNTERS(ADD)
		SHUNT_APP_LOSSES(ADD)
		add_answers(&sum, &report->app[i]);
	}
	return sum;
}

/* --- JSON ----------------------------------------------------------------------------- */

static cJSON *add_object(cJSON *list)
{
	cJSON *object = cJSON_CreateObject();

	if (cJSON_AddItemToArray(list, object))
		return object;
	cJSON_Delete(object);
	return NULL;
}

static void add_figures(cJSON *to, const void *from, const struct figure *rows,
			size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		shunt_json_add_u64(to, rows[i].name, figure_of(from, &rows[i]));
}

static bool add_counts(cJSON *to, const struct shunt_app_counts *count)
{
	cJSON *lost;

	add_figures(to, count, counters, ROWS(counters));
	lost = cJSON_AddObjectToObject(to, "lost");
	add_figures(lost, count, losses, ROWS(losses));
	return lost;
}

/* Of an echo: what was answered, and why the rest was not. */
static bool add_why(cJSON *to, const struct shunt_app_counts *count)
{
	cJSON *answered = cJSON_AddObjectToObject(to, "answered");
	cJSON *unanswered = cJSON_AddObjectToObject(to, "unanswered");
	int i;

	for (i = 0; i < SHUNT_ANSWER_KINDS; i++)
		shunt_json_add_u64(i < SHUNT_ANSWER_NONE ? answered : unanswered,
				   shunt_answer_name((enum shunt_answer_kind)i),
				   count->answers[i]);
	return answered && unanswered;
}

static bool add_apps(cJSON *json, const struct shunt_run_report *report)
{
	cJSON *list = cJSON_AddArrayToObject(json, "applications");
	unsigned int i, p;

	for (i = 0; list && i < report->config->apps; i++) {
		const struct shunt_run_app *app = &report->config->app[i];
		cJSON *to = add_object(list), *ports;

		if (!to || !cJSON_AddStringToObject(to, "name", app->name) ||
		    !cJSON_AddStringToObject(
			    to, "app", shunt_name_text(shunt_run_kinds, app->kind)))
			return false;
		ports = cJSON_AddArrayToObject(to, "ports");
		for (p = 0; p < app->ports; p++)
			cJSON_AddItemToArray(
				ports,
				cJSON_CreateString(
					report->config->port[app->port[p]].name));
		if (!ports || !add_counts(to, &report->app[i]) ||
		    (app->kind == SHUNT_RUN_ECHO && !add_why(to, &report->app[i])))
			return false;
	}
	return list;
}

static bool add_ports(cJSON *json, const struct shunt_run_report *report)
{
	cJSON *list = cJSON_AddArrayToObject(json, "ports");
	unsigned int i;

	for (i = 0; list && i < report->config->ports; i++) {
		cJSON *to = add_object(list), *given;

		if (!to ||
		    !cJSON_AddStringToObject(to, "name", report->config->port[i].name))
			return false;
		add_figures(to, &report->port[i], port_counters, ROWS(port_counters));
		if (!report->final)
			continue;
		given = shunt_port_describe(report->opened[i]);
		if (!given || !cJSON_AddItemToObject(to, "describe", given))
			return false;
	}
	return list;
}

static bool add_workers(cJSON *json, const struct shunt_run_report *report)
{
	cJSON *list = cJSON_AddArrayToObject(json, "workers");
	unsigned int i;

	for (i = 0; list && i < report->config->workers; i++) {
		const struct shunt_worker_time *time = &report->worker[i];
		cJSON *to = add_object(list);

		if (!to || !cJSON_AddStringToObject(to, "name",
						    report->config->worker[i].name))
			return false;
		shunt_json_add_u64(to, "bursts", time->bursts);
		shunt_json_add_u64(to, "spins", time->spins);
		shunt_json_add_u64(to, "sleeps", time->sleeps);
		shunt_json_add_u64(to, "cpu_ns", time->cpu_ns);
	}
	return list;
}

static int write_json(const struct shunt_run_opts *opts,
		      const struct shunt_run_report *report, struct shunt_err *err)
{
	const struct shunt_app_counts sum = shunt_report_sum(report);
	_json_ cJSON *json = cJSON_CreateObject();
	_free_ char *text = NULL;

	if (json && cJSON_AddStringToObject(json, "schema", opts->schema) &&
	    cJSON_AddBoolToObject(json, "final", report->final) &&
	    cJSON_AddNumberToObject(json, "seconds", report->seconds) &&
	    add_counts(json, &sum) && add_apps(json, report) &&
	    add_ports(json, report) && add_workers(json, report))
		text = cJSON_PrintUnformatted(json);
	if (!text)
		return shunt_fail_errno(err, -ENOMEM, "report");
	fprintf(opts->out, "%s\n", text);
	return 0;
}

/* --- text ----------------------------------------------------------------------------- */

static void write_row(struct shunt_reporter *reporter,
		      const struct shunt_run_report *report)
{
	const struct shunt_app_counts sum = shunt_report_sum(report),
				      *was = &reporter->before;
	double seconds = report->seconds - reporter->seconds;
	FILE *out = reporter->opts->out;

	if (reporter->seconds == 0)
		fprintf(out, "%9s %14s %14s %10s %12s %12s %10s\n", "seconds",
			"received", "sent", "lost", "received/s", "sent/s", "Mbit/s");
	if (seconds > 0)
		fprintf(out,
			"%9.1f %14" PRIu64 " %14" PRIu64 " %10" PRIu64
			" %12.0f %12.0f %10.1f\n",
			report->seconds, sum.received, sum.sent, shunt_app_lost(&sum),
			(double)(sum.received - was->received) / seconds,
			(double)(sum.sent - was->sent) / seconds,
			(double)(sum.received_bytes - was->received_bytes +
				 sum.sent_bytes - was->sent_bytes) *
				8 / seconds / 1e6);
	reporter->seconds = report->seconds;
	reporter->before = sum;
}

/* ", refused 3, not_ip 1" */
static void write_figures(FILE *out, const void *from, const struct figure *rows,
			  size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (figure_of(from, &rows[i]))
			fprintf(out, ", %s %" PRIu64, rows[i].name,
				figure_of(from, &rows[i]));
}

static void write_answers(FILE *out, const struct shunt_app_counts *count)
{
	int i;

	for (i = 0; i < SHUNT_ANSWER_KINDS; i++)
		if (count->answers[i])
			fprintf(out, "  %-12s %-14s %12" PRIu64 "  %s\n",
				i < SHUNT_ANSWER_NONE ? "answered" : "not answered",
				shunt_answer_name((enum shunt_answer_kind)i),
				count->answers[i],
				shunt_answer_help((enum shunt_answer_kind)i));
}

static void write_app(FILE *out, const char *name, const struct shunt_app_counts *count)
{
	static const struct figure more[] = { APP_FIGURE(consumed, ) APP_FIGURE(
		numbered, ) APP_FIGURE(missing, ) APP_FIGURE(late, ) };

	fprintf(out,
		"%s: received %" PRIu64 " (%" PRIu64 " bytes), sent %" PRIu64
		" (%" PRIu64 " bytes)",
		name, count->received, count->received_bytes, count->sent,
		count->sent_bytes);
	write_figures(out, count, more, ROWS(more));
	fprintf(out, ", lost %" PRIu64, shunt_app_lost(count));
	write_figures(out, count, losses, ROWS(losses));
	fputc('\n', out);
}

static void write_summary(const struct shunt_run_opts *opts,
			  const struct shunt_run_report *report)
{
	const struct shunt_run_config *config = report->config;
	const struct shunt_app_counts sum = shunt_report_sum(report);
	FILE *out = opts->out;
	unsigned int i;

	fprintf(out, "%.3f s\n", report->seconds);
	for (i = 0; i < config->ports; i++) {
		fprintf(out, "  %s", config->port[i].name);
		write_figures(out, &report->port[i], port_counters,
			      ROWS(port_counters));
		fputc('\n', out);
	}
	for (i = 0; i < config->workers; i++)
		fprintf(out, "  worker %s, cpu %.3f s, slept %" PRIu64 " times\n",
			config->worker[i].name, (double)report->worker[i].cpu_ns / 1e9,
			report->worker[i].sleeps);
	for (i = 0; config->apps > 1 && i < config->apps; i++)
		write_app(out, config->app[i].name, &report->app[i]);
	write_answers(out, &sum);
	write_app(out, "total", &sum);
}

/* --- either --------------------------------------------------------------------------- */

void shunt_report_links(const char *name, const struct shunt_port_stats *now,
			struct shunt_port_stats *before)
{
	if (now->cuts > before->cuts)
		fprintf(stderr, "shunt: %s: the other side is gone\n", name);
	if (now->connects > before->connects && now->connects > 1)
		fprintf(stderr, "shunt: %s: connected again\n", name);
	*before = *now;
}

int shunt_report(struct shunt_reporter *reporter, const struct shunt_run_report *report,
		 struct shunt_err *err)
{
	const struct shunt_run_opts *opts = reporter->opts;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < report->config->ports; i++)
		shunt_report_links(report->config->port[i].name, &report->port[i],
				   &reporter->port[i]);
	if (opts->json)
		ret = write_json(opts, report, err);
	else if (report->final)
		write_summary(opts, report);
	else
		write_row(reporter, report);
	if (!ret && (fflush(opts->out) || ferror(opts->out)))
		ret = shunt_fail(err, -EIO,
				 "write the report: the output is closed or its disk "
				 "is full");
	return ret;
}
