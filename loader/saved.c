/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/saved.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/jsonc.h"
#include "loader/program.h"
#include "loader/sets.h"
#include "user/base/cleanup.h"
#include "user/base/progress.h"

void shunt_saved_clear(struct shunt_saved *saved)
{
	size_t s;

	for (s = 0; s < saved->sets; s++)
		free(saved->set[s].element);
	free(saved->set);
	free(saved->fault);
	free(saved->netns);
	free(saved->source);
	free(saved->policy);
	memset(saved, 0, sizeof(*saved));
}

void shunt_saved_free(struct shunt_saved *list, size_t n)
{
	size_t i;

	for (i = 0; list && i < n; i++)
		shunt_saved_clear(&list[i]);
	free(list);
}

/* --- from an instance -------------------------------------------------------- */

static int take_sets(struct shunt_saved *saved, const struct shunt_instance *instance,
		     struct shunt_err *err)
{
	const struct shunt_state *state = instance->state;
	size_t s;

	saved->set = calloc(state->sets + 1, sizeof(*saved->set));
	if (!saved->set)
		return shunt_fail(err, -ENOMEM, "save %s: out of memory",
				  state->interface);
	for (s = 0; s < state->sets; s++) {
		const struct shunt_state_set *set = &state->set[s];
		struct shunt_set_ref ref = { set->name, set->id, set->type, set->size };
		struct shunt_given *given = &saved->set[saved->sets++];
		int ret;

		strcpy(given->name, set->name);
		given->type = set->type;
		given->size = set->size;
		ret = shunt_set_list(&instance->maps, &ref, &given->element,
				     &given->elements, err);
		if (ret)
			return shunt_fail_in(err, ret, "%s: ", state->interface);
	}
	return 0;
}

static void take_hooks(struct shunt_saved *saved, const struct shunt_state *state)
{
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		const struct shunt_place *place = &state->place[hook];
		struct shunt_saved_hook *to = &saved->hook[saved->hooks];

		if (!place->on)
			continue;
		saved->hooks++;
		to->hook = hook;
		to->insisted = place->insisted;
		to->priority = place->priority;
		strcpy(to->mode, place->mode);
	}
}

/* A file's name is any bytes, and a document is UTF-8. */
static void make_utf8(char *text)
{
	_json_ cJSON *string = cJSON_CreateString(text), *again = NULL;
	_free_ char *printed = cJSON_PrintUnformatted(string);
	struct shunt_diags diags = { 0 };
	size_t i, n = strlen(text);

	if (printed && shunt_jsonc_parse(&again, printed, strlen(printed), "", &diags))
		for (i = 0; i < n; i++)
			text[i] = isascii((unsigned char)text[i]) ? text[i] : '?';
	shunt_diags_free(&diags);
}

int shunt_saved_take(struct shunt_saved *saved, const struct shunt_instance *instance,
		     const char *netns, struct shunt_err *err)
{
	const struct shunt_state *state = instance->state;
	int ret;

	memset(saved, 0, sizeof(*saved));
	strcpy(saved->interface, state->interface);
	saved->netns = netns ? strdup(netns) : NULL;
	saved->source = strdup(state->source);
	saved->policy = strdup(state->text);
	take_hooks(saved, state);
	if ((netns && !saved->netns) || !saved->source || !saved->policy)
		ret = shunt_fail(err, -ENOMEM, "save %s: out of memory",
				 state->interface);
	else
		ret = take_sets(saved, instance, err);
	if (ret) {
		shunt_saved_clear(saved);
		return ret;
	}
	make_utf8(saved->source);
	return 0;
}

static bool members_alike(const struct shunt_given *a, const struct shunt_given *b)
{
	return a->type == b->type && a->size == b->size && a->elements == b->elements &&
	       (!a->elements ||
		!memcmp(a->element, b->element, a->elements * sizeof(*a->element)));
}

bool shunt_saved_rules_alike(const struct shunt_saved *a, const struct shunt_saved *b)
{
	struct shunt_givens others = { b->set, b->sets };
	size_t s;

	if (strcmp(a->policy, b->policy) || strcmp(a->source, b->source) ||
	    a->sets != b->sets)
		return false;
	for (s = 0; s < a->sets; s++) {
		const struct shunt_given *other =
			shunt_given_find(&others, a->set[s].name);

		if (!other || !members_alike(&a->set[s], other))
			return false;
	}
	return true;
}

/* --- to the document --------------------------------------------------------- */

