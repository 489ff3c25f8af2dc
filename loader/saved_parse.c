/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a document: each instance by itself, so that one fault costs one instance. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/chain.h"
#include "loader/mode.h"
#include "loader/policy/jsonc.h"
#include "loader/policy/node.h"
#include "loader/policy/prefix.h"
#include "loader/policy/word.h"
#include "loader/program.h"
#include "loader/saved.h"
#include "user/base/cleanup.h"
#include "user/base/progress.h"

/* --- values ------------------------------------------------------------------ */

/* A key that must be there. */
static struct shunt_node need(const struct shunt_node *object, const char *key)
{
	struct shunt_node node = shunt_node_get(object, key);

	if (!node.json)
		shunt_node_error(object, "the key \"%s\" is missing", key);
	return node;
}

static char *read_text(const struct shunt_node *node, const char *what)
{
	const char *text = node->json ? shunt_node_string(node, what) : NULL;
	char *copy = text ? strdup(text) : NULL;

	node->doc->oom |= text && !copy;
	return copy;
}

static bool read_bool(const struct shunt_node *node)
{
	if (node->json && !cJSON_IsBool(node->json))
		shunt_node_error(node, "must be true or false");
	return cJSON_IsTrue(node->json);
}

static void read_interface(struct shunt_saved *saved, const struct shunt_node *node)
{
	const char *text = node->json ? shunt_node_string(node, "a name") : NULL;

	if (!text)
		return;
	if (!*text || strlen(text) >= sizeof(saved->interface) ||
	    strpbrk(text, "/: \t\n"))
		shunt_node_error(node,
				 "%s cannot name an interface: a name has 1 to 15 "
				 "bytes, no blank, '/' or ':'",
				 SHUNT_QUOTE(text));
	else
		strcpy(saved->interface, text);
}

static void read_netns(struct shunt_saved *saved, const struct shunt_node *node)
{
	if (!node->json || cJSON_IsNull(node->json))
		return;
	saved->netns = read_text(node, "the name of a network namespace");
	if (saved->netns && !*saved->netns)
		shunt_node_error(node, "names no network namespace: null is the one "
				       "that `shunt restore` is run in");
}

/* --- hooks ------------------------------------------------------------------- */

/* There is one where the mode is "chained", and nowhere else. */
static bool read_priority(struct shunt_saved_hook *to, const struct shunt_node *node)
{
	struct shunt_node priority = shunt_node_get(node, "priority");
	bool chained = !strcmp(to->mode, "chained");
	int64_t value;

	if (!chained && priority.json)
		shunt_node_error(&priority, "a priority belongs to mode \"chained\"");
	if (chained && !priority.json)
		shunt_node_error(node, "mode \"chained\" needs a \"priority\"");
	if (!chained || !priority.json)
		return !chained && !priority.json;
	value = shunt_node_number(&priority, "a priority", 1, SHUNT_CHAIN_PRIORITY_MAX);
	to->priority = value > 0 ? value : 0;
	return to->priority;
}

static void read_hook(struct shunt_saved *saved, const struct shunt_node *node)
{
	static const char *const keys[] = { "hook", "mode", "insisted", "priority",
					    NULL };
	struct shunt_saved_hook *to = &saved->hook[saved->hooks];
	struct shunt_node name, mode, insisted;
	struct shunt_err err;
	const char *text;
	int hook;
	size_t h;

	if (!shunt_node_object(node, keys))
		return;
	name = need(node, "hook");
	mode = need(node, "mode");
	insisted = need(node, "insisted");
	text = name.json ? shunt_node_string(&name, "a hook") : NULL;
	if (!text || !mode.json)
		return;
	hook = shunt_hook_find(text, &err);
	if (hook < 0) {
		shunt_node_error(&name, "%s", err.message);
		return;
	}
	for (h = 0; h < saved->hooks; h++)
		if (saved->hook[h].hook == (enum shunt_hook)hook) {
			shunt_node_error(&name, "%s stands here twice: remove one",
					 text);
			return;
		}
	to->insisted = read_bool(&insisted);
	if (shunt_node_name(&mode, "a mode of this hook", shunt_modes_of(hook)) < 0)
		return;
	to->hook = hook;
	strcpy(to->mode, mode.json->valuestring);
	if (!read_priority(to, node))
		return;
	saved->hooks++;
}

static int by_hook(const void *a, const void *b)
{
	const struct shunt_saved_hook *x = a, *y = b;

	return (int)x->hook - (int)y->hook;
}

