/* SPDX-License-Identifier: BSD-2-Clause */
/* Probe packets that are derived from a policy's rules, and what becomes of them. */
#pragma once

/*
 * For each rule, frames that match it: at the corners and in the middle of its ranges
 * and prefixes, in either family, with members of its sets; frames just outside one of
 * its keys; and a few that no rule names. What the policy decides about each of them is
 * found by trial (loader/policy/trial.h), never by the compiler.
 *
 * The same policy yields the same frames. Where the rules are more than the frames,
 * rules are left out evenly. For some rules there is no frame: such as one behind a set
 * without members, or one that wants longer frames than SHUNT_WITNESS_BYTES.
 */
#include "loader/policy/trial.h"

#define SHUNT_WITNESS_BYTES 9216 /* of one frame: a jumbo frame */
#define SHUNT_WITNESS_RULE 12	 /* frames that one rule gets at most */

struct shunt_witness {
	const uint8_t *frame;
	uint32_t bytes;
	uint32_t aimed; /* the rule it was made for; policy->rules: none */
	struct shunt_decision want;
};

struct shunt_witnesses {
	struct shunt_witness *at;
	size_t n;
	size_t tried;	/* rules that were aimed at */
	size_t matched; /* those of them that some frame matches */
	size_t decided; /* those that decide about some frame, or count it */
	uint8_t *bytes; /* of all frames */
	size_t used, room;
};

/* `frames` at most. Zeroed witnesses are none; the caller frees, also after a failure. */
SHUNT_MUST_CHECK int shunt_witness_make(struct shunt_witnesses *all,
					const struct shunt_trials *trials,
					const struct shunt_roll *roll, size_t frames,
					struct shunt_err *err);
void shunt_witness_free(struct shunt_witnesses *all);
