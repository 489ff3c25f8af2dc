/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Is an address in a set? The search in a blob (maps/setblob.h). */
#pragma once

/*
 * At most: head, root, the tables, the bucket. All keys of a line are compared at once,
 * in lanes of 64-bit words and without branches: the search's cost does not depend on
 * where in a line an address falls, and the verifier walks one path. A damaged blob
 * gives "not in"; no line outside of it is ever read.
 *
 * On the host the includer provides the line of that number, or NULL:
 *
 *     const __u64 *shunt_set_line(void *blob, __u32 line);
 */
#include "bpf/lib/below.h"
#include "bpf/lib/compiler.h"
#include "maps/setblob.h"

/* One word after the other, so that few registers, and no stack, are needed for all. */
#define SHUNT_SET_STEP(sum) asm volatile("" : "+r"(sum)::"memory")

#ifdef __bpf__
#include <bpf/bpf_helpers.h>

#include "bpf/lib/wire.h"
#include "maps/pkt.h"
#include "maps/set.h"

SHUNT_INLINE const __u64 *shunt_set_line(void *blob, __u32 line)
{
	return bpf_map_lookup_elem(blob, &line);
}
#endif

/* The 64 bits of hi:lo from bit `from` on (0..127), and the 64 behind them. */
SHUNT_INLINE __u64 shunt_set_bits(__u64 hi, __u64 lo, __u32 from, __u64 *rest)
{
	__u64 low = -(__u64)(from >> 6 & 1);
	__u64 a = hi ^ ((hi ^ lo) & low), b = lo & ~low;
	__u32 by = from & 63;

	*rest = b << by;
	return a << by | (b >> 1) >> (63 - by);
}

/* 1 where a:b < c:d. */
SHUNT_INLINE __u64 shunt_set_below2(__u64 a, __u64 b, __u64 c, __u64 d)
{
	__u64 below = shunt_below(a, c), above = shunt_below(c, a);

	return below | (~above & shunt_below(b, d));
}

SHUNT_INLINE int shunt_set_parity(__u64 x)
{
	x ^= x >> 32;
	x ^= x >> 16; /* lanes of 16 bits have theirs in bit 15 */
	return x >> 15 & 1;
}

/*
 * One line of keys in lanes; `key` stands in every lane and `high` has the uppermost bit
 * of each. Ranges: is the number of keys that are not above it odd? (Lanes compare
 * without borrowing from each other: Hacker's Delight, 2-18.)
 */
SHUNT_INLINE int shunt_set_ranges(const __u64 *w, __u64 key, __u64 high)
{
	__u64 odd = 0;
	int i;

	SHUNT_UNROLL
	for (i = 0; i < SHUNT_BLOB_WORDS; i++) {
		__u64 same = ((key | high) - (w[i] & ~high)) & ~(key ^ w[i]);

		odd ^= (key & ~w[i]) | same;
		SHUNT_SET_STEP(odd);
	}
	odd &= high;
	/* 64-bit and 32-bit lanes have their bits in 63 and 31: move them onto 16s */
	return shunt_set_parity(odd);
}

SHUNT_INLINE int shunt_set_points(const __u64 *w, __u64 key, __u64 high)
{
	__u64 differ = high;
	int i;

	SHUNT_UNROLL
	for (i = 0; i < SHUNT_BLOB_WORDS; i++) {
		__u64 x = w[i] ^ key;

		differ &= ((x & ~high) + ~high) | x;
		SHUNT_SET_STEP(differ);
	}
	return differ != high;
}

/* The same for keys of 128 bits, four a line. */
SHUNT_INLINE int shunt_set_ranges2(const __u64 *w, __u64 key, __u64 rest)
{
	__u64 above = 0;
	int i;

	SHUNT_UNROLL
	for (i = 0; i < SHUNT_BLOB_WORDS; i += 2) {
		above ^= shunt_set_below2(key, rest, w[i], w[i + 1]);
		SHUNT_SET_STEP(above);
	}
	return above & 1; /* of an even number of keys, as many are not above it */
}

SHUNT_INLINE int shunt_set_points2(const __u64 *w, __u64 key, __u64 rest)
{
	__u64 differ = ~0ull;
	int i;

	SHUNT_UNROLL
	for (i = 0; i < SHUNT_BLOB_WORDS; i += 2) {
		__u64 x = (w[i] ^ key) | (w[i + 1] ^ rest);

		differ &= x | -x;
		SHUNT_SET_STEP(differ);
	}
	return !(differ >> 63);
}

