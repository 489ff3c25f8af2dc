/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/apply.h"

#include <string.h>

#include "loader/chain.h"
#include "loader/history.h"
#include "loader/plan.h"
#include "loader/probation.h"
#include "loader/rehearse.h"
#include "loader/reply.h"
#include "loader/shunt.h"
#include "loader/steer.h"
#include "loader/takeover.h"
#include "loader/watch.h"
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

cJSON *shunt_enforce_reply(const char *schema, const struct shunt_state *old,
			   const struct shunt_state *next, const cJSON *notes)
{
	cJSON *reply = shunt_reply_new(schema, next);

	shunt_json_add_u64(reply, "previous_generation", old->generation);
	cJSON_AddStringToObject(reply, "hash", next->hash);
	shunt_reply_hooks(reply, next);
	cJSON_AddNumberToObject(reply, "rules", next->rules);
	put_names(reply, "kept", next, old, true);
	put_names(reply, "added", next, old, false);
	put_names(reply, "removed", old, next, false);
	shunt_reply_warnings(reply, NULL);
	shunt_reply_warn_hooks(reply, next);
	shunt_reply_warnings(reply, notes);
	return reply;
}

/* --- in force ---------------------------------------------------------------- */

/* Programs and maps that can do either policy, from now on and until the flip. */
static int make_room(struct shunt_instance *instance, const struct shunt_plan *plan,
		     struct shunt_err *err)
{
	const struct shunt_place *xdp = &instance->state->place[SHUNT_HOOK_XDP];
	struct shunt_needs needs = shunt_plan_needs(plan);
	struct shunt_tag tag = { 0 };
	int ret;

	needs.features |= shunt_takeover_ruling(instance) |
			  shunt_takeover_carry(instance->state, NULL);
	ret = strcmp(xdp->mode, "chained")
		      ? 0
		      : shunt_chain_fits(plan->compiled.image, plan->next, err);
	if (ret)
		return ret;
	if (xdp->on)
		shunt_tag_choose(&tag, needs.features, instance->state->interface,
				 xdp->mode);
	return shunt_takeover(instance, &needs, false, &tag, err);
}

/* By the programs that are going to judge by it. */
static int rehearse(const struct shunt_instance *instance,
		    const struct shunt_plan *plan, const struct shunt_guard *guard,
		    struct shunt_err *err)
{
	const struct shunt_rehearsal rehearsal = {
		.policy = plan->policy,
		.state = plan->next,
		.guard = guard,
		.idle = true,
	};

	return shunt_rehearse(instance, &rehearsal, err);
}

static int steer(const struct shunt_instance *instance, const struct shunt_plan *plan,
		 cJSON *notes, struct shunt_err *err)
{
	const struct shunt_steering steering = {
		.policy = plan->policy,
		.generation = plan->next->generation,
		.sockets = instance->state->place[SHUNT_HOOK_XDP].on,
	};

	return shunt_steer_stage(instance, &steering, notes, err);
}

/* What was filled for the idle slot, and put into the NIC, is named by no record. */
static void undo(struct shunt_instance *instance)
{
	const struct shunt_settling settling = { .state = instance->state };
	int ret = shunt_plan_tidy(&instance->maps, instance->state, false, NULL);

	if (!ret)
		ret = shunt_steer_settle(instance, &settling, NULL);
	(void)ret; /* the next command does it; the first failure is the answer */
}

/* Everything that can fail comes before the flip. */
static int write_plan(struct shunt_instance *instance, struct shunt_plan *plan,
		      const struct shunt_guard *guard, cJSON *notes,
		      struct shunt_err *err)
{
	int ret = shunt_plan_write(plan, &instance->maps, err);

	if (!ret)
		ret = rehearse(instance, plan, guard, err);
	if (!ret)
		ret = shunt_history_keep(instance->name, instance->state->generation,
					 err);
	if (!ret)
		ret = steer(instance, plan, notes, err);
	if (!ret)
		ret = shunt_state_stage(plan->next, instance->name, err);
	if (ret)
		undo(instance);
	return ret;
}

static void flip(struct shunt_instance *instance, const struct shunt_plan *plan,
		 uint64_t confirm_ns)
{
	if (confirm_ns)
		shunt_gen_set_until(instance->maps.gen, plan->next->generation,
				    shunt_now_ns() + confirm_ns);
	else
		shunt_plan_flip(plan, &instance->maps);
}

