/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading and retiring the per-CPU counters (maps/counter.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loader/maps.h"
#include "maps/counter.h"
#include "user/base/err.h"

/* All counters at one moment, each summed over the CPUs and over the maps. */
struct shunt_ledger {
	struct shunt_counter *at; /* by shunt_counter_key() */
	uint32_t ids;		  /* the ids from here on have counted nothing */
};

/* The caller frees it, also after a failure. */
SHUNT_MUST_CHECK int shunt_ledger_read(struct shunt_ledger *ledger,
				       const struct shunt_maps *maps,
				       struct shunt_err *err);
void shunt_ledger_free(struct shunt_ledger *ledger);

/* What one hook has counted under an id; any id is fine. */
struct shunt_counter shunt_ledger_of(const struct shunt_ledger *ledger, uint32_t hook,
				     uint32_t id);

/*
 * Zeroes counters that no program writes any more, of all hooks: ids[i] where drop[i].
 * Where keep[i] as well, its packets are added to the hook's SHUNT_COUNTER_RETIRED, CPU
 * by CPU. Both arrays have `ids` entries.
 */
SHUNT_MUST_CHECK int shunt_counters_retire(const struct shunt_maps *maps,
					   const bool *drop, const bool *keep,
					   uint32_t ids, struct shunt_err *err);
