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
	"fi_pingpong, a mean of half round trips, of ucx_perftest, a median and a mean "
	"of "
	"them, of perftest's ib_* percentiles of them, all doubled here. perftest's "
	"rates "
	"are of messages that were acknowledged.",
	"A ratio is one of figures of the same round, ours by the other's: of times, "
	"below "
	"1 is faster; of rates, above 1.",
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

void shunt_bench_name(cJSON *json, const struct shunt_bench_contender *contender)
{
	cJSON_AddStringToObject(json, "contender", contender->name);
	cJSON_AddStringToObject(json, "kind",
				contender->ops	     ? "backend"
				: contender->program ? "program"
						     : "plain");
	if (*contender->proto)
		cJSON_AddStringToObject(json, "proto", contender->proto);
	cJSON_AddStringToObject(json, "wait", contender->wait);
}

void shunt_bench_case_json(const struct shunt_bench_case *todo, cJSON *json)
{
	cJSON_AddStringToObject(json, "case", kind_text[todo->kind]);
	cJSON_AddNumberToObject(json, "size", todo->size);
	cJSON_AddNumberToObject(json, "batch", todo->batch);
	cJSON_AddNumberToObject(json, "peers", todo->peers);
}

static void put_row(cJSON *rows, const struct shunt_bench_contender *contender,
		    const struct shunt_bench_tally *tally)
{
	const struct shunt_bench_case *todo = &tally->todo;
	cJSON *row = cJSON_CreateObject();

	shunt_bench_name(row, contender);
	shunt_bench_case_json(todo, row);
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
		shunt_bench_name(item, &field->contender[i]);
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

static void put_end(cJSON *json, const char *key,
		    const struct shunt_bench_rdma_end *end)
{
	cJSON *item = cJSON_AddObjectToObject(json, key);

	cJSON_AddStringToObject(item, "device", end->device);
	cJSON_AddStringToObject(item, "address", end->address);
}

static void put_rdma(cJSON *reply, const struct shunt_bench_rdma *rdma)
{
	cJSON *json = cJSON_AddObjectToObject(reply, "rdma");

	put_end(json, "client", &rdma->client);
	put_end(json, "server", &rdma->server);
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
	if (field->has_rdma)
		put_rdma(reply, &field->rdma);
	cores = cJSON_AddObjectToObject(reply, "pinned");
	cJSON_AddNumberToObject(cores, "client", facts->client_core);
	cJSON_AddNumberToObject(cores, "server", facts->server_core);
	cJSON_AddNumberToObject(reply, "rounds", opts->rounds);
	cJSON_AddNumberToObject(reply, "duration_ms", (double)opts->duration_ns / 1e6);
	shunt_json_add_u64(reply, "rate", facts->rate);
	put_rows(reply, field);
	put_missing(reply, field);
	shunt_bench_ratios(reply, field, opts->against);
	shunt_bench_claims(reply);
	cJSON_AddItemToObject(reply, "notes",
			      cJSON_CreateStringArray(notes,
						      sizeof(notes) / sizeof(*notes)));
	return reply;
}
