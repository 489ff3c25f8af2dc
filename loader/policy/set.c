/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/prefix.h"
#include "loader/policy/word.h"
#include "user/base/cleanup.h"

#define SIZE_DEFAULT_MIN 1024 /* room for `shunt set add`, at little memory */

static const struct shunt_name types[] = {
	{ "address", SHUNT_SET_ADDRESS },
	{ "prefix", SHUNT_SET_PREFIX },
	{ "address-port", SHUNT_SET_SERVICE },
	{ NULL, 0 },
};

const char *shunt_set_type_name(enum shunt_set_type type)
{
	return shunt_name_text(types, type);
}

static const char empty[] =
	"is empty, so that no packet could match: leave out \"elements\" "
	"and \"file\" for a set that `shunt set add` fills";

/* An element and its place in the list: a duplicate is reported where it stands. */
struct member {
	struct shunt_prefix prefix; /* first: shunt_prefix_compare reads it */
	size_t index;
};

static int member_compare(const void *a, const void *b)
{
	const struct member *p = a, *q = b;
	int by_prefix = shunt_prefix_compare(&p->prefix, &q->prefix);

	return by_prefix ? by_prefix : p->index < q->index ? -1 : 1;
}

/* Sorts the members and hands out one of each. */
static void keep_members(struct shunt_policy_set *set, const struct shunt_node *list,
			 struct member *member, size_t n)
{
	size_t first = 0;

	set->element = shunt_node_alloc(list->doc, n, sizeof(*set->element));
	if (!set->element)
		return;
	qsort(member, n, sizeof(*member), member_compare);
	for (size_t i = 0; i < n; i++) {
		struct shunt_node at = { list->doc, list, list->json, NULL,
					 member[i].index };
		char text[SHUNT_PREFIX_TEXT];

		if (i &&
		    !shunt_prefix_compare(&member[first].prefix, &member[i].prefix)) {
			shunt_node_error(&at,
					 "\"%s\" is element %zu already: remove one",
					 shunt_prefix_format(&member[i].prefix, text),
					 member[first].index);
			continue;
		}
		first = i;
		set->element[set->elements++] = member[i].prefix;
	}
}

static void read_elements(struct shunt_policy_set *set, const struct shunt_node *list)
{
	_free_ struct member *member = NULL;
	size_t n = 0;

	if (!shunt_node_list(list, "addresses or prefixes"))
		return;
	if (!list->json->child) {
		shunt_node_error(list, "%s", empty);
		return;
	}
	member = shunt_node_alloc(list->doc, shunt_node_count(list), sizeof(*member));
	if (!member)
		return;
	shunt_node_each(item, shunt_node_first(list))
	{
		const char *text =
			shunt_node_string(&item, set->type == SHUNT_SET_SERVICE
							 ? "a service"
							 : "an address or prefix");
		struct shunt_err err;

		member[n].index = item.index;
		if (!text)
			continue;
		if (shunt_prefix_member(&member[n].prefix, text, set->type, &err) < 0)
			shunt_node_error(&item, "%s", err.message);
		else
			n++;
	}
	if (n)
		keep_members(set, list, member, n);
}

static void read_file(struct shunt_policy_set *set, const struct shunt_node *file,
		      const char *source)
{
	const char *name = shunt_node_string(file, "a path");
	const char *slash = source ? strrchr(source, '/') : NULL;
	_free_ char *path = NULL;
	struct shunt_err err;
	int ret;

	if (!name)
		return;
	if (!*name) {
		shunt_node_error(
			file, "names no file: write its path, relative to the policy's "
			      "folder or absolute");
		return;
	}
	if (*name == '/' || !slash)
		path = strdup(name);
	else if (asprintf(&path, "%.*s/%s", (int)(slash - source), source, name) < 0)
		path = NULL;
	if (!path) {
		file->doc->oom = true;
		return;
	}
	ret = shunt_set_file_read(path, set->type, &set->element, &set->elements, &err);
	if (ret == -ENOMEM)
		file->doc->oom = true;
	if (ret < 0)
		shunt_node_error(file, "%s", err.message);
	else if (!set->elements)
		shunt_node_error(file, "%s %s", SHUNT_QUOTE(name), empty);
}

