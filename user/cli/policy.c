/* SPDX-License-Identifier: BSD-2-Clause */
/* check, and what other commands do with -p. */
#include <errno.h>
#include <stdio.h>

#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/cli/cli.h"

void shunt_cli_policy_cleanup(struct shunt_policy **policy)
{
	shunt_policy_free(*policy);
}

int shunt_cli_policy(const struct shunt_cli *cli, struct shunt_policy **policy,
		     struct shunt_err *err)
{
	const char *path = shunt_cli_option(cli, "policy");
	_json_ cJSON *check = NULL;
	int ret;

	*policy = NULL;
	if (!path)
		return 0;
	ret = shunt_check(path, policy, &check, err);
	if (cli->json && ret)
		shunt_out_json(check);
	else if (!cli->json)
		shunt_out_diags(check);
	return ret;
}

int shunt_cli_check(struct shunt_cli *cli, struct shunt_err *err)
{
	const char *path = shunt_cli_option(cli, "policy");
	struct shunt_policy *policy;
	_json_ cJSON *reply = NULL;
	int ret;

	if (cli->args)
		path = cli->arg[0];
	if (!path)
		return shunt_fail(err, -EINVAL, "check: which policy? Name its file");
	ret = shunt_check(path, &policy, &reply, err);
	shunt_policy_free(policy);
	if (cli->json) {
		shunt_out_json(reply);
		if (ret)
			err->message[0] = 0;
		return ret;
	}
	shunt_out_diags(reply);
	if (!ret)
		printf("%s is sound: %llu rules, %llu sets, %llu consumers; compiled "
		       "%llu "
		       "bytes, %llu classes\n",
		       path, (unsigned long long)shunt_json_u64(reply, "rules"),
		       (unsigned long long)shunt_json_u64(reply, "sets"),
		       (unsigned long long)shunt_json_u64(reply, "consumers"),
		       (unsigned long long)shunt_json_u64(reply, "image_bytes"),
		       (unsigned long long)shunt_json_u64(reply, "classes"));
	return ret;
}
