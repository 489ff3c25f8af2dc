/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/counters.h"
#include "loader/instance.h"
#include "loader/plan.h"
#include "loader/program.h"
#include "loader/reply.h"
#include "loader/seat_json.h"
#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

/* Everything that was counted, read once: the answer's parts add up. */
struct ledger {
	const struct shunt_instance *instance;
	struct shunt_ledger counted;
	struct shunt_counter retired[SHUNT_HOOK_MAX];
};

static void add(struct shunt_counter *sum, const struct shunt_counter *more)
{
	sum->packets += more->packets;
	sum->bytes += more->bytes;
}

static struct shunt_counter of(const struct ledger *ledger, uint32_t hook, uint32_t id)
{
	return shunt_ledger_of(&ledger->counted, hook, id);
}

/*
 * A hook that was on once keeps what it counted, until the instance goes. Rules that an
 * apply has just replaced, or one that was killed, may not be retired yet.
 */
static int read_ledger(struct ledger *ledger, struct shunt_err *err)
{
	const struct shunt_maps *maps = &ledger->instance->maps;
	_free_ bool *lapsed = calloc(maps->counters, sizeof(*lapsed));
	uint32_t hook, id;
	int ret;

	if (!lapsed)
		return shunt_fail(err, -ENOMEM, "read the statistics: out of memory");
	shunt_plan_lapsed(maps, ledger->instance->state, lapsed);
	ret = shunt_ledger_read(&ledger->counted, maps, err);
	for (hook = 0; !ret && hook < SHUNT_HOOK_MAX; hook++) {
		ledger->retired[hook] = of(ledger, hook, SHUNT_COUNTER_RETIRED);
		for (id = 0; id < maps->counters; id++) {
			struct shunt_counter one = of(ledger, hook, id);

			if (lapsed[id])
				add(&ledger->retired[hook], &one);
		}
	}
	return ret;
}

static void put(cJSON *object, const struct shunt_counter *counter)
{
	shunt_json_add_u64(object, "packets", counter->packets);
	shunt_json_add_u64(object, "bytes", counter->bytes);
}

static cJSON *put_named(cJSON *list, const char *name)
{
	cJSON *item = cJSON_CreateObject();

	cJSON_AddStringToObject(item, "name", name);
	cJSON_AddItemToArray(list, item);
	return item;
}

/* One counter id over all hooks. */
static struct shunt_counter over_hooks(const struct ledger *ledger, uint32_t id)
{
	struct shunt_counter sum = { 0 };
	uint32_t hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		struct shunt_counter one = of(ledger, hook, id);

		add(&sum, &one);
	}
	return sum;
}

static void put_hooks(cJSON *reply, const struct ledger *ledger)
{
	cJSON *list = shunt_reply_hooks(reply, ledger->instance->state), *item;
	uint32_t id;

	cJSON_ArrayForEach(item, list)
	{
		int hook = shunt_hook_find(shunt_json_str(item, "hook"), NULL);
		struct shunt_counter sum = { 0 };

		for (id = 0; id < SHUNT_COUNTER_REASONS; id++) {
			struct shunt_counter one = of(ledger, hook, id);

			add(&sum, &one);
		}
		put(item, &sum);
	}
}

static void put_rule(cJSON *list, const struct ledger *ledger,
		     const struct shunt_state_rule *rule)
{
	cJSON *item = put_named(list, rule->name), *hooks;
	struct shunt_counter sum = over_hooks(ledger, rule->counter);
	uint32_t hook;

	cJSON_AddStringToObject(item, "action", shunt_action_name(rule->action));
	if (*rule->target)
		cJSON_AddStringToObject(item, "target", rule->target);
	put(item, &sum);
	hooks = cJSON_AddObjectToObject(item, "hooks");
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		struct shunt_counter one = of(ledger, hook, rule->counter);

		if (!ledger->instance->state->place[hook].on)
			continue;
		put(cJSON_AddObjectToObject(hooks, shunt_hook_name(hook)), &one);
	}
}

