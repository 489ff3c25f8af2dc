/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/bench/row.h"

#include <stdbool.h>
#include <string.h>

#include "user/base/json.h"

static bool is(const cJSON *row, const char *key, const char *value)
{
	return !value || !strcmp(shunt_json_str(row, key), value);
}

const cJSON *shunt_bench_row(const cJSON *reply, const char *contender,
			     const char *proto, const char *wait, const char *kind,
			     uint32_t size, uint32_t batch, uint32_t peers)
{
	const cJSON *row;

	cJSON_ArrayForEach(row, shunt_json_get(reply, "rows"))
	{
		if (is(row, "contender", contender) && is(row, "proto", proto) &&
		    is(row, "wait", wait) && is(row, "case", kind) &&
		    shunt_json_u64(row, "size") == size &&
		    shunt_json_u64(row, "batch") == batch &&
		    shunt_json_u64(row, "peers") == peers)
			return row;
	}
	return NULL;
}

const cJSON *shunt_bench_row_figure(const cJSON *row, const char *figure)
{
	const cJSON *item = shunt_json_get(row, figure);

	return item ? item : shunt_json_get(shunt_json_get(row, "latency_ns"), figure);
}

double shunt_bench_row_median(const cJSON *row, const char *figure)
{
	const cJSON *item =
		shunt_json_get(shunt_bench_row_figure(row, figure), "median");

	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

uint64_t shunt_bench_row_size(const cJSON *reply)
{
	uint64_t least = UINT64_MAX;
	const cJSON *row;

	cJSON_ArrayForEach(row, shunt_json_get(reply, "rows"))
	{
		uint64_t size = shunt_json_u64(row, "size");

		if (size < least)
			least = size;
	}
	return least;
}
