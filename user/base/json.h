/* SPDX-License-Identifier: BSD-2-Clause */
/* What cJSON lacks: exact 64-bit numbers, and lookups that don't fail on a wrong type. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

/* What stands under a name; NULL: nothing. */
static inline const cJSON *shunt_json_get(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* Adds a number that is printed exactly; cJSON itself keeps 53 bits. */
void shunt_json_add_u64(cJSON *object, const char *name, uint64_t value);

/* Reads it back, from either kind of number; 0 where it is missing or no number. */
uint64_t shunt_json_u64(const cJSON *object, const char *name);

/* The string under a name, or "". */
const char *shunt_json_str(const cJSON *object, const char *name);

/* Is there a `true` under a name? */
bool shunt_json_true(const cJSON *object, const char *name);