/* The default leaves as much room again, so that elements can be added. */
static uint32_t default_size(size_t elements)
{
	uint32_t size = SIZE_DEFAULT_MIN;

	while (size < SHUNT_SET_SIZE_MAX && size < 2 * elements)
		size *= 2;
	return size;
}

/* Services of both families stand in one table. */
static void check_services(const struct shunt_policy_set *set,
			   const struct shunt_node *node, const struct shunt_node *size)
{
	if (set->elements <= set->size)
		return;
	if (size->json)
		shunt_node_error(
			size,
			"%u is too small for %zu elements: raise it, or leave it out",
			set->size, set->elements);
	else
		shunt_node_error(node,
				 "has %zu elements, and a set of services holds at "
				 "most %u: split it",
				 set->elements, SHUNT_SET_SIZE_MAX);
}

static void read_size(struct shunt_policy_set *set, const struct shunt_node *node,
		      uint32_t otherwise)
{
	struct shunt_node size = shunt_node_get(node, "size");
	size_t count[2] = { 0, 0 }; /* of IPv4, of IPv6 */
	int64_t value = otherwise;

	if (size.json)
		value = shunt_node_number(&size, "the size of a set", 1,
					  SHUNT_SET_SIZE_MAX);
	if (value < 0)
		return;
	set->size = value;
	for (size_t i = 0; i < set->elements; i++)
		count[set->element[i].family == 6]++;
	if (set->type == SHUNT_SET_SERVICE) {
		check_services(set, node, &size);
		return;
	}
	for (int six = 0; six < 2; six++) {
		if (count[six] <= set->size)
			continue;
		if (size.json)
			shunt_node_error(
				&size,
				"%u is too small for %zu IPv%d elements: raise it, or "
				"leave it out",
				set->size, count[six], six ? 6 : 4);
		else
			shunt_node_error(
				node,
				"has %zu IPv%d elements, and a set holds at most %u of "
				"each family: split it",
				count[six], six ? 6 : 4, SHUNT_SET_SIZE_MAX);
	}
}

/* The members that are handed in, as the policy's own. */
static void take_given(struct shunt_policy_set *set, const struct shunt_node *node,
		       const struct shunt_givens *givens)
{
	const struct shunt_given *given = shunt_given_find(givens, set->name);

	if (!given) {
		shunt_node_error(node,
				 "the members of this set were not saved with it");
		return;
	}
	if (given->type != set->type) {
		shunt_node_error(node, "is of type %s, and the members are saved as %s",
				 shunt_set_type_name(set->type),
				 shunt_set_type_name(given->type));
		return;
	}
	set->element =
		shunt_node_alloc(node->doc, given->elements, sizeof(*set->element));
	if (!set->element)
		return;
	if (given->elements)
		memcpy(set->element, given->element,
		       given->elements * sizeof(*set->element));
	set->elements = given->elements;
	set->given = true;
	read_size(set, node, given->size);
}

void shunt_set_read(struct shunt_policy_set *set, const struct shunt_node *node,
		    const char *source, const struct shunt_givens *givens)
{
	static const char *const keys[] = { "type", "elements",	   "file",
					    "size", "description", NULL };
	struct shunt_node type = shunt_node_get(node, "type");
	struct shunt_node elements = shunt_node_get(node, "elements");
	struct shunt_node file = shunt_node_get(node, "file");
	int value = -1;

	if (!shunt_node_object(node, keys))
		return;
	shunt_node_description(node);
	if (!type.json)
		shunt_node_error(node,
				 "the key \"type\" is missing: \"address\" for single "
				 "addresses, \"prefix\" for networks");
	else
		value = shunt_node_name(&type, "a type of set", types);
	set->type = value < 0 ? SHUNT_SET_PREFIX : (enum shunt_set_type)value;
	set->dynamic = !elements.json && !file.json;
	if (elements.json && file.json)
		shunt_node_error(
			node, "has both \"elements\" and \"file\": keep one of them");
	else if (givens)
		take_given(set, node, givens);
	else if (elements.json)
		read_elements(set, &elements);
	else if (file.json)
		read_file(set, &file, source);
	if (!givens)
		read_size(set, node, default_size(set->elements));
}