/* How far a key of a node's width stands from the right of 64 bits. */
SHUNT_INLINE __u32 shunt_set_away(__u64 node)
{
	return (64 - (16u << (node >> SHUNT_BLOB_NODE_WIDE_SHIFT & 3))) & 63;
}

/* All ones where a node's keys are of two words. */
SHUNT_INLINE __u64 shunt_set_two(__u64 node)
{
	__u64 both = 3ull << SHUNT_BLOB_NODE_WIDE_SHIFT;

	return -(__u64)((node & both) == both);
}

/* The line of a bucket that a key belongs to: the last one that begins not above it. */
SHUNT_INLINE __u32 shunt_set_line_of(void *blob, __u64 node, __u64 key, __u64 rest)
{
	__u32 at = node, half;

	half = (1u << (node >> SHUNT_BLOB_NODE_STEPS_SHIFT & 7)) >> 1 & 127;
	SHUNT_NO_UNROLL
	for (; half; half = half >> 1 & 63) {
		const __u64 *w = shunt_set_line(blob, at + half);
		__u64 first, second;

		if (!w)
			break;
		SHUNT_OPAQUE(node); /* computed anew: there are few registers */
		first = w[0] & ~0ull >> shunt_set_away(node);
		second = w[1] & shunt_set_two(node);
		at += half & (__u32)(shunt_set_below2(key, rest, first, second) - 1);
	}
	return at;
}

/*
 * Behind an index line, the leaf of an address: as many as there are separators below
 * its 16 bits from bit `from` on. Adds up lanes as shunt_set_ranges() compares them.
 */
SHUNT_INLINE __u32 shunt_set_leaf(const __u64 *w, __u64 hi, __u64 lo, __u32 from)
{
	const __u64 lanes = 0x0001000100010001ull, high = lanes << 15;
	__u64 rest, sum = 0;
	__u64 key = (shunt_set_bits(hi, lo, from, &rest) >> 48) * lanes;
	int i;

	SHUNT_UNROLL
	for (i = 0; i < SHUNT_BLOB_WORDS - 1; i++) {
		__u64 same = ((w[i] | high) - (key & ~high)) & ~(key ^ w[i]);

		sum += (~((w[i] & ~key) | same) & high) >> 15;
		SHUNT_SET_STEP(sum);
	}
	return sum * lanes >> 48;
}

/* A node of ranges or points, in IPv6's form. */
SHUNT_INLINE int shunt_set_bucket(void *blob, __u64 node, __u64 hi, __u64 lo)
{
	__u64 key, rest, lanes, high, flip;
	const __u64 *w;

	key = shunt_set_bits(hi, lo, node >> SHUNT_BLOB_NODE_FROM_SHIFT & 127, &rest);
	key >>= shunt_set_away(node);
	rest &= shunt_set_two(node);
	w = shunt_set_line(blob, shunt_set_line_of(blob, node, key, rest));
	if (!w)
		return 0;
	SHUNT_OPAQUE(node);
	flip = node >> SHUNT_BLOB_NODE_FLIP_SHIFT & 1;
	if (shunt_set_two(node))
		return node >> 63 ? shunt_set_points2(w, key, rest)
				  : shunt_set_ranges2(w, key, rest) ^ (int)flip;
	lanes = shunt_set_away(node) == 48   ? 0x0001000100010001ull
		: shunt_set_away(node) == 32 ? 0x0000000100000001ull
					     : 1;
	high = lanes << (63 - shunt_set_away(node));
	key *= lanes;
	return node >> 63 ? shunt_set_points(w, key, high)
			  : shunt_set_ranges(w, key, high) ^ (int)flip;
}

SHUNT_INLINE int shunt_set_has4(void *blob, __u32 root, __u32 addr)
{
	const __u64 *w = shunt_set_line(blob, root + (addr >> 20));
	__u32 node, at;

	if (!w)
		return 0;
	node = ((const __u32 *)w)[addr >> 16 & 15];
	if (node >> 30 == 0)
		return node & 1;
	at = node & SHUNT_BLOB_NODE_LINE4;
	if (node >> 30 != SHUNT_BLOB_NODE_BITMAP)
		return shunt_set_bucket(blob,
					(__u64)(node & SHUNT_BLOB_NODE_HIGH4) << 32 |
						16ull << SHUNT_BLOB_NODE_FROM_SHIFT |
						at,
					(__u64)addr << 32, 0);
	w = shunt_set_line(blob, at + (addr >> 9 & 127));
	return w ? w[addr >> 6 & 7] >> (addr & 63) & 1 : 0;
}

