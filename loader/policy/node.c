/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/node.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/word.h"
#include "user/base/cleanup.h"

/* --- walking ----------------------------------------------------------------- */

struct shunt_node shunt_node_get(const struct shunt_node *object, const char *key)
{
	return (struct shunt_node){
		.doc = object->doc,
		.up = object,
		.json = cJSON_GetObjectItemCaseSensitive(object->json, key),
		.key = key,
	};
}

struct shunt_node shunt_node_first(const struct shunt_node *parent)
{
	const cJSON *child = parent->json ? parent->json->child : NULL;

	return (struct shunt_node){
		.doc = parent->doc,
		.up = parent,
		.json = child,
		.key = child ? child->string : NULL,
	};
}

struct shunt_node shunt_node_any(const struct shunt_node *value)
{
	struct shunt_node node = *value;

	if (cJSON_IsArray(value->json))
		return shunt_node_first(value);
	node.alone = true;
	return node;
}

void shunt_node_next(struct shunt_node *node)
{
	node->json = node->alone ? NULL : node->json->next;
	node->key = node->json ? node->json->string : NULL;
	node->index++;
}

size_t shunt_node_count(const struct shunt_node *node)
{
	bool many = cJSON_IsArray(node->json) || cJSON_IsObject(node->json);

	return many ? cJSON_GetArraySize(node->json) : 0;
}

/* --- complaining ------------------------------------------------------------- */

/* Writes the RFC 6901 pointer, or only measures it where buf is NULL. */
static size_t pointer(const struct shunt_node *node, char *buf)
{
	size_t at = node->up ? pointer(node->up, buf) : 0;

	if (!node->up)
		return 0;
	if (!node->key)
		return at +
		       sprintf(buf ? buf + at : (char[24]){ 0 }, "/%zu", node->index);
	if (buf)
		buf[at] = '/';
	at++;
	for (const char *c = node->key; *c; c++) {
		bool escape = *c == '~' || *c == '/';

		if (buf && escape)
			memcpy(buf + at, *c == '~' ? "~0" : "~1", 2);
		else if (buf)
			buf[at] = *c;
		at += escape ? 2 : 1;
	}
	return at;
}

static void complain(const struct shunt_node *node, bool warning, const char *fmt,
		     va_list args)
{
	size_t n = pointer(node, NULL);
	_free_ char *at = malloc(n + 1);
	_free_ char *message = NULL;

	if (!at || vasprintf(&message, fmt, args) < 0) {
		node->doc->oom = true;
		return;
	}
	pointer(node, at);
	at[n] = 0;
	shunt_diag_add(node->doc->diags, warning, at, "%s", message);
}

void shunt_node_error(const struct shunt_node *node, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	complain(node, false, fmt, args);
	va_end(args);
}

void shunt_node_warn(const struct shunt_node *node, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	complain(node, true, fmt, args);
	va_end(args);
}

/* --- checking ---------------------------------------------------------------- */

static const char *kind(const cJSON *json)
{
	if (cJSON_IsString(json))
		return "a string";
	if (cJSON_IsNumber(json))
		return "a number";
	if (cJSON_IsObject(json))
		return "an object";
	if (cJSON_IsArray(json))
		return "a list";
	return cJSON_IsBool(json) ? "true or false" : "null";
}

static void unknown_key(const struct shunt_node *child, const char *const *keys)
{
	struct shunt_offer offer = SHUNT_OFFER(child->key);

	for (; *keys; keys++)
		shunt_offer_add(&offer, *keys);
	shunt_node_error(child, "unknown key %s%s", SHUNT_QUOTE(child->key),
			 shunt_offer_text(&offer));
}

bool shunt_node_object(const struct shunt_node *node, const char *const *keys)
{
	if (!cJSON_IsObject(node->json)) {
		shunt_node_error(node, "must be an object, not %s", kind(node->json));
		return false;
	}
	if (!keys)
		return true;
	shunt_node_each(child, shunt_node_first(node))
	{
		const char *const *at = keys;

		while (*at && strcmp(*at, child.key) != 0)
			at++;
		if (!*at)
			unknown_key(&child, keys);
	}
	return true;
}

bool shunt_node_named(const struct shunt_node *node, const char *what)
{
	if (cJSON_IsObject(node->json))
		return true;
	shunt_node_error(node,
			 "must be an object, not %s: the name of each %s is a key",
			 kind(node->json), what);
	return false;
}

