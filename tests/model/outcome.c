/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/outcome.h"

static void act(const struct shunt_policy *policy, enum shunt_hook hook,
		struct shunt_outcome *o)
{
	o->verdict = o->model.action;
	if (o->model.action == SHUNT_VERDICT_CONSUMER) {
		uint32_t place = policy->rule[o->model.rule].arg;

		o->reason = SHUNT_REASON_CONSUMER_DOWN;
		o->verdict = policy->consumer[place].if_down;
	}
	if ((o->model.action == SHUNT_VERDICT_CPU && hook != SHUNT_HOOK_XDP) ||
	    (o->model.action == SHUNT_VERDICT_TX && hook == SHUNT_HOOK_TC_EGRESS)) {
		o->reason = SHUNT_REASON_HOOK_CANNOT;
		o->verdict = SHUNT_VERDICT_PASS;
	}
}

void shunt_outcome_of(const struct shunt_policy *policy, enum shunt_hook hook,
		      const struct shunt_model_frame *frame, struct shunt_outcome *o)
{
	if (frame->reason != SHUNT_FRAME_SOUND) {
		o->model.rule = policy->rules;
		o->model.counted = 0;
		o->reason = frame->reason;
		o->verdict = policy->malformed;
		return;
	}
	shunt_model_decide(policy, &frame->pkt, &o->model);
	o->reason = o->model.rule == policy->rules ? SHUNT_REASON_DEFAULT
						   : SHUNT_REASON_RULE;
	act(policy, hook, o);
}
