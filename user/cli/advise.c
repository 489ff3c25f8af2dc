/* SPDX-License-Identifier: BSD-2-Clause */
/* probe --advise. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loader/shunt.h"
#include "user/apps/advise.h"
#include "user/base/cleanup.h"
#include "user/base/file.h"
#include "user/base/json.h"
#include "user/cli/cli.h"

#define MEASURED_MAX (64u << 20) /* bytes of a measurement */

/* *measured stays NULL where none is named. */
static int read_measured(const char *path, cJSON **measured, struct shunt_err *err)
{
	_free_ char *text = NULL;
	size_t bytes;
	int ret;

	if (!path)
		return 0;
	ret = shunt_file_read(path, MEASURED_MAX, &text, &bytes, err);
	if (ret)
		return ret;
	*measured = cJSON_ParseWithLength(text, bytes);
	return *measured ? 0
			 : shunt_fail(err, -EINVAL,
				      "--measured %s: this is no JSON: `shunt bench "
				      "transports --json >FILE` writes it",
				      path);
}

static void print_goal(const cJSON *goal)
{
	const cJSON *choose = shunt_json_get(goal, "choose"), *item;

	printf("\n%s%s%s (%s): %s%s%s\n", shunt_out_bold(),
	       shunt_json_str(goal, "goal"), shunt_out_plain(),
	       shunt_json_str(goal, "help"), shunt_out_bold(),
	       cJSON_IsObject(choose) ? shunt_json_str(choose, "uri")
				      : "nothing that is here",
	       shunt_out_plain());
	cJSON_ArrayForEach(item, shunt_json_get(goal, "reasons"))
	{
		const char *measured = shunt_json_str(item, "measured");

		printf("  for   %s%s%s\n", measured, *measured ? ": " : "",
		       shunt_json_str(item, "because"));
	}
	cJSON_ArrayForEach(item, shunt_json_get(goal, "alternatives"))
	{
		printf("  %s %s: %s\n",
		       shunt_json_true(item, "serves") ? "else " : "not  ",
		       shunt_json_str(item, "backend"),
		       shunt_json_str(item, "because"));
	}
	cJSON_ArrayForEach(item, shunt_json_get(goal, "changes"))
	{
		printf("  if    %s\n", shunt_json_str(item, "because"));
	}
}

int shunt_cli_advise(struct shunt_cli *cli, struct shunt_err *err)
{
	const char *path = shunt_cli_option(cli, "measured"),
		   *wanted = shunt_cli_option(cli, "goal");
	static struct shunt_advise_facts facts;
	_json_ cJSON *measured = NULL;
	_json_ cJSON *probe = NULL;
	_json_ cJSON *reply = NULL;
	const cJSON *goal;
	int ret = read_measured(path, &measured, err);

	if (!ret)
		ret = shunt_advise_check(measured, path, wanted, err);
	if (!ret)
		ret = shunt_probe(cli->args ? cli->arg[0] : NULL, &probe, err);
	if (ret)
		return ret;
	shunt_advise_look(&facts, probe);
	reply = shunt_advise(probe, &facts, measured, path, wanted);
	if (shunt_out_wants_json(cli, reply))
		return 0;
	cJSON_ArrayForEach(goal, shunt_json_get(reply, "facts"))
	{
		const char *detail = shunt_json_str(goal, "detail");

		printf("  %-7s  %-18s %s\n", shunt_json_str(goal, "answer"),
		       shunt_json_str(goal, "name"), detail);
	}
	cJSON_ArrayForEach(goal, shunt_json_get(reply, "goals"))
	{
		print_goal(goal);
	}
	shunt_out_warnings(cli, reply);
	return 0;
}
