/* SPDX-License-Identifier: BSD-2-Clause */
/* A pool of bit vectors: equal vectors are kept once and named by their class. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SHUNT_CLASS_MAX 65536 /* a class is a u16 in the tables */

static inline void shunt_bit_set(uint64_t *vector, size_t bit)
{
	vector[bit / 64] |= 1ull << (bit % 64);
}

static inline void shunt_bit_clear(uint64_t *vector, size_t bit)
{
	vector[bit / 64] &= ~(1ull << (bit % 64));
}

/* Zeroed but for `words`, it is empty; not to be copied. */
struct shunt_vectors {
	size_t words; /* of each vector */
	uint64_t *at; /* n vectors, one behind the other */
	size_t n, room;
	uint32_t *bucket; /* hash table: class + 1, 0 empty */
	size_t buckets;
};

/* The class of a vector, added where it is new; -E2BIG beyond SHUNT_CLASS_MAX, -ENOMEM. */
int shunt_vectors_class(struct shunt_vectors *pool, const uint64_t *vector);
void shunt_vectors_free(struct shunt_vectors *pool);
