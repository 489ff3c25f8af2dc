/* SPDX-License-Identifier: BSD-2-Clause */
/* A value of the document together with the way to it, so that it can be complained
 * about. */
#pragma once

/*
 * Nodes live on the stack and point to their parents, so that a JSON pointer costs
 * nothing until somebody needs it. Every function that finds a fault has reported it
 * when it returns; its caller only goes on.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "loader/policy/name.h"
#include "loader/policy/policy.h"

/* What all nodes of a document share. */
struct shunt_doc {
	struct shunt_diags *diags;
	bool oom; /* an allocation failed: what was read is not complete */
};

struct shunt_node {
	struct shunt_doc *doc;
	const struct shunt_node *up;
	const cJSON *json; /* NULL: not there */
	const char *key;   /* in an object; NULL in a list */
	size_t index;	   /* in the parent */
	bool alone;	   /* one value where a list may stand */
};

/* --- walking ----------------------------------------------------------------- */

/* The value of a key; json is NULL where there is none. */
struct shunt_node shunt_node_get(const struct shunt_node *object, const char *key);

/* The first member of a list or object. */
struct shunt_node shunt_node_first(const struct shunt_node *parent);

/* The members of a list, or the value itself where it is none. */
struct shunt_node shunt_node_any(const struct shunt_node *value);

void shunt_node_next(struct shunt_node *node);

#define shunt_node_each(name, first)                                                   \
	for (struct shunt_node name = first; name.json; shunt_node_next(&name))

/* Members of a list or object; 0 for others. */
size_t shunt_node_count(const struct shunt_node *node);

/* --- complaining ------------------------------------------------------------- */

void shunt_node_error(const struct shunt_node *node, const char *fmt, ...)
	SHUNT_PRINTF(2, 3);
void shunt_node_warn(const struct shunt_node *node, const char *fmt, ...)
	SHUNT_PRINTF(2, 3);

/* --- checking: each reports what is wrong and then returns false, NULL or -1 - */

/* An object without keys beyond the list, which ends with NULL. keys NULL: any keys. */
bool shunt_node_object(const struct shunt_node *node, const char *const *keys);

/* An object whose keys are names; what: "set". */
bool shunt_node_named(const struct shunt_node *node, const char *what);

/* A list; what: "rules". */
bool shunt_node_list(const struct shunt_node *node, const char *what);

/* A value or a list of at least one value. */
bool shunt_node_not_empty(const struct shunt_node *node);

/* A string; what: "a name". */
const char *shunt_node_string(const struct shunt_node *node, const char *what);

/* A whole number from lo to hi. */
int64_t shunt_node_number(const struct shunt_node *node, const char *what, int64_t lo,
			  int64_t hi);

/* A name of the table; what: "an IP protocol". */
int shunt_node_name(const struct shunt_node *node, const char *what,
		    const struct shunt_name *table);

/* The name of a rule, set or consumer, copied into name; what: "rule". */
bool shunt_node_label(const struct shunt_node *node, const char *what, const char *text,
		      char name[SHUNT_NAME_MAX]);

/* Is the value of "description", if there is one, a string? */
void shunt_node_description(const struct shunt_node *object);

/* A key that stands twice in one object, anywhere below. */
void shunt_node_duplicates(const struct shunt_node *node);

/* calloc that remembers its failure in doc. */
void *shunt_node_alloc(struct shunt_doc *doc, size_t n, size_t size);
