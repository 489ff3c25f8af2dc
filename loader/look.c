/* SPDX-License-Identifier: BSD-2-Clause */
/* list, show and its history: what is attached, and under which policy. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/chain.h"
#include "loader/history.h"
#include "loader/instance.h"
#include "loader/reply.h"
#include "loader/sets.h"
#include "loader/shunt.h"
#include "loader/steer.h"
#include "user/base/cleanup.h"
#include "user/base/folder.h"
#include "user/base/json.h"

static void put_times(cJSON *reply, const struct shunt_state *state)
{
	shunt_json_add_u64(reply, "attached_at", state->attached_at);
	shunt_json_add_u64(reply, "applied_at", state->applied_at);
	cJSON_AddStringToObject(reply, "source", state->source);
}

/* --- list -------------------------------------------------------------------- */

static cJSON *list_one(const char *name)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	struct shunt_err err = { "" };
	cJSON *item = cJSON_CreateObject();
	int ret = shunt_instance_open_named(&instance, name, &err);

	cJSON_AddStringToObject(item, "instance", name);
	if (ret) {
		cJSON_AddStringToObject(item, "state", "broken");
		cJSON_AddStringToObject(item, "error", err.message);
		return item;
	}
	cJSON_AddStringToObject(item, "state",
				shunt_instance_alive(&instance) ? "attached" : "stale");
	cJSON_AddStringToObject(item, "interface", instance.state->interface);
	if (*instance.state->netns)
		cJSON_AddStringToObject(item, "netns", instance.state->netns);
	else
		cJSON_AddNullToObject(item, "netns");
	cJSON_AddNumberToObject(item, "ifindex", instance.state->ifindex);
	shunt_json_add_u64(item, "generation", instance.state->generation);
	shunt_reply_hooks(item, instance.state);
	cJSON_AddNumberToObject(item, "rules", instance.state->rules);
	put_times(item, instance.state);
	return item;
}

int shunt_list(cJSON **reply, struct shunt_err *err)
{
	_folder_ struct shunt_folder tree = { 0 };
	bool mounted;
	cJSON *list;
	int i, ret;

	*reply = NULL;
	ret = shunt_bpffs_ready(false, &mounted, err);
	if (ret)
		return ret;
	ret = shunt_folder_read(&tree, SHUNT_BPFFS_TREE);
	if (ret && ret != -ENOENT)
		return shunt_fail_errno(err, ret, "list " SHUNT_BPFFS_TREE);
	*reply = cJSON_CreateObject();
	cJSON_AddStringToObject(*reply, "schema", "shunt.list/1");
	list = cJSON_AddArrayToObject(*reply, "instances");
	for (i = 0; i < tree.n; i++)
		cJSON_AddItemToArray(list, list_one(tree.entry[i]->d_name));
	return 0;
}

/* --- show -------------------------------------------------------------------- */

static void show_rules(cJSON *reply, const struct shunt_state *state)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "rules");
	size_t r;

	for (r = 0; r < state->rules; r++) {
		const struct shunt_state_rule *rule = &state->rule[r];
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "name", rule->name);
		cJSON_AddStringToObject(item, "action",
					shunt_action_name(rule->action));
		if (*rule->target)
			cJSON_AddStringToObject(item, "target", rule->target);
		else if (rule->action == SHUNT_VERDICT_CPU)
			cJSON_AddNumberToObject(item, "target", rule->arg);
		cJSON_AddItemToArray(list, item);
	}
}

/* Who else is on the interface, and in which order. */
static void show_chain(cJSON *reply, const struct shunt_instance *instance)
{
	const struct shunt_place *place = &instance->state->place[SHUNT_HOOK_XDP];
	cJSON *hooks = cJSON_GetObjectItem(reply, "hooks"), *hook;

	if (!place->on || strcmp(place->mode, "chained") != 0)
		return;
	cJSON_ArrayForEach(
		hook,
		hooks) if (!strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(hook,
									    "hook")),
				   "xdp"))
		cJSON_AddItemToObject(hook, "chain",
				      shunt_chain_list(instance->name,
						       instance->ifindex));
}

static int show_sets(cJSON *reply, const struct shunt_instance *instance,
		     struct shunt_err *err)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "sets");
	size_t s;

	for (s = 0; s < instance->state->sets; s++) {
		const struct shunt_state_set *set = &instance->state->set[s];
		struct shunt_set_ref ref = { set->name, set->id, set->type, set->size };
		cJSON *item = cJSON_CreateObject();
		size_t elements;
		int ret;

		cJSON_AddItemToArray(list, item);
		ret = shunt_set_count(&instance->maps, &ref, &elements, err);
		if (ret)
			return ret;
		cJSON_AddStringToObject(item, "name", set->name);
		cJSON_AddStringToObject(item, "type", shunt_set_type_name(set->type));
		cJSON_AddNumberToObject(item, "members", elements);
		cJSON_AddNumberToObject(item, "size", set->size);
		cJSON_AddBoolToObject(item, "dynamic", set->dynamic);
	}
	return 0;
}

