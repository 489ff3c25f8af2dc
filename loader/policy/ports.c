/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/ports.h"

#include <errno.h>
#include <stdlib.h>

#include "loader/policy/range.h"
#include "loader/policy/spans.h"
#include "loader/policy/word.h"

#define PORT_MAX 65535

static void read_list(struct shunt_port_list *list, const struct shunt_node *node)
{
	size_t errors = node->doc->diags->errors;

	if (cJSON_IsArray(node->json) && !node->json->child)
		shunt_node_error(node, "an empty list, which could match no packet: "
				       "write its ports, or remove it");
	shunt_node_each(item, shunt_node_any(node))
	{
		const char *text = cJSON_GetStringValue(item.json);

		if (text && *text == '@')
			shunt_node_error(&item, "a list of ports cannot name another "
						"one: write its ports");
		else
			shunt_range_read(&item, &list->spans, "a port", PORT_MAX);
	}
	shunt_spans_settle(&list->spans);
	if (node->doc->diags->errors != errors)
		shunt_spans_free(&list->spans);
}

void shunt_ports_read(struct shunt_ports *ports, const struct shunt_node *node)
{
	char name[SHUNT_NAME_MAX];

	if (!node->json || !shunt_node_named(node, "list of ports"))
		return;
	ports->list = shunt_node_alloc(node->doc, shunt_node_count(node),
				       sizeof(*ports->list));
	if (!ports->list)
		return;
	shunt_node_each(child, shunt_node_first(node))
	{
		struct shunt_port_list *list = &ports->list[ports->lists];
		int ret;

		if (!shunt_node_label(&child, "list of ports", child.key, name))
			continue;
		ret = shunt_index_add(&ports->index, child.key, ports->lists);
		if (ret < 0) { /* a key that stands twice has been reported */
			node->doc->oom |= ret == -ENOMEM;
			continue;
		}
		list->name = child.key;
		read_list(list, &child);
		ports->lists++;
	}
}

static void unknown_list(const struct shunt_ports *ports, const struct shunt_node *item,
			 const char *name)
{
	struct shunt_offer offer = SHUNT_OFFER(name);

	for (size_t i = 0; i < ports->lists; i++)
		shunt_offer_add(&offer, ports->list[i].name);
	shunt_node_error(item, "there is no list of ports %s in \"ports\"%s",
			 SHUNT_QUOTE(name), shunt_offer_text(&offer));
}

void shunt_ports_item(struct shunt_ports *ports, const struct shunt_node *item,
		      struct shunt_spans *spans)
{
	const char *text = cJSON_GetStringValue(item->json);
	struct shunt_port_list *list;
	size_t place;

	if (!text || *text != '@') {
		shunt_range_read(item, spans, "a port", PORT_MAX);
		return;
	}
	place = shunt_index_find(&ports->index, text + 1);
	if (place == SHUNT_INDEX_NONE) {
		unknown_list(ports, item, text + 1);
		return;
	}
	list = &ports->list[place];
	list->used = true;
	for (size_t i = 0; i < list->spans.n; i++)
		if (shunt_spans_add(spans, list->spans.at[i].lo, list->spans.at[i].hi) <
		    0)
			item->doc->oom = true;
}

void shunt_ports_warn(const struct shunt_ports *ports, const struct shunt_node *node)
{
	for (size_t i = 0; i < ports->lists; i++) {
		struct shunt_node at = shunt_node_get(node, ports->list[i].name);

		if (!ports->list[i].used)
			shunt_node_warn(&at,
					"no rule uses this list: name it \"@%s\" in a "
					"rule's \"sport\" or \"dport\", or remove it",
					at.key);
	}
}

void shunt_ports_free(struct shunt_ports *ports)
{
	for (size_t i = 0; i < ports->lists; i++)
		shunt_spans_free(&ports->list[i].spans);
	free(ports->list);
	shunt_index_free(&ports->index);
}
