/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/state_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/limits.h"
#include "loader/program.h"
#include "maps/abi.h"
#include "maps/counter.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

#define SCHEMA "shunt.state/1"

/* --- to JSON ----------------------------------------------------------------- */

static void put_hooks(cJSON *root, const struct shunt_state *state)
{
	cJSON *list = cJSON_AddArrayToObject(root, "hooks");
	int i;

	for (i = 0; i < SHUNT_HOOK_MAX; i++) {
		const struct shunt_place *place = &state->place[i];
		cJSON *item;

		if (!place->on)
			continue;
		item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "hook", shunt_hook_name(i));
		cJSON_AddStringToObject(item, "mode", place->mode);
		cJSON_AddNumberToObject(item, "program", place->prog_id);
		cJSON_AddBoolToObject(item, "made_qdisc", place->made_qdisc);
		cJSON_AddBoolToObject(item, "insisted", place->insisted);
		if (place->netns)
			shunt_json_add_u64(item, "netns", place->netns);
		cJSON_AddNumberToObject(item, "priority", place->priority);
		cJSON_AddItemToArray(list, item);
	}
}

/* What only rules with modifiers have. */
static void put_mods(cJSON *item, const struct shunt_state_rule *rule)
{
	const struct shunt_policy_limit *limit = &rule->limit;

	if (limit->rate) {
		cJSON *to = cJSON_AddObjectToObject(item, "limit");

		cJSON_AddNumberToObject(to, "id", rule->limiter);
		shunt_json_add_u64(to, "rate", limit->rate);
		shunt_json_add_u64(to, "burst", limit->burst);
		cJSON_AddNumberToObject(to, "bytes", limit->bytes);
		cJSON_AddNumberToObject(to, "by", limit->by);
		cJSON_AddNumberToObject(to, "bits4", limit->bits4);
		cJSON_AddNumberToObject(to, "bits6", limit->bits6);
		cJSON_AddNumberToObject(to, "size", limit->size);
		cJSON_AddNumberToObject(to, "over", limit->over);
	}
	if (rule->mirror.to) {
		cJSON_AddNumberToObject(item, "mirror", rule->mirror.to);
		cJSON_AddStringToObject(item, "mirror_target", rule->mirror.target);
	}
	if (rule->copies)
		cJSON_AddTrueToObject(item, "copies");
	if (rule->readdress)
		cJSON_AddTrueToObject(item, "readdress");
	if (rule->rewrites)
		cJSON_AddTrueToObject(item, "rewrites");
}

static void put_rules(cJSON *root, const struct shunt_state *state)
{
	cJSON *list = cJSON_AddArrayToObject(root, "rules");
	size_t i;

	for (i = 0; i < state->rules; i++) {
		const struct shunt_state_rule *rule = &state->rule[i];
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "name", rule->name);
		cJSON_AddNumberToObject(item, "counter", rule->counter);
		cJSON_AddNumberToObject(item, "action", rule->action);
		cJSON_AddNumberToObject(item, "arg", rule->arg);
		cJSON_AddStringToObject(item, "target", rule->target);
		put_mods(item, rule);
		cJSON_AddItemToArray(list, item);
	}
}

static void put_sets(cJSON *root, const struct shunt_state *state)
{
	cJSON *list = cJSON_AddArrayToObject(root, "sets");
	size_t i;

	for (i = 0; i < state->sets; i++) {
		const struct shunt_state_set *set = &state->set[i];
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "name", set->name);
		cJSON_AddNumberToObject(item, "id", set->id);
		cJSON_AddNumberToObject(item, "type", set->type);
		cJSON_AddNumberToObject(item, "size", set->size);
		cJSON_AddBoolToObject(item, "dynamic", set->dynamic);
		cJSON_AddItemToArray(list, item);
	}
}

static void put_consumers(cJSON *root, const struct shunt_state *state)
{
	cJSON *list = cJSON_AddArrayToObject(root, "consumers");
	size_t i;

	for (i = 0; i < state->consumers; i++) {
		const struct shunt_state_consumer *consumer = &state->consumer[i];
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "name", consumer->name);
		cJSON_AddNumberToObject(item, "slot", consumer->slot);
		shunt_json_add_u64(item, "queues_low", consumer->queues & 0xffffffff);
		shunt_json_add_u64(item, "queues_high", consumer->queues >> 32);
		cJSON_AddNumberToObject(item, "if_down", consumer->if_down);
		cJSON_AddNumberToObject(item, "kind", consumer->kind);
		cJSON_AddNumberToObject(item, "ring_bytes", consumer->ring_bytes);
		shunt_json_add_u64(item, "heartbeat_ns", consumer->heartbeat_ns);
		cJSON_AddItemToArray(list, item);
	}
}

