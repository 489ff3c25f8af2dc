/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/counted.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/counters.h"
#include "loader/program.h"
#include "user/base/cleanup.h"

void shunt_counted_read(const struct shunt_maps *maps, struct shunt_counted *counted)
{
	struct shunt_ledger ledger = { 0 };
	int ret = shunt_ledger_read(&ledger, maps, NULL);

	assert(!ret && ledger.ids <= SHUNT_COUNTER_MAX);
	(void)ret;
	memset(counted, 0, sizeof(*counted));
	memcpy(counted->at, ledger.at,
	       ledger.ids * SHUNT_HOOK_MAX * sizeof(*ledger.at));
	shunt_ledger_free(&ledger);
}

void shunt_counted_add(struct shunt_counted *counted, uint32_t hook, uint32_t id,
		       uint64_t packets, uint64_t bytes)
{
	struct shunt_counter *c = &counted->at[shunt_counter_key(hook, id)];

	c->packets += packets;
	c->bytes += bytes;
}

bool shunt_counted_is(const struct shunt_maps *maps, const struct shunt_counted *want,
		      char *text, size_t room)
{
	_free_ struct shunt_counted *got = malloc(sizeof(*got));
	uint32_t key;

	shunt_counted_read(maps, got);
	for (key = 0; key < SHUNT_HOOK_MAX * SHUNT_COUNTER_MAX; key++) {
		const struct shunt_counter *w = &want->at[key], *g = &got->at[key];

		if (w->packets == g->packets && w->bytes == g->bytes)
			continue;
		snprintf(text, room,
			 "%s, counter %u: %llu packets and %llu bytes instead of %llu "
			 "and %llu",
			 shunt_hook_name(key % SHUNT_HOOK_MAX), key / SHUNT_HOOK_MAX,
			 (unsigned long long)g->packets, (unsigned long long)g->bytes,
			 (unsigned long long)w->packets, (unsigned long long)w->bytes);
		return false;
	}
	return true;
}
