/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers and ranges of numbers, as values of a field. */
#pragma once

#include "loader/policy/node.h"
#include "loader/policy/policy.h"

/* Adds the values lo to hi, whose indices are one more. */
void shunt_range_add(const struct shunt_node *at, struct shunt_spans *spans,
		     uint64_t lo, uint64_t hi);

/* Digits of the base at *p, without sign, up to max; -1 if there is no such number. */
int64_t shunt_range_digits(const char **p, int base, int64_t max);

/* A number from 0 to max, or "53", or "1024-65535"; what: "a port". */
void shunt_range_read(const struct shunt_node *item, struct shunt_spans *spans,
		      const char *what, int64_t max);
