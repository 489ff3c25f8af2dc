/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "user/base/json.h"

static const struct {
	const char *name, *repair;
} kinds[] = {
#define X(id, value, name, help, repair) [value] = { name, repair },
	SHUNT_FINDINGS(X)
#undef X
};

void shunt_finding_add(cJSON *list, enum shunt_finding what, const char *instance,
		       const char *where, const char *why, ...)
{
	cJSON *item = cJSON_CreateObject();
	char text[2048];
	va_list args;

	va_start(args, why);
	vsnprintf(text, sizeof(text), why, args);
	va_end(args);
	cJSON_AddStringToObject(item, "what", kinds[what].name);
	if (instance)
		cJSON_AddStringToObject(item, "instance", instance);
	else
		cJSON_AddNullToObject(item, "instance");
	cJSON_AddStringToObject(item, "where", where);
	cJSON_AddStringToObject(item, "why", text);
	cJSON_AddStringToObject(item, "repair", kinds[what].repair);
	cJSON_AddFalseToObject(item, "repaired");
	cJSON_AddItemToArray(list, item);
}

static cJSON *find(const cJSON *list, const cJSON *like)
{
	cJSON *item;

	cJSON_ArrayForEach(
		item, list) if (!strcmp(shunt_json_str(item, "what"),
					shunt_json_str(like, "what")) &&
				!strcmp(shunt_json_str(item, "where"),
					shunt_json_str(like, "where"))) return item;
	return NULL;
}

void shunt_finding_compare(cJSON *before, cJSON *now)
{
	cJSON *item;
	int i;

	cJSON_ArrayForEach(item, before)
	{
		if (find(now, item))
			continue;
		cJSON_ReplaceItemInObjectCaseSensitive(item, "repaired",
						       cJSON_CreateTrue());
		if (!strncmp(shunt_json_str(item, "repair"), "nothing:", 8))
			cJSON_ReplaceItemInObjectCaseSensitive(
				item, "repair",
				cJSON_CreateString("went with what was repaired"));
	}
	for (i = 0; i < cJSON_GetArraySize(now);) {
		if (find(before, cJSON_GetArrayItem(now, i)))
			i++;
		else
			cJSON_AddItemToArray(before, cJSON_DetachItemFromArray(now, i));
	}
	cJSON_Delete(now);
}

void shunt_finding_failed(cJSON *list, const char *why)
{
	char text[2048 + 16];
	cJSON *item;

	snprintf(text, sizeof(text), "failed: %s", why);
	cJSON_ArrayForEach(item, list) if (!shunt_json_true(item, "repaired") &&
					   strncmp(shunt_json_str(item, "repair"),
						   "nothing:", 8))
		cJSON_ReplaceItemInObjectCaseSensitive(item, "repair",
						       cJSON_CreateString(text));
}

int shunt_finding_left(const cJSON *list)
{
	const cJSON *item;
	int left = 0;

	cJSON_ArrayForEach(item, list) left += !shunt_json_true(item, "repaired");
	return left;
}
