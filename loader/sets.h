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
	uint32_t size; /* members it can hold, IPv4 and IPv6 each */
};

/* --- whole sets -------------------------------------------------------------- */

/* New inner maps, filled, not yet under any id: descriptors of IPv4's and of IPv6's. */
SHUNT_MUST_CHECK int shunt_set_make(const struct shunt_set_ref *set,
				    const struct shunt_prefix *element, size_t elements,
				    int fd[2], struct shunt_err *err);

struct shunt_set_new {
	struct shunt_set_ref ref;
	int fd[2]; /* of shunt_set_make(), the caller's */
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

/* --- members ----------------------------------------------------------------- */

/* Adds one member; *was says that it had been there. A full set: -E2BIG. */
SHUNT_MUST_CHECK int shunt_set_add(const struct shunt_maps *maps,
				   const struct shunt_set_ref *set,
				   const struct shunt_prefix *element, bool *was,
				   struct shunt_err *err);

/* Takes one member out; *was says whether it was there. */
SHUNT_MUST_CHECK int shunt_set_del(const struct shunt_maps *maps,
				   const struct shunt_set_ref *set,
				   const struct shunt_prefix *element, bool *was,
				   struct shunt_err *err);

/* All members, sorted, in a malloced array. */
SHUNT_MUST_CHECK int shunt_set_list(const struct shunt_maps *maps,
				    const struct shunt_set_ref *set,
				    struct shunt_prefix **element, size_t *elements,
				    struct shunt_err *err);

/* Is the address in the set? For prefixes, *match is the one that decided. */
SHUNT_MUST_CHECK int shunt_set_test(const struct shunt_maps *maps,
				    const struct shunt_set_ref *set,
				    const struct shunt_prefix *address, bool *in,
				    struct shunt_prefix *match, struct shunt_err *err);
