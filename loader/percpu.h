/* SPDX-License-Identifier: BSD-2-Clause */
/* Per-CPU arrays of 64-bit counters, read as sums. */
#pragma once

#include <stdint.h>

#include "user/base/err.h"

/*
 * How many CPUs there may be, for sizes that are reckoned. What the kernel fills for each
 * CPU asks libbpf, and fails where that fails.
 */
uint32_t shunt_cpus(void);

/* sum[0 .. entries): the whole map, lowest key first; zeroes where fd is below 0. */
SHUNT_MUST_CHECK int shunt_percpu_sum(int fd, uint64_t *sum, uint32_t entries,
				      struct shunt_err *err);

/* Sets one counter: `value` on the first CPU, 0 on all others. */
SHUNT_MUST_CHECK int shunt_percpu_set(int fd, uint32_t key, uint64_t value,
				      struct shunt_err *err);
