/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/balance.h"
#include "loader/plan.h"
#include "user/base/cleanup.h"

/* Packets of every rule that decided: of those that are, and of those that are gone. */
static int sum_rules(struct shunt_reading *reading,
		     const struct shunt_instance *instance, struct shunt_err *err)
{
	const struct shunt_state *state = instance->state;
	_free_ bool *lapsed = calloc(instance->maps.counters, sizeof(*lapsed));
	uint32_t hook, id;
	size_t r;

	if (!lapsed)
		return shunt_fail(err, -ENOMEM, "read the ledger: out of memory");
	shunt_plan_lapsed(&instance->maps, state, lapsed);
	lapsed[SHUNT_COUNTER_RETIRED] = lapsed[SHUNT_COUNTER_DEFAULT] = true;
	for (r = 0; r < state->rules; r++)
		if (state->rule[r].action != SHUNT_ACTION_COUNT &&
		    state->rule[r].counter < instance->maps.counters)
			lapsed[state->rule[r].counter] = true;
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		reading->rules[hook] = 0;
		for (id = 0; id < instance->maps.counters; id++)
			if (lapsed[id])
				reading->rules[hook] +=
					shunt_ledger_of(&reading->counted, hook, id)
						.packets;
	}
	return 0;
}

int shunt_reading_take(struct shunt_reading *reading,
		       const struct shunt_instance *instance, struct shunt_err *err)
{
	int ret = shunt_flow_read(&reading->flow, instance, err);

	shunt_reading_free(reading);
	if (!ret)
		ret = shunt_ledger_read(&reading->counted, &instance->maps, err);
	return ret ? ret : sum_rules(reading, instance, err);
}

void shunt_reading_free(struct shunt_reading *reading)
{
	shunt_ledger_free(&reading->counted);
}

/* When a consumer last looked at its statistics is no count. */
static bool same_seats(const struct shunt_flow *a, const struct shunt_flow *b)
{
	size_t i;

	for (i = 0; i < SHUNT_SEAT_MAX; i++) {
		struct shunt_seat one = a->seat[i], other = b->seat[i];

		one.stamp_ns = other.stamp_ns = 0;
		if (memcmp(&one, &other, sizeof(one)))
			return false;
	}
	return true;
}

static bool same_losses(const struct shunt_losses *a, const struct shunt_losses *b)
{
	return a->count == b->count &&
	       !memcmp(a->key, b->key, a->count * sizeof(*a->key)) &&
	       !memcmp(a->packets, b->packets, a->count * sizeof(*a->packets));
}

bool shunt_reading_same(const struct shunt_reading *a, const struct shunt_reading *b)
{
	return a->counted.ids == b->counted.ids &&
	       !memcmp(a->counted.at, b->counted.at,
		       (size_t)a->counted.ids * SHUNT_HOOK_MAX *
			       sizeof(*a->counted.at)) &&
	       !memcmp(a->flow.handed, b->flow.handed, sizeof(a->flow.handed)) &&
	       !memcmp(a->flow.watch, b->flow.watch, sizeof(a->flow.watch)) &&
	       same_losses(&a->flow.losses, &b->flow.losses) &&
	       same_seats(&a->flow, &b->flow);
}

uint64_t shunt_reading_cell(const struct shunt_reading *reading, uint32_t hook,
			    uint32_t reason, uint32_t verdict)
{
	return shunt_ledger_of(&reading->counted, hook,
			       shunt_counter_reason_id(reason, verdict))
		.packets;
}

struct shunt_hook_sums shunt_reading_hook(const struct shunt_reading *reading,
					  uint32_t hook)
{
	struct shunt_hook_sums sums = { 0 };
	uint32_t reason, verdict, slot, queue;

	for (reason = 0; reason < SHUNT_REASON_MAX; reason++)
		for (verdict = 0; verdict < SHUNT_VERDICT_MAX; verdict++) {
			uint64_t packets =
				shunt_reading_cell(reading, hook, reason, verdict);

			sums.offered += packets;
			sums.verdict[verdict] += packets;
			/* no rule was asked about the others */
			if (!shunt_reason_is_malformed(reason) &&
			    reason != SHUNT_REASON_INTERNAL)
				sums.decided += packets;
		}
	for (slot = 0; slot < SHUNT_CONSUMER_SLOTS; slot++) {
		const uint64_t *lane = &reading->flow.handed[shunt_handed_key(slot, 0)];

		sums.handed += lane[SHUNT_LANE_RING + hook];
		for (queue = 0; hook == SHUNT_HOOK_XDP && queue < SHUNT_QUEUE_MAX;
		     queue++)
			sums.handed += lane[queue];
	}
	return sums;
}

uint64_t shunt_reading_losses(const struct shunt_reading *reading, uint32_t where)
{
	const struct shunt_losses *losses = &reading->flow.losses;
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < losses->count; i++)
		if (where == SHUNT_LOSS_COUNT || losses->key[i].where == where)
			sum += losses->packets[i];
	return sum;
}
