/* SPDX-License-Identifier: BSD-2-Clause */
/* Building struct shunt_spans: put ranges in, in any order, then settle them. */
#pragma once

#include "loader/policy/policy.h"

/* 0 or -ENOMEM. */
SHUNT_MUST_CHECK int shunt_spans_add(struct shunt_spans *spans, uint64_t lo,
				     uint64_t hi);

/* Sorts, and joins what overlaps or touches. */
void shunt_spans_settle(struct shunt_spans *spans);

/*
 * Takes what lies in `out` away from `spans`; an empty `spans`, which looks at nothing,
 * stands for 0 to last. Both are settled, and so is the result, which may be empty: then
 * no index is left. Returns 0 or -ENOMEM.
 */
SHUNT_MUST_CHECK int shunt_spans_exclude(struct shunt_spans *spans,
					 const struct shunt_spans *out, uint64_t last);

void shunt_spans_free(struct shunt_spans *spans);

/* Of settled spans. */
bool shunt_spans_have(const struct shunt_spans *spans, uint64_t index);

/* Does the range hold any index of settled spans? */
bool shunt_spans_touch(const struct shunt_spans *spans, uint64_t lo, uint64_t hi);

/* Do settled spans, of which there is at least one, lie within the range? */
bool shunt_spans_within(const struct shunt_spans *spans, uint64_t lo, uint64_t hi);
