/* SPDX-License-Identifier: BSD-2-Clause */
/* The proof that a loaded program does what a policy says. */
#pragma once

#include "loader/explain.h"

#define SHUNT_PROVE_FRAMES 1024 /* a good number: well under a second of any policy */

/*
 * Test-runs the program over probe packets of the policy (loader/policy/witness.h), at
 * most `frames`, and holds each answer against a trial of the policy: the deciding rule,
 * its action, and the `count` rules before it. Nothing is counted, nothing moves.
 *
 * Members of dynamic sets are those in the maps that the explain's record names.
 * *proved, which may be NULL, tells how many packets were compared; those that the kernel
 * runs no program over are not.
 *
 * Returns 0; -EBADMSG: the program decides otherwise, and the sentence has both rules and
 * the frame in hex; or another -errno.
 */
SHUNT_MUST_CHECK int shunt_prove(struct shunt_explain *explain,
				 const struct shunt_policy *policy, size_t frames,
				 size_t *proved, struct shunt_err *err);
