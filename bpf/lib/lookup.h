/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The packet's fields and addresses to classes, by the tables of a policy image. */
#pragma once

/*
 * Packet bytes are not looked at here, only the parsed value. The cost depends on how
 * many fields the policy uses, never on the traffic. Every offset that is read from the
 * image is checked against its size: a damaged image gives -1, not a wild read.
 *
 * Search steps are computed without branches: the verifier then walks a search once
 * instead of once for each of its outcomes.
 */
#include "bpf/lib/below.h"
#include "bpf/lib/calls.h"
#include "bpf/lib/compiler.h"
#include "bpf/lib/wire.h"
#include "maps/config.h"
#include "maps/image.h"
#include "maps/pkt.h"
#include "maps/search.h"

/* The bytes [off, off + n) of the image, or NULL. */
SHUNT_INLINE const void *shunt_image_at(const struct shunt_image *image, __u64 off,
					__u64 n)
{
	if (off > SHUNT_IMAGE_ROOM - n)
		return 0;
	SHUNT_OPAQUE(off);
	return (const __u8 *)image + off;
}

/*
 * The u64 at off, which 8 divides, for loops that are too hot, and cost the verifier too
 * much, for a branch a read: in a damaged image it is some other word of the image.
 */
#ifdef __bpf__
SHUNT_INLINE __u64 shunt_image_u64(const struct shunt_image *image, __u64 off)
{
	__u64 mask = SHUNT_IMAGE_ROOM - sizeof(__u64); /* a power of two, less 8 */

	SHUNT_OPAQUE(mask); /* else clang widens it by bits that it knows to be 0 */
	off &= mask;
	return *(const __u64 *)((const __u8 *)image + off);
}

SHUNT_INLINE __u32 shunt_image_u32(const struct shunt_image *image, __u64 off)
{
	__u64 mask = SHUNT_IMAGE_ROOM - sizeof(__u32);

	SHUNT_OPAQUE(mask);
	off &= mask;
	return *(const __u32 *)((const __u8 *)image + off);
}
#else
SHUNT_INLINE __u32 shunt_image_u32(const struct shunt_image *image, __u64 off)
{
	const __u32 *at = shunt_image_at(image, off & ~3ull, sizeof(*at));

	return at ? *at : 0;
}

SHUNT_INLINE __u64 shunt_image_u64(const struct shunt_image *image, __u64 off)
{
	const __u64 *at = shunt_image_at(image, off & ~7ull, sizeof(*at));

	return at ? *at : 0;
}
#endif

/* One of the image's sets; a place that is none gives another one. */
SHUNT_INLINE const struct shunt_image_set *shunt_image_set_at(
	const struct shunt_image *image, __u32 at)
{
	SHUNT_OPAQUE(at); /* the pointer is to be made of what is masked */
	at &= SHUNT_ASK_MAX - 1;
	return &image->set[at];
}

struct shunt_bucket {
	__u64 off; /* of the first start */
	__u32 steps;
};

SHUNT_INLINE struct shunt_bucket shunt_bucket_of(__u32 node)
{
	return (struct shunt_bucket){
		.off = (__u64)(node & SHUNT_NODE_OFFSET_MASK) * 8,
		.steps = node >> SHUNT_NODE_STEPS_SHIFT & SHUNT_NODE_STEPS_MASK,
	};
}

/* The class behind the starts, each `bytes` long, at place pos. */
SHUNT_INLINE __s64 shunt_bucket_class(const struct shunt_image *image,
				      struct shunt_bucket b, __u32 bytes, __u64 pos)
{
	const __u16 *class =
		shunt_image_at(image, b.off + (1ull << b.steps) * bytes + pos * 2, 2);

	return class ? *class : -1;
}

