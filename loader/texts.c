/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/texts.h"
#include "loader/policy/jsonc.h"
#include "loader/policy/prefix.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

static int read_text(cJSON **json, const struct shunt_policy *policy,
		     struct shunt_err *err)
{
	struct shunt_diags diags = { 0 };
	int ret = shunt_jsonc_parse(json, policy->text, strlen(policy->text),
				    policy->source, &diags);

	shunt_diags_free(&diags);
	return ret ? shunt_fail_errno(err, ret, "read %s again", policy->source) : 0;
}

int shunt_texts_read(struct shunt_texts *texts, const struct shunt_policy *old,
		     const struct shunt_policy *new, struct shunt_err *err)
{
	int ret = read_text(&texts->old, old, err);

	return ret ? ret : read_text(&texts->new, new, err);
}

void shunt_texts_free(struct shunt_texts *texts)
{
	cJSON_Delete(texts->old);
	cJSON_Delete(texts->new);
	memset(texts, 0, sizeof(*texts));
}

static void add_string(cJSON *list, const char *text)
{
	cJSON_AddItemToArray(list, cJSON_CreateString(text));
}

/* Of items that may both be missing. */
static bool same(const cJSON *a, const cJSON *b)
{
	return !a || !b ? a == b : cJSON_Compare(a, b, true);
}

/* --- keys -------------------------------------------------------------------- */

static void add_key(cJSON *keys, const char *in, const char *key)
{
	char text[256];

	snprintf(text, sizeof(text), "%s%s", in, key);
	add_string(keys, text);
}

/* The keys in which two objects, or none at all, differ. */
static void differing(const cJSON *a, const cJSON *b, const char *in, cJSON *keys)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, a) if (!same(item, shunt_json_get(b, item->string)))
		add_key(keys, in, item->string);
	cJSON_ArrayForEach(item, b) if (!shunt_json_get(a, item->string))
		add_key(keys, in, item->string);
}

/* Of a rule, those of its match are named one by one. */
static void differing_rule(const cJSON *a, const cJSON *b, cJSON *keys)
{
	const cJSON *item;

	differing(shunt_json_get(a, "match"), shunt_json_get(b, "match"), "match.",
		  keys);
	cJSON_ArrayForEach(item, a) if (strcmp(item->string, "match") != 0 &&
					!same(item, shunt_json_get(b, item->string)))
		add_string(keys, item->string);
	cJSON_ArrayForEach(item, b) if (strcmp(item->string, "match") != 0 &&
					!shunt_json_get(a, item->string))
		add_string(keys, item->string);
}

/* --- named things ------------------------------------------------------------ */

struct named {
	const char *name;
	const cJSON *json;
	size_t place;
};

struct names {
	struct named *at; /* by name */
	size_t n;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* Of a list of objects with "name", or of an object of objects; false: no memory. */
static bool collect(struct names *names, const cJSON *of)
{
	const cJSON *item;

	names->at = calloc((size_t)cJSON_GetArraySize(of) + 1, sizeof(*names->at));
	if (!names->at)
		return false;
	cJSON_ArrayForEach(item, of)
	{
		const char *name =
			item->string ? item->string : shunt_json_str(item, "name");

		names->at[names->n] = (struct named){ name, item, names->n };
		names->n++;
	}
	if (names->n)
		qsort(names->at, names->n, sizeof(*names->at), by_name);
	return true;
}

static const struct named *find(const struct names *names, const char *name)
{
	struct named key = { .name = name };

	return names->n ? bsearch(&key, names->at, names->n, sizeof(key), by_name)
			: NULL;
}

static int by_place(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	return (x->place > y->place) - (x->place < y->place);
}

/* Names of `from` that `others` lacks, in their order. */
static cJSON *lacking(const struct names *from, const struct names *others)
{
	_free_ struct named *ordered = calloc(from->n + 1, sizeof(*ordered));
	cJSON *list = cJSON_CreateArray();
	size_t i;

	if (!ordered)
		return list;
	memcpy(ordered, from->at, from->n * sizeof(*ordered));
	if (from->n)
		qsort(ordered, from->n, sizeof(*ordered), by_place);
	for (i = 0; i < from->n; i++)
		if (!find(others, ordered[i].name))
			add_string(list, ordered[i].name);
	return list;
}

/* One that both have: {"name", "keys"}, or NULL where nothing changed. */
typedef cJSON *changed_fn(const struct named *a, const struct named *b,
			  const void *policies);

static cJSON *named_keys(const char *name, cJSON *keys)
{
	cJSON *json;

	if (!cJSON_GetArraySize(keys)) {
		cJSON_Delete(keys);
		return NULL;
	}
	json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "name", name);
	cJSON_AddItemToObject(json, "keys", keys);
	return json;
}