static void show_queues(cJSON *item, uint64_t served)
{
	cJSON *queues;
	int queue;

	if (served == UINT64_MAX) {
		cJSON_AddStringToObject(item, "queues", "all");
		return;
	}
	queues = cJSON_AddArrayToObject(item, "queues");
	for (queue = 0; queue < SHUNT_QUEUE_MAX; queue++)
		if (served >> queue & 1)
			cJSON_AddItemToArray(queues, cJSON_CreateNumber(queue));
}

static void show_consumers(cJSON *reply, const struct shunt_state *state)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "consumers");
	size_t c;

	for (c = 0; c < state->consumers; c++) {
		const struct shunt_state_consumer *consumer = &state->consumer[c];
		bool ring = consumer->kind == SHUNT_CONSUMER_RING;
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "name", consumer->name);
		cJSON_AddStringToObject(item, "kind", ring ? "ring" : "xsk");
		cJSON_AddStringToObject(item, "if_down",
					shunt_action_name(consumer->if_down));
		if (consumer->heartbeat_ns)
			shunt_json_add_u64(item, "heartbeat_ms",
					   consumer->heartbeat_ns / 1000000);
		else
			cJSON_AddNullToObject(item, "heartbeat_ms");
		if (ring)
			cJSON_AddNumberToObject(item, "bytes", consumer->ring_bytes);
		else
			show_queues(item, consumer->queues);
		cJSON_AddItemToArray(list, item);
	}
}

/* Null, or how long the policy is on trial yet. */
static void show_trial(cJSON *reply, const struct shunt_instance *instance)
{
	uint64_t now = shunt_now_ns();
	cJSON *trial;

	if (!instance->gen.armed || instance->gen.ruling != instance->gen.newest) {
		cJSON_AddNullToObject(reply, "trial");
		return;
	}
	trial = cJSON_AddObjectToObject(reply, "trial");
	shunt_json_add_u64(trial, "left_ms",
			   instance->gen.deadline > now
				   ? (instance->gen.deadline - now) / 1000000
				   : 0);
	shunt_json_add_u64(trial, "before", instance->gen.newest - 1);
}

int shunt_show(const char *interface, cJSON **reply, struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	_json_ cJSON *out = NULL;
	int ret;

	*reply = NULL;
	ret = shunt_instance_open(&instance, interface, false, err);
	if (ret)
		return ret;
	out = shunt_reply_new("shunt.show/1", instance.state);
	cJSON_AddStringToObject(out, "state",
				shunt_instance_alive(&instance) ? "attached" : "stale");
	cJSON_AddNumberToObject(out, "ifindex", instance.state->ifindex);
	shunt_reply_hooks(out, instance.state);
	show_chain(out, &instance);
	put_times(out, instance.state);
	cJSON_AddStringToObject(out, "default",
				shunt_action_name(instance.state->default_action));
	cJSON_AddStringToObject(out, "malformed",
				shunt_action_name(instance.state->malformed));
	show_rules(out, instance.state);
	ret = show_sets(out, &instance, err);
	if (ret)
		return ret;
	show_consumers(out, instance.state);
	ret = shunt_steer_show(out, instance.name, err);
	if (ret)
		return ret;
	cJSON_AddStringToObject(out, "hash", instance.state->hash);
	show_trial(out, &instance);
	cJSON_AddStringToObject(out, "policy", instance.state->text);
	*reply = shunt_steal(&out);
	return 0;
}

/* --- history ----------------------------------------------------------------- */

static cJSON *history_one(const struct shunt_state *state)
{
	cJSON *item = cJSON_CreateObject();

	shunt_json_add_u64(item, "generation", state->generation);
	cJSON_AddStringToObject(item, "hash", state->hash);
	shunt_json_add_u64(item, "applied_at", state->applied_at);
	cJSON_AddStringToObject(item, "source", state->source);
	cJSON_AddNumberToObject(item, "rules", state->rules);
	cJSON_AddStringToObject(item, "origin", shunt_origin_name(state->origin));
	if (state->again)
		shunt_json_add_u64(item, "again", state->again);
	return item;
}

static int history_list(cJSON *list, const struct shunt_instance *instance,
			struct shunt_err *err)
{
	uint64_t generation[SHUNT_HISTORY_MAX + 1];
	int n = shunt_history_list(instance->name, instance->state->generation,
				   generation, err);
	int i, ret;

	if (n < 0)
		return n;
	for (i = 0; i < n && i < SHUNT_HISTORY_MAX; i++) {
		struct shunt_state *state;
		cJSON *item;

		ret = shunt_state_read(&state, instance->name, generation[i], err);
		if (ret)
			return ret;
		item = history_one(state);
		cJSON_AddNumberToObject(item, "back", i + 1);
		cJSON_AddItemToArray(list, item);
		shunt_state_free(state);
	}
	return 0;
}

int shunt_history(const char *interface, cJSON **reply, struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	_json_ cJSON *out = NULL;
	cJSON *list;
	int ret;

	*reply = NULL;
	ret = shunt_instance_open(&instance, interface, false, err);
	if (ret)
		return ret;
	out = shunt_reply_new("shunt.history/1", instance.state);
	cJSON_AddItemToObject(out, "ruling", history_one(instance.state));
	show_trial(out, &instance);
	list = cJSON_AddArrayToObject(out, "earlier");
	ret = history_list(list, &instance, err);
	if (!ret)
		*reply = shunt_steal(&out);
	return ret;
}
