/* SPDX-License-Identifier: BSD-2-Clause */
/* What a policy is recognised by. */
#pragma once

#include "loader/policy/policy.h"

#define SHUNT_POLICY_HASH 33 /* bytes of the text, with its NUL */

/*
 * 128 bits, as hexadecimal digits, of the policy's text and of the members that its sets
 * begin with, wherever those were read from: two policies with one hash do the same. Not
 * made to withstand somebody who is out for a collision.
 *
 * Source: XXH3-128, github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 */
void shunt_policy_hash(const struct shunt_policy *policy, char hash[SHUNT_POLICY_HASH]);