bool shunt_node_list(const struct shunt_node *node, const char *what)
{
	if (cJSON_IsArray(node->json))
		return true;
	shunt_node_error(node, "must be a list of %s, not %s", what, kind(node->json));
	return false;
}

bool shunt_node_not_empty(const struct shunt_node *node)
{
	if (!cJSON_IsArray(node->json) || node->json->child)
		return true;
	shunt_node_error(node,
			 "an empty list stands for no packet: leave \"%s\" out where "
			 "any packet will do",
			 node->key);
	return false;
}

const char *shunt_node_string(const struct shunt_node *node, const char *what)
{
	if (cJSON_IsString(node->json))
		return node->json->valuestring;
	shunt_node_error(node, "must be %s in a string, not %s", what,
			 kind(node->json));
	return NULL;
}

int64_t shunt_node_number(const struct shunt_node *node, const char *what, int64_t lo,
			  int64_t hi)
{
	double value;

	if (!cJSON_IsNumber(node->json)) {
		shunt_node_error(node,
				 "must be %s, a whole number from %jd to %jd, not %s",
				 what, (intmax_t)lo, (intmax_t)hi, kind(node->json));
		return -1;
	}
	value = node->json->valuedouble;
	if (value >= lo && value <= hi && value == (double)(int64_t)value)
		return value;
	shunt_node_error(node,
			 "%.12g cannot be %s: that is a whole number from %jd to %jd",
			 value, what, (intmax_t)lo, (intmax_t)hi);
	return -1;
}

int shunt_node_name(const struct shunt_node *node, const char *what,
		    const struct shunt_name *table)
{
	const char *text = shunt_node_string(node, what);
	struct shunt_offer offer = SHUNT_OFFER(text);
	int value;

	if (!text)
		return -1;
	value = shunt_name_value(table, text);
	if (value >= 0)
		return value;
	for (; table->name; table++)
		shunt_offer_add(&offer, table->name);
	shunt_node_error(node, "%s is not %s%s", SHUNT_QUOTE(text), what,
			 shunt_offer_text(&offer));
	return -1;
}

static bool label_char(char c, bool first)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z') || (!first && c && strchr("._-", c));
}

bool shunt_node_label(const struct shunt_node *node, const char *what, const char *text,
		      char name[SHUNT_NAME_MAX])
{
	size_t n = strlen(text);
	bool ok = n > 0 && n < SHUNT_NAME_MAX;

	for (size_t i = 0; ok && i < n; i++)
		ok = label_char(text[i], i == 0);
	if (!ok) {
		shunt_node_error(
			node,
			"%s cannot name a %s: a name has 1 to %d letters, digits, "
			"dots, underscores and hyphens, and starts with a letter or "
			"digit",
			SHUNT_QUOTE(text), what, SHUNT_NAME_MAX - 1);
		return false;
	}
	memcpy(name, text, n + 1);
	return true;
}

void shunt_node_description(const struct shunt_node *object)
{
	struct shunt_node node = shunt_node_get(object, "description");

	if (node.json)
		(void)shunt_node_string(&node, "a text");
}

/* Where a key stands first and again. */
struct seat {
	const char *key;
	size_t index;
};

static int seat_compare(const void *a, const void *b)
{
	const struct seat *p = a, *q = b;
	int by_key = strcmp(p->key, q->key);

	return by_key ? by_key : p->index < q->index ? -1 : 1;
}

static void object_duplicates(const struct shunt_node *object)
{
	size_t n = shunt_node_count(object), at = 0;
	_free_ struct seat *seat = shunt_node_alloc(object->doc, n, sizeof(*seat));

	if (!seat)
		return;
	shunt_node_each(child, shunt_node_first(object))
	{
		seat[at] = (struct seat){ child.key, at };
		at++;
	}
	qsort(seat, n, sizeof(*seat), seat_compare);
	for (size_t i = 1; i < n; i++) {
		struct shunt_node twin = { object->doc, object, object->json,
					   seat[i].key };

		if (strcmp(seat[i - 1].key, seat[i].key) == 0)
			shunt_node_error(&twin,
					 "the key %s stands here twice: remove one",
					 SHUNT_QUOTE(seat[i].key));
	}
}

void shunt_node_duplicates(const struct shunt_node *node)
{
	if (cJSON_IsObject(node->json))
		object_duplicates(node);
	shunt_node_each(child, shunt_node_first(node)) shunt_node_duplicates(&child);
}

void *shunt_node_alloc(struct shunt_doc *doc, size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	doc->oom |= !p;
	return p;
}
