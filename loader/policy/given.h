/* SPDX-License-Identifier: BSD-2-Clause */
/* Members of a policy's sets that are handed in, instead of those that its text names. */
#pragma once

/*
 * A policy that is brought back rules with the members that its sets had when it was
 * saved. Its text stays what it was: its "elements" and "file" are not looked at then,
 * so that the file may be gone.
 */
#include <stddef.h>
#include <stdint.h>

#include "loader/policy/policy.h"

struct shunt_given {
	char name[SHUNT_NAME_MAX];
	enum shunt_set_type type;
	uint32_t size;		      /* where the text has no "size" */
	struct shunt_prefix *element; /* sorted, each once; may be none */
	size_t elements;
};

struct shunt_givens {
	const struct shunt_given *at;
	size_t n;
};

/*
 * As shunt_policy_read(), with the members of exactly these sets: one that the text
 * does not have, or one that is missing here, is an error.
 */
SHUNT_MUST_CHECK int shunt_policy_read_given(struct shunt_policy **policy,
					     const char *text, size_t len,
					     const char *source,
					     const struct shunt_givens *givens,
					     struct shunt_diags *diags);

/* By name; NULL: there is none. */
const struct shunt_given *shunt_given_find(const struct shunt_givens *givens,
					   const char *name);
