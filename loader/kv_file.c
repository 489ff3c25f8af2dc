/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/kv_file.h"

#include <errno.h>
#include <string.h>

#include "loader/policy/jsonc.h"
#include "user/base/cleanup.h"
#include "user/base/file.h"

#define FILE_MAX                                                                       \
	(1u << 30) /* bytes: more than as many of the longest as there can be */

static int parse(cJSON **json, const char *path, const char *text, size_t bytes,
		 struct shunt_err *err)
{
	struct shunt_diags diags = { 0 };
	int ret = shunt_jsonc_parse(json, text, bytes, path, &diags);

	if (ret)
		shunt_fail(err, ret, "%s",
			   diags.n ? diags.at[0].message : "out of memory");
	shunt_diags_free(&diags);
	return ret;
}

int shunt_kv_file(struct shunt_kv *kv, const char *path, struct shunt_err *err)
{
	_free_ char *text = NULL;
	_json_ cJSON *json = NULL;
	const cJSON *one;
	size_t bytes;
	int ret = shunt_file_read(path, FILE_MAX, &text, &bytes, err);

	if (!ret)
		ret = parse(&json, path, text, bytes, err);
	if (ret)
		return ret;
	if (!cJSON_IsObject(json))
		return shunt_fail(err, -EINVAL,
				  "%s: no object: { \"KEY\": \"VALUE\", … }", path);
	cJSON_ArrayForEach(one, json)
	{
		if (!cJSON_IsString(one))
			return shunt_fail(err, -EINVAL,
					  "%s: the value of \"%s\" is no string", path,
					  one->string);
		ret = shunt_kv_set(kv, one->string, one->valuestring,
				   strlen(one->valuestring), err);
		if (ret)
			return shunt_fail_in(err, ret, "%s: ", path);
	}
	return 0;
}
