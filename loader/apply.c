/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "loader/chain.h"
#include "loader/instance.h"
#include "loader/plan.h"
#include "loader/reply.h"
#include "loader/shunt.h"
#include "loader/tag.h"
#include "loader/takeover.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

/* The rules of one record that another one has, or lacks, by name. */
static void put_names(cJSON *reply, const char *key, const struct shunt_state *of,
		      const struct shunt_state *other, bool has)
{
	cJSON *list = cJSON_AddArrayToObject(reply, key);
	size_t r;

	for (r = 0; r < of->rules; r++) {
		const char *name = of->rule[r].name;

		if (!!shunt_state_rule(other, name) == has)
			cJSON_AddItemToArray(list, cJSON_CreateString(name));
	}
}

static cJSON *answer(const struct shunt_state *old, const struct shunt_state *next)
{
	cJSON *reply = shunt_reply_new("shunt.apply/1", next);

	shunt_json_add_u64(reply, "previous_generation", old->generation);
	shunt_reply_hooks(reply, next);
	cJSON_AddNumberToObject(reply, "rules", next->rules);
	put_names(reply, "kept", next, old, true);
	put_names(reply, "added", next, old, false);
	put_names(reply, "removed", old, next, false);
	cJSON_AddArrayToObject(reply, "warnings");
	shunt_reply_warn_hooks(reply, next);
	return reply;
}

static int apply(struct shunt_instance *instance, struct shunt_plan *plan,
		 struct shunt_tag *tag, struct shunt_err *err)
{
	const struct shunt_place *xdp = &instance->state->place[SHUNT_HOOK_XDP];
	struct shunt_needs needs = shunt_plan_needs(plan);
	int ret;

	/* from here on, and until the flip, the programs can do either policy */
	needs.features |= shunt_takeover_ruling(instance);
	ret = strcmp(xdp->mode, "chained")
		      ? 0
		      : shunt_chain_fits(plan->compiled.image, plan->next, err);
	if (ret)
		return ret;
	if (xdp->on)
		shunt_tag_choose(tag, needs.features, instance->state->interface,
				 xdp->mode);
	ret = shunt_takeover(instance, &needs, false, tag, err);
	if (ret)
		return ret;
	memcpy(plan->next->place, instance->state->place, sizeof(plan->next->place));
	ret = shunt_plan_write(plan, &instance->maps, err);
	if (!ret)
		ret = shunt_state_stage(plan->next, instance->name, err);
	if (ret) {
		/* what was filled for the idle slot is named by no record; should
		 * clearing it fail too, the next command does it: the first failure is
		 * the answer */
		int again =
			shunt_plan_tidy(&instance->maps, instance->state, false, NULL);

		(void)again;
		return ret;
	}
	shunt_plan_flip(plan, &instance->maps);
	ret = shunt_state_commit(instance->name, err);
	if (!ret)
		ret = shunt_plan_tidy(&instance->maps, plan->next, true, err);
	return ret ? shunt_fail_in(
			     err, ret,
			     "the new policy rules, but what it replaces could not "
			     "be cleared away; the next command will: ")
		   : 0;
}

/*
 * Programs that do no more than the policy needs are faster, but those that sit there
 * are right as well: that the policy rules stands, whatever comes of this.
 */
static void trim(struct shunt_instance *instance, struct shunt_plan *plan,
		 struct shunt_tag *tag, cJSON *reply)
{
	struct shunt_needs needs = shunt_plan_needs(plan);
	struct shunt_err err = { "" };
	const char *missed;

	if (shunt_takeover(instance, &needs, true, tag, &err))
		shunt_reply_warn(reply,
				 "the programs keep code that this policy does not "
				 "need, for others could not take over: %s",
				 err.message);
	missed = shunt_tag_missed(tag, needs.features);
	if (missed)
		shunt_reply_warn(reply, "%s", missed);
	memcpy(plan->next->place, instance->state->place, sizeof(plan->next->place));
}

int shunt_apply(const char *interface, const struct shunt_policy *policy, cJSON **reply,
		struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	struct shunt_plan plan = { 0 };
	struct shunt_tag tag = { 0 };
	int ret;

	*reply = NULL;
	ret = shunt_instance_open(&instance, interface, true, err);
	if (!ret)
		ret = shunt_plan_make(&plan, policy, instance.state->interface,
				      instance.state, false, err);
	if (!ret)
		ret = apply(&instance, &plan, &tag, err);
	if (!ret) {
		_json_ cJSON *notes = cJSON_CreateObject();
		cJSON *note;

		trim(&instance, &plan, &tag, notes);
		*reply = answer(instance.state, plan.next);
		cJSON_ArrayForEach(note,
				   cJSON_GetObjectItemCaseSensitive(notes, "warnings"))
			shunt_reply_warn(*reply, "%s", note->valuestring);
	}
	shunt_plan_free(&plan);
	return ret;
}