char *shunt_state_to_text(const struct shunt_state *state)
{
	_json_ cJSON *root = cJSON_CreateObject();

	cJSON_AddStringToObject(root, "schema", SCHEMA);
	cJSON_AddNumberToObject(root, "abi", SHUNT_ABI);
	cJSON_AddStringToObject(root, "interface", state->interface);
	cJSON_AddNumberToObject(root, "ifindex", state->ifindex);
	cJSON_AddStringToObject(root, "netns", state->netns);
	shunt_json_add_u64(root, "generation", state->generation);
	shunt_json_add_u64(root, "attached_at", state->attached_at);
	shunt_json_add_u64(root, "applied_at", state->applied_at);
	cJSON_AddStringToObject(root, "source", state->source);
	cJSON_AddStringToObject(root, "hash", state->hash);
	cJSON_AddNumberToObject(root, "origin", state->origin);
	shunt_json_add_u64(root, "again", state->again);
	cJSON_AddNumberToObject(root, "default", state->default_action);
	cJSON_AddNumberToObject(root, "malformed", state->malformed);
	cJSON_AddNumberToObject(root, "ring_bytes", state->ring_bytes);
	put_hooks(root, state);
	put_rules(root, state);
	put_sets(root, state);
	put_consumers(root, state);
	cJSON_AddStringToObject(root, "policy", state->text);
	return cJSON_PrintUnformatted(root);
}

/* --- from JSON --------------------------------------------------------------- */

static void get_name(char name[SHUNT_NAME_MAX], const cJSON *item, const char *key)
{
	snprintf(name, SHUNT_NAME_MAX, "%s", shunt_json_str(item, key));
}

static void get_hooks(struct shunt_state *state, const cJSON *list)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		int hook = shunt_hook_find(shunt_json_str(item, "hook"), NULL);
		struct shunt_place *place;

		if (hook < 0)
			continue;
		place = &state->place[hook];
		place->on = true;
		snprintf(place->mode, sizeof(place->mode), "%s",
			 shunt_json_str(item, "mode"));
		place->prog_id = shunt_json_u64(item, "program");
		place->netns = shunt_json_u64(item, "netns");
		place->priority = shunt_json_u64(item, "priority");
		place->made_qdisc = shunt_json_true(item, "made_qdisc");
		place->insisted = shunt_json_true(item, "insisted");
	}
}

static void get_mods(struct shunt_state_rule *rule, const cJSON *item)
{
	const cJSON *from = cJSON_GetObjectItemCaseSensitive(item, "limit");
	struct shunt_policy_limit *limit = &rule->limit;

	if (from) {
		rule->limiter = shunt_json_u64(from, "id");
		limit->rate = shunt_json_u64(from, "rate");
		limit->burst = shunt_json_u64(from, "burst");
		limit->bytes = shunt_json_u64(from, "bytes");
		limit->by = shunt_json_u64(from, "by");
		limit->bits4 = shunt_json_u64(from, "bits4");
		limit->bits6 = shunt_json_u64(from, "bits6");
		limit->size = shunt_json_u64(from, "size");
		limit->over = shunt_json_u64(from, "over");
	}
	rule->mirror.to = shunt_json_u64(item, "mirror");
	get_name(rule->mirror.target, item, "mirror_target");
	rule->copies = shunt_json_true(item, "copies");
	rule->readdress = shunt_json_true(item, "readdress");
	rule->rewrites = shunt_json_true(item, "rewrites");
}

static int get_rules(struct shunt_state *state, const cJSON *list)
{
	const cJSON *item;

	state->rule = calloc(cJSON_GetArraySize(list) + 1, sizeof(*state->rule));
	if (!state->rule)
		return -ENOMEM;
	cJSON_ArrayForEach(item, list)
	{
		struct shunt_state_rule *rule = &state->rule[state->rules++];

		get_name(rule->name, item, "name");
		get_name(rule->target, item, "target");
		rule->counter = shunt_json_u64(item, "counter");
		rule->action = shunt_json_u64(item, "action");
		rule->arg = shunt_json_u64(item, "arg");
		get_mods(rule, item);
	}
	return 0;
}

static void get_sets(struct shunt_state *state, const cJSON *list)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		struct shunt_state_set *set = &state->set[state->sets];

		if (++state->sets > SHUNT_SET_MAX) /* sound() refuses it */
			break;
		get_name(set->name, item, "name");
		set->id = shunt_json_u64(item, "id");
		set->type = shunt_json_u64(item, "type");
		set->size = shunt_json_u64(item, "size");
		set->dynamic = shunt_json_true(item, "dynamic");
	}
}

