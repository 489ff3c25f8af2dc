/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/program.h"
#include "loader/state.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

static const char *const reasons[SHUNT_REASON_MAX] = {
#define X(id, value, name, malformed, help) [value] = name,
	SHUNT_REASONS(X)
#undef X
};

const char *shunt_fixture_reason(uint32_t reason)
{
	return reason < SHUNT_REASON_MAX ? reasons[reason] : NULL;
}

static uint32_t find_reason(const char *name)
{
	uint32_t i;

	for (i = 0; i < SHUNT_REASON_MAX; i++)
		if (reasons[i] && !strcmp(reasons[i], name))
			return i;
	return SHUNT_REASON_MAX;
}

static uint32_t find_verdict(const char *name)
{
	uint32_t i;

	for (i = 0; i < SHUNT_VERDICT_MAX; i++)
		if (shunt_action_name(i) && !strcmp(shunt_action_name(i), name))
			return i;
	return SHUNT_VERDICT_MAX;
}

struct shunt_policy *shunt_fixture_policy(const char *text)
{
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };
	size_t i;

	if (shunt_policy_read(&policy, text, strlen(text), NULL, &diags)) {
		for (i = 0; i < diags.n; i++)
			fprintf(stderr, "%s: %s\n", diags.at[i].pointer,
				diags.at[i].message);
		fprintf(stderr, "refused: %s\n", text);
	}
	shunt_diags_free(&diags);
	return policy;
}

/* --- reading --------------------------------------------------------------- */

static bool fill(struct shunt_fixture *f, const cJSON *json)
{
	const cJSON *policy = cJSON_GetObjectItem(json, "policy");
	_free_ char *text = policy ? cJSON_PrintUnformatted(policy) : NULL;
	int hook = shunt_hook_find(shunt_json_str(json, "hook"), NULL);
	int len = shunt_frame_unhex(shunt_json_str(json, "frame"), f->bytes,
				    sizeof(f->bytes));

	f->reason = find_reason(shunt_json_str(json, "reason"));
	f->verdict = find_verdict(shunt_json_str(json, "verdict"));
	snprintf(f->rule, sizeof(f->rule), "%s", shunt_json_str(json, "rule"));
	if (!text || hook < 0 || len <= 0 || f->reason == SHUNT_REASON_MAX ||
	    f->verdict == SHUNT_VERDICT_MAX)
		return false;
	f->hook = hook;
	f->len = len;
	f->policy = shunt_fixture_policy(text);
	return f->policy;
}

static void read_one(struct shunt_fixture *f)
{
	_file_ FILE *file = fopen(f->path, "re");
	_free_ char *text = calloc(1, 1 << 20);
	_json_ cJSON *json = NULL;

	if (file && text && fread(text, 1, (1 << 20) - 1, file))
		json = cJSON_Parse(text);
	if (json && !fill(f, json)) {
		shunt_policy_free(f->policy);
		f->policy = NULL;
	}
}

int shunt_fixtures_open(struct shunt_fixtures *all, const char *path)
{
	snprintf(all->path, sizeof(all->path), "%s", path);
	all->dir = opendir(path);
	return all->dir ? 0 : -errno;
}

bool shunt_fixtures_next(struct shunt_fixtures *all, struct shunt_fixture *f)
{
	const struct dirent *entry;
	size_t n;

	memset(f, 0, sizeof(*f));
	while ((entry = readdir(all->dir))) {
		n = strlen(entry->d_name);
		if (n < 5 || strcmp(entry->d_name + n - 5, ".json"))
			continue;
		if (snprintf(f->path, sizeof(f->path), "%s/%s", all->path,
			     entry->d_name) < (int)sizeof(f->path))
			read_one(f);
		return true;
	}
	return false;
}

void shunt_fixtures_close(struct shunt_fixtures *all)
{
	closedir(all->dir);
}

void shunt_fixture_free(struct shunt_fixture *f)
{
	shunt_policy_free(f->policy);
	f->policy = NULL;
}

bool shunt_fixture_holds(const struct shunt_fixture *f, const struct shunt_trace *got)
{
	bool decided =
		!shunt_reason_is_malformed(got->reason) && got->rule < f->policy->rules;

	return got->reason == f->reason && got->verdict == f->verdict &&
	       !strcmp(decided ? f->policy->rule[got->rule].name : "", f->rule);
}

/* --- writing --------------------------------------------------------------- */

cJSON *shunt_fixture_json(const cJSON *policy, enum shunt_hook hook,
			  const struct shunt_model_frame *frame,
			  const struct shunt_outcome *want)
{
	const cJSON *rules = cJSON_GetObjectItem(policy, "rules"), *rule;
	_free_ char *hex = malloc(frame->len * 2 + 1);
	cJSON *json = cJSON_CreateObject();

	shunt_frame_hex(frame->bytes, frame->len, hex);
	rule = cJSON_GetArrayItem(rules, want->model.rule);
	cJSON_AddStringToObject(json, "why", "");
	cJSON_AddStringToObject(json, "hook", shunt_hook_name(hook));
	cJSON_AddItemToObject(json, "policy", cJSON_Duplicate(policy, true));
	cJSON_AddStringToObject(json, "frame", hex);
	if (rule)
		cJSON_AddStringToObject(json, "rule", shunt_json_str(rule, "name"));
	else
		cJSON_AddNullToObject(json, "rule");
	cJSON_AddStringToObject(json, "reason", shunt_fixture_reason(want->reason));
	cJSON_AddStringToObject(json, "verdict", shunt_action_name(want->verdict));
	return json;
}