SHUNT_INLINE int shunt_set_has6(void *blob, __u32 root, __u64 hi, __u64 lo)
{
	const __u64 *w = shunt_set_line(blob, root + (hi >> 51));
	__u64 node, index, rest;
	__u32 i;

	if (!w)
		return 0;
	node = w[hi >> 48 & 7];
	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_BLOB_TABLES_MAX; i++) {
		if (node >> SHUNT_BLOB_NODE_KIND_SHIFT != SHUNT_BLOB_NODE_TABLE)
			break;
		index = shunt_set_bits(hi, lo, node >> SHUNT_BLOB_NODE_FROM_SHIFT & 127,
				       &rest);
		index = (index >> 1) >>
			((63 - (node >> SHUNT_BLOB_NODE_BITS_SHIFT & 15)) & 63);
		w = shunt_set_line(blob, (__u32)node + (__u32)(index >> 3));
		if (!w)
			return 0;
		node = w[index & 7];
	}
	if (node >> SHUNT_BLOB_NODE_KIND_SHIFT == 0)
		return node & 1;
	if (node >> SHUNT_BLOB_NODE_KIND_SHIFT == SHUNT_BLOB_NODE_TABLE)
		return 0;
	if ((node >> SHUNT_BLOB_NODE_STEPS_SHIFT & 7) == SHUNT_BLOB_STEPS_INDEX) {
		w = shunt_set_line(blob, node);
		if (!w)
			return 0;
		i = shunt_set_leaf(w, hi, lo, node >> SHUNT_BLOB_NODE_BITS_SHIFT & 127);
		node &= ~(7ull << SHUNT_BLOB_NODE_STEPS_SHIFT);
		node |= (w[SHUNT_BLOB_WORDS - 1] >> (2 * i & 63) & 3)
			<< SHUNT_BLOB_NODE_WIDE_SHIFT;
		node += 1 + i;
	}
	return shunt_set_bucket(blob, node, hi, lo);
}

/* As two halves in host order; IPv4 stands in the uppermost 32 bits. */
SHUNT_INLINE int shunt_set_search(void *blob, int ip4, __u64 hi, __u64 lo)
{
	const struct shunt_blob_head *head = (const void *)shunt_set_line(blob, 0);

	if (!head || head->magic != SHUNT_BLOB_MAGIC)
		return 0;
	if (ip4)
		return head->root4 ? shunt_set_has4(blob, head->root4, hi >> 32) : 0;
	return head->root6 ? shunt_set_has6(blob, head->root6, hi, lo) : 0;
}

#ifdef __bpf__
/*
 * Is the address, or the address with the packet's protocol and port (`service`,
 * SHUNT_SERVICE_NONE where it has none), in the set? A global function, so that the loop
 * over a policy's sets is cheap to verify.
 */
__noinline int shunt_set_find(__u32 id, __u32 type, __u32 l3,
			      const struct shunt_addr6 *addr, __u32 service)
{
	struct shunt_service key;
	int ip4 = l3 == SHUNT_L3_IP4;
	void *inner;
	__u64 hi;

	if (!addr)
		return 0;
	if (type == SHUNT_SET_SERVICE) {
		/* copied: Linux 6.1 takes keys from the own stack only */
		key.addr[0] = addr->addr[0];
		key.addr[1] = ip4 ? 0 : addr->addr[1];
		key.addr[2] = ip4 ? 0 : addr->addr[2];
		key.addr[3] = ip4 ? 0 : addr->addr[3];
		key.port = service;
		key.proto = service >> 16;
		key.family = ip4 ? 4 : 6;
		inner = bpf_map_lookup_elem(&shunt_service, &id);
		return inner && service != SHUNT_SERVICE_NONE &&
		       bpf_map_lookup_elem(inner, &key);
	}
	inner = bpf_map_lookup_elem(&shunt_set, &id);
	if (!inner)
		return 0;
	hi = (__u64)shunt_be32(addr->addr[0]) << 32;
	if (ip4)
		return shunt_set_search(inner, 1, hi, 0);
	return shunt_set_search(inner, 0, hi | shunt_be32(addr->addr[1]),
				(__u64)shunt_be32(addr->addr[2]) << 32 |
					shunt_be32(addr->addr[3]));
}

static __always_inline int shunt_set_has(__u32 id, __u32 type, __u32 l3,
					 const __u32 addr[4], __u32 service)
{
	return shunt_set_find(id, type, l3, (const struct shunt_addr6 *)addr, service);
}
#endif
