/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/probation.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "loader/apply.h"
#include "loader/history.h"
#include "loader/plan.h"
#include "loader/reply.h"
#include "loader/shunt.h"
#include "loader/steer.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

int shunt_probation_none(const struct shunt_instance *instance, const char *verb,
			 struct shunt_err *err)
{
	const char *interface = instance->state->interface;
	uint64_t now = shunt_now_ns();

	if (!instance->gen.armed)
		return 0;
	return shunt_fail(err, -EBUSY,
			  "%s %s: generation %llu is on trial there for %.1f s more: "
			  "`shunt confirm %s` keeps it, `shunt rollback %s` goes back "
			  "at once; then try again",
			  verb, interface, (unsigned long long)instance->gen.newest,
			  instance->gen.deadline > now
				  ? (double)(instance->gen.deadline - now) / 1e9
				  : 0.0,
			  interface, interface);
}

int shunt_probation_skip(struct shunt_instance *instance, struct shunt_err *err)
{
	struct shunt_state *before;
	int ret;

	if (!instance->gen.armed || instance->gen.ruling != instance->gen.newest)
		return 0;
	ret = shunt_state_read(&before, instance->name, instance->gen.newest - 1, err);
	if (ret)
		return ret;
	shunt_state_free(instance->state);
	instance->state = before;
	return 0;
}

/* --- going back -------------------------------------------------------------- */

/* The record of g as that of g + 2: the hooks are those of now. */
static int read_again(struct shunt_instance *instance, struct shunt_state **again,
		      struct shunt_err *err)
{
	uint64_t newest = instance->gen.newest;
	struct shunt_state *last;
	int ret = shunt_state_read(&last, instance->name, newest, err);

	if (ret)
		return ret;
	ret = shunt_state_read(again, instance->name, newest - 1, err);
	if (!ret) {
		struct shunt_state *state = *again;

		memcpy(state->interface, last->interface, sizeof(state->interface));
		memcpy(state->netns, last->netns, sizeof(state->netns));
		memcpy(state->place, last->place, sizeof(state->place));
		state->ifindex = last->ifindex;
		state->generation = newest + 1;
		state->applied_at = time(NULL);
		state->origin = SHUNT_ORIGIN_REVERT;
		state->again = newest - 1;
	}
	shunt_state_free(last);
	return ret;
}

int shunt_probation_revert(struct shunt_instance *instance, struct shunt_err *err)
{
	const struct shunt_maps *maps = &instance->maps;
	uint64_t newest = instance->gen.newest;
	struct shunt_settling settling = { .notes = NULL };
	struct shunt_state *again;
	int ret = read_again(instance, &again, err);

	if (ret)
		return ret;
	ret = shunt_history_keep(instance->name, newest, err);
	if (!ret)
		ret = shunt_state_stage(again, instance->name, err);
	if (ret) {
		shunt_state_free(again);
		return ret;
	}
	shunt_maps_image(maps, newest + 1)->generation = newest + 1;
	shunt_gen_set(maps->gen, newest + 1);
	shunt_state_free(instance->state);
	instance->state = again;
	instance->gen = shunt_gen_look(maps->gen);
	ret = shunt_state_commit(instance->name, err);
	if (!ret)
		ret = shunt_plan_tidy(maps, again, true, err);
	settling.state = again;
	if (!ret)
		ret = shunt_steer_settle(instance, &settling, err);
	if (!ret)
		ret = shunt_history_trim(instance->name, newest + 1, err);
	return ret ? shunt_fail_in(
			     err, ret,
			     "the policy before rules again, but the one that was on "
			     "trial could not be cleared away; the next command "
			     "will: ")
		   : 0;
}

/* --- confirm ------------------------------------------------------------------ */

/* There is something to confirm, and time for it. */
static int may_confirm(const struct shunt_instance *instance, const char *interface,
		       struct shunt_err *err)
{
	const struct shunt_state *state = instance->state;

	if (instance->gen.armed)
		return 0;
	if (state->origin == SHUNT_ORIGIN_REVERT)
		return shunt_fail(err, -ETIME,
				  "confirm %s: it is too late: the policy on trial was "
				  "taken back, and the one before it, generation %llu, "
				  "rules again; apply the new one again",
				  interface, (unsigned long long)state->again);
	return shunt_fail(err, -ENOENT,
			  "confirm %s: no policy is on trial there: generation %llu "
			  "rules for good; `shunt apply %s -p FILE --confirm 30s` puts "
			  "one on trial",
			  interface, (unsigned long long)state->generation, interface);
}

int shunt_confirm(const char *interface, cJSON **reply, struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	_json_ cJSON *notes = cJSON_CreateObject();
	struct shunt_settling settling = { .notes = notes };
	int ret;

	*reply = NULL;
	ret = shunt_instance_open(&instance, interface, true, err);
	if (!ret)
		ret = may_confirm(&instance, interface, err);
	if (ret)
		return ret;
	shunt_gen_set(instance.maps.gen, instance.gen.newest);
	if (shunt_now_ns() >= instance.gen.deadline)
		shunt_reply_warn(notes, "the deadline passed in the same moment: some "
					"packets may have met the old policy");
	ret = shunt_plan_tidy(&instance.maps, instance.state, true, err);
	settling.state = instance.state;
	if (!ret)
		ret = shunt_steer_settle(&instance, &settling, err);
	if (ret)
		return shunt_fail_in(err, ret,
				     "the policy is confirmed, but what it replaces "
				     "could not be cleared away; the next command "
				     "will: ");
	shunt_enforce_trim(&instance, notes);
	*reply = shunt_reply_new("shunt.confirm/1", instance.state);
	cJSON_AddStringToObject(*reply, "hash", instance.state->hash);
	shunt_reply_hooks(*reply, instance.state);
	shunt_reply_warnings(*reply, notes);
	return 0;
}
