/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/prove.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loader/policy/witness.h"
#include "maps/reason.h"

#define HEX_BYTES 400 /* of a frame that a sentence shows */

static const char *rule_name(const struct shunt_policy *policy, size_t rule)
{
	return rule < policy->rules ? policy->rule[rule].name : "the default";
}

static const char *hex(const struct shunt_witness *w, char text[2 * HEX_BYTES + 4])
{
	uint32_t i, n = w->bytes < HEX_BYTES ? w->bytes : HEX_BYTES;

	for (i = 0; i < n; i++)
		sprintf(text + (size_t)2 * i, "%02x", w->frame[i]);
	if (n < w->bytes)
		strcpy(text + (size_t)2 * n, "...");
	return text;
}

static int disagree(const struct shunt_policy *policy, const struct shunt_trace *trace,
		    const struct shunt_witness *w, struct shunt_err *err)
{
	char text[2 * HEX_BYTES + 4];
	bool malformed = shunt_reason_is_malformed(trace->reason);

	return shunt_fail(
		err, -EBADMSG,
		"the program does not do what the policy says, which is a fault of "
		"Shunt's, to be reported with the policy: about a packet that was made "
		"for rule %s it says %s (%s, reason %s, %u counted), the policy %s "
		"(%s, %u counted); the frame is %s",
		rule_name(policy, w->aimed),
		malformed ? "malformed" : rule_name(policy, trace->rule),
		shunt_action_name(trace->rule_data.action),
		shunt_reason_name(trace->reason), trace->counted,
		rule_name(policy, w->want.rule), shunt_action_name(w->want.action),
		w->want.counted, hex(w, text));
}

static int prove_all(struct shunt_explain *explain, const struct shunt_policy *policy,
		     const struct shunt_witnesses *all, size_t *proved,
		     struct shunt_err *err)
{
	struct shunt_trace trace;
	size_t i;

	for (i = 0; i < all->n; i++) {
		const struct shunt_witness *w = &all->at[i];
		int ret = shunt_explain_run(explain, w->frame, w->bytes, &trace, err);

		if (shunt_explain_refused(ret, w->bytes))
			continue;
		if (ret)
			return ret;
		if (shunt_reason_is_malformed(trace.reason) ||
		    !shunt_explain_agrees(&trace, &w->want))
			return disagree(policy, &trace, w, err);
		(*proved)++;
	}
	return 0;
}

int shunt_prove(struct shunt_explain *explain, const struct shunt_policy *policy,
		size_t frames, size_t *proved, struct shunt_err *err)
{
	const struct shunt_state *state = explain->instance.state;
	const char *iface =
		*state->interface ? state->interface : explain->trials.iface;
	struct shunt_witnesses all = { 0 };
	struct shunt_ruling_sets sets;
	struct shunt_trials trials;
	struct shunt_roll roll;
	size_t n = 0;
	int ret = shunt_trials_make(&trials, policy, iface, err);

	if (ret)
		return ret;
	roll = shunt_ruling_roll(&sets, policy, &explain->instance);
	ret = shunt_witness_make(&all, &trials, &roll, frames, err);
	if (!ret)
		ret = prove_all(explain, policy, &all, &n, err);
	if (proved)
		*proved = n;
	shunt_witness_free(&all);
	shunt_ruling_close(&sets);
	shunt_trials_free(&trials);
	return ret;
}
