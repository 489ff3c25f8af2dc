/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/rehearse.h"

#include "loader/program.h"
#include "loader/prove.h"

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
	ret = shunt_prove(explain, rehearsal->policy, SHUNT_PROVE_FRAMES, NULL, err);
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
		const struct shunt_place *place = &instance->state->place[hook];
		uint32_t id = rehearsal->prog_fd
				      ? shunt_program_id(rehearsal->prog_fd[hook])
			      : place->on ? place->prog_id
					  : 0;

		if (id)
			ret = rehearse_hook(instance, rehearsal, hook, id, err);
	}
	return ret;
}
