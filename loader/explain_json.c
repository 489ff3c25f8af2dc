/* SPDX-License-Identifier: BSD-2-Clause */
/* What `explain` replies about a packet: who decided, why, and who nearly did. */
#include <errno.h>
#include <string.h>

#include "loader/explain.h"
#include "loader/pkt_json.h"
#include "loader/program.h"
#include "loader/reply.h"
#include "loader/wants.h"
#include "maps/reason.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

/* --- the program's answer ------------------------------------------------------ */

static void put_rule(cJSON *reply, const struct shunt_state *state,
		     const struct shunt_trace *trace)
{
	const struct shunt_state_rule *rule =
		trace->rule < state->rules ? &state->rule[trace->rule] : NULL;
	cJSON *counted;
	uint32_t i;

	/* a malformed packet is asked no rule */
	if (shunt_reason_is_malformed(trace->reason))
		rule = NULL;
	if (rule)
		cJSON_AddStringToObject(reply, "rule", rule->name);
	else
		cJSON_AddNullToObject(reply, "rule");
	cJSON_AddStringToObject(reply, "action",
				shunt_action_name(trace->rule_data.action));
	if (rule && *rule->target)
		cJSON_AddStringToObject(reply, "target", rule->target);
	counted = cJSON_AddArrayToObject(reply, "counted");
	for (i = 0; i < trace->counted && i < SHUNT_TRACE_COUNTED; i++)
		if (trace->counted_rule[i] < state->rules)
			cJSON_AddItemToArray(
				counted,
				cJSON_CreateString(
					state->rule[trace->counted_rule[i]].name));
}

static cJSON *answer(const struct shunt_explain *explain,
		     const struct shunt_trace *trace, uint64_t number)
{
	uint32_t proto = trace->pkt.layer[SHUNT_OUTER].field[SHUNT_FIELD_PROTO];
	cJSON *reply = cJSON_CreateObject(), *pkt;
	const char *name = proto ? shunt_proto_name(proto - 1) : NULL;

	cJSON_AddStringToObject(reply, "schema", "shunt.explain/1");
	shunt_json_add_u64(reply, "packet", number);
	cJSON_AddStringToObject(reply, "hook", shunt_hook_name(explain->hook));
	shunt_json_add_u64(reply, "generation", trace->generation);
	cJSON_AddStringToObject(reply, "verdict", shunt_action_name(trace->verdict));
	put_rule(reply, explain->instance.state, trace);
	cJSON_AddStringToObject(reply, "reason", shunt_reason_name(trace->reason));
	pkt = shunt_pkt_json(&trace->pkt);
	if (name)
		cJSON_AddStringToObject(pkt, "proto_name", name);
	cJSON_AddItemToObject(reply, "pkt", pkt);
	return reply;
}

/* --- which keys matched, and which did not ------------------------------------- */

static cJSON *key_json(const struct shunt_subject *subject, size_t rule,
		       const struct shunt_ask *ask)
{
	const struct shunt_trials *trials = subject->trials;
	cJSON *json = cJSON_CreateObject();
	char key[SHUNT_WANTS_KEY];

	cJSON_AddStringToObject(json, "key", shunt_wants_key(trials, rule, ask, key));
	cJSON_AddItemToObject(json, "packet",
			      shunt_wants_packet(trials, subject->pkt, ask));
	cJSON_AddItemToObject(json, "wants", shunt_wants_json(trials, rule, ask));
	return json;
}

/* The keys of the deciding rule that the packet meets, that is, all of them. */
static int put_matched(cJSON *list, struct shunt_subject *subject, size_t rule)
{
	const struct shunt_trials *trials = subject->trials;
	uint32_t i;

	for (i = trials->first[rule]; i < trials->first[rule + 1]; i++) {
		int met = shunt_try_ask(subject, &trials->ask[i]);

		if (met < 0)
			return met;
		if (met)
			cJSON_AddItemToArray(list,
					     key_json(subject, rule, &trials->ask[i]));
	}
	return 0;
}

static void put_nearly(cJSON *reply, const struct shunt_subject *subject,
		       const struct shunt_nearly *nearly)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "nearly"), *item;
	const struct shunt_policy *policy = subject->trials->policy;
	size_t i;

	for (i = 0; i < nearly->n; i++) {
		size_t rule = nearly->at[i].rule;

		item = key_json(subject, rule, nearly->at[i].trial.missed);
		cJSON_AddStringToObject(item, "rule", policy->rule[rule].name);
		cJSON_AddNumberToObject(item, "met", nearly->at[i].trial.met);
		cJSON_AddItemToArray(list, item);
	}
	shunt_json_add_u64(reply, "nearly_total", nearly->total);
}

/* The program says one thing, and its policy another: a fault of Shunt's. */
static void put_disagreement(cJSON *reply, const struct shunt_policy *policy,
			     const struct shunt_decision *decision)
{
	cJSON *object = cJSON_AddObjectToObject(reply, "disagrees");
	cJSON *counted;
	uint32_t i;

	if (decision->rule < policy->rules)
		cJSON_AddStringToObject(object, "rule",
					policy->rule[decision->rule].name);
	else
		cJSON_AddNullToObject(object, "rule");
	cJSON_AddStringToObject(object, "action", shunt_action_name(decision->action));
	counted = cJSON_AddArrayToObject(object, "counted");
	for (i = 0; i < decision->counted && i < SHUNT_TRACE_COUNTED; i++)
		cJSON_AddItemToArray(
			counted, cJSON_CreateString(
					 policy->rule[decision->counted_rule[i]].name));
}

static int put_trial(cJSON *reply, const struct shunt_policy *policy,
		     struct shunt_answer *answer)
{
	cJSON *matched = cJSON_AddArrayToObject(reply, "matched");
	const struct shunt_trace *trace = &answer->trace;
	size_t end = trace->rule < policy->rules ? trace->rule : policy->rules;
	int ret = 0;

	if (end < policy->rules)
		ret = put_matched(matched, &answer->subject, end);
	put_nearly(reply, &answer->subject, &answer->nearly);
	if (!shunt_explain_agrees(trace, &answer->decision))
		put_disagreement(reply, policy, &answer->decision);
	return ret;
}

int shunt_explain_json(struct shunt_explain *explain, uint64_t number,
		       struct shunt_answer *of, cJSON **reply, struct shunt_err *err)
{
	_json_ cJSON *json = answer(explain, &of->trace, number);
	int ret = 0;

	if (!shunt_reason_is_malformed(of->trace.reason))
		ret = put_trial(json, explain->policy, of);
	if (ret)
		return shunt_fail_errno(err, ret, "ask for the members of its sets");
	*reply = shunt_steal(&json);
	return 0;
}
