/* SPDX-License-Identifier: BSD-2-Clause */
/* All counters of an instance at one moment, to be compared with what they should be. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "loader/maps.h"
#include "maps/counter.h"

struct shunt_counted {
	struct shunt_counter at[SHUNT_HOOK_MAX * SHUNT_COUNTER_MAX]; /* all CPUs' */
};

void shunt_counted_read(const struct shunt_maps *maps, struct shunt_counted *counted);

/* What should have been counted since. */
void shunt_counted_add(struct shunt_counted *counted, uint32_t hook, uint32_t id,
		       uint64_t packets, uint64_t bytes);

/* Are all counters so? The first one that is not is named in text. */
bool shunt_counted_is(const struct shunt_maps *maps, const struct shunt_counted *want,
		      char *text, size_t room);