static void get_consumers(struct shunt_state *state, const cJSON *list)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		struct shunt_state_consumer *consumer =
			&state->consumer[state->consumers];

		if (++state->consumers > SHUNT_CONSUMER_MAX)
			break;
		get_name(consumer->name, item, "name");
		consumer->slot = shunt_json_u64(item, "slot");
		consumer->queues = shunt_json_u64(item, "queues_low") |
				   shunt_json_u64(item, "queues_high") << 32;
		consumer->if_down = shunt_json_u64(item, "if_down");
		consumer->kind = shunt_json_u64(item, "kind");
		consumer->ring_bytes = shunt_json_u64(item, "ring_bytes");
		consumer->heartbeat_ns = shunt_json_u64(item, "heartbeat_ns");
	}
}

/* The numbers index arrays: a record that somebody has damaged must not. */
static bool sound(const struct shunt_state *state)
{
	size_t i;

	if (state->rules > SHUNT_RULE_MAX || state->sets > SHUNT_SET_MAX ||
	    state->consumers > SHUNT_CONSUMER_MAX || !shunt_origin_name(state->origin))
		return false;
	for (i = 0; i < state->rules; i++)
		if (state->rule[i].counter < SHUNT_COUNTER_RULES ||
		    state->rule[i].counter >= SHUNT_COUNTER_MAX ||
		    !shunt_action_name(state->rule[i].action) ||
		    !shunt_limiter_sound(&state->rule[i]))
			return false;
	for (i = 0; i < state->sets; i++)
		if (state->set[i].id >= SHUNT_SET_IDS ||
		    state->set[i].type > SHUNT_SET_SERVICE)
			return false;
	for (i = 0; i < state->consumers; i++)
		if (state->consumer[i].slot >= SHUNT_CONSUMER_SLOTS)
			return false;
	return true;
}

int shunt_state_from_text(struct shunt_state **out, const char *text, const char *path,
			  struct shunt_err *err)
{
	_json_ cJSON *root = cJSON_Parse(text);
	_state_ struct shunt_state *state = calloc(1, sizeof(*state));
	unsigned int abi = shunt_json_u64(root, "abi");

	if (!state)
		return shunt_fail(err, -ENOMEM, "read %s: out of memory", path);
	if (!root || strcmp(shunt_json_str(root, "schema"), SCHEMA) || abi != SHUNT_ABI)
		return shunt_fail(
			err, -EPROTO,
			"%s was written by another version of Shunt (schema "
			"\"%s\", ABI %u; this one knows \"%s\", ABI %u): use that "
			"version to detach, then this one to attach",
			path, shunt_json_str(root, "schema"), abi, SCHEMA, SHUNT_ABI);
	snprintf(state->interface, sizeof(state->interface), "%s",
		 shunt_json_str(root, "interface"));
	get_name(state->netns, root, "netns");
	state->ifindex = shunt_json_u64(root, "ifindex");
	state->generation = shunt_json_u64(root, "generation");
	state->attached_at = shunt_json_u64(root, "attached_at");
	state->applied_at = shunt_json_u64(root, "applied_at");
	snprintf(state->hash, sizeof(state->hash), "%s", shunt_json_str(root, "hash"));
	state->origin = shunt_json_u64(root, "origin");
	state->again = shunt_json_u64(root, "again");
	state->default_action = shunt_json_u64(root, "default");
	state->malformed = shunt_json_u64(root, "malformed");
	state->ring_bytes = shunt_json_u64(root, "ring_bytes");
	state->text = strdup(shunt_json_str(root, "policy"));
	state->source = strdup(shunt_json_str(root, "source"));
	get_hooks(state, cJSON_GetObjectItemCaseSensitive(root, "hooks"));
	get_sets(state, cJSON_GetObjectItemCaseSensitive(root, "sets"));
	get_consumers(state, cJSON_GetObjectItemCaseSensitive(root, "consumers"));
	if (!state->text || !state->source ||
	    get_rules(state, cJSON_GetObjectItemCaseSensitive(root, "rules")))
		return shunt_fail(err, -ENOMEM, "read %s: out of memory", path);
	if (!sound(state))
		return shunt_fail(
			err, -EPROTO,
			"%s is damaged: a number in it is out of range; `shunt "
			"detach %s` removes the instance",
			path, state->interface);
	if (shunt_state_index(state, err))
		return -ENOMEM;
	*out = shunt_steal(&state);
	return 0;
}
