/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading and retiring the per-CPU counters (maps/counter.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loader/maps.h"
#include "maps/counter.h"
#include "user/base/err.h"

/* All counters of one hook, each summed over the CPUs. */
SHUNT_MUST_CHECK int shunt_counters_sum(const struct shunt_maps *maps, uint32_t hook,
					struct shunt_counter sum[SHUNT_COUNTER_BLOCK],
					struct shunt_err *err);

/*
 * Zeroes a counter that no program writes any more; with `keep` its packets are added to
 * the hook's SHUNT_COUNTER_RETIRED, CPU by CPU.
 */
SHUNT_MUST_CHECK int shunt_counter_retire(const struct shunt_maps *maps, uint32_t hook,
					  uint32_t id, bool keep,
					  struct shunt_err *err);
