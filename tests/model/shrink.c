/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/shrink.h"

#include <stdint.h>

struct shrink {
	cJSON *policy;
	shunt_shrink_fails *fails;
	void *arg;
	uint32_t tries;
};

static bool still_fails(struct shrink *s)
{
	return s->tries++ < SHUNT_SHRINK_TRIES && s->fails(s->arg, s->policy);
}

/* Takes the item out if the policy fails without it; else puts it back in its place. */
static bool drop(struct shrink *s, cJSON *parent, int at)
{
	cJSON *item = cJSON_DetachItemFromArray(parent, at);
	cJSON *next;

	if (still_fails(s)) {
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

/* Takes `n` rules from `from` on away if the policy fails without them. */
static bool drop_some(struct shrink *s, int from, int n)
{
	cJSON *rules = cJSON_GetObjectItem(s->policy, "rules"), *rule, *all;
	cJSON *some = cJSON_CreateArray();
	int i = 0;

	cJSON_ArrayForEach(rule, rules)
	{
		if (i < from || i >= from + n)
			cJSON_AddItemToArray(some, cJSON_Duplicate(rule, true));
		i++;
	}
	all = cJSON_DetachItemFromObject(s->policy, "rules");
	cJSON_AddItemToObject(s->policy, "rules", some);
	if (still_fails(s)) {
		cJSON_Delete(all);
		return true;
	}
	cJSON_DeleteItemFromObject(s->policy, "rules");
	cJSON_AddItemToObject(s->policy, "rules", all);
	return false;
}

/* Halves, quarters and so on, from the end; those that cannot go alone stay. */
static void drop_chunks(struct shrink *s)
{
	int rules = cJSON_GetArraySize(cJSON_GetObjectItem(s->policy, "rules"));
	int n, from;

	for (n = rules / 2; n >= 2; n /= 2) {
		rules = cJSON_GetArraySize(cJSON_GetObjectItem(s->policy, "rules"));
		for (from = (rules - 1) / n * n; from >= 0; from -= n)
			drop_some(s, from, n);
	}
}

/* Keys of objects and members of lists, from the outside in. */
static void drop_inside(struct shrink *s, cJSON *parent)
{
	cJSON *item;

	drop_each(s, parent);
	cJSON_ArrayForEach(item, parent)
	{
		if (cJSON_IsArray(item) || cJSON_IsObject(item))
			drop_inside(s, item);
	}
}

void shunt_shrink(cJSON *policy, shunt_shrink_fails *fails, void *arg)
{
	struct shrink s = { .policy = policy, .fails = fails, .arg = arg };

	drop_chunks(&s);
	drop_inside(&s, cJSON_GetObjectItem(policy, "rules"));
	drop_inside(&s, policy);
}
