/* SPDX-License-Identifier: BSD-2-Clause */
/* Two policies as they are written, and what is written otherwise. */
#pragma once

#include <cjson/cJSON.h>

#include "loader/policy/policy.h"

/* The documents of two policies, with comments gone. */
struct shunt_texts {
	cJSON *old, *new;
};

SHUNT_MUST_CHECK int shunt_texts_read(struct shunt_texts *texts,
				      const struct shunt_policy *old,
				      const struct shunt_policy *new,
				      struct shunt_err *err);
void shunt_texts_free(struct shunt_texts *texts);

/*
 * The reply's "policy": keys of the top level that changed, and by name what was added,
 * removed or changed of rules, sets, lists of ports and consumers, with the keys that
 * changed. A rule has moved where it does not stand in the longest sequence of rules
 * that kept their order. *different: there is anything at all. NULL: out of memory.
 */
cJSON *shunt_texts_json(const struct shunt_texts *texts, const struct shunt_policy *old,
			const struct shunt_policy *new, bool *different);

/* Do both rules, or the defaults where they are NULL, treat a packet alike? */
bool shunt_texts_alike(const struct shunt_texts *texts, const cJSON *old_rule,
		       const cJSON *new_rule);
