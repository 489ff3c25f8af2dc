/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/tuple.h"

#include <errno.h>
#include <string.h>

#include "loader/policy/forge.h"
#include "loader/policy/policy.h"
#include "loader/policy/wish.h"
#include "user/base/cleanup.h"

/* A policy of one rule, so that the words are those of a policy, and so are the faults. */
static char *policy_text(const cJSON *match)
{
	_json_ cJSON *policy = cJSON_CreateObject();
	cJSON *rule = cJSON_CreateObject();

	cJSON_AddStringToObject(policy, "schema", SHUNT_POLICY_SCHEMA);
	cJSON_AddStringToObject(policy, "default", "pass");
	cJSON_AddItemToArray(cJSON_AddArrayToObject(policy, "rules"), rule);
	cJSON_AddStringToObject(rule, "name", "packet");
	cJSON_AddStringToObject(rule, "action", "pass");
	cJSON_AddItemToObject(rule, "match", cJSON_Duplicate(match, true));
	return cJSON_PrintUnformatted(policy);
}

/* "icmp/type: …" of the first error. */
static int complain(const struct shunt_diags *diags, struct shunt_err *err)
{
	static const char prefix[] = "/rules/0/match/";
	size_t i;

	for (i = 0; i < diags->n; i++) {
		const char *at = diags->at[i].pointer;

		if (diags->at[i].warning)
			continue;
		if (!strncmp(at, prefix, strlen(prefix)))
			at += strlen(prefix);
		return shunt_fail(err, -EINVAL, "%s: %s", at, diags->at[i].message);
	}
	return shunt_fail(err, -ENOMEM, "describe a packet: out of memory");
}

/* Makes the frame, and makes sure that it is what was asked for. */
static int make(const struct shunt_policy *policy, uint8_t *frame,
		struct shunt_err *err)
{
	struct shunt_roll roll = shunt_roll_of_policy(policy);
	struct shunt_trial trial = { .missed = NULL };
	struct shunt_subject subject;
	struct shunt_trials trials;
	struct shunt_wish wish;
	struct shunt_pkt pkt;
	int ret = shunt_trials_make(&trials, policy, "", err), bytes;

	if (ret)
		return ret;
	shunt_wish_begin(&wish, &trials, &roll, 0);
	shunt_wish_make(&wish, 0);
	bytes = shunt_forge(&wish.pkt, frame, SHUNT_TUPLE_BYTES);
	if (bytes > 0 && shunt_unforge(frame, bytes, &pkt) < 0 &&
	    shunt_wish_stretch(&wish, &pkt))
		bytes = shunt_forge(&wish.pkt, frame, SHUNT_TUPLE_BYTES);
	if (bytes > 0 && shunt_unforge(frame, bytes, &pkt) < 0) {
		shunt_subject_begin(&subject, &trials, &roll, &pkt);
		if (shunt_try_rule(&subject, 0, 1, &trial) || trial.missed)
			bytes = -EINVAL;
	}
	shunt_trials_free(&trials);
	if (bytes > 0)
		return bytes;
	return shunt_fail(err, -EINVAL, "no frame of up to %d bytes is like that",
			  SHUNT_TUPLE_BYTES);
}

int shunt_tuple_frame(const cJSON *match, uint8_t frame[SHUNT_TUPLE_BYTES],
		      struct shunt_err *err)
{
	_free_ char *text = policy_text(match);
	struct shunt_diags diags = { 0 };
	struct shunt_policy *policy = NULL;
	int ret;

	if (!text)
		return shunt_fail(err, -ENOMEM, "describe a packet: out of memory");
	ret = shunt_policy_read(&policy, text, strlen(text), NULL, &diags);
	ret = ret ? complain(&diags, err) : make(policy, frame, err);
	shunt_diags_free(&diags);
	shunt_policy_free(policy);
	return ret;
}
