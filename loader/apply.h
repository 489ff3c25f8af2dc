/* SPDX-License-Identifier: BSD-2-Clause */
/* Putting a policy in force, for the commands that do. */
#pragma once

#include <cjson/cJSON.h>

#include "loader/guard.h"
#include "loader/instance.h"

struct shunt_enforce {
	enum shunt_origin origin;
	uint64_t again;			 /* as in struct shunt_state */
	uint64_t confirm_ns;		 /* 0: for good; else how long it is on trial */
	const struct shunt_guard *guard; /* whom it must not lock out; NULL: nobody */
};

/*
 * Makes the policy that of the instance, which is open to write and keeps the record of
 * the one before; *next is the new one's record, which the caller frees. `notes` gets
 * warnings.
 */
SHUNT_MUST_CHECK int shunt_enforce(struct shunt_instance *instance,
				   const struct shunt_policy *policy,
				   const struct shunt_enforce *how,
				   struct shunt_state **next, cJSON *notes,
				   struct shunt_err *err);

/*
 * Replaces programs that do more than the policy that rules needs: others are faster,
 * but those that sit there are right as well. A failure is no more than a note.
 */
void shunt_enforce_trim(struct shunt_instance *instance, cJSON *notes);

/*
 * What has become of the rules of one record in the next, as a reply of this schema,
 * with the notes' warnings.
 */
cJSON *shunt_enforce_reply(const char *schema, const struct shunt_state *old,
			   const struct shunt_state *next, const cJSON *notes);
