/* SPDX-License-Identifier: BSD-2-Clause */
/* attach, apply, confirm, rollback and detach. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/policy.h"
#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/cli/cli.h"

static unsigned long long number(const cJSON *reply, const char *name)
{
	return shunt_json_u64(reply, name);
}

int shunt_cli_attach(struct shunt_cli *cli, struct shunt_err *err)
{
	const char *hook[SHUNT_CLI_VALUES], *protect[SHUNT_CLI_VALUES];
	char session[SHUNT_CLI_SESSION];
	struct shunt_attach_opts opts = {
		.sz = sizeof(opts),
		.hook = hook,
		.mode = shunt_cli_option(cli, "mode"),
		.netns = shunt_cli_option(cli, "netns"),
		.session = shunt_cli_session(cli, session),
		.protect = protect,
		.protects = shunt_cli_protected(cli, protect),
	};
	_policy_ struct shunt_policy *policy = NULL;
	_json_ cJSON *reply = NULL;
	uint64_t chain = 0;
	int ret = shunt_cli_number(cli, "chain", &chain, err);

	if (!ret)
		ret = shunt_cli_policy(cli, &policy, err);
	if (ret)
		return ret;
	opts.chain = chain > UINT32_MAX ? UINT32_MAX : chain;
	while ((hook[opts.hooks] = shunt_cli_option_at(cli, "hook", opts.hooks)))
		opts.hooks++;
	ret = shunt_attach(cli->arg[0], policy, &opts, &reply, err);
	if (ret)
		return ret;
	shunt_out_warnings(cli, reply);
	if (shunt_out_wants_json(cli, reply))
		return 0;
	printf("attached %s (", cli->arg[0]);
	shunt_out_hooks(reply);
	printf("), %llu rules, generation %llu\n", number(reply, "rules"),
	       number(reply, "generation"));
	return 0;
}

/* "applied to b0: generation 1 to 2, 3 rules (1 kept, 2 added, 0 removed)" */
static void print_change(const char *done, const char *interface, const cJSON *reply)
{
	printf("%s %s: generation %llu to %llu, %llu rules (%d kept, %d added, %d "
	       "removed)\n",
	       done, interface, number(reply, "previous_generation"),
	       number(reply, "generation"), number(reply, "rules"),
	       cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(reply, "kept")),
	       cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(reply, "added")),
	       cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(reply, "removed")));
}

int shunt_cli_apply(struct shunt_cli *cli, struct shunt_err *err)
{
	const char *protect[SHUNT_CLI_VALUES];
	char session[SHUNT_CLI_SESSION];
	struct shunt_apply_opts opts = {
		.sz = sizeof(opts),
		.session = shunt_cli_session(cli, session),
		.protect = protect,
		.protects = shunt_cli_protected(cli, protect),
	};
	_policy_ struct shunt_policy *policy = NULL;
	_json_ cJSON *reply = NULL;
	int ret = shunt_cli_duration(cli, "confirm", &opts.confirm_ns, err);

	if (!ret)
		ret = shunt_cli_policy(cli, &policy, err);
	if (!ret && !policy)
		return shunt_fail(err, -EINVAL,
				  "apply: which policy? -p FILE names it");
	if (!ret)
		ret = shunt_apply(cli->arg[0], policy, &opts, &reply, err);
	if (ret)
		return ret;
	shunt_out_warnings(cli, reply);
	if (shunt_out_wants_json(cli, reply))
		return 0;
	print_change("applied to", cli->arg[0], reply);
	if (opts.confirm_ns)
		printf("on trial: `shunt confirm %s` within %s keeps it; else "
		       "generation %llu rules again\n",
		       cli->arg[0], shunt_cli_option(cli, "confirm"),
		       number(reply, "previous_generation"));
	return 0;
}

int shunt_cli_confirm(struct shunt_cli *cli, struct shunt_err *err)
{
	_json_ cJSON *reply = NULL;
	int ret = shunt_confirm(cli->arg[0], &reply, err);

	if (ret)
		return ret;
	shunt_out_warnings(cli, reply);
	if (!shunt_out_wants_json(cli, reply))
		printf("confirmed: generation %llu of %s rules for good\n",
		       number(reply, "generation"), cli->arg[0]);
	return 0;
}

int shunt_cli_rollback(struct shunt_cli *cli, struct shunt_err *err)
{
	const char *protect[SHUNT_CLI_VALUES];
	char session[SHUNT_CLI_SESSION];
	struct shunt_rollback_opts opts = {
		.sz = sizeof(opts),
		.changed_files = shunt_cli_option(cli, "changed-files"),
		.session = shunt_cli_session(cli, session),
		.protect = protect,
		.protects = shunt_cli_protected(cli, protect),
	};
	_json_ cJSON *reply = NULL;
	int ret;

	if (cli->args > 1) {
		char *end;
		unsigned long back = strtoul(cli->arg[1], &end, 10);

		if (*end || !back || back > 8)
			return shunt_fail(err, -EINVAL,
					  "rollback: \"%s\" is no number from 1 to 8: "
					  "how many policies to go back",
					  cli->arg[1]);
		opts.back = back;
	}
	ret = shunt_rollback(cli->arg[0], &opts, &reply, err);
	if (ret)
		return ret;
	shunt_out_warnings(cli, reply);
	if (shunt_out_wants_json(cli, reply))
		return 0;
	print_change("rolled back", cli->arg[0], reply);
	printf("generation %llu is generation %llu again\n",
	       number(reply, "generation"), number(reply, "again"));
	return 0;
}

static int detach_stale(const struct shunt_cli *cli, struct shunt_err *err)
{
	_json_ cJSON *reply = NULL;
	const cJSON *name;
	int ret = shunt_detach_stale(&reply, err);

	if (ret)
		return ret;
	if (shunt_out_wants_json(cli, reply))
		return 0;
	cJSON_ArrayForEach(name, cJSON_GetObjectItemCaseSensitive(reply, "removed"))
		printf("removed %s\n", name->valuestring);
	return 0;
}

int shunt_cli_detach(struct shunt_cli *cli, struct shunt_err *err)
{
	_json_ cJSON *reply = NULL;
	int ret;

	if (shunt_cli_option(cli, "stale") && !cli->args)
		return detach_stale(cli, err);
	if (!cli->args || shunt_cli_option(cli, "stale"))
		return shunt_fail(
			err, -EINVAL,
			"detach: name one interface, or --stale for those that "
			"are gone");
	ret = shunt_detach(cli->arg[0], shunt_cli_option(cli, "hook"), &reply, err);
	if (ret)
		return ret;
	if (cli->json)
		shunt_out_json(reply);
	else
		printf("detached %s%s\n", cli->arg[0],
		       shunt_json_true(reply, "gone") ? "" : "; its other hooks stay");
	return 0;
}