/* On trial, what the policy before it needs stays. */
static int clear_away(struct shunt_instance *instance, const struct shunt_plan *plan,
		      bool trial, cJSON *notes, struct shunt_err *err)
{
	const struct shunt_settling settling = { .state = plan->next, .notes = notes };
	int ret = shunt_state_commit(instance->name, err);

	if (!ret && !trial)
		ret = shunt_plan_tidy(&instance->maps, plan->next, true, err);
	if (!ret && !trial)
		ret = shunt_steer_settle(instance, &settling, err);
	if (!ret)
		ret = shunt_history_trim(instance->name, plan->next->generation, err);
	return ret ? shunt_fail_in(
			     err, ret,
			     "the new policy rules, but what it replaces could not "
			     "be cleared away; the next command will: ")
		   : 0;
}

static int enforce(struct shunt_instance *instance, struct shunt_plan *plan,
		   const struct shunt_enforce *how, cJSON *notes, struct shunt_err *err)
{
	struct shunt_err note;
	int ret = make_room(instance, plan, err);

	if (ret)
		return ret;
	memcpy(plan->next->place, instance->state->place, sizeof(plan->next->place));
	plan->next->origin = how->origin;
	plan->next->again = how->again;
	ret = write_plan(instance, plan, how->guard, notes, err);
	if (ret)
		return ret;
	/* nothing can fail from here on, and no packet is redirected yet */
	shunt_watch_start(instance, plan->next, &note);
	if (*note.message)
		shunt_reply_warn(notes, "%s", note.message);
	flip(instance, plan, how->confirm_ns);
	ret = clear_away(instance, plan, how->confirm_ns, notes, err);
	if (!ret && !how->confirm_ns)
		shunt_enforce_trim(instance, notes);
	memcpy(plan->next->place, instance->state->place, sizeof(plan->next->place));
	return ret;
}

int shunt_enforce(struct shunt_instance *instance, const struct shunt_policy *policy,
		  const struct shunt_enforce *how, struct shunt_state **next,
		  cJSON *notes, struct shunt_err *err)
{
	struct shunt_plan plan = { 0 };
	int ret = shunt_plan_make(&plan, policy, instance->state->interface,
				  instance->state, false, err);

	*next = NULL;
	if (!ret)
		ret = enforce(instance, &plan, how, notes, err);
	if (!ret)
		*next = shunt_steal(&plan.next);
	shunt_plan_free(&plan);
	return ret;
}

/* What the ruling policy needs, as its image has it. */
static struct shunt_needs ruling_needs(const struct shunt_instance *instance)
{
	const struct shunt_image *image =
		shunt_maps_image(&instance->maps,
				 shunt_gen_look(instance->maps.gen).ruling);

	/* maps are never made smaller: what they hold may stay */
	return (struct shunt_needs){
		.features =
			image->features | shunt_takeover_carry(instance->state, NULL),
		.image_bytes = image->bytes,
		.counters = instance->maps.counters,
	};
}

void shunt_enforce_trim(struct shunt_instance *instance, cJSON *notes)
{
	const struct shunt_place *xdp = &instance->state->place[SHUNT_HOOK_XDP];
	struct shunt_needs needs = ruling_needs(instance);
	struct shunt_err err = { "" };
	struct shunt_tag tag = { 0 };
	const char *missed;

	if (xdp->on)
		shunt_tag_choose(&tag, needs.features, instance->state->interface,
				 xdp->mode);
	if (shunt_takeover(instance, &needs, true, &tag, &err))
		shunt_reply_warn(notes,
				 "the programs keep code that this policy does not "
				 "need, for others could not take over: %s",
				 err.message);
	missed = shunt_tag_missed(&tag, needs.features);
	if (missed)
		shunt_reply_warn(notes, "%s", missed);
}

int shunt_apply(const char *interface, const struct shunt_policy *policy,
		const struct shunt_apply_opts *opts, cJSON **reply,
		struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	struct shunt_guard guard = { 0 };
	const struct shunt_enforce how = { .origin = SHUNT_ORIGIN_APPLY,
					   .confirm_ns = opts ? opts->confirm_ns : 0,
					   .guard = &guard };
	_json_ cJSON *notes = cJSON_CreateObject();
	struct shunt_state *next;
	int ret;

	*reply = NULL;
	ret = shunt_instance_open(&instance, interface, true, err);
	if (!ret)
		ret = shunt_probation_none(&instance, "apply", err);
	if (!ret && opts)
		ret = shunt_guard_make(&guard, interface, opts->session, opts->protect,
				       opts->protects, err);
	if (!ret)
		ret = shunt_enforce(&instance, policy, &how, &next, notes, err);
	shunt_guard_free(&guard);
	if (ret)
		return ret;
	*reply = shunt_enforce_reply("shunt.apply/1", instance.state, next, notes);
	if (how.confirm_ns)
		shunt_json_add_u64(*reply, "confirm_ms", how.confirm_ns / 1000000);
	shunt_state_free(next);
	return 0;
}
