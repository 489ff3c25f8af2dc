/* SPDX-License-Identifier: BSD-2-Clause */
/* An ask of a rule (loader/policy/trial.h) in the words of the policy. */
#pragma once

#include <cjson/cJSON.h>

#include "loader/policy/trial.h"

#define SHUNT_WANTS_KEY 32   /* bytes that are always enough for a key */
#define SHUNT_WANTS_ITEMS 16 /* of a list are shown; how many more there are is said */

/*
 * The key as it stands in "match", a dot for each object that it is in: "src",
 * "not.dport", "vlan.inner", "tunnel.vni", "tunnel.inner.not.src". What admits the
 * absence of a field is shown as the "not" that it mostly is. Returns key.
 */
const char *shunt_wants_key(const struct shunt_trials *trials, size_t rule,
			    const struct shunt_ask *ask, char key[SHUNT_WANTS_KEY]);

/* What the rule wants there, in an array of strings as a policy has them. */
cJSON *shunt_wants_json(const struct shunt_trials *trials, size_t rule,
			const struct shunt_ask *ask);

/* What the packet has there, a string, or null where it has nothing. */
cJSON *shunt_wants_packet(const struct shunt_trials *trials,
			  const struct shunt_pkt *pkt, const struct shunt_ask *ask);
