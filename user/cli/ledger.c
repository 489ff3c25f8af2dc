/* SPDX-License-Identifier: BSD-2-Clause */
/* stats --ledger, as text: what was offered, then every place where it went. */
#include <stdio.h>

#include "user/base/json.h"
#include "user/cli/cli.h"

#define EACH(item, object, key)                                                        \
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(object, key))

static void line(int depth, const char *what, const char *why, const cJSON *object,
		 const char *key)
{
	printf("%*s%-*s %-20s %14llu\n", 2 * depth, "", 32 - 2 * depth, what, why,
	       (unsigned long long)shunt_json_u64(object, key));
}

/* Leaving out what never happened. */
static void seen(int depth, const char *what, const cJSON *object, const char *key)
{
	if (shunt_json_u64(object, key))
		line(depth, what, "", object, key);
}

static void print_list(int depth, const char *what, const cJSON *object,
		       const char *key)
{
	const cJSON *item;

	EACH(item, object, key)
	line(depth, what, shunt_json_str(item, "name"), item, "packets");
}

static void print_hook(const cJSON *hook)
{
	const cJSON *to = cJSON_GetObjectItemCaseSensitive(hook, "redirected");

	line(1, shunt_json_str(hook, "hook"), "offered", hook, "offered");
	print_list(2, "passed", hook, "passed_by");
	print_list(2, "dropped", hook, "dropped_by");
	seen(2, "transmitted", hook, "transmitted");
	seen(2, "redirected to interfaces", to, "interface");
	seen(2, "redirected to CPUs", to, "cpu");
	seen(2, "redirected to consumers", to, "consumer");
}

static void print_errors(int depth, const cJSON *object)
{
	const cJSON *item, *target;
	char what[64];

	EACH(item, object, "errors")
	{
		target = cJSON_GetObjectItemCaseSensitive(item, "target");
		if (cJSON_IsString(target))
			snprintf(what, sizeof(what), "lost to %s", target->valuestring);
		else if (target)
			snprintf(what, sizeof(what), "lost to %d", target->valueint);
		else
			snprintf(what, sizeof(what), "lost");
		line(depth, what, shunt_json_str(item, "name"), item, "packets");
	}
}

static void print_targets(const cJSON *reply)
{
	const cJSON *part = cJSON_GetObjectItemCaseSensitive(reply, "transmit");

	if (cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(part, "errors"))) {
		line(1, "transmitted", "", part, "packets");
		print_errors(2, part);
	}
	part = cJSON_GetObjectItemCaseSensitive(reply, "interfaces");
	if (shunt_json_u64(part, "packets")) {
		line(1, "to interfaces", "", part, "packets");
		print_errors(2, part);
		line(2, "accepted", "", part, "accepted");
	}
	part = cJSON_GetObjectItemCaseSensitive(reply, "cpus");
	if (shunt_json_u64(part, "packets")) {
		line(1, "to CPUs", "", part, "packets");
		print_errors(2, part);
		seen(2, "waiting", part, "waiting");
		line(2, "taken", "", part, "taken");
		seen(2, "no memory for them there", part, "no_memory");
	}
}

static void print_seat(const char *consumer, const cJSON *seat)
{
	const cJSON *queue = cJSON_GetObjectItemCaseSensitive(seat, "queue");
	const cJSON *pid = cJSON_GetObjectItemCaseSensitive(seat, "pid");
	const char *state = shunt_json_true(seat, "stalled") ? ", stalled" : "";
	char way[32] = "ring";
	char who[96];

	if (cJSON_IsNumber(queue))
		snprintf(way, sizeof(way), "queue %d", queue->valueint);
	snprintf(who, sizeof(who), "to %s", consumer);
	line(1, who, way, seat, "handed");
	print_errors(2, seat);
	if (cJSON_IsNumber(pid))
		snprintf(who, sizeof(who), "received (by process %d%s)", pid->valueint,
			 state);
	else
		snprintf(who, sizeof(who), "received (nobody serves it now)");
	line(2, who, "", seat, "received");
	seen(2, "thrown away by it", seat, "discarded");
	seen(2, "waiting", seat, "waiting");
	seen(2, "lost with one that died", seat, "lost");
	seen(2, "turned away, its ring full", seat, "turned_away");
}

void shunt_out_ledger(const cJSON *reply)
{
	const cJSON *watch = cJSON_GetObjectItemCaseSensitive(reply, "watch"), *item,
		    *seat;
	const char *name;

	printf("%s%s, generation %llu%s\n", shunt_out_bold(),
	       shunt_json_str(reply, "interface"),
	       (unsigned long long)shunt_json_u64(reply, "generation"),
	       shunt_out_plain());
	EACH(item, reply, "hooks")
	print_hook(item);
	print_targets(reply);
	EACH(item, reply, "consumers")
	EACH(seat, item, "seats")
	{
		name = shunt_json_str(item, "consumer");
		print_seat(*name ? name : "a consumer that is gone", seat);
	}
	if (!shunt_json_true(watch, "known"))
		printf("  redirect errors: unknown: %s\n",
		       shunt_json_str(watch, "why"));
	EACH(item, reply, "differences")
	printf("  difference of %.0f: %s\n",
	       cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(item, "packets")),
	       shunt_json_str(item, "where"));
	printf("  %s", shunt_json_true(reply, "balanced") ? "it balances"
							  : "it does NOT balance");
	if (shunt_json_true(reply, "moving"))
		printf(", as far as that can be seen under traffic (within %llu "
		       "packets)",
		       (unsigned long long)shunt_json_u64(reply, "tolerance"));
	printf("\n");
	fflush(stdout);
}
