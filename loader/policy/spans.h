/* SPDX-License-Identifier: BSD-2-Clause */
/* Building struct shunt_spans: put ranges in, in any order, then settle them. */
#pragma once

#include "loader/policy/policy.h"

/* 0 or -ENOMEM. */
SHUNT_MUST_CHECK int shunt_spans_add(struct shunt_spans *spans, uint64_t lo,
				     uint64_t hi);

/* Sorts, and joins what overlaps or touches. */
void shunt_spans_settle(struct shunt_spans *spans);

/* Of settled spans. */
bool shunt_spans_have(const struct shunt_spans *spans, uint64_t index);

/* Does the range hold any index of settled spans? */
bool shunt_spans_touch(const struct shunt_spans *spans, uint64_t lo, uint64_t hi);
