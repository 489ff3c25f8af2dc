/* SPDX-License-Identifier: BSD-2-Clause */
/* Test runs of a loaded program, and the policy that its answers are held against. */
#pragma once

/*
 *     shunt_explain_run()      what the program says: struct shunt_trace
 *     shunt_explain_frame()    and what its policy says, by trial, of the packet that the
 *                              program has parsed (loader/shunt.h)
 *
 * The program's answer is the answer; the trial only says which keys matched, and
 * whether the two agree. An explain of an interface follows it through swaps: the
 * program, the record and the policy are those of the generation that has answered.
 */
#include "loader/instance.h"
#include "loader/ruling.h"
#include "loader/shunt.h"
#include "maps/trace.h"

struct shunt_explain {
	struct shunt_instance instance; /* not pinned where a policy is explained */
	int hook;
	int prog_fd;
	uint32_t prog_id; /* of what sits on the hook; 0: a policy is explained */
	cJSON *chain;	  /* who else is on the interface; NULL: it is not chained */
	uint64_t word;	  /* the generation word when the program was looked for */
	uint64_t token;	  /* of the next request */
	bool lent;	  /* maps and state are the caller's */
	bool idle;	  /* asks for the policy that is written and not in force yet */
	uint8_t *buf;	  /* request and frame, as the test run wants them */
	size_t room;
	struct shunt_policy *own; /* read from the record; NULL: the caller's */
	const struct shunt_policy *policy; /* whose trials these are */
	uint64_t read;			   /* the generation that `own` is of */
	struct shunt_trials trials;
	struct shunt_roll roll;
	struct shunt_ruling_sets sets;
};

/* As shunt_explain_open_policy(), with rules for this interface alone; "": none. */
SHUNT_MUST_CHECK int shunt_explain_open_for(struct shunt_explain **explain,
					    const struct shunt_policy *policy,
					    const char *hook, const char *iface,
					    struct shunt_err *err);

/*
 * Of a program with this id, which need not sit on the hook yet, over the maps of an
 * instance that the caller has open for as long as this is; `state` is the record that
 * names its rules and sets.
 */
SHUNT_MUST_CHECK int shunt_explain_open_loaded(struct shunt_explain **explain,
					       const struct shunt_instance *instance,
					       const struct shunt_state *state,
					       enum shunt_hook hook, uint32_t prog_id,
					       struct shunt_err *err);

/*
 * Runs the program over a frame, and fetches what it has recorded. -EINVAL and the like,
 * with a sentence: the kernel runs no program over such a frame.
 */
SHUNT_MUST_CHECK int shunt_explain_run(struct shunt_explain *explain, const void *frame,
				       size_t bytes, struct shunt_trace *trace,
				       struct shunt_err *err);

/* Is this the error of a frame that the kernel runs no program over? */
bool shunt_explain_refused(int error, size_t bytes);

/* The program's answer, and the policy's own word where the packet is not malformed. */
struct shunt_answer {
	struct shunt_trace trace;
	struct shunt_subject subject;
	struct shunt_decision decision;
	struct shunt_nearly nearly;
};

/* Has the program decided what the policy says? */
bool shunt_explain_agrees(const struct shunt_trace *trace,
			  const struct shunt_decision *decision);

/* The reply about a packet that the program has judged (loader/explain_json.c). */
SHUNT_MUST_CHECK int shunt_explain_json(struct shunt_explain *explain, uint64_t number,
					struct shunt_answer *answer, cJSON **reply,
					struct shunt_err *err);
