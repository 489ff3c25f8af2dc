/* SPDX-License-Identifier: BSD-2-Clause */
/* set add, del, list and test: members of one set, in place. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/instance.h"
#include "loader/reply.h"
#include "loader/sets.h"
#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

/* The set of that name; the sentence lists those that there are. */
static int find(const struct shunt_instance *instance, const char *name,
		struct shunt_set_ref *ref, struct shunt_err *err)
{
	const struct shunt_state_set *set = shunt_state_set(instance->state, name);
	char known[1024] = "";
	size_t s, n = 0;

	if (set) {
		*ref = (struct shunt_set_ref){ set->name, set->id, set->type,
					       set->size };
		return 0;
	}
	for (s = 0; s < instance->state->sets && n < sizeof(known); s++)
		n += snprintf(known + n, sizeof(known) - n, "%s%s", s ? ", " : "",
			      instance->state->set[s].name);
	return shunt_fail(err, -ENOENT, "the policy of %s has no set \"%s\": it has %s",
			  instance->state->interface, name,
			  *known ? known : "no set at all");
}

static int parse(const struct shunt_set_ref *set, const char *text,
		 struct shunt_prefix *prefix, struct shunt_err *err)
{
	int ret = shunt_prefix_parse(prefix, text, err);

	if (ret)
		return shunt_fail_in(err, ret, "set %s: ", set->name);
	if (set->type == SHUNT_SET_ADDRESS &&
	    prefix->bits != (prefix->family == 4 ? 32 : 128))
		return shunt_fail(err, -EINVAL,
				  "set %s holds addresses, and \"%s\" is a prefix: "
				  "a set of \"type\": \"prefix\" holds those",
				  set->name, text);
	return 0;
}

static cJSON *reply_new(const char *schema, const struct shunt_instance *instance,
			const struct shunt_set_ref *set)
{
	cJSON *reply = shunt_reply_new(schema, instance->state);

	cJSON_AddStringToObject(reply, "set", set->name);
	return reply;
}

/* Takes back the first n changes, where one behind them has failed. */
static void undo(const struct shunt_instance *instance, const struct shunt_set_ref *set,
		 bool add, const struct shunt_prefix *element, const bool *changed,
		 size_t n)
{
	bool was;

	while (n--) {
		int ret = 0;

		if (changed[n])
			ret = add ? shunt_set_del(&instance->maps, set, &element[n],
						  &was, NULL)
				  : shunt_set_add(&instance->maps, set, &element[n],
						  &was, NULL);
		(void)ret; /* the first failure is the answer */
	}
}

static int edit(const struct shunt_instance *instance, const struct shunt_set_ref *set,
		bool add, const struct shunt_prefix *element, size_t n, bool *changed,
		struct shunt_err *err)
{
	size_t i;

	for (i = 0; i < n; i++) {
		bool was;
		int ret = add ? shunt_set_add(&instance->maps, set, &element[i], &was,
					      err)
			      : shunt_set_del(&instance->maps, set, &element[i], &was,
					      err);

		if (ret) {
			undo(instance, set, add, element, changed, i);
			return ret;
		}
		changed[i] = was != add;
	}
	return 0;
}

int shunt_set_edit(const char *interface, const char *name, const char *verb,
		   const char *const *element, size_t elements, cJSON **reply,
		   struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	_free_ struct shunt_prefix *prefix = calloc(elements + 1, sizeof(*prefix));
	_free_ bool *changed = calloc(elements + 1, sizeof(*changed));
	struct shunt_set_ref set;
	size_t i, changes = 0;
	int ret;

	*reply = NULL;
	if (!prefix || !changed)
		return shunt_fail(err, -ENOMEM, "set %s: out of memory", name);
	ret = shunt_instance_open(&instance, interface, true, err);
	if (!ret)
		ret = find(&instance, name, &set, err);
	for (i = 0; !ret && i < elements; i++)
		ret = parse(&set, element[i], &prefix[i], err);
	if (!ret)
		ret = edit(&instance, &set, !strcmp(verb, "add"), prefix, elements,
			   changed, err);
	if (ret)
		return ret;
	for (i = 0; i < elements; i++)
		changes += changed[i];
	*reply = reply_new("shunt.set.edit/1", &instance, &set);
	cJSON_AddStringToObject(*reply, "operation", verb);
	cJSON_AddNumberToObject(*reply, "changed", changes);
	cJSON_AddNumberToObject(*reply, "unchanged", elements - changes);
	return 0;
}

int shunt_set_members(const char *interface, const char *name, cJSON **reply,
		      struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	_free_ struct shunt_prefix *prefix = NULL;
	char text[SHUNT_PREFIX_TEXT];
	struct shunt_set_ref set;
	size_t n, i;
	cJSON *list;
	int ret;

	*reply = NULL;
	ret = shunt_instance_open(&instance, interface, false, err);
	if (!ret)
		ret = find(&instance, name, &set, err);
	if (!ret)
		ret = shunt_set_list(&instance.maps, &set, &prefix, &n, err);
	if (ret)
		return ret;
	*reply = reply_new("shunt.set.list/1", &instance, &set);
	cJSON_AddStringToObject(*reply, "type",
				set.type == SHUNT_SET_PREFIX ? "prefix" : "address");
	cJSON_AddNumberToObject(*reply, "size", set.size);
	list = cJSON_AddArrayToObject(*reply, "elements");
	for (i = 0; i < n; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(shunt_prefix_format(
						   &prefix[i], text)));
	return 0;
}

int shunt_set_ask(const char *interface, const char *name, const char *address,
		  cJSON **reply, struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	struct shunt_prefix prefix, match;
	char text[SHUNT_PREFIX_TEXT];
	struct shunt_set_ref set;
	bool in;
	int ret;

	*reply = NULL;
	ret = shunt_instance_open(&instance, interface, false, err);
	if (!ret)
		ret = find(&instance, name, &set, err);
	if (!ret)
		ret = shunt_prefix_parse(&prefix, address, err);
	if (!ret && prefix.bits != (prefix.family == 4 ? 32 : 128))
		ret = shunt_fail(
			err, -EINVAL,
			"set %s: \"%s\" is a prefix, and one address can be asked "
			"for; `shunt set list` shows the prefixes",
			name, address);
	if (!ret)
		ret = shunt_set_test(&instance.maps, &set, &prefix, &in, &match, err);
	if (ret)
		return ret;
	*reply = reply_new("shunt.set.test/1", &instance, &set);
	cJSON_AddStringToObject(*reply, "address", shunt_prefix_format(&prefix, text));
	cJSON_AddBoolToObject(*reply, "in", in);
	if (in)
		cJSON_AddStringToObject(*reply, "element",
					shunt_prefix_format(&match, text));
	return 0;
}