static bool put_hooks(cJSON *item, const struct shunt_saved *saved)
{
	cJSON *list = cJSON_AddArrayToObject(item, "hooks"), *one;
	size_t h;

	for (h = 0; list && h < saved->hooks; h++) {
		const struct shunt_saved_hook *hook = &saved->hook[h];

		one = cJSON_CreateObject();
		if (!cJSON_AddItemToArray(list, one) ||
		    !cJSON_AddStringToObject(one, "hook",
					     shunt_hook_name(hook->hook)) ||
		    !cJSON_AddStringToObject(one, "mode", hook->mode) ||
		    !cJSON_AddBoolToObject(one, "insisted", hook->insisted) ||
		    (hook->priority &&
		     !cJSON_AddNumberToObject(one, "priority", hook->priority)))
			return false;
	}
	return list;
}

static bool put_set(cJSON *list, const struct shunt_given *set)
{
	cJSON *one = cJSON_CreateObject(), *elements;
	char text[SHUNT_PREFIX_TEXT];
	size_t e;

	if (!cJSON_AddItemToArray(list, one) ||
	    !cJSON_AddStringToObject(one, "name", set->name) ||
	    !cJSON_AddStringToObject(one, "type", shunt_set_type_name(set->type)) ||
	    !cJSON_AddNumberToObject(one, "size", set->size))
		return false;
	elements = cJSON_AddArrayToObject(one, "elements");
	for (e = 0; elements && e < set->elements; e++) {
		if (e % SHUNT_SAVED_STEP == 0)
			shunt_progress(set->name, e, set->elements);
		shunt_prefix_format(&set->element[e], text);
		if (!cJSON_AddItemToArray(elements, cJSON_CreateString(text)))
			return false;
	}
	shunt_progress(set->name, set->elements, set->elements);
	return elements;
}

static bool put_instance(cJSON *list, const struct shunt_saved *saved)
{
	cJSON *item = cJSON_CreateObject(), *sets;
	size_t s;

	if (!cJSON_AddItemToArray(list, item) ||
	    !cJSON_AddStringToObject(item, "interface", saved->interface) ||
	    !(saved->netns ? cJSON_AddStringToObject(item, "netns", saved->netns)
			   : cJSON_AddNullToObject(item, "netns")) ||
	    !put_hooks(item, saved) ||
	    !cJSON_AddStringToObject(item, "source", saved->source) ||
	    !cJSON_AddStringToObject(item, "policy", saved->policy))
		return false;
	sets = cJSON_AddArrayToObject(item, "sets");
	for (s = 0; sets && s < saved->sets; s++)
		if (!put_set(sets, &saved->set[s]))
			return false;
	return sets;
}

cJSON *shunt_saved_json(const struct shunt_saved *list, size_t n)
{
	_json_ cJSON *document = cJSON_CreateObject();
	cJSON *instances;
	size_t i;

	if (!cJSON_AddStringToObject(document, "schema", SHUNT_SAVE_SCHEMA))
		return NULL;
	instances = cJSON_AddArrayToObject(document, "instances");
	for (i = 0; instances && i < n; i++)
		if (!put_instance(instances, &list[i]))
			return NULL;
	return instances ? shunt_steal(&document) : NULL;
}

char *shunt_saved_text(const cJSON *document)
{
	_free_ char *text = cJSON_Print(document);
	char *line = NULL;

	return text && asprintf(&line, "%s\n", text) >= 0 ? line : NULL;
}

/* --- files' names ------------------------------------------------------------ */

static size_t escape(char *to, size_t room, const char *text)
{
	size_t n = 0;

	for (; *text && n + 4 < room; text++) {
		unsigned char c = *text;
		bool plain = isascii(c) && isgraph(c) && !strchr("/:%", c) &&
			     (c != '.' || n);

		n += snprintf(to + n, room - n, plain ? "%c" : "%%%02x", c);
	}
	return *text ? room : n;
}

int shunt_saved_name(char name[SHUNT_SAVED_NAME], const char *netns,
		     const char *interface, struct shunt_err *err)
{
	size_t room = SHUNT_SAVED_NAME, n = netns ? escape(name, room, netns) : 0;

	if (netns && n + 4 < room)
		name[n++] = ':';
	n += n + 4 < room ? escape(name + n, room - n, interface) : room;
	if (n + sizeof(".json") > room)
		return shunt_fail(err, -ENAMETOOLONG,
				  "%s in %s: the name of its file would be too long; "
				  "`shunt save -o FILE` needs none",
				  interface, netns);
	strcpy(name + n, ".json");
	return 0;
}

bool shunt_saved_is_name(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && !strcmp(name + n - 5, ".json");
}
