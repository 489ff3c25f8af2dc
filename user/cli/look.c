/* SPDX-License-Identifier: BSD-2-Clause */
/* list and show. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/cli/cli.h"

static const char *at(const cJSON *reply, const char *key, char text[32])
{
	time_t when = shunt_json_u64(reply, key);
	struct tm tm;

	strftime(text, 32, "%Y-%m-%d %H:%M:%S", localtime_r(&when, &tm));
	return text;
}

int shunt_cli_list(struct shunt_cli *cli, struct shunt_err *err)
{
	_json_ cJSON *reply = NULL;
	const cJSON *item;
	char text[32];
	int ret = shunt_list(&reply, err);

	if (ret)
		return ret;
	if (shunt_out_wants_json(cli, reply))
		return 0;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "instances"))
	{
		const char *netns = shunt_json_str(item, "netns");

		if (!strcmp(shunt_json_str(item, "state"), "broken")) {
			printf("%s: broken: %s\n", shunt_json_str(item, "instance"),
			       shunt_json_str(item, "error"));
			continue;
		}
		printf("%s%s%s%s%s: %s (", shunt_out_bold(),
		       shunt_json_str(item, "interface"), shunt_out_plain(),
		       *netns ? " in " : "", netns, shunt_json_str(item, "state"));
		shunt_out_hooks(item);
		printf("), %llu rules, generation %llu of %s, from %s\n",
		       (unsigned long long)shunt_json_u64(item, "rules"),
		       (unsigned long long)shunt_json_u64(item, "generation"),
		       at(item, "applied_at", text), shunt_json_str(item, "source"));
	}
	return 0;
}

static void steering_text(const cJSON *steering)
{
	const cJSON *item;
	char queue[32];

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(steering, "filters"))
		printf("  filter    %-24s %s: queue %llu, at place %llu\n",
		       shunt_json_str(item, "rule"), shunt_json_str(item, "flow"),
		       (unsigned long long)shunt_json_u64(item, "queue"),
		       (unsigned long long)shunt_json_u64(item, "location"));
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(steering, "settings"))
	{
		snprintf(queue, sizeof(queue),
			 cJSON_HasObjectItem(item, "queue") ? "%s of queue %llu" : "%s",
			 shunt_json_str(item, "what"),
			 (unsigned long long)shunt_json_u64(item, "queue"));
		printf("  queues    %-24s %s, was %s\n", queue,
		       shunt_json_str(item, "is"), shunt_json_str(item, "was"));
	}
}

static void show_text(const cJSON *reply)
{
	const cJSON *item, *target;
	char text[32];

	printf("%s%s%s: %s (", shunt_out_bold(), shunt_json_str(reply, "interface"),
	       shunt_out_plain(), shunt_json_str(reply, "state"));
	shunt_out_hooks(reply);
	printf("), generation %llu of %s, from %s\n",
	       (unsigned long long)shunt_json_u64(reply, "generation"),
	       at(reply, "applied_at", text), shunt_json_str(reply, "source"));
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "hooks"))
		shunt_out_chain(item);
	item = cJSON_GetObjectItemCaseSensitive(reply, "trial");
	if (cJSON_IsObject(item))
		printf("  on trial for %.1f s more: then generation %llu rules again\n",
		       (double)shunt_json_u64(item, "left_ms") / 1e3,
		       (unsigned long long)shunt_json_u64(item, "before"));
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "rules"))
	{
		printf("  rule      %-24s %s", shunt_json_str(item, "name"),
		       shunt_json_str(item, "action"));
		target = cJSON_GetObjectItemCaseSensitive(item, "target");
		if (cJSON_IsString(target))
			printf(" %s", target->valuestring);
		else if (target)
			printf(" %d", target->valueint);
		printf("\n");
	}
	printf("  default   %-24s %s\n", "", shunt_json_str(reply, "default"));
	printf("  malformed %-24s %s\n", "", shunt_json_str(reply, "malformed"));
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "sets"))
		printf("  set       %-24s %s, %llu members, room for %llu\n",
		       shunt_json_str(item, "name"), shunt_json_str(item, "type"),
		       (unsigned long long)shunt_json_u64(item, "members"),
		       (unsigned long long)shunt_json_u64(item, "size"));
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "consumers"))
		printf("  consumer  %-24s %s, if down: %s\n",
		       shunt_json_str(item, "name"), shunt_json_str(item, "kind"),
		       shunt_json_str(item, "if_down"));
	steering_text(cJSON_GetObjectItemCaseSensitive(reply, "steering"));
}

static void history_line(const cJSON *item, const char *mark)
{
	unsigned long long again = shunt_json_u64(item, "again");
	char text[32];

	printf("%4s  %-10llu %.12s  %s  %6llu rules  %s", mark,
	       (unsigned long long)shunt_json_u64(item, "generation"),
	       shunt_json_str(item, "hash"), at(item, "applied_at", text),
	       (unsigned long long)shunt_json_u64(item, "rules"),
	       shunt_json_str(item, "origin"));
	if (again)
		printf(" to %llu", again);
	printf("  %s\n", shunt_json_str(item, "source"));
}

static void history_text(const cJSON *reply)
{
	const cJSON *item;

	printf("%sback  generation hash          in force since%s\n", shunt_out_bold(),
	       shunt_out_plain());
	history_line(cJSON_GetObjectItemCaseSensitive(reply, "ruling"), "now");
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "earlier"))
	{
		char mark[8];

		snprintf(mark, sizeof(mark), "%u",
			 (unsigned int)shunt_json_u64(item, "back") % 1000);
		history_line(item, mark);
	}
}

int shunt_cli_show(struct shunt_cli *cli, struct shunt_err *err)
{
	bool history = shunt_cli_option(cli, "history");
	_json_ cJSON *reply = NULL;
	int ret = history ? shunt_history(cli->arg[0], &reply, err)
			  : shunt_show(cli->arg[0], &reply, err);

	if (ret)
		return ret;
	if (cli->json)
		shunt_out_json(reply);
	else if (history)
		history_text(reply);
	else
		show_text(reply);
	return 0;
}
