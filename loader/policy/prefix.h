/* SPDX-License-Identifier: BSD-2-Clause */
/* Order among prefixes; how they are parsed and written stands in policy.h. */
#pragma once

#include "loader/policy/policy.h"

/* IPv4 first, then by address, then shorter before longer; for qsort. */
int shunt_prefix_compare(const void *a, const void *b);

/* Sorts, keeps one of each; returns how many are left. */
size_t shunt_prefix_unique(struct shunt_prefix *prefix, size_t n);

/* One member of a set: shunt_prefix_parse, and of full length in a set of addresses. */
SHUNT_MUST_CHECK int shunt_prefix_member(struct shunt_prefix *prefix, const char *text,
					 enum shunt_set_type type,
					 struct shunt_err *err);