static cJSON *changed_thing(const struct named *a, const struct named *b,
			    const void *policies)
{
	cJSON *keys = cJSON_CreateArray();

	(void)policies;
	if (cJSON_IsObject(a->json) && cJSON_IsObject(b->json))
		differing(a->json, b->json, "", keys);
	else if (!same(a->json, b->json)) /* a list of ports has no keys */
		add_string(keys, "ports");
	return named_keys(a->name, keys);
}

static cJSON *changed_rule(const struct named *a, const struct named *b,
			   const void *policies)
{
	cJSON *keys = cJSON_CreateArray();

	(void)policies;
	differing_rule(a->json, b->json, keys);
	return named_keys(a->name, keys);
}

/* Adds "added", "removed" and "changed" of things by name. */
static void compare(cJSON *reply, const struct names *old, const struct names *new,
		    changed_fn *changed, const void *policies)
{
	cJSON *list;
	size_t i;

	cJSON_AddItemToObject(reply, "added", lacking(new, old));
	cJSON_AddItemToObject(reply, "removed", lacking(old, new));
	list = cJSON_AddArrayToObject(reply, "changed");
	for (i = 0; i < old->n; i++) {
		const struct named *b = find(new, old->at[i].name);
		cJSON *one = b ? changed(&old->at[i], b, policies) : NULL;

		if (one)
			cJSON_AddItemToArray(list, one);
	}
}

/* --- sets: their members count, wherever they come from ------------------------ */

struct policies {
	const struct shunt_policy *old, *new;
};

static const struct shunt_policy_set *set_of(const struct shunt_policy *policy,
					     const char *name)
{
	size_t s;

	for (s = 0; s < policy->sets; s++)
		if (!strcmp(policy->set[s].name, name))
			return &policy->set[s];
	return NULL;
}

/* How many elements of a, which are sorted, b lacks. */
static size_t missing(const struct shunt_policy_set *a,
		      const struct shunt_policy_set *b)
{
	size_t i, j = 0, n = 0;

	for (i = 0; i < a->elements; i++) {
		while (j < b->elements &&
		       shunt_prefix_compare(&b->element[j], &a->element[i]) < 0)
			j++;
		n += j == b->elements ||
		     shunt_prefix_compare(&b->element[j], &a->element[i]) != 0;
	}
	return n;
}

static cJSON *changed_set(const struct named *a, const struct named *b,
			  const void *policies)
{
	const struct policies *both = policies;
	const struct shunt_policy_set *old = set_of(both->old, a->name);
	const struct shunt_policy_set *new = set_of(both->new, a->name);
	cJSON *keys = cJSON_CreateArray(), *one;
	size_t added = missing(new, old), removed = missing(old, new);

	differing(a->json, b->json, "", keys);
	if ((added || removed) && !cJSON_GetArraySize(keys))
		add_string(keys, "members");
	one = named_keys(a->name, keys);
	if (one) {
		cJSON_AddNumberToObject(one, "members_added", added);
		cJSON_AddNumberToObject(one, "members_removed", removed);
	}
	return one;
}

/* --- the order of rules ------------------------------------------------------ */

/*
 * The longest sequence of rules that kept their order stays, the others have moved
 * (longest increasing subsequence: Fredman, Discrete Mathematics 11, 1975).
 */
static bool find_moved(const size_t *to, size_t n, bool *moved)
{
	_free_ size_t *last = calloc(n + 1, sizeof(*last));
	_free_ size_t *before = calloc(n + 1, sizeof(*before));
	size_t i, len = 0, at;

	if (!last || !before)
		return false;
	for (i = 0; i < n; i++) {
		size_t lo = 0, hi = len;

		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if (to[last[mid]] < to[i])
				lo = mid + 1;
			else
				hi = mid;
		}
		before[i] = lo ? last[lo - 1] : n;
		last[lo] = i;
		len = lo == len ? len + 1 : len;
		moved[i] = true;
	}
	for (at = len ? last[len - 1] : n; at != n; at = before[at])
		moved[at] = false;
	return true;
}

/* Names of the rules that both have and that do not stand in the same order. */
static cJSON *moved_rules(const cJSON *old_rules, const struct names *new)
{
	size_t n = cJSON_GetArraySize(old_rules), common = 0, i;
	_free_ const char **name = calloc(n + 1, sizeof(*name));
	_free_ size_t *to = calloc(n + 1, sizeof(*to));
	_free_ bool *moved = calloc(n + 1, sizeof(*moved));
	cJSON *list = cJSON_CreateArray();
	const cJSON *rule;

	if (!name || !to || !moved)
		return list;
	cJSON_ArrayForEach(rule, old_rules)
	{
		const struct named *there = find(new, shunt_json_str(rule, "name"));

		if (!there)
			continue;
		name[common] = there->name;
		to[common++] = there->place;
	}
	if (find_moved(to, common, moved))
		for (i = 0; i < common; i++)
			if (moved[i])
				add_string(list, name[i]);
	return list;
}

