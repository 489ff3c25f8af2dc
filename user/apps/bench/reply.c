/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/bench/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "user/base/cleanup.h"
#include "user/base/json.h"

#define KIND_TEXT(name, text, help) [SHUNT_BENCH_##name] = text,
static const char *const kind_text[] = { SHUNT_BENCH_KINDS(KIND_TEXT) };

/* What the figures leave out, so that nobody reads more into them. */
static const char *const notes[] = {
	"Round trips are seen by the client: from before it hands a request over until "
	"it "
	"has the reply in its hands.",
	"CPU time is that of the two processes, by their own clocks, spinning "
	"included. It "
	"leaves out what the kernel does for them elsewhere: interrupts, ksoftirqd, "
	"threaded NAPI; a veth's receiving runs in its sender's time.",
	"In an open loop a time counts from when the request was due. A client that "
	"sleeps "
	"until then counts its own waking up as well.",
	"Percentiles of a round are its own; a row shows their median over the rounds. "
	"The "
	"distribution is of all rounds together.",
	"Others' programs tell less: of sockperf, percentiles of a round trip; of "
	"fi_pingpong, a mean of half round trips, and of ucx_perftest, a median and a "
	"mean "
	"of them, both doubled here.",
};

static void read_cpu(char *cpu, size_t room)
{
	_file_ FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');

		if (!colon || strncmp(line, "model name", 10) != 0)
			continue;
		colon[strcspn(colon, "\n")] = '\0';
		snprintf(cpu, room, "%.*s", (int)room - 1, colon + 2);
		return;
	}
}

void shunt_bench_facts_look(struct shunt_bench_facts *facts)
{
	struct utsname name;
	time_t now = time(NULL);
	struct tm utc;

	uname(&name);
	snprintf(facts->kernel, sizeof(facts->kernel), "%s", name.release);
	snprintf(facts->machine, sizeof(facts->machine), "%.31s", name.machine);
	read_cpu(facts->cpu, sizeof(facts->cpu));
	facts->cores = sysconf(_SC_NPROCESSORS_ONLN);
	if (getloadavg(&facts->load, 1) != 1)
		facts->load = 0;
	strftime(facts->began, sizeof(facts->began), "%Y-%m-%dT%H:%M:%SZ",
		 gmtime_r(&now, &utc));
}

/* --- rows ----------------------------------------------------------------------------------- */

static void name_contender(cJSON *row, const struct shunt_bench_contender *contender)
{
	cJSON_AddStringToObject(row, "contender", contender->name);
	cJSON_AddStringToObject(row, "kind",
				contender->ops	     ? "backend"
				: contender->program ? "program"
						     : "plain");
	if (*contender->proto)
		cJSON_AddStringToObject(row, "proto", contender->proto);
	cJSON_AddStringToObject(row, "wait", contender->wait);
}

static void put_row(cJSON *rows, const struct shunt_bench_contender *contender,
		    const struct shunt_bench_tally *tally)
{
	const struct shunt_bench_case *todo = &tally->todo;
	cJSON *row = cJSON_CreateObject();

	name_contender(row, contender);
	cJSON_AddStringToObject(row, "case", kind_text[todo->kind]);
	cJSON_AddNumberToObject(row, "size", todo->size);
	cJSON_AddNumberToObject(row, "batch", todo->batch);
	cJSON_AddNumberToObject(row, "peers", todo->peers);
	if (todo->kind == SHUNT_BENCH_RATE)
		shunt_json_add_u64(row, "rate", todo->rate);
	if (*tally->clients || *contender->client)
		cJSON_AddStringToObject(row, "clients",
					*tally->clients ? tally->clients
							: contender->client);
	shunt_bench_tally_json(tally, row);
	cJSON_AddItemToArray(rows, row);
}

static void put_rows(cJSON *reply, const struct shunt_bench_field *field)
{
	cJSON *rows = cJSON_AddArrayToObject(reply, "rows");
	size_t i, c;

	for (i = 0; i < field->contenders; i++) {
		const struct shunt_bench_contender *contender = &field->contender[i];

		for (c = 0; c < contender->cases; c++)
			if (contender->tally[c].rounds || *contender->tally[c].error)
				put_row(rows, contender, &contender->tally[c]);
	}
}

