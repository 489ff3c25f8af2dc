/* SPDX-License-Identifier: BSD-2-Clause */
/* How long each step of shunt_apply() takes. */
#pragma once

/*
 * The linker puts __wrap_NAME in front of each of these functions (BENCH_PHASES in the
 * Makefile), so that the library that is measured is the one that is shipped. A step that
 * another one calls is no part of that one's time.
 */
#include "bench/stat.h"
#include "loader/history.h"
#include "loader/plan.h"
#include "loader/policy/witness.h"
#include "loader/prove.h"
#include "loader/rehearse.h"
#include "loader/seat.h"
#include "loader/takeover.h"
#include "loader/watch.h"

/* X(ENUM, name, help) */
#define BENCH_PHASES(X)                                                                \
	X(READ, "read", "reading, checking and measuring the file: shunt_check()")     \
	X(OPEN, "open", "the lock, the maps and the record of the instance")           \
	X(COMPILE, "compile", "the plan: names to ids, and the image")                 \
	X(TAKEOVER, "takeover", "programs with room for both policies")                \
	X(WRITE, "write", "sets, targets, and the image into the idle slot")           \
	X(REHEARSE, "rehearse", "trying it out: test runs of the probe packets")       \
	X(WITNESS, "witness", "for that: making the probe packets")                    \
	X(RECORD, "record", "history, seats, and the state")                           \
	X(WATCH, "watch", "the tracepoints' programs")                                 \
	X(FLIP, "flip", "the store of the generation word")                            \
	X(TIDY, "tidy", "waiting for the programs, clearing what nobody names")        \
	X(TRIM, "trim", "programs without what is no longer needed")                   \
	X(REST, "rest", "the reply, and what has no name here")                        \
	X(ALL, "all", "from the file to the reply")

enum bench_phase {
#define X(id, name, help) PHASE_##id,
	BENCH_PHASES(X)
#undef X
		PHASES
};

static const char *const bench_phase_name[] = {
#define X(id, name, help) name,
	BENCH_PHASES(X)
#undef X
};

static const char *const bench_phase_help[] = {
#define X(id, name, help) help,
	BENCH_PHASES(X)
#undef X
};

static double bench_spent[PHASES]; /* ns */

static double bench_named; /* ns that any phase has been given so far */

/* A phase that began then, when so much was named, ends. */
static inline void bench_spend(enum bench_phase phase, double start, double named)
{
	double inner = bench_named - named,
	       took = bench_now_ns(CLOCK_MONOTONIC) - start - inner;

	bench_spent[phase] += took;
	bench_named += took;
}

#define PHASE_TIME(phase, name, params, args)                                          \
	int __real_##name params;                                                      \
	int __wrap_##name params;                                                      \
	int __wrap_##name params                                                       \
	{                                                                              \
		double start = bench_now_ns(CLOCK_MONOTONIC), named = bench_named;     \
		int ret = __real_##name args;                                          \
                                                                                       \
		bench_spend(phase, start, named);                                      \
		return ret;                                                            \
	}

#define PHASE_TIME_VOID(phase, name, params, args)                                     \
	void __real_##name params;                                                     \
	void __wrap_##name params;                                                     \
	void __wrap_##name params                                                      \
	{                                                                              \
		double start = bench_now_ns(CLOCK_MONOTONIC), named = bench_named;     \
                                                                                       \
		__real_##name args;                                                    \
		bench_spend(phase, start, named);                                      \
	}

/* clang-format off: a table */
PHASE_TIME(PHASE_OPEN, shunt_instance_open,
	   (struct shunt_instance * i, const char *interface, bool write,
	    struct shunt_err *err),
	   (i, interface, write, err))
PHASE_TIME(PHASE_COMPILE, shunt_plan_make,
	   (struct shunt_plan * plan, const struct shunt_policy *policy,
	    const char *interface, const struct shunt_state *old, bool offline,
	    struct shunt_err *err),
	   (plan, policy, interface, old, offline, err))
PHASE_TIME(exact ? PHASE_TRIM : PHASE_TAKEOVER, shunt_takeover,
	   (struct shunt_instance * i, const struct shunt_needs *needs, bool exact,
	    struct shunt_tag *tag, struct shunt_err *err),
	   (i, needs, exact, tag, err))
PHASE_TIME(PHASE_WRITE, shunt_plan_write,
	   (const struct shunt_plan *plan, const struct shunt_maps *maps,
	    struct shunt_err *err),
	   (plan, maps, err))
PHASE_TIME(PHASE_REHEARSE, shunt_rehearse,
	   (const struct shunt_instance *i, const struct shunt_rehearsal *rehearsal,
	    struct shunt_err *err),
	   (i, rehearsal, err))
PHASE_TIME(PHASE_WITNESS, shunt_witness_make,
	   (struct shunt_witnesses * all, const struct shunt_trials *trials,
	    const struct shunt_roll *roll, size_t frames, struct shunt_err *err),
	   (all, trials, roll, frames, err))
PHASE_TIME(PHASE_RECORD, shunt_history_keep,
	   (const char *name, uint64_t generation, struct shunt_err *err),
	   (name, generation, err))
PHASE_TIME(PHASE_RECORD, shunt_history_trim,
	   (const char *name, uint64_t generation, struct shunt_err *err),
	   (name, generation, err))
PHASE_TIME(PHASE_RECORD, shunt_state_stage,
	   (const struct shunt_state *state, const char *instance,
	    struct shunt_err *err),
	   (state, instance, err))
PHASE_TIME(PHASE_RECORD, shunt_state_commit,
	   (const char *instance, struct shunt_err *err), (instance, err))
PHASE_TIME(PHASE_TIDY, shunt_plan_tidy,
	   (const struct shunt_maps *maps, const struct shunt_state *state,
	    bool just_flipped, struct shunt_err *err),
	   (maps, state, just_flipped, err))
PHASE_TIME_VOID(PHASE_WATCH, shunt_watch_start,
		(struct shunt_instance * i, const struct shunt_state *state,
		 struct shunt_err *note),
		(i, state, note))
PHASE_TIME_VOID(PHASE_FLIP, shunt_plan_flip,
		(const struct shunt_plan *plan, const struct shunt_maps *maps),
		(plan, maps))
/* clang-format on */

static inline void bench_phases_begin(void)
{
	memset(bench_spent, 0, sizeof(bench_spent));
	bench_named = 0;
}

/* From the file to the reply took this long, and reading the file so much of it. */
static inline void bench_phases_end(double read, double all)
{
	bench_spent[PHASE_READ] = read;
	bench_spent[PHASE_ALL] = all;
	bench_spent[PHASE_REST] = all - read - bench_named;
}
