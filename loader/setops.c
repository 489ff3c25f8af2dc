/* SPDX-License-Identifier: BSD-2-Clause */
/* set add, del, replace, list and test: members of one set. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/instance.h"
#include "loader/policy/prefix.h"
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
	int ret;

	if (set->type == SHUNT_SET_ADDRESS && !shunt_prefix_parse(prefix, text, NULL) &&
	    prefix->bits != (prefix->family == 4 ? 32 : 128))
		return shunt_fail(err, -EINVAL,
				  "set %s holds addresses, and \"%s\" is a prefix: "
				  "a set of \"type\": \"prefix\" holds those",
				  set->name, text);
	ret = shunt_prefix_member(prefix, text, set->type, err);
	return ret ? shunt_fail_in(err, ret, "set %s: ", set->name) : 0;
}

/* The elements of the command line and of the file. */
static int gather(const struct shunt_set_ref *set, const char *const *text,
		  size_t texts, const char *file, struct shunt_prefix **element,
		  size_t *elements, struct shunt_err *err)
{
	struct shunt_prefix *all = NULL, *grown;
	size_t i, n = 0;
	int ret = file ? shunt_set_file_read(file, set->type, &all, &n, err) : 0;

	if (ret)
		return shunt_fail_in(err, ret, "set %s: ", set->name);
	grown = realloc(all, (n + texts + 1) * sizeof(*all));
	if (!grown) {
		free(all);
		return shunt_fail(err, -ENOMEM, "set %s: out of memory", set->name);
	}
	*element = grown;
	*elements = n + texts;
	for (i = 0; !ret && i < texts; i++)
		ret = parse(set, text[i], &grown[n + i], err);
	return ret;
}

static cJSON *reply_new(const char *schema, const struct shunt_instance *instance,
			const struct shunt_set_ref *set)
{
	cJSON *reply = shunt_reply_new(schema, instance->state);

	cJSON_AddStringToObject(reply, "set", set->name);
	return reply;
}

static int replace(const struct shunt_instance *instance,
		   const struct shunt_set_ref *set, struct shunt_prefix *element,
		   size_t *elements, size_t *changed, struct shunt_err *err)
{
	size_t added, deleted;
	int ret;

	*elements = shunt_prefix_unique(element, *elements);
	ret = shunt_set_replace(&instance->maps, set, element, *elements, &added,
				&deleted, err);
	if (ret)
		return ret;
	*changed = added + deleted;
	*elements += deleted; /* those that were looked at: unchanged is the rest */
	return 0;
}

int shunt_set_edit(const char *interface, const char *name, const char *verb,
		   const char *const *element, size_t elements, const char *file,
		   cJSON **reply, struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	_free_ struct shunt_prefix *prefix = NULL;
	struct shunt_set_ref set;
	size_t n = 0, changed = 0;
	int ret;

	*reply = NULL;
	ret = shunt_instance_open(&instance, interface, true, err);
	if (!ret)
		ret = find(&instance, name, &set, err);
	if (!ret)
		ret = gather(&set, element, elements, file, &prefix, &n, err);
	if (ret)
		return ret;
	ret = strcmp(verb, "replace")
		      ? shunt_set_change(&instance.maps, &set, !strcmp(verb, "add"),
					 prefix, n, &changed, err)
		      : replace(&instance, &set, prefix, &n, &changed, err);
	if (ret)
		return ret;
	*reply = reply_new("shunt.set.edit/1", &instance, &set);
	cJSON_AddStringToObject(*reply, "operation", verb);
	cJSON_AddNumberToObject(*reply, "changed", changed);
	cJSON_AddNumberToObject(*reply, "unchanged", n - changed);
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
	cJSON_AddStringToObject(*reply, "type", shunt_set_type_name(set.type));
	cJSON_AddNumberToObject(*reply, "size", set.size);
	list = cJSON_AddArrayToObject(*reply, "elements");
	for (i = 0; i < n; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(shunt_prefix_format(
						   &prefix[i], text)));
	return 0;
}

/* What may be asked for: one address, or one service. */
static int parse_asked(const struct shunt_set_ref *set, const char *text,
		       struct shunt_prefix *prefix, struct shunt_err *err)
{
	int ret;

	if (set->type == SHUNT_SET_SERVICE)
		return parse(set, text, prefix, err);
	ret = shunt_prefix_parse(prefix, text, err);
	if (ret)
		return shunt_fail_in(err, ret, "set %s: ", set->name);
	if (prefix->bits == (prefix->family == 4 ? 32 : 128))
		return 0;
	return shunt_fail(err, -EINVAL,
			  "set %s: \"%s\" is a prefix, and one address can be asked "
			  "for; `shunt set list` shows the prefixes",
			  set->name, text);
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
		ret = parse_asked(&set, address, &prefix, err);
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
