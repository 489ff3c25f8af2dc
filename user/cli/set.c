/* SPDX-License-Identifier: BSD-2-Clause */
/* set add, del, replace, list and test. */
#include <errno.h>
#include <stdio.h>

#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/cli/cli.h"

int shunt_cli_set_edit(struct shunt_cli *cli, struct shunt_err *err)
{
	const char *verb = cli->command->name + sizeof("set");
	const char *file = shunt_cli_option(cli, "file");
	_json_ cJSON *reply = NULL;
	int ret;

	if (cli->args == 2 && !file)
		return shunt_fail(err, -EINVAL,
				  "%s: no element is named: write some behind the "
				  "set, or --file FILE with one a line",
				  cli->command->name);
	ret = shunt_set_edit(cli->arg[0], cli->arg[1], verb, cli->arg + 2,
			     cli->args - 2, file, &reply, err);
	if (ret)
		return ret;
	if (cli->json)
		shunt_out_json(reply);
	else
		printf("set %s: %llu changed, %llu as they were\n", cli->arg[1],
		       (unsigned long long)shunt_json_u64(reply, "changed"),
		       (unsigned long long)shunt_json_u64(reply, "unchanged"));
	return 0;
}

int shunt_cli_set_list(struct shunt_cli *cli, struct shunt_err *err)
{
	_json_ cJSON *reply = NULL;
	const cJSON *element;
	int ret = shunt_set_members(cli->arg[0], cli->arg[1], &reply, err);

	if (ret)
		return ret;
	if (shunt_out_wants_json(cli, reply))
		return 0;
	cJSON_ArrayForEach(element, cJSON_GetObjectItemCaseSensitive(reply, "elements"))
		puts(element->valuestring);
	return 0;
}

int shunt_cli_set_test(struct shunt_cli *cli, struct shunt_err *err)
{
	_json_ cJSON *reply = NULL;
	int ret = shunt_set_ask(cli->arg[0], cli->arg[1], cli->arg[2], &reply, err);
	bool in;

	if (ret)
		return ret;
	in = shunt_json_true(reply, "in");
	if (cli->json)
		shunt_out_json(reply);
	else if (in)
		printf("%s is in %s, by %s\n", cli->arg[2], cli->arg[1],
		       shunt_json_str(reply, "element"));
	else
		printf("%s is not in %s\n", cli->arg[2], cli->arg[1]);
	return in ? 0 : -ENOENT;
}
