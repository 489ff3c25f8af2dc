/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes random policies, as a person would: in JSON. */
#pragma once

/*
 * Every match key, every action, both kinds of set and both families appear. Values
 * come from a small pool of each policy, so that rules overlap, nest and repeat one
 * another. Rules that the reader would refuse as contradictions are not written.
 */
#include <stdbool.h>

#include "tests/model/random.h"

struct shunt_author {
	struct shunt_random *random;
	uint32_t rules; /* at most; 0: 256 */
	uint32_t cpus;	/* CPUs that a redirect may name; 0: no such redirect */
	bool dynamic;	/* sets that are filled later may appear: d0 to d3 */
};

/* The policy's text, malloced. */
char *shunt_author_write(const struct shunt_author *author);
