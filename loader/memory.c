/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/memory.h"

#include <stdio.h>
#include <stdlib.h>

#include <bpf/libbpf.h>

#include "loader/percpu.h"
#include "loader/setblob.h"
#include "user/base/cleanup.h"

/* The kernel's own part of a hash table's element, and of its bucket. */
#define HASH_ELEM 48u
#define HASH_BUCKET 16u

#define LIMIT_BUCKET 64u /* one token bucket, the map's part included */

static uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

static uint64_t hash_bytes(uint64_t entries, uint64_t key, uint64_t value)
{
	uint64_t buckets = 1, cpus = shunt_cpus();

	while (buckets < entries)
		buckets *= 2;
	return buckets * HASH_BUCKET +
	       (entries + cpus) * (HASH_ELEM + round_up(key, 8) + round_up(value, 8));
}

/* What it takes as the policy fills it; edits may add to it. */
uint64_t shunt_memory_set(const struct shunt_policy_set *set)
{
	struct shunt_blob blob;
	uint64_t bytes;

	if (set->type == SHUNT_SET_SERVICE)
		return hash_bytes(set->size, 20, 4);
	if (shunt_blob_make(&blob, set->element, set->elements, NULL))
		return 0;
	bytes = (uint64_t)blob.lines * sizeof(*blob.line);
	free(blob.line);
	return bytes;
}

static uint64_t limit_bytes(const struct shunt_policy_limit *limit)
{
	if (!limit->rate)
		return 0;
	return limit->by == SHUNT_LIMIT_RULE ? LIMIT_BUCKET
					     : hash_bytes(limit->size, 24, 16);
}

static uint64_t ring_bytes(const struct shunt_policy *policy)
{
	uint64_t bytes = 0;
	bool shared = false;
	size_t i;

	for (i = 0; i < policy->rules; i++)
		shared |= policy->rule[i].sample.one_in ||
			  policy->rule[i].mirror.to == SHUNT_MIRROR_RING;
	if (shared)
		bytes += policy->ring_bytes;
	for (i = 0; i < policy->consumers; i++)
		if (policy->consumer[i].kind == SHUNT_CONSUMER_RING)
			bytes += policy->consumer[i].ring_bytes;
	return bytes;
}

#define RECORD_RULE 256u /* bytes of JSON that a rule takes, about */
#define RECORD_REST 2048u

/* The text is kept as a JSON string, in which some characters take two. */
static uint64_t record_bytes(const struct shunt_policy *policy)
{
	uint64_t bytes = RECORD_REST + (uint64_t)policy->rules * RECORD_RULE;
	const char *at;

	for (at = policy->text; *at; at++)
		bytes +=
			*at == '"' || *at == '\\' || *at == '\n' || *at == '\t' ? 2 : 1;
	return bytes;
}

void shunt_memory_reckon(struct shunt_memory *memory, const struct shunt_policy *policy,
			 const struct shunt_needs *needs)
{
	struct shunt_maps maps = SHUNT_MAPS_NONE;
	uint64_t cpus = shunt_cpus();
	size_t i;

	*memory = (struct shunt_memory){ 0 };
	shunt_maps_choose(&maps, needs);
	memory->image = (uint64_t)SHUNT_SLOTS * maps.image_bytes;
	/* an element of every CPU, and a pointer to them */
	memory->counters = (uint64_t)maps.counters * SHUNT_HOOK_MAX *
			   (cpus * sizeof(struct shunt_counter) + sizeof(void *));
	for (i = 0; i < policy->sets; i++)
		memory->sets += shunt_memory_set(&policy->set[i]);
	for (i = 0; i < policy->rules; i++)
		memory->limits += limit_bytes(&policy->rule[i].limit);
	memory->rings = ring_bytes(policy);
	memory->record = record_bytes(policy);
	memory->total = memory->image + memory->counters + memory->sets +
			memory->limits + memory->rings + memory->record;
}

uint64_t shunt_memory_available(void)
{
	_file_ FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	return kib * 1024;
}