static void read_hooks(struct shunt_saved *saved, const struct shunt_node *node)
{
	if (!node->json || !shunt_node_list(node, "hooks"))
		return;
	if (!node->json->child)
		shunt_node_error(node,
				 "names no hook, and an instance has at least one");
	shunt_node_each(item, shunt_node_first(node))
	{
		if (saved->hooks < SHUNT_HOOK_MAX)
			read_hook(saved, &item);
		else
			shunt_node_error(&item, "there are no more hooks than %zu",
					 saved->hooks);
	}
	qsort(saved->hook, saved->hooks, sizeof(*saved->hook), by_hook);
}

/* --- members ----------------------------------------------------------------- */

static void read_elements(struct shunt_given *set, const struct shunt_node *node)
{
	size_t count = shunt_node_count(node);

	if (!node->json || !shunt_node_list(node, "members"))
		return;
	set->element = shunt_node_alloc(node->doc, count, sizeof(*set->element));
	if (!set->element)
		return;
	shunt_node_each(item, shunt_node_first(node))
	{
		const char *text = shunt_node_string(&item, "a member");
		struct shunt_err err;

		if (item.index % SHUNT_SAVED_STEP == 0)
			shunt_progress(set->name, item.index, count);

		if (!text)
			continue;
		if (shunt_prefix_member(&set->element[set->elements], text, set->type,
					&err))
			shunt_node_error(&item, "%s", err.message);
		else
			set->elements++;
	}
	shunt_progress(set->name, count, count);
	set->elements = shunt_prefix_unique(set->element, set->elements);
}

static int find_type(const char *name)
{
	int type;

	for (type = SHUNT_SET_ADDRESS; type <= SHUNT_SET_SERVICE; type++)
		if (!strcmp(shunt_set_type_name(type), name))
			return type;
	return -1;
}

static void read_set(struct shunt_saved *saved, const struct shunt_node *node)
{
	static const char *const keys[] = { "name", "type", "size", "elements", NULL };
	struct shunt_givens before = { saved->set, saved->sets };
	struct shunt_given *set = &saved->set[saved->sets];
	struct shunt_node name, type, size, elements;
	const char *text;
	int64_t number;
	int value;

	if (!shunt_node_object(node, keys))
		return;
	name = need(node, "name");
	type = need(node, "type");
	size = need(node, "size");
	elements = need(node, "elements");
	text = name.json ? shunt_node_string(&name, "a name") : NULL;
	if (!text || !shunt_node_label(&name, "set", text, set->name))
		return;
	if (shunt_given_find(&before, set->name)) {
		shunt_node_error(&name, "set %s stands here twice: remove one",
				 set->name);
		return;
	}
	text = type.json ? shunt_node_string(&type, "a type of set") : NULL;
	value = text ? find_type(text) : -1;
	if (value < 0) {
		if (text)
			shunt_node_error(&type, "%s is not a type of set",
					 SHUNT_QUOTE(text));
		return;
	}
	set->type = value;
	number = size.json ? shunt_node_number(&size, "the size of a set", 1,
					       SHUNT_SET_SIZE_MAX)
			   : -1;
	set->size = number < 0 ? 0 : number;
	saved->sets++; /* from here on it is freed with the others */
	read_elements(set, &elements);
}

static void read_sets(struct shunt_saved *saved, const struct shunt_node *node)
{
	if (!node->json || !shunt_node_list(node, "sets"))
		return;
	if (shunt_node_count(node) > SHUNT_SET_MAX) {
		shunt_node_error(node, "%zu sets, and a policy holds at most %d",
				 shunt_node_count(node), SHUNT_SET_MAX);
		return;
	}
	saved->set = shunt_node_alloc(node->doc, shunt_node_count(node) + 1,
				      sizeof(*saved->set));
	if (!saved->set)
		return;
	shunt_node_each(item, shunt_node_first(node)) read_set(saved, &item);
}

/* --- one instance ------------------------------------------------------------ */

static void read_instance(struct shunt_saved *saved, const struct shunt_node *node)
{
	static const char *const keys[] = { "interface", "netns", "hooks", "source",
					    "policy",	 "sets",  NULL };
	struct shunt_node child;

	if (!shunt_node_object(node, keys))
		return;
	shunt_node_duplicates(node);
	child = need(node, "interface");
	read_interface(saved, &child);
	child = need(node, "netns");
	read_netns(saved, &child);
	child = need(node, "hooks");
	read_hooks(saved, &child);
	child = need(node, "source");
	saved->source = read_text(&child, "where the policy came from");
	child = need(node, "policy");
	saved->policy = read_text(&child, "the text of a policy");
	child = need(node, "sets");
	read_sets(saved, &child);
}

