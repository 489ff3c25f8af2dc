/* SPDX-License-Identifier: BSD-2-Clause */
/* One packet that a rule asks for: which values its fields are to have. */
#pragma once

#include "loader/policy/trial.h"

#define SHUNT_WISH_WAYS 8 /* different ones; each may lead to another packet */

struct shunt_wish {
	const struct shunt_trials *trials;
	const struct shunt_roll *roll;
	size_t rule;
	const struct shunt_ask *ask[SHUNT_LAYERS][SHUNT_ASK_KEYS]; /* NULL: not asked */
	unsigned int way;
	uint64_t draw; /* the state of what looks random, and is not */
	/* member of a set of services that an address was taken from; proto 0: none */
	struct shunt_prefix service[SHUNT_LAYERS][SHUNT_SIDES];
	struct shunt_pkt pkt; /* what is wished, for shunt_forge() */
};

void shunt_wish_begin(struct shunt_wish *wish, const struct shunt_trials *trials,
		      const struct shunt_roll *roll, size_t rule);

/*
 * Fills the wish, for shunt_forge(), but for LENGTH. Way 0 takes the first of all values,
 * way 1 the last, way 2 the middle. What comes of it may still miss the rule, whose keys
 * may depend on one another in ways that are not looked at here: try it.
 */
void shunt_wish_make(struct shunt_wish *wish, unsigned int way);

/*
 * Sets LENGTH, now that it is known how long the frame is by itself: `natural` is the
 * parsed frame without it. False: no length is asked for, or none that can be reached.
 */
bool shunt_wish_stretch(struct shunt_wish *wish, const struct shunt_pkt *natural);

/* Moves the wish just outside one ask of the rule; false: there is nothing outside. */
bool shunt_wish_beside(struct shunt_wish *wish, const struct shunt_ask *ask);