/* --- all of it --------------------------------------------------------------- */

static bool is_section(const char *key)
{
	return !strcmp(key, "rules") || !strcmp(key, "sets") || !strcmp(key, "ports") ||
	       !strcmp(key, "consumers");
}

static cJSON *top_level(const struct shunt_texts *texts)
{
	cJSON *keys = cJSON_CreateArray();
	const cJSON *item;

	cJSON_ArrayForEach(
		item,
		texts->old) if (!is_section(item->string) &&
				!same(item, shunt_json_get(texts->new, item->string)))
		add_string(keys, item->string);
	cJSON_ArrayForEach(item,
			   texts->new) if (!is_section(item->string) &&
					   !shunt_json_get(texts->old, item->string))
		add_string(keys, item->string);
	return keys;
}

static cJSON *section(const struct shunt_texts *texts, const char *key,
		      changed_fn *changed, const struct policies *policies)
{
	struct names old = { NULL, 0 }, new = { NULL, 0 };
	cJSON *reply = cJSON_CreateObject();

	if (collect(&old, shunt_json_get(texts->old, key)) &&
	    collect(&new, shunt_json_get(texts->new, key)))
		compare(reply, &old, &new, changed, policies);
	if (!strcmp(key, "rules"))
		cJSON_AddItemToObject(reply, "moved",
				      moved_rules(shunt_json_get(texts->old, key),
						  &new));
	free(old.at);
	free(new.at);
	return reply;
}

/* Has any list of the section an item? */
static bool is_filled(const cJSON *section)
{
	const cJSON *list;

	cJSON_ArrayForEach(list, section) if (cJSON_GetArraySize(list)) return true;
	return false;
}

cJSON *shunt_texts_json(const struct shunt_texts *texts, const struct shunt_policy *old,
			const struct shunt_policy *new, bool *different)
{
	static const struct {
		const char *key;
		changed_fn *changed;
	} sections[] = {
		{ "rules", changed_rule },
		{ "sets", changed_set },
		{ "ports", changed_thing },
		{ "consumers", changed_thing },
	};
	const struct policies policies = { old, new };
	cJSON *reply = cJSON_CreateObject(), *keys = top_level(texts);
	size_t i;

	*different = cJSON_GetArraySize(keys) > 0;
	cJSON_AddItemToObject(reply, "keys", keys);
	for (i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		cJSON *one =
			section(texts, sections[i].key, sections[i].changed, &policies);

		*different |= is_filled(one);
		cJSON_AddItemToObject(reply, sections[i].key, one);
	}
	return reply;
}

/* --- what is done with a packet ----------------------------------------------- */

static bool is_deed(const char *key)
{
	return strcmp(key, "name") != 0 && strcmp(key, "match") != 0 &&
	       strcmp(key, "description") != 0;
}

/* The consumer that a rule redirects to; NULL: to none. */
static const cJSON *consumer_of(const cJSON *text, const cJSON *rule)
{
	const cJSON *redirect =
		shunt_json_get(shunt_json_get(rule, "action"), "redirect");
	const char *name = shunt_json_str(redirect, "consumer");

	return *name ? shunt_json_get(shunt_json_get(text, "consumers"), name) : NULL;
}

/* A rule's action and modifiers; that of the default stands alone. */
static const cJSON *deed(const cJSON *text, const cJSON *rule, const char *key)
{
	if (rule)
		return shunt_json_get(rule, key);
	return strcmp(key, "action") != 0 ? NULL : shunt_json_get(text, "default");
}

/* Of two consumers, which may both be missing. */
static bool same_consumers(const cJSON *a, const cJSON *b)
{
	const cJSON *item;

	cJSON_ArrayForEach(
		item, a) if (is_deed(item->string) &&
			     !same(item, shunt_json_get(b, item->string))) return false;
	cJSON_ArrayForEach(item, b) if (is_deed(item->string) &&
					!shunt_json_get(a, item->string)) return false;
	return true;
}

bool shunt_texts_alike(const struct shunt_texts *texts, const cJSON *old_rule,
		       const cJSON *new_rule)
{
	const cJSON *item;

	if (!same(deed(texts->old, old_rule, "action"),
		  deed(texts->new, new_rule, "action")) ||
	    !same_consumers(consumer_of(texts->old, old_rule),
			    consumer_of(texts->new, new_rule)))
		return false;
	cJSON_ArrayForEach(item,
			   old_rule) if (is_deed(item->string) &&
					 !same(item, deed(texts->new, new_rule,
							  item->string))) return false;
	cJSON_ArrayForEach(item, new_rule) if (is_deed(item->string) &&
					       !deed(texts->old, old_rule,
						     item->string)) return false;
	return true;
}
