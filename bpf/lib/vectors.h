/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The classifier for few rules: bit vectors (maps/image.h). */
#pragma once

#include "bpf/lib/lookup.h"

struct shunt_vector_bits {
	__u64 word[SHUNT_IMAGE_WORDS]; /* bit r of word r / 64: rule r may match */
};

SHUNT_INLINE const struct shunt_vector_bits *shunt_vector_at(
	const struct shunt_image *image, __u32 class)
{
	return shunt_image_at(image,
			      image->vectors.vector +
				      (__u64) class * sizeof(struct shunt_vector_bits),
			      sizeof(struct shunt_vector_bits));
}

/*
 * What the sets say about one address: rules that want it in a set lose their bit unless
 * one of their sets has it; those that want it out lose it where one has.
 */
SHUNT_INLINE int shunt_and_sets(const struct shunt_image *image, __u32 where,
				struct shunt_search *s)
{
	const struct shunt_vector_bits *v;
	__u64 sum[SHUNT_IMAGE_WORDS], in;
	__u32 i;
	int w;

	where &= SHUNT_SIDE_MAX - 1;
	v = shunt_vector_at(image, image->vectors.free[where]);
	if (!v)
		return -1;
	for (w = 0; w < SHUNT_IMAGE_WORDS; w++)
		sum[w] = v->word[w];
	in = s->in[where];
	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_SET_MAX; i++) {
		__u32 at = image->vectors.ask[where] + i;
		const struct shunt_image_set *set;

		if (i >= image->vectors.asks[where] || at >= SHUNT_ASK_MAX)
			break;
		set = shunt_image_set_at(image, at);
		if (!(in >> (set->bit & 63) & 1))
			continue;
		v = shunt_vector_at(image, set->in[SHUNT_ENGINE_VECTORS]);
		if (!v)
			return -1;
		for (w = 0; w < SHUNT_IMAGE_WORDS; w++)
			sum[w] |= v->word[w];
		v = shunt_vector_at(image, set->out[SHUNT_ENGINE_VECTORS]);
		if (!v)
			return -1;
		for (w = 0; w < SHUNT_IMAGE_WORDS; w++)
			s->hit[w] &= ~v->word[w];
	}
	for (w = 0; w < SHUNT_IMAGE_WORDS; w++)
		s->hit[w] &= sum[w];
	return 0;
}

/* The rules that match, `count` rules included, into s->hit[]. 0, or -1: damaged. */
SHUNT_INLINE int shunt_vectors(const struct shunt_image *image,
			       const struct shunt_pkt *pkt, struct shunt_search *s)
{
	const struct shunt_image_tables *tables = &image->vectors.tables;
	__u64 a = ~0ull, b = ~0ull, c = ~0ull, d = ~0ull; /* in registers */
	__u32 i;

	if (shunt_lookup_call(image, SHUNT_ENGINE_VECTORS, pkt, s))
		return -1;
	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_LOOKUP_MAX; i++) {
		const struct shunt_vector_bits *v;

		if (i >= tables->slots)
			break;
		v = shunt_vector_at(image, s->x[i]);
		if (!v)
			return -1;
		a &= v->word[0];
		b &= v->word[1];
		c &= v->word[2];
		d &= v->word[3];
	}
	s->hit[0] = a;
	s->hit[1] = b;
	s->hit[2] = c;
	s->hit[3] = d;
	if (!(SHUNT_HAS(SETS) || SHUNT_HAS(SERVICES)) || !image->sets)
		return 0;
	for (i = 0; i < (SHUNT_HAS(TUNNEL) ? SHUNT_SIDE_MAX : SHUNT_SIDES); i++)
		if (image->vectors.asks[i] && shunt_and_sets_call(image, i, s))
			return -1;
	return 0;
}

/* Place of the lowest set bit: the population count of the zeros below it (Hacker's
 * Delight, 5-1 and 5-4). BPF has no instruction for it, and clang 14 crashes on the
 * builtin. */
SHUNT_INLINE __u32 shunt_first_bit(__u64 x)
{
	x = ~x & (x - 1);
	x -= (x >> 1) & 0x5555555555555555ull;
	x = (x & 0x3333333333333333ull) + ((x >> 2) & 0x3333333333333333ull);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return (x * 0x0101010101010101ull) >> 56;
}

/*
 * Takes the first rule out of s->hit[]: its place in the policy, or `rules` (the
 * default's place) when none is left or the image is damaged. A vector may have ones
 * behind the last rule.
 */
SHUNT_INLINE __u32 shunt_hits_take(const struct shunt_image *image,
				   struct shunt_search *s)
{
	__u32 rules = image->rules;
	int w;

	for (w = 0; w < SHUNT_IMAGE_WORDS; w++) {
		__u64 bits = s->hit[w];
		const __u16 *place;
		__u64 at;

		if (!bits)
			continue;
		at = w * 64 + shunt_first_bit(bits);
		s->hit[w] = bits & (bits - 1);
		if (at >= image->vectors.rules)
			return rules;
		place = shunt_image_at(image, image->vectors.place + at * 2, 2);
		return place && *place < rules ? *place : rules;
	}
	return rules;
}
