/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader of saved documents on arbitrary bytes; what it accepts must be sound. */
#include <stdlib.h>
#include <string.h>

#include "loader/policy/prefix.h"
#include "loader/saved.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool sound)
{
	if (!sound)
		abort();
}

static void check_set(const struct shunt_given *set)
{
	check(*set->name && set->type <= SHUNT_SET_SERVICE);
	check(set->size >= 1 && set->size <= SHUNT_SET_SIZE_MAX);
	for (size_t i = 1; i < set->elements; i++)
		check(shunt_prefix_compare(&set->element[i - 1], &set->element[i]) < 0);
}

/* With these members the policy is refused with a reason, or has exactly them. */
static void check_policy(const struct shunt_saved *saved)
{
	struct shunt_givens givens = { saved->set, saved->sets };
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };
	int ret = shunt_policy_read_given(&policy, saved->policy, strlen(saved->policy),
					  saved->source, &givens, &diags);

	check(ret ? !policy && diags.errors : policy && !diags.errors);
	check(!policy || policy->sets == saved->sets);
	for (size_t s = 0; policy && s < policy->sets; s++) {
		const struct shunt_policy_set *set = &policy->set[s];
		const struct shunt_given *given = shunt_given_find(&givens, set->name);

		check(set->given && given && set->elements == given->elements);
		check(!set->elements || !memcmp(set->element, given->element,
						set->elements * sizeof(*set->element)));
	}
	shunt_policy_free(policy);
	shunt_diags_free(&diags);
}

static void check_saved(const struct shunt_saved *saved)
{
	char name[SHUNT_SAVED_NAME];

	if (saved->fault) {
		check(*saved->fault);
		return;
	}
	check(*saved->interface && strlen(saved->interface) < IF_NAMESIZE);
	check(!saved->netns || *saved->netns);
	check(saved->hooks >= 1 && saved->hooks <= SHUNT_HOOK_MAX);
	check(saved->source && saved->policy && saved->sets <= SHUNT_SET_MAX);
	for (size_t s = 0; s < saved->sets; s++)
		check_set(&saved->set[s]);
	check_policy(saved);
	if (!shunt_saved_name(name, saved->netns, saved->interface, NULL))
		check(*name != '.' && !strchr(name, '/') &&
		      strlen(name) < sizeof(name));
}

/* Written and read again, it is written as the same bytes. */
static void check_again(const struct shunt_saved *list, size_t n)
{
	cJSON *json = shunt_saved_json(list, n), *again;
	char *text = shunt_saved_text(json), *twice;
	struct shunt_saved *other = NULL;
	size_t others = 0;

	check(!shunt_saved_parse(&other, &others, text, strlen(text), "again", NULL));
	check(others == n);
	for (size_t i = 0; i < n; i++)
		check(!other[i].fault && shunt_saved_rules_alike(&list[i], &other[i]));
	again = shunt_saved_json(other, others);
	twice = shunt_saved_text(again);
	check(!strcmp(text, twice));
	shunt_saved_free(other, others);
	cJSON_Delete(json);
	cJSON_Delete(again);
	free(text);
	free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shunt_err err = { "" };
	struct shunt_saved *list = NULL;
	bool sound = true;
	size_t n = 0;
	int ret = shunt_saved_parse(&list, &n, (const char *)data, size, "fuzz", &err);

	check(ret ? *err.message && !list && !n : !*err.message);
	for (size_t i = 0; i < n; i++) {
		check_saved(&list[i]);
		sound &= !list[i].fault;
	}
	if (!ret && sound)
		check_again(list, n);
	shunt_saved_free(list, n);
	return 0;
}
