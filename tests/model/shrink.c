/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/shrink.h"

#include <string.h>

struct shrink {
	cJSON *policy;
	shunt_shrink_fails *fails;
	void *arg;
};

/* Takes the item out if the policy fails without it; else puts it back in its place. */
static bool drop(struct shrink *s, cJSON *parent, int at)
{
	cJSON *item = cJSON_DetachItemFromArray(parent, at);
	cJSON *next;

	if (s->fails(s->arg, s->policy)) {
		cJSON_Delete(item);
		return true;
	}
	next = cJSON_GetArrayItem(parent, at);
	if (!next) {
		if (cJSON_IsArray(parent))
			cJSON_AddItemToArray(parent, item);
		else
			cJSON_AddItemToObject(parent, item->string, item);
		return false;
	}
	/* works for objects, too: an item carries its key */
	item->next = next;
	item->prev = next->prev;
	if (parent->child == next)
		parent->child = item;
	else
		next->prev->next = item;
	next->prev = item;
	return false;
}

static void drop_each(struct shrink *s, cJSON *parent)
{
	int at;

	for (at = cJSON_GetArraySize(parent) - 1; at >= 0; at--)
		drop(s, parent, at);
}

/* Keeps `n` rules from `from` on if they fail alone. */
static bool keep_some(struct shrink *s, int from, int n)
{
	cJSON *rules = cJSON_GetObjectItem(s->policy, "rules");
	cJSON *some = cJSON_CreateArray(), *all;
	int i;

	for (i = from; i < from + n; i++)
		cJSON_AddItemToArray(some, cJSON_Duplicate(cJSON_GetArrayItem(rules, i),
							   true));
	all = cJSON_DetachItemFromObject(s->policy, "rules");
	cJSON_AddItemToObject(s->policy, "rules", some);
	if (s->fails(s->arg, s->policy)) {
		cJSON_Delete(all);
		return true;
	}
	cJSON_DeleteItemFromObject(s->policy, "rules");
	cJSON_AddItemToObject(s->policy, "rules", all);
	return false;
}

static void halve(struct shrink *s)
{
	for (;;) {
		int n = cJSON_GetArraySize(cJSON_GetObjectItem(s->policy, "rules"));

		if (n < 4)
			return;
		if (!keep_some(s, 0, n / 2) && !keep_some(s, n / 2, n - n / 2))
			return;
	}
}

static void shrink_lists(struct shrink *s, cJSON *object)
{
	cJSON *item;

	cJSON_ArrayForEach(item, object)
	{
		if (cJSON_IsArray(item))
			drop_each(s, item);
		else if (cJSON_IsObject(item))
			shrink_lists(s, item);
	}
}

void shunt_shrink(cJSON *policy, shunt_shrink_fails *fails, void *arg)
{
	struct shrink s = { .policy = policy, .fails = fails, .arg = arg };
	cJSON *rule, *sets;

	halve(&s);
	drop_each(&s, cJSON_GetObjectItem(policy, "rules"));
	cJSON_ArrayForEach(rule, cJSON_GetObjectItem(policy, "rules"))
	{
		drop_each(&s, cJSON_GetObjectItem(rule, "match"));
		shrink_lists(&s, cJSON_GetObjectItem(rule, "match"));
	}
	sets = cJSON_GetObjectItem(policy, "sets");
	shrink_lists(&s, sets);
	drop_each(&s, sets);
	drop_each(&s, cJSON_GetObjectItem(policy, "consumers"));
}
