/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/mods.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/lib/limit.h"
#include "maps/config.h"
#include "maps/ring.h"

#define NS_PER_S UINT64_C(1000000000)

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The first `bits` of an address, as words in network order. */
static void put_mask(uint32_t *word, size_t words, unsigned int bits)
{
	uint8_t byte[16] = { 0 };
	unsigned int i;

	for (i = 0; i < bits && i < words * 32; i++)
		byte[i / 8] |= 0x80 >> i % 8;
	memcpy(word, byte, words * sizeof(*word));
}

static void put_limit(const struct shunt_policy_limit *limit, uint32_t id,
		      struct shunt_image_limit *out)
{
	uint64_t rate = min_u64(limit->rate, SHUNT_LIMIT_RATE_MAX);

	/* half of the divisor makes it round to the nearest */
	out->cost = ((NS_PER_S << SHUNT_LIMIT_SHIFT) + rate / 2) / rate;
	out->units = min_u64(limit->burst, rate * SHUNT_LIMIT_BURST_SECONDS);
	out->burst = out->units * out->cost;
	out->id = id;
	out->by = limit->by;
	out->bytes = limit->bytes;
	out->over = limit->over;
	if (limit->by != SHUNT_LIMIT_RULE) {
		put_mask(&out->mask4, 1, limit->bits4);
		put_mask(out->mask6, 4, limit->bits6);
	}
}

static void put_rewrite(const struct shunt_policy_rewrite *rewrite,
			struct shunt_image_rewrite *out)
{
	int side;

	out->bits = rewrite->bits;
	out->vlan = rewrite->vlan;
	out->dscp = rewrite->dscp;
	out->ttl = rewrite->ttl;
	for (side = 0; side < SHUNT_SIDES; side++) {
		memcpy(out->mac[side], rewrite->mac[side], 6);
		out->port[side] = htons(rewrite->port[side]);
		if (!(rewrite->bits & (SHUNT_REWRITE_SRC << side)))
			continue;
		out->family[side] = rewrite->addr[side].family;
		memcpy(out->addr[side], rewrite->addr[side].addr, 16);
	}
}

bool shunt_mods_of(const struct shunt_policy_rule *rule,
		   const struct shunt_bound_rule *bound, struct shunt_image_mods *mods)
{
	uint32_t bytes = rule->sample.bytes;

	memset(mods, 0, sizeof(*mods));
	if (rule->action == SHUNT_ACTION_COUNT)
		return false;
	if (rule->limit.rate) {
		mods->bits |= SHUNT_MOD_LIMIT;
		put_limit(&rule->limit, bound ? bound->limit : 0, &mods->limit);
	}
	if (rule->sample.one_in) {
		mods->bits |= SHUNT_MOD_SAMPLE;
		mods->sample_one_in = rule->sample.one_in;
		mods->sample_bytes = bytes && bytes < SHUNT_RING_FRAME_MAX
					     ? bytes
					     : SHUNT_RING_FRAME_MAX;
	}
	if (rule->mirror.to == SHUNT_MIRROR_RING)
		mods->bits |= SHUNT_MOD_MIRROR_RING;
	if (rule->mirror.to == SHUNT_MIRROR_INTERFACE) {
		mods->bits |= SHUNT_MOD_MIRROR_INTERFACE;
		mods->mirror = bound ? bound->mirror : 0;
	}
	if (rule->rewrite.bits) {
		mods->bits |= SHUNT_MOD_REWRITE;
		put_rewrite(&rule->rewrite, &mods->rewrite);
	}
	return mods->bits;
}

uint32_t shunt_mods_features(const struct shunt_policy_rule *rule)
{
	uint32_t features = 0;

	/* TC serves consumers of both kinds by a ring buffer */
	if (rule->action == SHUNT_VERDICT_CONSUMER)
		features |= SHUNT_HAS_RING;
	if (rule->action == SHUNT_ACTION_COUNT)
		return features;
	if (rule->limit.rate)
		features |= SHUNT_HAS_LIMIT;
	if (rule->limit.rate && rule->limit.by != SHUNT_LIMIT_RULE)
		features |= SHUNT_HAS_LIMIT_BY;
	if (rule->sample.one_in)
		features |= SHUNT_HAS_SAMPLE;
	if (rule->mirror.to != SHUNT_MIRROR_NONE)
		features |= SHUNT_HAS_MIRROR;
	if (rule->rewrite.bits)
		features |= SHUNT_HAS_REWRITE;
	return features;
}

/* --- each once --------------------------------------------------------------- */

/* FNV-1a, 64 bits. */
static uint64_t hash(const struct shunt_image_mods *mods)
{
	const uint8_t *byte = (const uint8_t *)mods;
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (i = 0; i < sizeof(*mods); i++)
		h = (h ^ byte[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* The place of modifiers like these, or the free one where they belong. */
static uint32_t *find(const struct shunt_mods_pool *pool,
		      const struct shunt_image_mods *mods)
{
	size_t mask = 2 * pool->room - 1, i = hash(mods) & mask;

	while (pool->slot[i] &&
	       memcmp(&pool->at[pool->slot[i] - 1], mods, sizeof(*mods)))
		i = (i + 1) & mask;
	return &pool->slot[i];
}

static int grow(struct shunt_mods_pool *pool)
{
	size_t room = pool->room ? 2 * pool->room : 16, i;
	struct shunt_image_mods *at = realloc(pool->at, room * sizeof(*at));
	uint32_t *slot = calloc(2 * room, sizeof(*slot));

	if (at)
		pool->at = at;
	if (!at || !slot) {
		free(slot);
		return -ENOMEM;
	}
	free(pool->slot);
	pool->slot = slot;
	pool->room = room;
	for (i = 0; i < pool->n; i++)
		*find(pool, &pool->at[i]) = i + 1;
	return 0;
}

int shunt_mods_pool_add(struct shunt_mods_pool *pool,
			const struct shunt_image_mods *mods)
{
	uint32_t *slot;

	if (pool->n == pool->room && grow(pool))
		return -ENOMEM;
	slot = find(pool, mods);
	if (!*slot) {
		pool->at[pool->n++] = *mods;
		*slot = pool->n;
	}
	return *slot - 1;
}

void shunt_mods_pool_free(struct shunt_mods_pool *pool)
{
	free(pool->at);
	free(pool->slot);
	memset(pool, 0, sizeof(*pool));
}
