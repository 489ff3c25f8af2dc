/* SPDX-License-Identifier: BSD-2-Clause */
/* Random numbers that are the same in every run. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shunt_random {
	uint64_t state;
};

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) */
static inline uint64_t shunt_random_next(struct shunt_random *r)
{
	uint64_t x = r->state += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* 0 .. n - 1; n is not 0. */
static inline uint32_t shunt_random_below(struct shunt_random *r, uint32_t n)
{
	return (shunt_random_next(r) >> 32) * n >> 32;
}

/* lo .. hi */
static inline uint32_t shunt_random_in(struct shunt_random *r, uint32_t lo, uint32_t hi)
{
	return lo + shunt_random_below(r, hi - lo + 1);
}

/* lo .. hi, where hi - lo is not all of 64 bits */
static inline uint64_t shunt_random_in64(struct shunt_random *r, uint64_t lo,
					 uint64_t hi)
{
	return lo + shunt_random_next(r) % (hi - lo + 1);
}

/* True once in n times. */
static inline bool shunt_random_one_in(struct shunt_random *r, uint32_t n)
{
	return shunt_random_below(r, n) == 0;
}

#define shunt_random_of(r, array)                                                      \
	((array)[shunt_random_below(r, sizeof(array) / sizeof(*(array)))])

/* The seed of a test: SHUNT_SEED of the environment, or what the test names. */
uint64_t shunt_random_seed(uint64_t fallback);

/* How much a test does: SHUNT_CASES of the environment, or what the test names. */
uint64_t shunt_random_cases(uint64_t fallback);

/* Has the test had its SHUNT_SECONDS? Without it in the environment: never. Counted from
 * the first call on. */
bool shunt_random_is_late(void);