static void put_missing(cJSON *reply, const struct shunt_bench_field *field)
{
	cJSON *failed = cJSON_AddArrayToObject(reply, "failed"),
	      *absent = cJSON_AddArrayToObject(reply, "absent");
	size_t i;

	for (i = 0; i < field->contenders; i++) {
		cJSON *item;

		if (!*field->contender[i].failed)
			continue;
		item = cJSON_CreateObject();
		name_contender(item, &field->contender[i]);
		cJSON_AddStringToObject(item, "why", field->contender[i].failed);
		cJSON_AddItemToArray(failed, item);
	}
	for (i = 0; i < field->absents; i++) {
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "contender", field->absent[i].name);
		cJSON_AddStringToObject(item, "why", field->absent[i].why);
		cJSON_AddItemToArray(absent, item);
	}
}

cJSON *shunt_bench_reply(const struct shunt_bench_opts *opts,
			 const struct shunt_bench_facts *facts,
			 const struct shunt_bench_field *field)
{
	cJSON *reply = cJSON_CreateObject(), *cores;

	cJSON_AddStringToObject(reply, "schema", "shunt.bench.transports/1");
	cJSON_AddStringToObject(reply, "version", SHUNT_VERSION);
	if (opts->note)
		cJSON_AddStringToObject(reply, "note", opts->note);
	cJSON_AddStringToObject(reply, "began", facts->began);
	cJSON_AddStringToObject(reply, "kernel", facts->kernel);
	cJSON_AddStringToObject(reply, "machine", facts->machine);
	cJSON_AddStringToObject(reply, "cpu", facts->cpu);
	cJSON_AddNumberToObject(reply, "cores", (double)facts->cores);
	cJSON_AddNumberToObject(reply, "load", facts->load);
	cJSON_AddStringToObject(reply, "place", opts->peer ? "peer" : "veth");
	if (opts->peer)
		cJSON_AddStringToObject(reply, "peer", opts->peer);
	cores = cJSON_AddObjectToObject(reply, "pinned");
	cJSON_AddNumberToObject(cores, "client", facts->client_core);
	cJSON_AddNumberToObject(cores, "server", facts->server_core);
	cJSON_AddNumberToObject(reply, "rounds", opts->rounds);
	cJSON_AddNumberToObject(reply, "duration_ms", (double)opts->duration_ns / 1e6);
	shunt_json_add_u64(reply, "rate", facts->rate);
	put_rows(reply, field);
	put_missing(reply, field);
	shunt_bench_claims(reply);
	cJSON_AddItemToObject(reply, "notes",
			      cJSON_CreateStringArray(notes,
						      sizeof(notes) / sizeof(*notes)));
	return reply;
}

/* --- looking into it -------------------------------------------------------------------------- */

static bool is(const cJSON *row, const char *key, const char *value)
{
	return !value || !strcmp(shunt_json_str(row, key), value);
}

const cJSON *shunt_bench_row(const cJSON *reply, const char *contender,
			     const char *proto, const char *wait, const char *kind,
			     uint32_t size, uint32_t batch, uint32_t peers)
{
	const cJSON *row;

	cJSON_ArrayForEach(row, shunt_json_get(reply, "rows"))
	{
		if (is(row, "contender", contender) && is(row, "proto", proto) &&
		    is(row, "wait", wait) && is(row, "case", kind) &&
		    shunt_json_u64(row, "size") == size &&
		    shunt_json_u64(row, "batch") == batch &&
		    shunt_json_u64(row, "peers") == peers)
			return row;
	}
	return NULL;
}

double shunt_bench_row_median(const cJSON *row, const char *figure)
{
	const cJSON *item = shunt_json_get(row, figure);

	if (!item)
		item = shunt_json_get(shunt_json_get(row, "latency_ns"), figure);
	item = shunt_json_get(item, "median");
	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}
