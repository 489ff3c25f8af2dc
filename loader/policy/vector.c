/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/vector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t hash(const uint64_t *vector, size_t words)
{
	uint64_t h = 0xcbf29ce484222325ull;
	size_t i;

	for (i = 0; i < words; i++) {
		h ^= vector[i];
		h *= 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	return h;
}

/* The place in bucket[] where the vector's class is or would be. */
static size_t find(const struct shunt_vectors *pool, const uint64_t *vector)
{
	size_t at = hash(vector, pool->words) & (pool->buckets - 1);

	while (pool->bucket[at] &&
	       memcmp(pool->at + (pool->bucket[at] - 1) * pool->words, vector,
		      pool->words * sizeof(*vector)))
		at = (at + 1) & (pool->buckets - 1);
	return at;
}

static int grow(struct shunt_vectors *pool)
{
	size_t room = pool->room ? 2 * pool->room : 64, i;
	uint64_t *at = realloc(pool->at, room * pool->words * sizeof(*at));
	uint32_t *bucket;

	if (!at)
		return -ENOMEM;
	pool->at = at;
	bucket = calloc(2 * room, sizeof(*bucket));
	if (!bucket)
		return -ENOMEM;
	free(pool->bucket);
	pool->bucket = bucket;
	pool->buckets = 2 * room;
	pool->room = room;
	for (i = 0; i < pool->n; i++)
		pool->bucket[find(pool, pool->at + i * pool->words)] = i + 1;
	return 0;
}

int shunt_vectors_class(struct shunt_vectors *pool, const uint64_t *vector)
{
	size_t at;

	if (pool->n == pool->room && grow(pool))
		return -ENOMEM;
	at = find(pool, vector);
	if (pool->bucket[at])
		return pool->bucket[at] - 1;
	if (pool->n == SHUNT_CLASS_MAX)
		return -E2BIG;
	memcpy(pool->at + pool->n * pool->words, vector, pool->words * sizeof(*vector));
	pool->bucket[at] = ++pool->n;
	return pool->n - 1;
}

void shunt_vectors_free(struct shunt_vectors *pool)
{
	free(pool->at);
	free(pool->bucket);
	memset(pool, 0, sizeof(*pool));
}
