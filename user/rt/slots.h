/* SPDX-License-Identifier: BSD-2-Clause */
/* Slots: an array of equal elements in a circle, which rings are made of. */
#pragma once

/*
 * An index runs freely over all 32 bits; what it names is slot `index & mask`. So a ring
 * that is full differs from one that is empty, and no slot is wasted to tell them apart.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "user/base/err.h"
#include "user/rt/core.h"
#include "user/rt/frame.h"

#define SHUNT_SLOTS 1024u	    /* unless told otherwise */
#define SHUNT_SLOTS_MAX (1u << 24)  /* far from half of what an index can count */
#define SHUNT_SLOTS_BYTES_MAX 1024u /* of an element: more is better borrowed */

#define SHUNT_SLOTS_MANY 8u /* elements for which asking ahead pays */

/* What a ring is like; zeroed: SHUNT_SLOTS frames. */
struct shunt_slots_opts {
	size_t sz;
	uint32_t slots; /* a power of two */
	uint32_t bytes; /* of an element; 0: a struct shunt_frame */
	uint32_t start; /* what the indices begin with: tests have them wrap soon */
};

struct shunt_slots {
	uint8_t *at;
	uint32_t mask;
	uint32_t bytes;
};

/* Fills in what opts leave out, and takes the memory. `noun` begins the sentence. */
SHUNT_MUST_CHECK int shunt_slots_open(struct shunt_slots *slots, const char *noun,
				      const struct shunt_slots_opts *opts,
				      uint32_t *start, struct shunt_err *err);

void shunt_slots_close(struct shunt_slots *slots);

/* Where n may be 1, gcc warns of the moves of several, which it can't rule out. */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Warray-bounds"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#endif

/* `bytes` is a constant to the compiler, so that an element is moved in registers. */
static inline __attribute__((always_inline)) void shunt_slots_move(uint8_t *to,
								   const uint8_t *from,
								   uint32_t n,
								   size_t bytes)
{
	for (; n >= 4; n -= 4, to += 4 * bytes, from += 4 * bytes)
		memcpy(to, from, 4 * bytes);
	if (n & 2) {
		memcpy(to, from, 2 * bytes);
		to += 2 * bytes;
		from += 2 * bytes;
	}
	if (n & 1)
		memcpy(to, from, bytes);
}

#ifndef __clang__
#pragma GCC diagnostic pop
#endif

/* Elements into the slots from `index` on; n is at most their number. */
static inline __attribute__((always_inline)) void shunt_slots_write(
	const struct shunt_slots *slots, uint32_t index, const void *elements,
	uint32_t n, size_t bytes)
{
	uint32_t first = index & slots->mask, run = slots->mask + 1 - first;
	const uint8_t *from = elements;

	if (bytes >= SHUNT_CORE_LINE / 2 && n >= SHUNT_SLOTS_MANY)
		shunt_core_want(slots->at + first * bytes, (n < run ? n : run) * bytes);
	if (n <= run) {
		shunt_slots_move(slots->at + first * bytes, from, n, bytes);
		return;
	}
	shunt_slots_move(slots->at + first * bytes, from, run, bytes);
	shunt_slots_move(slots->at, from + run * bytes, n - run, bytes);
}

/* Elements out of the slots from `index` on. */
static inline __attribute__((always_inline)) void shunt_slots_read(
	const struct shunt_slots *slots, uint32_t index, void *elements, uint32_t n,
	size_t bytes)
{
	uint32_t first = index & slots->mask, run = slots->mask + 1 - first;
	uint8_t *to = elements;

	if (n <= run) {
		shunt_slots_move(to, slots->at + first * bytes, n, bytes);
		return;
	}
	shunt_slots_move(to, slots->at + first * bytes, run, bytes);
	shunt_slots_move(to + run * bytes, slots->at, n - run, bytes);
}

/* The element of an index, and in *n how many at most lie behind it in a row. */
static inline void *shunt_slots_run(const struct shunt_slots *slots, uint32_t index,
				    uint32_t *n)
{
	uint32_t first = index & slots->mask, run = slots->mask + 1 - first;

	if (*n > run)
		*n = run;
	return slots->at + (size_t)first * slots->bytes;
}
