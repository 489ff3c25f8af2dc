/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/reply.h"

#include <stdarg.h>
#include <stdio.h>

#include "loader/program.h"
#include "user/base/json.h"

cJSON *shunt_reply_new(const char *schema, const struct shunt_state *state)
{
	cJSON *reply = cJSON_CreateObject();

	cJSON_AddStringToObject(reply, "schema", schema);
	cJSON_AddStringToObject(reply, "interface", state->interface);
	if (*state->netns)
		cJSON_AddStringToObject(reply, "netns", state->netns);
	else
		cJSON_AddNullToObject(reply, "netns");
	shunt_json_add_u64(reply, "generation", state->generation);
	return reply;
}

cJSON *shunt_reply_hooks(cJSON *reply, const struct shunt_state *state)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "hooks");
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		cJSON *item;

		if (!state->place[hook].on)
			continue;
		item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "hook", shunt_hook_name(hook));
		cJSON_AddStringToObject(item, "mode", state->place[hook].mode);
		cJSON_AddNumberToObject(item, "program", state->place[hook].prog_id);
		cJSON_AddItemToArray(list, item);
	}
	return list;
}

void shunt_reply_warn(cJSON *reply, const char *fmt, ...)
{
	cJSON *list = cJSON_GetObjectItemCaseSensitive(reply, "warnings");
	char text[sizeof(struct shunt_err)];
	va_list args;

	if (!list)
		list = cJSON_AddArrayToObject(reply, "warnings");
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cJSON_AddItemToArray(list, cJSON_CreateString(text));
}

bool shunt_reply_cannot(struct shunt_err *why, enum shunt_hook hook, const char *rule,
			unsigned int action, const char *target)
{
	const char *name = shunt_hook_name(hook);

	if (hook == SHUNT_HOOK_XDP)
		return false;
	if (action == SHUNT_VERDICT_CONSUMER)
		return shunt_fail(
			why, 1,
			"rule %s: %s cannot redirect to consumer %s, only XDP "
			"can: its if_down decides there",
			rule, name, target);
	if (action == SHUNT_VERDICT_CPU ||
	    (action == SHUNT_VERDICT_TX && hook == SHUNT_HOOK_TC_EGRESS))
		return shunt_fail(why, 1,
				  "rule %s: %s cannot do %s: its packets pass there",
				  rule, name, shunt_action_name(action));
	return false;
}

void shunt_reply_warn_hooks(cJSON *reply, const struct shunt_state *state)
{
	struct shunt_err why;
	int hook;
	size_t r;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		for (r = 0; state->place[hook].on && r < state->rules; r++) {
			const struct shunt_state_rule *rule = &state->rule[r];

			if (shunt_reply_cannot(&why, hook, rule->name, rule->action,
					       rule->target))
				shunt_reply_warn(reply, "%s", why.message);
		}
	}
}
