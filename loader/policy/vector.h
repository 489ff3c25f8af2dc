/* SPDX-License-Identifier: BSD-2-Clause */
/* The pool of rule bit vectors: equal vectors are kept once and named by their class. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "maps/image.h"

#define SHUNT_CLASS_MAX 65536 /* a class is a u16 in the tables */

struct shunt_vector {
	uint64_t word[SHUNT_IMAGE_WORDS]; /* bit r of word r / 64: rule r may match */
};

static inline void shunt_vector_set(struct shunt_vector *v, size_t rule)
{
	v->word[rule / 64] |= 1ull << (rule % 64);
}

static inline void shunt_vector_clear(struct shunt_vector *v, size_t rule)
{
	v->word[rule / 64] &= ~(1ull << (rule % 64));
}

/* Zeroed is empty; not to be copied. */
struct shunt_vectors {
	struct shunt_vector *at;
	size_t n, room;
	uint32_t *bucket; /* hash table: class + 1, 0 empty */
	size_t buckets;
};

/* The class of a vector, added where it is new; -E2BIG beyond SHUNT_CLASS_MAX, -ENOMEM. */
int shunt_vectors_class(struct shunt_vectors *pool, const struct shunt_vector *v);
void shunt_vectors_free(struct shunt_vectors *pool);
