/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/rehearse.h"

#include "loader/policy/policy.h"
#include "loader/program.h"
#include "loader/prove.h"

/*
 * What a probe packet is to become is found by trying rule after rule, so that in a large
 * policy this, and not the test run, is what the rehearsal takes. Trials are bounded, lest
 * trying a policy out take longer than compiling it: some 10 ns each.
 */
#define TRIALS (1u << 19)
#define FRAMES_LEAST 256
#define FRAMES_MOST 512

static size_t frames_for(const struct shunt_policy *policy)
{
	size_t frames = TRIALS / (policy->rules + 1);

	if (frames > FRAMES_MOST)
		return FRAMES_MOST;
	return frames < FRAMES_LEAST ? FRAMES_LEAST : frames;
}

/* Of what sits there; a hook that has lost its program judges nothing. */
static uint32_t id_on(const struct shunt_instance *instance, int hook)
{
	const struct shunt_place *place = &instance->state->place[hook];

	return place->on && shunt_place_alive(hook, place, instance->name,
					      instance->ifindex)
		       ? place->prog_id
		       : 0;
}

static int rehearse_hook(const struct shunt_instance *instance,
			 const struct shunt_rehearsal *rehearsal, int hook,
			 uint32_t prog_id, struct shunt_err *err)
{
	struct shunt_explain *explain;
	int ret = shunt_explain_open_loaded(&explain, instance, rehearsal->state, hook,
					    prog_id, err);

	if (ret)
		return ret;
	explain->idle = rehearsal->idle;
	ret = shunt_prove(explain, rehearsal->policy, frames_for(rehearsal->policy),
			  NULL, err);
	if (!ret && rehearsal->guard)
		ret = shunt_guard_check(rehearsal->guard, explain, err);
	shunt_explain_close(explain);
	return ret;
}

int shunt_rehearse(const struct shunt_instance *instance,
		   const struct shunt_rehearsal *rehearsal, struct shunt_err *err)
{
	int hook, ret = 0;

	for (hook = 0; !ret && hook < SHUNT_HOOK_MAX; hook++) {
		uint32_t id = rehearsal->prog_fd
				      ? shunt_program_id(rehearsal->prog_fd[hook])
				      : id_on(instance, hook);

		if (id)
			ret = rehearse_hook(instance, rehearsal, hook, id, err);
	}
	return ret;
}
