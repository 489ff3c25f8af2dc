/* SPDX-License-Identifier: BSD-2-Clause */
/* probe. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/cli/cli.h"

/* One line a feature; why it matters, where it is not there. */
static void print_rows(const cJSON *object)
{
	const cJSON *row;

	cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(object, "features"))
	{
		const char *state = shunt_json_str(row, "answer");
		const char *detail = shunt_json_str(row, "detail");

		printf("  %-7s  %-18s %s\n", state, shunt_json_str(row, "name"),
		       detail);
		if (strcmp(state, "yes"))
			printf("           %s\n", shunt_json_str(row, "matters"));
	}
}

int shunt_cli_probe(struct shunt_cli *cli, struct shunt_err *err)
{
	_json_ cJSON *reply = NULL;
	const cJSON *nic;
	int ret;

	if (shunt_cli_option(cli, "advise"))
		return shunt_cli_advise(cli, err);
	if (shunt_cli_option(cli, "measured") || shunt_cli_option(cli, "goal"))
		return shunt_fail(err, -EINVAL,
				  "--measured and --goal are for --advise: say that, "
				  "too");
	ret = shunt_probe(cli->args ? cli->arg[0] : NULL, &reply, err);
	if (ret)
		return ret;
	if (shunt_out_wants_json(cli, reply))
		return 0;
	printf("%skernel %s%s (%s)\n", shunt_out_bold(),
	       shunt_json_str(reply, "kernel"), shunt_out_plain(),
	       shunt_json_str(reply, "machine"));
	print_rows(reply);
	nic = cJSON_GetObjectItemCaseSensitive(reply, "interface");
	if (nic) {
		printf("%s%s%s: driver %s\n", shunt_out_bold(),
		       shunt_json_str(nic, "name"), shunt_out_plain(),
		       shunt_json_str(nic, "driver"));
		print_rows(nic);
	}
	shunt_out_warnings(cli, reply);
	return 0;
}
