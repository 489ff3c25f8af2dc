/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* struct shunt_pkt to a rule: the classifier over a policy image (maps/image.h). */
#pragma once

/*
 * Packet bytes are not looked at here, only the parsed value. The cost depends on how
 * many fields the policy uses, never on the traffic. Every offset that is read from the
 * image is checked against its size: a damaged image gives -1, not a wild read.
 *
 * The includer provides, for BPF or the host,
 *
 *     int shunt_set_has(__u32 id, __u32 type, __u32 l3, const __u32 addr[4]);
 *
 * Search steps are computed without branches: the verifier then walks a search once
 * instead of once for each of its outcomes.
 */
#include "bpf/lib/compiler.h"
#include "bpf/lib/wire.h"
#include "maps/image.h"
#include "maps/pkt.h"

struct shunt_hits {
	__u64 word[SHUNT_IMAGE_WORDS]; /* bit r of word r / 64: rule r matches */
};

/* The bytes [off, off + n) of the image, or NULL. */
SHUNT_INLINE const void *shunt_image_at(const struct shunt_image *image, __u64 off,
					__u64 n)
{
	if (off > SHUNT_IMAGE_ROOM - n)
		return 0;
	SHUNT_OPAQUE(off);
	return (const __u8 *)image + off;
}

SHUNT_INLINE const __u64 *shunt_image_vector(const struct shunt_image *image,
					     __u32 class)
{
	__u64 off = image->vector + (__u64) class * sizeof(struct shunt_hits);

	return shunt_image_at(image, off, sizeof(struct shunt_hits));
}

/* 1 where a < b, else 0, for any two 64-bit values (Hacker's Delight, 2-12). */
SHUNT_INLINE __u64 shunt_below(__u64 a, __u64 b)
{
	return ((~a & b) | ((~a | b) & (a - b))) >> 63;
}

/* Class of an IPv4 address (host order) under a root. */
SHUNT_INLINE __s64 shunt_class4(const struct shunt_image *image, __u32 root, __u32 addr)
{
	const __u32 *node = shunt_image_at(image, root + (__u64)(addr >> 16) * 4, 4);
	const __u16 *class, *start;
	__u64 bucket, pos = 0, low = addr & 0xffff;
	__u32 steps, i;

	if (!node)
		return -1;
	if (!(*node & SHUNT_NODE_BUCKET))
		return *node;
	steps = *node >> SHUNT_NODE_STEPS_SHIFT & SHUNT_NODE_STEPS_MASK;
	bucket = (__u64)(*node & SHUNT_NODE_OFFSET_MASK) * 8;
	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_NODE_STEPS_MAX; i++) {
		__u64 half;

		if (i >= steps)
			break;
		half = 1ull << ((steps - 1 - i) & 31);
		start = shunt_image_at(image, bucket + (pos + half) * 2, 2);
		if (!start)
			return -1;
		pos += half & ~((__u64)((__s64)(low - *start) >> 63));
	}
	class = shunt_image_at(image, bucket + (1ull << (steps & 31)) * 2 + pos * 2, 2);
	return class ? *class : -1;
}

/* Class of an IPv6 address, as two halves in host order. */
SHUNT_INLINE __s64 shunt_class6(const struct shunt_image *image, __u32 root, __u64 hi,
				__u64 lo)
{
	const __u32 *node = shunt_image_at(image, root + (hi >> 48) * 4, 4);
	const struct shunt_start6 *start;
	const __u16 *class;
	__u64 bucket, pos = 0;
	__u32 steps, i;

	if (!node)
		return -1;
	if (!(*node & SHUNT_NODE_BUCKET))
		return *node;
	steps = *node >> SHUNT_NODE_STEPS_SHIFT & SHUNT_NODE_STEPS_MASK;
	bucket = (__u64)(*node & SHUNT_NODE_OFFSET_MASK) * 8;
	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_NODE_STEPS_MAX; i++) {
		__u64 half, below, same;

		if (i >= steps)
			break;
		half = 1ull << ((steps - 1 - i) & 31);
		start = shunt_image_at(image, bucket + (pos + half) * 16, 16);
		if (!start)
			return -1;
		/* same: hi == start->hi, as neither is below the other */
		below = shunt_below(hi, start->hi);
		same = 1 ^ (below | shunt_below(start->hi, hi));
		below |= same & shunt_below(lo, start->lo);
		pos += half & (below - 1);
	}
	class = shunt_image_at(image, bucket + (1ull << (steps & 31)) * 16 + pos * 2,
			       2);
	return class ? *class : -1;
}

