/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/ruling.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/jsonc.h"
#include "loader/sets.h"
#include "loader/shunt.h"
#include "user/base/cleanup.h"

/* --- the text ---------------------------------------------------------------- */

/* Without members, so that no file is read. */
static int without_members(char **text, const struct shunt_state *state,
			   struct shunt_diags *diags)
{
	_json_ cJSON *json = NULL;
	cJSON *set;
	int ret = shunt_jsonc_parse(&json, state->text, strlen(state->text),
				    state->source, diags);

	if (ret)
		return ret;
	cJSON_ArrayForEach(set, cJSON_GetObjectItemCaseSensitive(json, "sets"))
	{
		cJSON_DeleteItemFromObjectCaseSensitive(set, "elements");
		cJSON_DeleteItemFromObjectCaseSensitive(set, "file");
	}
	*text = cJSON_PrintUnformatted(json);
	return *text ? 0 : -ENOMEM;
}

int shunt_ruling_read(struct shunt_policy **policy, const struct shunt_state *state,
		      struct shunt_err *err)
{
	struct shunt_diags diags = { 0 };
	_free_ char *text = NULL;
	int ret = without_members(&text, state, &diags);

	*policy = NULL;
	if (!ret)
		ret = shunt_policy_read(policy, text, strlen(text), state->source,
					&diags);
	if (ret)
		shunt_fail(err, ret,
			   "read the policy of %s from its record: %s. A newer Shunt "
			   "has put it there: use that one",
			   state->interface,
			   diags.n ? diags.at[0].message : strerror(-ret));
	shunt_diags_free(&diags);
	return ret;
}

/* --- its sets ---------------------------------------------------------------- */

/* The instance's set of this place; false: it has none that is alike. */
static bool find(const struct shunt_policy *policy, size_t set,
		 const struct shunt_instance *instance, struct shunt_set_ref *ref)
{
	const struct shunt_policy_set *of = &policy->set[set];
	const struct shunt_state_set *there =
		shunt_state_set(instance->state, of->name);

	if (!there || there->type != of->type)
		return false;
	*ref = (struct shunt_set_ref){ there->name, there->id, there->type,
				       there->size };
	return true;
}

/* Gives a set the members of the instance's set of its name, where both are alike. */
static int fill_set(struct shunt_policy *policy, size_t set,
		    const struct shunt_instance *instance, struct shunt_err *err)
{
	struct shunt_policy_set *to = &policy->set[set];
	struct shunt_prefix *element = NULL;
	struct shunt_set_ref ref;
	size_t elements = 0;
	int ret;

	if (!find(policy, set, instance, &ref))
		return 0;
	ret = shunt_set_list(&instance->maps, &ref, &element, &elements, err);
	if (ret)
		return ret;
	free(to->element);
	to->element = element;
	to->elements = elements;
	if (to->size < ref.size)
		to->size = ref.size;
	return 0;
}

static int live_has(void *self, uint32_t set, const struct shunt_prefix *asked)
{
	struct shunt_ruling_sets *sets = self;
	struct shunt_prefix match;
	struct shunt_set_ref ref;
	bool in;
	int ret;

	if (!sets->policy->set[set].dynamic)
		return sets->own.has(sets->own.self, set, asked);
	if (!find(sets->policy, set, sets->instance, &ref))
		return 0;
	ret = shunt_set_test(&sets->instance->maps, &ref, asked, &in, &match, NULL);
	return ret ? ret : in;
}

static bool live_member(void *self, uint32_t set, int family, size_t i,
			struct shunt_prefix *member)
{
	struct shunt_ruling_sets *sets = self;
	struct shunt_set_ref ref;
	size_t at;

	if (!sets->policy->set[set].dynamic)
		return sets->own.member(sets->own.self, set, family, i, member);
	if (!sets->was_listed[set]) {
		sets->was_listed[set] = true;
		if (find(sets->policy, set, sets->instance, &ref) &&
		    shunt_set_list(&sets->instance->maps, &ref, &sets->listed[set],
				   &sets->members[set], NULL))
			sets->members[set] = 0;
	}
	if (i >= sets->members[set])
		return false;
	at = family == 4 ? i : sets->members[set] - 1 - i; /* IPv4 comes first */
	*member = sets->listed[set][at];
	return member->family == family;
}

struct shunt_roll shunt_ruling_roll(struct shunt_ruling_sets *sets,
				    const struct shunt_policy *policy,
				    const struct shunt_instance *instance)
{
	memset(sets, 0, sizeof(*sets));
	sets->policy = policy;
	sets->instance = instance;
	sets->own = shunt_roll_of_policy(policy);
	return (struct shunt_roll){ sets, live_has, live_member };
}

void shunt_ruling_close(struct shunt_ruling_sets *sets)
{
	size_t s;

	for (s = 0; s < SHUNT_SET_MAX; s++)
		free(sets->listed[s]);
	memset(sets, 0, sizeof(*sets));
}

/* --- the policy in force ------------------------------------------------------- */

/* Sets are again what the record says that they are, now that no file is read. */
static int fill_sets(struct shunt_policy *policy, const struct shunt_instance *instance,
		     struct shunt_err *err)
{
	size_t s;
	int ret = 0;

	for (s = 0; !ret && s < policy->sets; s++) {
		const struct shunt_state_set *set =
			shunt_state_set(instance->state, policy->set[s].name);

		ret = fill_set(policy, s, instance, err);
		if (!set)
			continue;
		policy->set[s].dynamic = set->dynamic;
		policy->set[s].size = set->size;
	}
	return ret;
}

int shunt_policy_ruling(const char *interface, struct shunt_policy **policy,
			struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	int ret = shunt_instance_open(&instance, interface, false, err);

	*policy = NULL;
	if (!ret)
		ret = shunt_ruling_read(policy, instance.state, err);
	if (!ret)
		ret = fill_sets(*policy, &instance, err);
	if (!ret) {
		free((*policy)->text);
		(*policy)->text = strdup(instance.state->text);
		ret = (*policy)->text
			      ? 0
			      : shunt_fail(err, -ENOMEM,
					   "read the ruling policy: out of memory");
	}
	if (ret) {
		shunt_policy_free(*policy);
		*policy = NULL;
	}
	return ret;
}
