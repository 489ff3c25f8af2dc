/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void shunt_json_add_u64(cJSON *object, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	cJSON_AddRawToObject(object, name, text);
}

uint64_t shunt_json_u64(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	if (cJSON_IsRaw(item))
		return strtoull(item->valuestring, NULL, 10);
	if (cJSON_IsNumber(item) && item->valuedouble >= 0)
		return item->valuedouble;
	return 0;
}

const char *shunt_json_str(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsString(item) ? item->valuestring : "";
}

bool shunt_json_true(const cJSON *object, const char *name)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}