static void put_reasons(cJSON *reply, const struct ledger *ledger)
{
	static const struct {
		uint32_t reason;
		const char *name;
	} reasons[] = {
#define X(id, value, name, malformed, help) { value, name },
		SHUNT_REASONS(X)
#undef X
	};
	cJSON *list = cJSON_AddArrayToObject(reply, "reasons");
	uint32_t verdict;
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		struct shunt_counter sum = { 0 }, one;

		for (verdict = 0; verdict < SHUNT_VERDICT_MAX; verdict++) {
			one = over_hooks(ledger, shunt_counter_reason_id(
							 reasons[i].reason, verdict));
			add(&sum, &one);
		}
		put(put_named(list, reasons[i].name), &sum);
	}
}

static void put_verdicts(cJSON *reply, const struct ledger *ledger)
{
	static const struct {
		uint32_t verdict;
		const char *name;
	} verdicts[] = {
#define X(id, value, name, help) { value, name },
		SHUNT_VERDICTS(X)
#undef X
	};
	cJSON *list = cJSON_AddArrayToObject(reply, "verdicts");
	uint32_t reason;
	size_t i;

	for (i = 0; i < sizeof(verdicts) / sizeof(*verdicts); i++) {
		struct shunt_counter sum = { 0 }, one;

		for (reason = 0; reason < SHUNT_REASON_MAX; reason++) {
			one = over_hooks(ledger, shunt_counter_reason_id(
							 reason, verdicts[i].verdict));
			add(&sum, &one);
		}
		put(put_named(list, verdicts[i].name), &sum);
	}
}

/* Copies are no packets: they stand beside the ledger. */
static void put_copies(cJSON *reply, const struct ledger *ledger)
{
	static const struct {
		uint32_t id;
		const char *name;
	} copies[] = {
#define X(id, value, name, help) { value, name },
		SHUNT_COPIES(X)
#undef X
	};
	cJSON *object = cJSON_AddObjectToObject(reply, "copies");
	size_t i;

	for (i = 0; i < sizeof(copies) / sizeof(*copies); i++) {
		struct shunt_counter sum = over_hooks(ledger, copies[i].id);

		put(cJSON_AddObjectToObject(object, copies[i].name), &sum);
	}
}

static cJSON *answer(const struct ledger *ledger)
{
	const struct shunt_state *state = ledger->instance->state;
	cJSON *reply = shunt_reply_new("shunt.stats/1", state), *list, *item;
	struct shunt_counter sum = over_hooks(ledger, SHUNT_COUNTER_DEFAULT);
	uint32_t hook;
	size_t r;

	put_hooks(reply, ledger);
	list = cJSON_AddArrayToObject(reply, "rules");
	for (r = 0; r < state->rules; r++)
		put_rule(list, ledger, &state->rule[r]);
	put_reasons(reply, ledger);
	put_verdicts(reply, ledger);
	put_copies(reply, ledger);
	item = cJSON_AddObjectToObject(reply, "default");
	cJSON_AddStringToObject(item, "action",
				shunt_action_name(state->default_action));
	put(item, &sum);
	memset(&sum, 0, sizeof(sum));
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		add(&sum, &ledger->retired[hook]);
	put(cJSON_AddObjectToObject(reply, "retired"), &sum);
	return reply;
}

int shunt_stats(const char *interface, cJSON **reply, struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	struct ledger ledger = { .instance = &instance };
	_json_ cJSON *made = NULL;
	int ret;

	*reply = NULL;
	ret = shunt_instance_open(&instance, interface, false, err);
	if (ret)
		return ret;
	ret = read_ledger(&ledger, err);
	if (!ret)
		made = answer(&ledger);
	shunt_ledger_free(&ledger.counted);
	if (!ret)
		ret = shunt_seats_put(made, &instance, err);
	if (!ret)
		*reply = shunt_steal(&made);
	return ret;
}
