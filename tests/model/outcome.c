/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/outcome.h"

/* Does the packet's TTL or hop limit end here? Only IP has one. */
static bool expires(const struct shunt_policy_rewrite *rewrite,
		    const struct shunt_model_frame *frame)
{
	const struct shunt_layer *outer = &frame->pkt.layer[SHUNT_OUTER];
	int at = outer->l3 == SHUNT_L3_IP4 ? 8 : 7;

	return rewrite->bits & SHUNT_REWRITE_TTL_DEC && outer->l3 != SHUNT_L3_NONE &&
	       frame->bytes[outer->l3_off + at] <= 1;
}

/* What netfilter does: pass, drop, hand over; not what would change a packet. */
static void act_nf(const struct shunt_policy *policy,
		   const struct shunt_policy_rule *rule, struct shunt_outcome *o)
{
	bool consumed = rule->action == SHUNT_VERDICT_CONSUMER;

	o->reason = SHUNT_REASON_RULE;
	o->verdict = rule->action;
	if (rule->action == SHUNT_VERDICT_DROP ||
	    (rule->action == SHUNT_VERDICT_PASS && !rule->rewrite.bits))
		return;
	o->reason = consumed && !rule->rewrite.bits ? SHUNT_REASON_CONSUMER_DOWN
						    : SHUNT_REASON_HOOK_CANNOT;
	o->verdict =
		consumed ? policy->consumer[rule->arg].if_down : SHUNT_VERDICT_PASS;
}

static void act(const struct shunt_policy *policy, enum shunt_hook hook,
		const struct shunt_model_frame *frame, struct shunt_outcome *o)
{
	const struct shunt_policy_rule *rule = &policy->rule[o->model.rule];

	if (hook == SHUNT_HOOK_NETFILTER) {
		act_nf(policy, rule, o);
		return;
	}
	o->reason = SHUNT_REASON_RULE;
	o->verdict = rule->action;
	if (expires(&rule->rewrite, frame)) {
		o->reason = SHUNT_REASON_TTL;
		o->verdict = SHUNT_VERDICT_DROP;
	} else if (rule->action == SHUNT_VERDICT_CONSUMER) {
		o->reason = SHUNT_REASON_CONSUMER_DOWN;
		o->verdict = policy->consumer[rule->arg].if_down;
	} else if ((rule->action == SHUNT_VERDICT_CPU && hook != SHUNT_HOOK_XDP) ||
		   (rule->action == SHUNT_VERDICT_TX && hook == SHUNT_HOOK_TC_EGRESS)) {
		o->reason = SHUNT_REASON_HOOK_CANNOT;
		o->verdict = SHUNT_VERDICT_PASS;
	}
}

void shunt_outcome_of(const struct shunt_policy *policy, const char *iface,
		      enum shunt_hook hook, const struct shunt_model_frame *frame,
		      struct shunt_outcome *o)
{
	if (frame->reason != SHUNT_FRAME_SOUND) {
		o->model.rule = policy->rules;
		o->model.counted = 0;
		o->reason = frame->reason;
		o->verdict = policy->malformed;
		return;
	}
	shunt_model_decide(policy, iface, &frame->pkt, &o->model);
	if (o->model.rule < policy->rules) {
		act(policy, hook, frame, o);
		return;
	}
	o->reason = SHUNT_REASON_DEFAULT;
	o->verdict = policy->default_action;
}
