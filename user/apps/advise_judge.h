/* SPDX-License-Identifier: BSD-2-Clause */
/* The candidates of a goal, held against facts and measurements. */
#pragma once

#include "user/apps/advise.h"

/* A candidate of a goal, as it turned out. */
struct shunt_advise_judged {
	const struct shunt_advise_candidate *candidate;
	const struct shunt_advise_fact *lacks; /* NULL: it can be had */
	bool unheard;	  /* no backend of that name is in this build */
	const cJSON *row; /* what was measured of it; NULL: nothing */
	double value;
};

struct shunt_advise_judging {
	const struct shunt_advise_goal *goal;
	const struct shunt_advise_facts *facts;
	const cJSON *measured;
	struct shunt_advise_judged judged[SHUNT_ADVISE_CANDIDATES];
	size_t n;
	const struct shunt_advise_judged *chosen; /* NULL: nothing serves */
};

/* Judges all candidates of judging->goal, and chooses. */
void shunt_advise_judge(struct shunt_advise_judging *judging);

/* Can it be had here? */
bool shunt_advise_serves(const struct shunt_advise_judged *judged);

bool shunt_advise_is_better(const struct shunt_advise_goal *goal, double a, double b);