/* The first fault, and how many there are. */
static char *fault_of(const struct shunt_diags *diags)
{
	char *text = NULL;
	size_t i = 0;
	int n;

	while (diags->at[i].warning)
		i++;
	n = diags->errors > 1 ? asprintf(&text, "at %s: %s (and %zu more errors)",
					 diags->at[i].pointer, diags->at[i].message,
					 diags->errors - 1)
			      : asprintf(&text, "at %s: %s", diags->at[i].pointer,
					 diags->at[i].message);
	return n < 0 ? NULL : text;
}

static bool same_place(const struct shunt_saved *a, const struct shunt_saved *b)
{
	return !strcmp(a->interface, b->interface) && !a->netns == !b->netns &&
	       (!a->netns || !strcmp(a->netns, b->netns));
}

/* One that stands twice: which one is meant? */
static void find_twin(struct shunt_diags *diags, const struct shunt_saved *list,
		      size_t at)
{
	char pointer[64];
	size_t i;

	snprintf(pointer, sizeof(pointer), "/instances/%zu/interface", at);
	for (i = 0; i < at && *list[at].interface; i++)
		if (same_place(&list[i], &list[at])) {
			shunt_diag_add(diags, false, pointer,
				       "%s stands here twice: remove one",
				       list[at].interface);
			return;
		}
}

/* --- the document ------------------------------------------------------------ */

static int read_instances(struct shunt_saved **out, size_t *n,
			  const struct shunt_node *instances)
{
	size_t count = shunt_node_count(instances);
	struct shunt_saved *list = calloc(count + 1, sizeof(*list));
	bool oom = !list;

	shunt_node_each(item, shunt_node_first(instances))
	{
		struct shunt_diags diags = { 0 };
		struct shunt_doc doc = { .diags = &diags };
		struct shunt_node up = *instances, root = *instances->up;
		struct shunt_saved *saved;

		if (oom)
			break;
		saved = &list[item.index];
		saved->number = item.index;
		item.doc = up.doc = root.doc = &doc;
		up.up = &root;
		item.up = &up;
		read_instance(saved, &item);
		find_twin(&diags, list, item.index);
		if (diags.errors)
			saved->fault = fault_of(&diags);
		oom = doc.oom || (diags.errors && !saved->fault);
		shunt_diags_free(&diags);
		item.up = instances;
		item.doc = instances->doc;
	}
	if (oom) {
		shunt_saved_free(list, count);
		return -ENOMEM;
	}
	*out = list;
	*n = count;
	return 0;
}

static void check_schema(const struct shunt_node *root)
{
	static const char *const keys[] = { "schema", "instances", NULL };
	struct shunt_node schema = shunt_node_get(root, "schema");
	const char *text;

	if (!cJSON_IsObject(root->json) || !schema.json) {
		shunt_node_error(root, "this is nothing that `shunt save` has written: "
				       "the key \"schema\" is missing");
		return;
	}
	text = shunt_node_string(&schema, "\"" SHUNT_SAVE_SCHEMA "\"");
	if (text && strcmp(text, SHUNT_SAVE_SCHEMA) != 0) {
		shunt_node_error(&schema,
				 "%s is not understood: this version of Shunt restores "
				 "\"%s\"; use the version that has saved it",
				 SHUNT_QUOTE(text), SHUNT_SAVE_SCHEMA);
		return;
	}
	if (shunt_node_object(root, keys) && shunt_node_count(root) > 2)
		shunt_node_error(root, "a key stands here twice: remove one");
}

int shunt_saved_parse(struct shunt_saved **list, size_t *n, const char *text,
		      size_t len, const char *source, struct shunt_err *err)
{
	struct shunt_diags diags = { 0 };
	struct shunt_doc doc = { .diags = &diags };
	struct shunt_node root = { .doc = &doc }, instances;
	_json_ cJSON *json = NULL;
	int ret = shunt_jsonc_parse(&json, text, len, source, &diags);

	*list = NULL;
	*n = 0;
	root.json = json;
	if (!ret) {
		check_schema(&root);
		instances = shunt_node_get(&root, "instances");
		if (!diags.errors && !instances.json)
			shunt_node_error(&root, "the key \"instances\" is missing");
		if (!diags.errors && shunt_node_list(&instances, "instances"))
			ret = read_instances(list, n, &instances);
	}
	if (ret == -ENOMEM || doc.oom)
		ret = shunt_fail(err, -ENOMEM, "read %s: out of memory", source);
	else if (diags.errors && *diags.at[0].pointer)
		ret = shunt_fail(err, -EINVAL, "%s: at %s: %s", source,
				 diags.at[0].pointer, diags.at[0].message);
	else if (diags.errors && json)
		ret = shunt_fail(err, -EINVAL, "%s: %s", source, diags.at[0].message);
	else if (diags.errors) /* of the syntax: that names file and line itself */
		ret = shunt_fail(err, -EINVAL, "%s", diags.at[0].message);
	shunt_diags_free(&diags);
	return ret;
}
