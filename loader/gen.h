/* SPDX-License-Identifier: BSD-2-Clause */
/* The generation word (maps/gen.h), as user space reads and writes it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "maps/gen.h"
#include "user/base/clock.h"

struct shunt_gen_view {
	uint64_t newest;   /* the generation that came into force last */
	uint64_t ruling;   /* newest, or the one before it where the trial is over */
	bool armed;	   /* newest is on trial, or was */
	uint64_t deadline; /* of the trial; ns of CLOCK_MONOTONIC */
};

/* What the programs see now. */
static inline struct shunt_gen_view shunt_gen_look(const struct shunt_gen *gen)
{
	struct shunt_gen_view view;
	uint64_t word;

	do {
		/* the deadline of an armed word stays while the word does */
		word = __atomic_load_n(&gen->word, __ATOMIC_ACQUIRE);
		view.deadline = __atomic_load_n(&gen->deadline, __ATOMIC_ACQUIRE);
	} while (word != __atomic_load_n(&gen->word, __ATOMIC_RELAXED));
	view.armed = word & SHUNT_GEN_ARMED;
	view.newest = shunt_gen_of(word, false);
	view.ruling = shunt_gen_of(word, shunt_now_ns() >= view.deadline);
	return view;
}

/* From here on every packet sees this generation, whose image and sets are written. */
static inline void shunt_gen_set(struct shunt_gen *gen, uint64_t generation)
{
	/* pairs with the program's read of the word: the image is written before it */
	__atomic_store_n(&gen->word, generation, __ATOMIC_RELEASE);
}

/* The same until the deadline, and then the one before it again. */
static inline void shunt_gen_set_until(struct shunt_gen *gen, uint64_t generation,
				       uint64_t deadline)
{
	__atomic_store_n(&gen->deadline, deadline, __ATOMIC_RELEASE);
	shunt_gen_set(gen, generation | SHUNT_GEN_ARMED);
}
