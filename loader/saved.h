/* SPDX-License-Identifier: BSD-2-Clause */
/* What an instance is restored from: its place, policy and members, as a document. */
#pragma once

/*
 *     live instance ──shunt_saved_take──▶ struct shunt_saved ──shunt_saved_text──▶ bytes
 *           ▲                                   ▲                                 │
 *           └── loader/restore.c ───────────────┴────────shunt_saved_parse────────┘
 *
 * A document ("shunt.save/1") holds nothing that differs between two saves of the same
 * state: no time, id or generation. Lists are in canonical order and what is written is
 * a function of struct shunt_saved alone, so that a document that was read and is
 * written again has the same bytes. Hooks stand in the order of maps/hook.h, sets in
 * that of the policy, members in that of shunt_prefix_compare().
 */
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

#include "loader/instance.h"
#include "loader/policy/given.h"
#include "user/base/err.h"

#define SHUNT_SAVE_SCHEMA "shunt.save/1"
#define SHUNT_SAVED_STEP 65536		 /* members between two words of progress */
#define SHUNT_SAVE_MAX ((size_t)1 << 30) /* bytes of a document: more is a mistake */

struct shunt_saved_hook {
	enum shunt_hook hook;
	char mode[12];	   /* the one it had; of struct shunt_place */
	bool insisted;	   /* it must have that one again */
	uint32_t priority; /* of "chained"; else 0 */
};

struct shunt_saved {
	char *fault; /* NULL: all is sound; else a sentence, and the rest may be missing */
	size_t number; /* its place in the document */
	char interface[IF_NAMESIZE];
	char *netns; /* a name of `ip netns`, or a path; NULL: that of who restores it */
	struct shunt_saved_hook hook[SHUNT_HOOK_MAX];
	size_t hooks; /* 1 or more */
	char *source; /* where the policy came from: a label */
	char *policy; /* its text */
	struct shunt_given *set;
	size_t sets;
};

/* What it points to; zeroed afterwards. */
void shunt_saved_clear(struct shunt_saved *saved);
void shunt_saved_free(struct shunt_saved *list, size_t n);

/* Of an instance that is open; `netns` as in struct shunt_saved. */
SHUNT_MUST_CHECK int shunt_saved_take(struct shunt_saved *saved,
				      const struct shunt_instance *instance,
				      const char *netns, struct shunt_err *err);

/* Do both have the same policy, from the same place, and the same members? */
bool shunt_saved_rules_alike(const struct shunt_saved *a, const struct shunt_saved *b);

/* --- the document ------------------------------------------------------------ */

/* Of a document: n instances in this order. NULL: out of memory. */
cJSON *shunt_saved_json(const struct shunt_saved *list, size_t n);

/* The bytes of a document, malloced. NULL: out of memory. */
char *shunt_saved_text(const cJSON *document);

/*
 * Reads one; comments are allowed, and `source` names it in messages. -EINVAL: it cannot
 * be read as a whole. An instance that is damaged has its fault, and the others are read.
 */
SHUNT_MUST_CHECK int shunt_saved_parse(struct shunt_saved **list, size_t *n,
				       const char *text, size_t len, const char *source,
				       struct shunt_err *err);

/* --- files, one an instance -------------------------------------------------- */

#define SHUNT_SAVED_NAME 256 /* bytes of a file's name, the NUL included */

/*
 * "eth0.json", or "blue:eth0.json" of a namespace; bytes that could mislead are escaped
 * as %xx. -ENAMETOOLONG.
 */
SHUNT_MUST_CHECK int shunt_saved_name(char name[SHUNT_SAVED_NAME], const char *netns,
				      const char *interface, struct shunt_err *err);

/* Is it what such a file may be called? */
bool shunt_saved_is_name(const char *name);
