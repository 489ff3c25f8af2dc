/* SPDX-License-Identifier: BSD-2-Clause */
/* fsck. */
#include <stdio.h>
#include <string.h>

#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/cli/cli.h"

static void show_finding(const cJSON *item)
{
	const char *instance = shunt_json_str(item, "instance"),
		   *where = shunt_json_str(item, "where");
	bool repaired = shunt_json_true(item, "repaired");

	printf("%s%s%s: %s", shunt_out_bold(), shunt_json_str(item, "what"),
	       shunt_out_plain(), where);
	if (*instance && !strstr(where, instance))
		printf(" (instance %s)", instance);
	printf("\n    %s\n    %s: %s\n", shunt_json_str(item, "why"),
	       repaired ? "repaired" : "repair", shunt_json_str(item, "repair"));
}

static void show_text(const cJSON *reply, const struct shunt_fsck_opts *opts, int left)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(reply, "findings"), *item;
	int found = cJSON_GetArraySize(list);

	cJSON_ArrayForEach(item, list) show_finding(item);
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "held"))
		printf("in use: %s\n", item->valuestring);
	printf("%d %s checked: ",
	       cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(reply, "instances")),
	       cJSON_GetArraySize(
		       cJSON_GetObjectItemCaseSensitive(reply, "instances")) == 1
		       ? "instance"
		       : "instances");
	if (!found)
		printf("all is well\n");
	else if (opts->repair)
		printf("%d repaired, %d left\n", found - left, left);
	else
		printf("%d found; `shunt fsck --repair` mends what it can\n", found);
}

int shunt_cli_fsck(struct shunt_cli *cli, struct shunt_err *err)
{
	struct shunt_fsck_opts opts = {
		.sz = sizeof(opts),
		.interface = cli->args ? cli->arg[0] : NULL,
		.adopt = shunt_cli_option(cli, "adopt"),
		.take_off = shunt_cli_option(cli, "take-off"),
	};
	_json_ cJSON *reply = NULL;
	int left, ret;

	opts.repair = shunt_cli_option(cli, "repair") || opts.adopt || opts.take_off;
	ret = shunt_fsck(&opts, &reply, &left, err);
	if (ret)
		return ret;
	if (!shunt_out_wants_json(cli, reply))
		show_text(reply, &opts, left);
	return left ? SHUNT_EXIT_FAILED : 0;
}
