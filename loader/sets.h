/* SPDX-License-Identifier: BSD-2-Clause */
/* The members of named sets, in the kernel's maps (maps/set.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loader/maps.h"
#include "loader/policy/policy.h"
#include "user/base/err.h"

/* Which set is meant: its name is for messages only. */
struct shunt_set_ref {
	const char *name;
	uint32_t id;
	enum shunt_set_type type;
	uint32_t size; /* members it can hold, IPv4 and IPv6 each; services: together */
};

/* --- whole sets -------------------------------------------------------------- */

/*
 * A new inner map, filled, not yet under any id: its descriptor. The elements are
 * sorted, each once.
 */
SHUNT_MUST_CHECK int shunt_set_make(const struct shunt_set_ref *set,
				    const struct shunt_prefix *element, size_t elements,
				    struct shunt_err *err);

struct shunt_set_new {
	struct shunt_set_ref ref;
	int fd; /* of shunt_set_make(), the caller's */
};

/*
 * Puts n sets under their ids. Afterwards no program runs any more that was running at
 * the call: the kernel waits so whenever user space changes a map in a map
 * (synchronize_rcu in maybe_wait_bpf_programs). n may be 0, for the waiting alone.
 */
SHUNT_MUST_CHECK int shunt_sets_place(const struct shunt_maps *maps,
				      const struct shunt_set_new *set, size_t n,
				      struct shunt_err *err);

/* Lets go of the members under all ids that are not used. */
SHUNT_MUST_CHECK int shunt_sets_drop(const struct shunt_maps *maps,
				     const bool used[SHUNT_SET_IDS],
				     struct shunt_err *err);

/* Calls `each` with the kernel's id of every map that stands under an id. */
void shunt_sets_each_map(const struct shunt_maps *maps,
			 void (*each)(void *self, uint32_t map_id), void *self);

/* The inner map of a set, as a descriptor that the caller owns. */
SHUNT_MUST_CHECK int shunt_set_open(const struct shunt_maps *maps,
				    const struct shunt_set_ref *set,
				    struct shunt_err *err);

/* -E2BIG, where the elements are more than the set can hold; else 0. */
SHUNT_MUST_CHECK int shunt_set_fits(const struct shunt_set_ref *set,
				    const size_t count[2], struct shunt_err *err);

/* --- members ----------------------------------------------------------------- */

/*
 * Adds or deletes members: all of them or, where it fails, none. *changed says how many
 * were not there, or were there, before. A full set: -E2BIG.
 */
SHUNT_MUST_CHECK int shunt_set_change(const struct shunt_maps *maps,
				      const struct shunt_set_ref *set, bool add,
				      const struct shunt_prefix *element,
				      size_t elements, size_t *changed,
				      struct shunt_err *err);

/*
 * Makes these the members, at one moment; sorted, each once. *added and *deleted say
 * what that came to.
 */
SHUNT_MUST_CHECK int shunt_set_replace(const struct shunt_maps *maps,
				       const struct shunt_set_ref *set,
				       const struct shunt_prefix *element,
				       size_t elements, size_t *added, size_t *deleted,
				       struct shunt_err *err);

/* Ends an edit in place that a killed writer has begun. */
SHUNT_MUST_CHECK int shunt_set_finish(const struct shunt_maps *maps,
				      const struct shunt_set_ref *set,
				      struct shunt_err *err);

/* All members, sorted, in a malloced array. */
SHUNT_MUST_CHECK int shunt_set_list(const struct shunt_maps *maps,
				    const struct shunt_set_ref *set,
				    struct shunt_prefix **element, size_t *elements,
				    struct shunt_err *err);

/* How many members there are. */
SHUNT_MUST_CHECK int shunt_set_count(const struct shunt_maps *maps,
				     const struct shunt_set_ref *set, size_t *members,
				     struct shunt_err *err);

/* Is the address, or the service, in the set? *match is the longest element. */
SHUNT_MUST_CHECK int shunt_set_test(const struct shunt_maps *maps,
				    const struct shunt_set_ref *set,
				    const struct shunt_prefix *address, bool *in,
				    struct shunt_prefix *match, struct shunt_err *err);
