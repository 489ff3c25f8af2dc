/* SPDX-License-Identifier: BSD-2-Clause */
/* `shunt probe --advise`: which transport for which goal, and why. */
#pragma once

/*
 *     what probe found, which backends are here ─▶ facts ─┐
 *     goals: candidates in the order of preference ───────┼─▶ a choice a goal, with reasons
 *     what `bench transports --json` measured ────────────┘
 *
 * A candidate is out where a fact that it needs is not certain. Of those that are left the
 * first is chosen, or with measurements the best; one that is not better by a tenth is no
 * reason to prefer what comes later in the order. Every reason names a fact or a number.
 */
#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

#include "user/base/err.h"

enum shunt_advise_answer { SHUNT_ADVISE_NO, SHUNT_ADVISE_YES, SHUNT_ADVISE_UNKNOWN };

struct shunt_advise_fact {
	char name[24];
	enum shunt_advise_answer answer;
	char detail[256]; /* "": nothing more is known */
};

#define SHUNT_ADVISE_FACTS 32

struct shunt_advise_facts {
	struct shunt_advise_fact fact[SHUNT_ADVISE_FACTS];
	size_t n;
};

/* What a reply of probe says, the backends that are here, and this machine's cores. */
void shunt_advise_look(struct shunt_advise_facts *facts, const cJSON *probe);

/* NULL: nothing of that name is known. */
const struct shunt_advise_fact *shunt_advise_fact(
	const struct shunt_advise_facts *facts, const char *name);

/* --- goals ---------------------------------------------------------------------------------- */

#define SHUNT_ADVISE_NEEDS 4
#define SHUNT_ADVISE_CANDIDATES 9
#define SHUNT_ADVISE_CHANGES 5

struct shunt_advise_candidate {
	const char *backend; /* a scheme; NULL ends the list */
	const char
		*needs[SHUNT_ADVISE_NEEDS]; /* facts that have to be so; besides being
						  here itself */
	const char *because;		    /* why it comes at this place */
};

struct shunt_advise_goal {
	const char *name;
	const char *help;
	/* what counts in a measurement: the row, and its figure */
	const char *kind, *figure, *unit, *says;
	unsigned int batch;
	double scale;	      /* from the figure to its unit */
	bool more;	      /* more is better */
	bool in_order;	      /* numbers are told, and do not change the order */
	const char *waits[3]; /* the first that was measured counts */
	bool spins;	      /* to be told wait=spin where there are cores for it */
	struct shunt_advise_candidate candidates[SHUNT_ADVISE_CANDIDATES];
	/* what would change the answer: a fact, and the sentence for it not being so */
	struct {
		const char *fact;
		const char *sentence;
	} changes[SHUNT_ADVISE_CHANGES];
};

/* Ends with a goal without a name. */
extern const struct shunt_advise_goal shunt_advise_goals[];

/* --- the advice ------------------------------------------------------------------------------ */

/* Is `measured` (NULL: there is none), as read from the file, what bench says; is the goal
 * (NULL: all) one? -EINVAL: no. */
SHUNT_MUST_CHECK int shunt_advise_check(const cJSON *measured, const char *file,
					const char *goal, struct shunt_err *err);

/*
 * The reply (schema shunt.probe.advise/1) for one goal, or all, of what has been checked;
 * `probe` is what `shunt probe` replies.
 */
cJSON *shunt_advise(const cJSON *probe, const struct shunt_advise_facts *facts,
		    const cJSON *measured, const char *file, const char *goal);