/* Class of an IPv4 address (host order) under a root. */
SHUNT_INLINE __s64 shunt_class4(const struct shunt_image *image, __u32 root, __u32 addr)
{
	const __u32 *node = shunt_image_at(image, root + (__u64)(addr >> 16) * 4, 4);
	__u64 pos = 0, low = addr & 0xffff;
	struct shunt_bucket b;
	__u32 i;

	if (!node)
		return -1;
	if (!(*node & SHUNT_NODE_BUCKET))
		return *node;
	b = shunt_bucket_of(*node);
	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_NODE_STEPS_MAX; i++) {
		const __u16 *start;
		__u64 half;

		if (i >= b.steps)
			break;
		half = 1ull << ((b.steps - 1 - i) & 31);
		start = shunt_image_at(image, b.off + (pos + half) * 2, 2);
		if (!start)
			return -1;
		pos += half & ~((__u64)((__s64)(low - *start) >> 63));
	}
	return shunt_bucket_class(image, b, 2, pos);
}

/* In a bucket of 64-bit starts. */
SHUNT_INLINE __s64 shunt_class_in8(const struct shunt_image *image,
				   struct shunt_bucket b, __u64 value)
{
	__u64 pos = 0;
	__u32 i;

	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_NODE_STEPS_MAX; i++) {
		const __u64 *start;
		__u64 half;

		if (i >= b.steps)
			break;
		half = 1ull << ((b.steps - 1 - i) & 31);
		start = shunt_image_at(image, b.off + (pos + half) * 8, 8);
		if (!start)
			return -1;
		pos += half & (shunt_below(value, *start) - 1);
	}
	return shunt_bucket_class(image, b, 8, pos);
}

/* In a bucket of 128-bit starts. */
SHUNT_INLINE __s64 shunt_class_in16(const struct shunt_image *image,
				    struct shunt_bucket b, __u64 hi, __u64 lo)
{
	__u64 pos = 0;
	__u32 i;

	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_NODE_STEPS_MAX; i++) {
		const struct shunt_start6 *start;
		__u64 half, below, same;

		if (i >= b.steps)
			break;
		half = 1ull << ((b.steps - 1 - i) & 31);
		start = shunt_image_at(image, b.off + (pos + half) * 16, 16);
		if (!start)
			return -1;
		/* same: hi == start->hi, as neither is below the other */
		below = shunt_below(hi, start->hi);
		same = 1 ^ (below | shunt_below(start->hi, hi));
		below |= same & shunt_below(lo, start->lo);
		pos += half & (below - 1);
	}
	return shunt_bucket_class(image, b, 16, pos);
}

/* Class of a wide field's index, shifted up to bit 63. */
SHUNT_INLINE __s64 shunt_class8(const struct shunt_image *image, __u32 root,
				__u64 value)
{
	const __u32 *node = shunt_image_at(image, root + (value >> 48) * 4, 4);

	if (!node)
		return -1;
	if (!(*node & SHUNT_NODE_BUCKET))
		return *node;
	return shunt_class_in8(image, shunt_bucket_of(*node), value);
}

/* Class of an IPv6 address, as two halves in host order. */
SHUNT_INLINE __s64 shunt_class16(const struct shunt_image *image, __u32 root, __u64 hi,
				 __u64 lo)
{
	const __u32 *node = shunt_image_at(image, root + (hi >> 48) * 4, 4);

	if (!node)
		return -1;
	if (!(*node & SHUNT_NODE_BUCKET))
		return *node;
	if (*node & SHUNT_NODE_LONG)
		return shunt_class_in16(image, shunt_bucket_of(*node), hi, lo);
	return shunt_class_in8(image, shunt_bucket_of(*node), hi);
}

/*
 * The slot is checked and used in one register: Linux 6.1 does not know that the same
 * place of the stack, read twice, holds the value that was checked.
 */
SHUNT_INLINE int shunt_keep_class(struct shunt_search *s, __u64 slot, __s64 class)
{
	SHUNT_OPAQUE(slot);
	if (class < 0 || slot >= SHUNT_LOOKUP_MAX)
		return -1;
	s->x[slot] = class;
	return 0;
}

