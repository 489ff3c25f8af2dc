/* SPDX-License-Identifier: BSD-2-Clause */
/* A policy on its way into the maps of an instance. */
#pragma once

/*
 *     shunt_plan_make    names to ids, kept where the ruling policy has the same names;
 *                        then the image is compiled. Nothing outside memory is touched.
 *     shunt_plan_write   sets, redirect targets and the idle slot; not in force yet
 *     shunt_plan_flip    the generation word: from here on every packet sees the new
 *                        policy
 *     shunt_plan_tidy    what no policy names any more: sets, targets, counters of rules
 *                        that are gone (what they counted moves to "retired")
 *
 * Each step may be the last one of a killed process. A plan that was written and not
 * flipped is overwritten by the next; tidying looks at what is there, not at what was
 * meant. Right after a flip (`just_flipped`) it waits first for the programs that still
 * count for old rules.
 */
#include "loader/maps.h"
#include "loader/policy/compile.h"
#include "loader/state.h"
#include "maps/counter.h"
#include "user/base/err.h"

struct shunt_plan {
	const struct shunt_policy *policy;
	struct shunt_binding binding;
	struct shunt_compiled compiled;
	struct shunt_state *next;	    /* the record that goes with it */
	bool kept_slot[SHUNT_CONSUMER_MAX]; /* as kept_set, of a consumer's sockets */
	bool *kept_limit; /* one a rule: its bucket stays as full as it is */
	bool kept_set[SHUNT_SET_MAX]; /* its members stay those of the ruling policy */
};

/*
 * `interface` is the instance's: rules that are meant for others never match there; ""
 * where there is none. `old` is the ruling policy's record, or NULL. With `offline` a
 * target that does not exist is taken for the loopback device, for explaining a policy
 * that is meant for another machine. The caller frees the plan, also after a failure.
 */
SHUNT_MUST_CHECK int shunt_plan_make(struct shunt_plan *plan,
				     const struct shunt_policy *policy,
				     const char *interface,
				     const struct shunt_state *old, bool offline,
				     struct shunt_err *err);
/* Of a plan that was made: what its maps and programs must have before it is written. */
struct shunt_needs shunt_plan_needs(const struct shunt_plan *plan);

SHUNT_MUST_CHECK int shunt_plan_write(const struct shunt_plan *plan,
				      const struct shunt_maps *maps,
				      struct shunt_err *err);
void shunt_plan_flip(const struct shunt_plan *plan, const struct shunt_maps *maps);
SHUNT_MUST_CHECK int shunt_plan_tidy(const struct shunt_maps *maps,
				     const struct shunt_state *state, bool just_flipped,
				     struct shunt_err *err);

/* Of tidying, what a killed `shunt set` has left to do; the record's sets stay theirs. */
SHUNT_MUST_CHECK int shunt_plan_finish_sets(const struct shunt_maps *maps,
					    const struct shunt_state *state,
					    struct shunt_err *err);
void shunt_plan_free(struct shunt_plan *plan);

/*
 * Marks the counters of rules that are gone and had decided packets: lapsed has
 * maps->counters entries. What they hold belongs to SHUNT_COUNTER_RETIRED; tidying adds
 * it there.
 */
void shunt_plan_lapsed(const struct shunt_maps *maps, const struct shunt_state *state,
		       bool *lapsed);

/*
 * Puts the redirect targets of a record into the maps; an instance gets these with its
 * XDP program, which may come after the policy.
 */
SHUNT_MUST_CHECK int shunt_plan_targets(const struct shunt_maps *maps,
					const struct shunt_state *state,
					struct shunt_err *err);
