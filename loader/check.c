/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/policy/compile.h"
#include "loader/policy/policy.h"
#include "loader/shunt.h"
#include "maps/abi.h"

static void put_diags(cJSON *reply, const struct shunt_diags *diags, bool warning)
{
	cJSON *list = cJSON_AddArrayToObject(reply, warning ? "warnings" : "errors");
	size_t i;

	for (i = 0; i < diags->n; i++) {
		const struct shunt_diag *diag = &diags->at[i];
		cJSON *item;

		if (diag->warning != warning)
			continue;
		item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "pointer", diag->pointer);
		cJSON_AddStringToObject(item, "message", diag->message);
		cJSON_AddItemToArray(list, item);
	}
}

/* What not every hook can do; which one is meant is not known yet. */
static void warn_hooks(const struct shunt_policy *policy, struct shunt_diags *diags)
{
	char pointer[64];
	size_t r;

	for (r = 0; r < policy->rules; r++) {
		const struct shunt_policy_rule *rule = &policy->rule[r];

		if (rule->mirror.to == SHUNT_MIRROR_INTERFACE) {
			snprintf(pointer, sizeof(pointer), "/rules/%zu/mirror", r);
			shunt_diag_add(
				diags, true, pointer,
				"xdp cannot copy a packet to an interface, "
				"tc-ingress and tc-egress can; write \"ring\" to "
				"get copies in every hook");
		}
	}
}

/* What the policy takes once it is compiled; too much is an error of the whole
 * document. */
static int put_size(cJSON *reply, const struct shunt_policy *policy,
		    struct shunt_diags *diags)
{
	static const struct shunt_binding unbound;
	struct shunt_compiled compiled;
	struct shunt_err err;
	int ret = shunt_compile(policy, &unbound, &compiled, &err);

	if (ret) {
		shunt_diag_add(diags, false, "", "%s", err.message);
		return -EINVAL;
	}
	cJSON_AddNumberToObject(reply, "rules", policy->rules);
	cJSON_AddNumberToObject(reply, "sets", policy->sets);
	cJSON_AddNumberToObject(reply, "consumers", policy->consumers);
	cJSON_AddNumberToObject(reply, "image_bytes", compiled.image->bytes);
	cJSON_AddNumberToObject(reply, "classes", compiled.classes);
	free(compiled.image);
	return 0;
}

int shunt_check(const char *path, struct shunt_policy **policy, cJSON **reply,
		struct shunt_err *err)
{
	struct shunt_diags diags = { 0 };
	int ret;

	*policy = NULL;
	*reply = cJSON_CreateObject();
	ret = shunt_policy_read_file(policy, path, &diags);
	cJSON_AddStringToObject(*reply, "schema", "shunt.check/1");
	cJSON_AddStringToObject(*reply, "source", path);
	if (!ret)
		warn_hooks(*policy, &diags);
	if (!ret)
		ret = put_size(*reply, *policy, &diags);
	if (ret) {
		shunt_policy_free(*policy);
		*policy = NULL;
		shunt_fail(err, ret, "%s: %zu error%s", path, diags.errors,
			   diags.errors == 1 ? "" : "s");
	}
	cJSON_AddBoolToObject(*reply, "valid", !ret);
	put_diags(*reply, &diags, false);
	put_diags(*reply, &diags, true);
	shunt_diags_free(&diags);
	return ret;
}
