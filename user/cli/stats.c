/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/base/json.h"
#include "user/cli/cli.h"

/* The same entry in an earlier reply, to make rates of the difference; NULL: none. */
static const cJSON *named(const cJSON *list, const char *name)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list) if (!strcmp(shunt_json_str(item, "name"),
						   name)) return item;
	return NULL;
}

static void print_row(const char *name, const char *what, const cJSON *item,
		      const cJSON *before, double seconds)
{
	unsigned long long packets = shunt_json_u64(item, "packets");

	printf("  %-24s %-20s %14llu %16llu", name, what, packets,
	       (unsigned long long)shunt_json_u64(item, "bytes"));
	if (before)
		printf(" %12.0f/s",
		       (packets - shunt_json_u64(before, "packets")) / seconds);
	printf("\n");
}

/* One of the lists, leaving out what never happened. */
static void print_seen(const cJSON *reply, const cJSON *before, const char *key,
		       const char *word, double seconds)
{
	const cJSON *old = cJSON_GetObjectItemCaseSensitive(before, key), *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, key))
	{
		const char *name = shunt_json_str(item, "name");

		if (shunt_json_u64(item, "packets"))
			print_row(name, word, item, before ? named(old, name) : NULL,
				  seconds);
	}
}

/* Copies, which have names for keys, leaving out what never happened. */
static void print_copies(const cJSON *reply, const cJSON *before, double seconds)
{
	const cJSON *old = cJSON_GetObjectItemCaseSensitive(before, "copies"), *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "copies"))
	{
		if (shunt_json_u64(item, "packets"))
			print_row(item->string, "copies", item,
				  cJSON_GetObjectItemCaseSensitive(old, item->string),
				  seconds);
	}
}

static void print_seat(const char *consumer, const cJSON *seat)
{
	const cJSON *queue = cJSON_GetObjectItemCaseSensitive(seat, "queue");
	const cJSON *pid = cJSON_GetObjectItemCaseSensitive(seat, "pid");
	const cJSON *beat = cJSON_GetObjectItemCaseSensitive(seat, "heartbeat");
	char way[32] = "ring";

	if (cJSON_IsNumber(queue))
		snprintf(way, sizeof(way), "queue %d", queue->valueint);
	printf("  %-24s %-20s ", consumer, way);
	if (!cJSON_IsNumber(pid))
		printf("nobody: who served it died\n");
	else if (!cJSON_IsObject(beat))
		printf("process %d, not watched\n", pid->valueint);
	else
		printf("process %d, %slast heartbeat %llu ms ago, promised within %llu "
		       "ms\n",
		       pid->valueint,
		       shunt_json_true(seat, "stalled") ? "STALLED: " : "",
		       (unsigned long long)shunt_json_u64(beat, "age_ms"),
		       (unsigned long long)shunt_json_u64(beat, "interval_ms"));
}

/* Who serves the consumers. */
static void print_consumers(const cJSON *reply)
{
	const cJSON *item, *seats, *seat;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "consumers"))
	{
		const char *name = shunt_json_str(item, "name");

		seats = cJSON_GetObjectItemCaseSensitive(item, "seats");
		if (!cJSON_GetArraySize(seats))
			printf("  %-24s %-20s nobody serves it\n", name, "consumer");
		cJSON_ArrayForEach(seat, seats) print_seat(name, seat);
	}
}

static void print_text(const cJSON *reply, const cJSON *before, double seconds)
{
	const cJSON *old = cJSON_GetObjectItemCaseSensitive(before, "rules"), *item;

	printf("%s%s, generation %llu%s\n", shunt_out_bold(),
	       shunt_json_str(reply, "interface"),
	       (unsigned long long)shunt_json_u64(reply, "generation"),
	       shunt_out_plain());
	printf("  %-24s %-20s %14s %16s\n", "", "", "packets", "bytes");
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "hooks"))
		print_row(shunt_json_str(item, "hook"), "hook", item, NULL, seconds);
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "rules"))
	{
		const char *name = shunt_json_str(item, "name");

		print_row(name, shunt_json_str(item, "action"), item,
			  before ? named(old, name) : NULL, seconds);
	}
	item = cJSON_GetObjectItemCaseSensitive(reply, "default");
	print_row("default", shunt_json_str(item, "action"), item,
		  cJSON_GetObjectItemCaseSensitive(before, "default"), seconds);
	item = cJSON_GetObjectItemCaseSensitive(reply, "retired");
	if (shunt_json_u64(item, "packets"))
		print_row("(rules that are gone)", "", item, NULL, seconds);
	print_seen(reply, before, "reasons", "reason", seconds);
	print_seen(reply, before, "verdicts", "verdict", seconds);
	print_copies(reply, before, seconds);
	print_consumers(reply);
	fflush(stdout);
}

/* Waits until ^C or the time is over; true: go on. */
static bool wait_for(uint64_t ns)
{
	struct timespec ts = { ns / 1000000000, ns % 1000000000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return sigtimedwait(&set, NULL, &ts) < 0 && errno != EINTR;
}

int shunt_cli_stats(struct shunt_cli *cli, struct shunt_err *err)
{
	_json_ cJSON *before = NULL;
	uint64_t interval = 0, times = 0;
	uint64_t then = shunt_now_ns();
	bool ledger = shunt_cli_option(cli, "ledger");
	int ret = shunt_cli_duration(cli, "interval", &interval, err);

	if (!ret)
		ret = shunt_cli_number(cli, "times", &times, err);
	if (!ret && times && !interval)
		ret = shunt_fail(err, -EINVAL, "stats: --times goes with --interval");
	while (!ret) {
		cJSON *reply = NULL;
		uint64_t at = shunt_now_ns();

		ret = (ledger ? shunt_balance : shunt_stats)(cli->arg[0], &reply, err);
		if (ret)
			break;
		if (cli->json)
			shunt_out_json(reply);
		else if (ledger)
			shunt_out_ledger(reply);
		else
			print_text(reply, before, (at - then) / 1e9);
		cJSON_Delete(before);
		before = reply;
		then = at;
		if (!interval || (times && !--times) || !wait_for(interval))
			break;
	}
	return ret;
}