SHUNT_INLINE int shunt_lookup_narrow(const struct shunt_image *image,
				     const struct shunt_image_tables *tables,
				     const struct shunt_pkt *pkt,
				     struct shunt_search *s)
{
	__u32 i;

	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_NARROW_MAX; i++) {
		const struct shunt_image_narrow *f = &tables->narrow[i];
		const __u32 *words = (const __u32 *)pkt->layer;
		const __u16 *class;
		__u64 index;

		if (i >= tables->narrows)
			break;
		index = words[f->word & (SHUNT_LAYERS * SHUNT_LAYER_WORDS - 1)];
		class = shunt_image_at(image, f->table + index * 2, 2);
		if (!class || shunt_keep_class(s, f->slot, *class))
			return -1;
	}
	return 0;
}

SHUNT_INLINE int shunt_lookup_wide(const struct shunt_image *image,
				   const struct shunt_image_tables *tables,
				   const struct shunt_pkt *pkt, struct shunt_search *s)
{
	__u32 i;

	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_WIDE_MAX; i++) {
		const struct shunt_image_wide *f = &tables->wide[i];
		__u32 layer = f->field / SHUNT_FIELD_STRIDE & (SHUNT_LAYERS - 1);
		__u32 field = f->field % SHUNT_FIELD_STRIDE - SHUNT_FIELD_NARROW;

		if (i >= tables->wides)
			break;
		if (field >= SHUNT_FIELD_WIDE)
			return -1;
		if (shunt_keep_class(s, f->slot,
				     shunt_class8(image, f->root,
						  pkt->layer[layer].wide[field]
							  << (f->shift & 63))))
			return -1;
	}
	return 0;
}

/* One address of the packet, at layer * SHUNT_SIDES + side. */
SHUNT_INLINE int shunt_lookup_side(const struct shunt_image *image,
				   const struct shunt_image_tables *tables,
				   const struct shunt_pkt *pkt, __u32 where,
				   struct shunt_search *s)
{
	const struct shunt_image_side *side = &tables->side[where % SHUNT_SIDE_MAX];
	const struct shunt_layer *layer =
		&pkt->layer[where / SHUNT_SIDES % SHUNT_LAYERS];
	const __u32 *addr = layer->addr[where % SHUNT_SIDES];
	__s64 class = side->none;

	if (layer->l3 == SHUNT_L3_IP4)
		class = shunt_class4(image, side->root4, shunt_be32(addr[0]));
	else if (SHUNT_HAS(IP6) && layer->l3 == SHUNT_L3_IP6 && side->root6)
		class = shunt_class16(
			image, side->root6,
			(__u64)shunt_be32(addr[0]) << 32 | shunt_be32(addr[1]),
			(__u64)shunt_be32(addr[2]) << 32 | shunt_be32(addr[3]));
	else if (layer->l3 == SHUNT_L3_IP6)
		class = side->any6;
	return shunt_keep_class(s, side->slot, class);
}

SHUNT_INLINE const struct shunt_image_tables *shunt_tables_of(
	const struct shunt_image *image, __u32 engine)
{
	return engine == SHUNT_ENGINE_WORDS ? &image->words.tables
					    : &image->vectors.tables;
}

/* Every lookup of an engine: classes into s->x[]. 0, or -1: damaged image. */
SHUNT_INLINE int shunt_lookup(const struct shunt_image *image, __u32 engine,
			      const struct shunt_pkt *pkt, struct shunt_search *s)
{
	const struct shunt_image_tables *tables = shunt_tables_of(image, engine);
	__u32 where;

	if (shunt_lookup_narrow(image, tables, pkt, s))
		return -1;
	if (SHUNT_HAS(WIDE) && shunt_lookup_wide(image, tables, pkt, s))
		return -1;
	for (where = 0; where < (SHUNT_HAS(TUNNEL) ? SHUNT_SIDE_MAX : SHUNT_SIDES);
	     where++)
		if (tables->side[where].root4 &&
		    shunt_lookup_side_call(image, engine, pkt, where, s))
			return -1;
	return 0;
}
