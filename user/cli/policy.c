/* SPDX-License-Identifier: BSD-2-Clause */
/* check, and what other commands do with -p. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loader/program.h"
#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/cli/cli.h"

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

/* What one hook cannot do. */
static void out_hook(const cJSON *reply, const char *name)
{
	const cJSON *item, *one;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "hooks"))
	{
		if (strcmp(shunt_json_str(item, "hook"), name))
			continue;
		cJSON_ArrayForEach(one,
				   cJSON_GetObjectItemCaseSensitive(item, "cannot"))
			fprintf(stderr, "%s: warning at %s: %s\n",
				shunt_json_str(reply, "source"),
				shunt_json_str(one, "pointer"),
				shunt_json_str(one, "message"));
	}
}

static unsigned long long kib(const cJSON *reply, const char *name)
{
	const cJSON *memory = cJSON_GetObjectItemCaseSensitive(reply, "memory");

	return (shunt_json_u64(memory, name) + 1023) / 1024;
}

static void out_needs(const cJSON *reply)
{
	const cJSON *feature;

	printf("memory: %llu KiB (image %llu, counters %llu, sets %llu, limits %llu, "
	       "rings %llu, record %llu)\nfeatures:",
	       kib(reply, "total"), kib(reply, "image"), kib(reply, "counters"),
	       kib(reply, "sets"), kib(reply, "limits"), kib(reply, "rings"),
	       kib(reply, "record"));
	cJSON_ArrayForEach(feature, cJSON_GetObjectItemCaseSensitive(reply, "features"))
		printf(" %s", feature->valuestring);
	printf("\n");
}

int shunt_cli_check(struct shunt_cli *cli, struct shunt_err *err)
{
	const char *path = shunt_cli_option(cli, "policy"), *hook;
	struct shunt_policy *policy;
	_json_ cJSON *reply = NULL;
	size_t h;
	int ret;

	if (cli->args)
		path = cli->arg[0];
	if (!path)
		return shunt_fail(err, -EINVAL, "check: which policy? Name its file");
	ret = shunt_check(path, &policy, &reply, err);
	shunt_policy_free(policy);
	for (h = 0; (hook = shunt_cli_option_at(cli, "hook", h)); h++)
		if (shunt_hook_find(hook, err) < 0)
			return -EINVAL;
	if (cli->json) {
		shunt_out_json(reply);
		if (ret)
			err->message[0] = 0;
		return ret;
	}
	shunt_out_diags(reply);
	for (h = 0; !ret && (hook = shunt_cli_option_at(cli, "hook", h)); h++)
		out_hook(reply, hook);
	if (!ret)
		printf("%s is sound: %llu rules, %llu sets, %llu consumers; compiled "
		       "%llu "
		       "bytes, %llu classes\n",
		       path, (unsigned long long)shunt_json_u64(reply, "rules"),
		       (unsigned long long)shunt_json_u64(reply, "sets"),
		       (unsigned long long)shunt_json_u64(reply, "consumers"),
		       (unsigned long long)shunt_json_u64(reply, "image_bytes"),
		       (unsigned long long)shunt_json_u64(reply, "classes"));
	if (!ret)
		out_needs(reply);
	return ret;
}