SHUNT_INLINE int shunt_and_class(const struct shunt_image *image, __u32 class,
				 struct shunt_hits *hits)
{
	const __u64 *vector = shunt_image_vector(image, class);
	int w;

	if (!vector)
		return -1;
	for (w = 0; w < SHUNT_IMAGE_WORDS; w++)
		hits->word[w] &= vector[w];
	return 0;
}

SHUNT_INLINE int shunt_decide_fields(const struct shunt_image *image,
				     const struct shunt_pkt *pkt,
				     struct shunt_hits *hits)
{
	__u32 i;

	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_FIELD_NARROW; i++) {
		const struct shunt_image_field *f = &image->field[i];
		const __u16 *class;
		__u64 index;

		if (i >= image->fields)
			break;
		index = pkt->layer[SHUNT_OUTER].field[f->field & (SHUNT_FIELD_STRIDE - 1)];
		class = shunt_image_at(image, f->table + index * 2, 2);
		if (!class || shunt_and_class(image, *class, hits))
			return -1;
	}
	return 0;
}

/* One address of the packet: its class, and the sets that contain it. */
SHUNT_INLINE int shunt_decide_side(const struct shunt_image *image,
				   const struct shunt_image_side *side, __u32 l3,
				   const __u32 addr[4], struct shunt_hits *hits)
{
	const __u64 *vector;
	struct shunt_hits sum;
	__s64 class = side->none;
	__u32 i;
	int w;

	if (!side->used)
		return 0;
	if (l3 == SHUNT_L3_IP4)
		class = shunt_class4(image, side->root4, shunt_be32(addr[0]));
	else if (l3 == SHUNT_L3_IP6 && SHUNT_HAS(IP6))
		class = shunt_class6(
			image, side->root6,
			(__u64)shunt_be32(addr[0]) << 32 | shunt_be32(addr[1]),
			(__u64)shunt_be32(addr[2]) << 32 | shunt_be32(addr[3]));
	if (class < 0)
		return -1;
	vector = shunt_image_vector(image, class);
	if (!vector)
		return -1;
	for (w = 0; w < SHUNT_IMAGE_WORDS; w++)
		sum.word[w] = vector[w];
	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_SET_MAX; i++) {
		const struct shunt_image_set *set = &side->set[i];

		if (!SHUNT_HAS(SETS) || i >= side->sets || l3 == SHUNT_L3_NONE)
			break;
		if (!shunt_set_has(set->id, set->type, l3, addr))
			continue;
		vector = shunt_image_vector(image, set->class);
		if (!vector)
			return -1;
		for (w = 0; w < SHUNT_IMAGE_WORDS; w++)
			sum.word[w] |= vector[w];
	}
	for (w = 0; w < SHUNT_IMAGE_WORDS; w++)
		hits->word[w] &= sum.word[w];
	return 0;
}

/* All rules that match the packet, `count` rules included. 0, or -1: damaged image. */
SHUNT_INLINE int shunt_decide(const struct shunt_image *image,
			      const struct shunt_pkt *pkt, struct shunt_hits *hits)
{
	int w;

	for (w = 0; w < SHUNT_IMAGE_WORDS; w++)
		hits->word[w] = ~0ull;
	if (shunt_decide_fields(image, pkt, hits))
		return -1;
	if (shunt_decide_side(image, &image->side[SHUNT_SIDE_SRC],
			      pkt->layer[SHUNT_OUTER].l3,
			      pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_SRC], hits))
		return -1;
	return shunt_decide_side(image, &image->side[SHUNT_SIDE_DST],
				 pkt->layer[SHUNT_OUTER].l3,
				 pkt->layer[SHUNT_OUTER].addr[SHUNT_SIDE_DST], hits);
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
 * Takes the first rule out of hits: its place, or `rules` (the default's place) when
 * none is left. A vector has ones behind the last rule, hence the minimum.
 */
SHUNT_INLINE __u32 shunt_hits_take(struct shunt_hits *hits, __u32 rules)
{
	__u32 place = rules;
	int w;

	for (w = 0; w < SHUNT_IMAGE_WORDS; w++) {
		__u64 bits = hits->word[w];
		__u32 at;

		if (!bits)
			continue;
		at = w * 64 + shunt_first_bit(bits);
		hits->word[w] = bits & (bits - 1);
		if (at < rules)
			place = at;
		break;
	}
	return place;
}

SHUNT_INLINE const struct shunt_image_rule *shunt_image_rule_at(
	const struct shunt_image *image, __u32 place)
{
	return shunt_image_at(
		image, image->rule + (__u64)place * sizeof(struct shunt_image_rule),
		sizeof(struct shunt_image_rule));
}
