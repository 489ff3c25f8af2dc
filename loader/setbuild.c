/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/setbuild.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef shunt_u128 u128;

#define KEYS4_MAX 2048 /* keys of a bucket in IPv4; more become a bitmap */

uint32_t shunt_setbuild_lines(struct shunt_setbuild *build, uint32_t n)
{
	uint32_t at = build->used;

	if (build->failed)
		return 0;
	if (n > build->room - at && build->grows && build->room < UINT32_MAX / 4) {
		uint32_t room = 2 * build->room + n;
		void *more = realloc(build->line, (size_t)room * SHUNT_BLOB_LINE);

		if (more) {
			build->line = more;
			build->room = room;
		}
	}
	if (n > build->room - at) {
		build->failed = true;
		return 0;
	}
	memset(build->line[at], 0, (size_t)n * SHUNT_BLOB_LINE);
	build->used += n;
	return at;
}

/* log2 of the lines that hold so many bytes. */
static uint32_t steps_of(size_t bytes)
{
	uint32_t steps = 0;

	while (((size_t)SHUNT_BLOB_LINE << steps) < bytes)
		steps++;
	return steps;
}

static uint64_t put(unsigned int shift, uint64_t value)
{
	return value << shift;
}

/* --- IPv4 --------------------------------------------------------------------- */

struct part {
	uint32_t lo, hi; /* inclusive, within 65,536 */
};

static struct part part4(const struct shunt_setrange *iv, uint32_t upper)
{
	uint32_t lo = iv->lo >> 96, hi = iv->hi >> 96, base = upper << 16;

	return (struct part){
		lo > base ? lo - base : 0,
		hi < (base | 0xffff) ? hi - base : 0xffff,
	};
}

static uint32_t bitmap4(struct shunt_setbuild *build, const struct shunt_setrange *iv,
			size_t n, uint32_t upper)
{
	uint32_t line = shunt_setbuild_lines(build, SHUNT_BLOB_BITMAP_LINES), a;
	uint64_t *bits = build->failed ? NULL : build->line[line];
	size_t i;

	for (i = 0; bits && i < n; i++) {
		struct part p = part4(&iv[i], upper);

		for (a = p.lo; a <= p.hi; a++)
			bits[a / 64] |= 1ull << a % 64;
	}
	return SHUNT_BLOB_NODE_BITMAP << 30 | line;
}

uint32_t shunt_setbuild_node4(struct shunt_setbuild *build,
			      const struct shunt_setrange *iv, size_t n, uint32_t upper)
{
	size_t i, sum = 0, keys = 2 * n;
	uint32_t steps, line, kind = SHUNT_BLOB_NODE_RANGES, k = 0, a;
	struct part p = { 0, 0 };
	uint16_t *key;

	for (i = 0; i < n; i++) {
		p = part4(&iv[i], upper);
		sum += p.hi - p.lo + 1;
	}
	if (sum == 0 || sum == 65536)
		return sum ? SHUNT_BLOB_NODE_ALL : SHUNT_BLOB_NODE_NONE;
	keys -= p.hi == 0xffff;
	if (sum <= keys) {
		kind = SHUNT_BLOB_NODE_POINTS;
		keys = sum;
	}
	if (keys > KEYS4_MAX)
		return bitmap4(build, iv, n, upper);
	steps = steps_of(2 * keys);
	line = shunt_setbuild_lines(build, 1u << steps);
	if (build->failed)
		return 0;
	key = (uint16_t *)build->line[line] + ((32u << steps) - keys);
	for (i = 0; i < n; i++) {
		p = part4(&iv[i], upper);
		if (kind == SHUNT_BLOB_NODE_POINTS) {
			for (a = p.lo; a <= p.hi; a++)
				key[k++] = a;
			continue;
		}
		key[k++] = p.lo;
		if (p.hi != 0xffff)
			key[k++] = p.hi + 1;
	}
	assert(k == keys);
	for (a = 0; kind == SHUNT_BLOB_NODE_POINTS && a < (32u << steps) - keys; a++)
		((uint16_t *)build->line[line])[a] = *key;
	return kind << 30 | (keys & 1 && kind == SHUNT_BLOB_NODE_RANGES) << 29 |
	       steps << 26 | line;
}

/* --- IPv6 --------------------------------------------------------------------- */

static u128 ones_behind(unsigned int bits)
{
	return bits >= 128 ? 0 : ~(u128)0 >> bits;
}

/* What a bucket of these intervals would look like. */
struct shape {
	bool points;
	unsigned int wide;
	size_t keys;
	size_t bytes; /* if each interval's keys were as wide as they need alone */
};

static unsigned int wide_of(unsigned int bits)
{
	return bits <= 16 ? 0 : bits <= 32 ? 1 : bits <= 64 ? 2 : 3;
}

static u128 clip_lo(const struct shunt_setrange *iv, u128 lo)
{
	return iv->lo > lo ? iv->lo : lo;
}

static u128 clip_hi(const struct shunt_setrange *iv, u128 hi)
{
	return iv->hi < hi ? iv->hi : hi;
}

static size_t bytes_of(size_t keys, unsigned int wide)
{
	return keys << (wide + 1);
}

static unsigned int zeros_behind(u128 x)
{
	return (uint64_t)x ? __builtin_ctzll(x) : 64 + __builtin_ctzll(x >> 64);
}

/* The last address that shares the known bits: a boundary behind it needs no key. */
static u128 known_end(struct shunt_setslice s)
{
	return s.lo | ones_behind(s.known);
}

static struct shape shape_ranges(const struct shunt_setrange *iv, size_t n,
				 struct shunt_setslice s)
{
	u128 end = s.lo | ones_behind(s.bits), last = 0;
	struct shape shape = { .keys = 2 * n };
	size_t i;

	for (i = 0; i < n; i++) {
		u128 any = clip_lo(&iv[i], s.lo);
		unsigned int used, wide;

		last = clip_hi(&iv[i], end);
		if (last != known_end(s))
			any |= last + 1;
		any &= ones_behind(s.known);
		used = any ? 128 - zeros_behind(any) : s.known + 1;
		wide = wide_of(used - s.known);
		shape.wide = wide > shape.wide ? wide : shape.wide;
		shape.bytes += bytes_of(2, wide);
	}
	shape.keys -= last == known_end(s);
	return shape;
}

static struct shape shape_of(const struct shunt_setrange *iv, size_t n,
			     struct shunt_setslice s)
{
	struct shape shape = shape_ranges(iv, n, s);
	unsigned int wide = wide_of(128 - s.known);
	u128 end = s.lo | ones_behind(s.bits), sum = 0;
	size_t i;

	for (i = 0; i < n && sum <= 2 * n; i++)
		sum += clip_hi(&iv[i], end) - clip_lo(&iv[i], s.lo) + 1;
	if (sum <= 2 * n && bytes_of(sum, wide) <= bytes_of(shape.keys, shape.wide))
		shape = (struct shape){ true, wide, sum, bytes_of(sum, wide) };
	return shape;
}

/* Bits known..known + (16 << wide) of an address, into a line's bytes. */
static void put_key(uint8_t *at, size_t i, u128 addr, struct shunt_setslice s,
		    unsigned int wide)
{
	unsigned int bits = 16u << wide;
	u128 key = addr << s.known >> (128 - bits);
	uint64_t word[2] = { key, 0 };

	if (wide == 3) {
		word[0] = key >> 64;
		word[1] = key;
	}
	memcpy(at + i * (bits / 8), word, bits / 8);
}

/* The keys of intervals, at the end of a line; in front of them, room is filled. */
static void put_line(uint8_t *at, const struct shunt_setrange *iv, size_t n,
		     struct shunt_setslice s, const struct shape *shape)
{
	size_t room = SHUNT_BLOB_LINE >> (shape->wide + 1), i, k, f;
	u128 end = s.lo | ones_behind(s.bits), a;

	k = f = room - shape->keys;
	for (i = 0; i < n; i++) {
		u128 lo = clip_lo(&iv[i], s.lo), hi = clip_hi(&iv[i], end);

		if (shape->points) {
			for (a = hi - lo + 1; a; a--)
				put_key(at, k++, hi - a + 1, s, shape->wide);
			continue;
		}
		put_key(at, k++, lo, s, shape->wide);
		if (hi != known_end(s))
			put_key(at, k++, hi + 1, s, shape->wide);
	}
	assert(k == room);
	for (k = 0; shape->points && k < f; k++)
		put_key(at, k, clip_lo(&iv[0], s.lo), s, shape->wide);
}

static uint64_t bucket_node(const struct shape *shape, struct shunt_setslice s,
			    uint32_t steps, uint32_t line)
{
	return put(SHUNT_BLOB_NODE_KIND_SHIFT,
		   shape->points ? SHUNT_BLOB_NODE_POINTS : SHUNT_BLOB_NODE_RANGES) |
	       put(SHUNT_BLOB_NODE_FLIP_SHIFT, !shape->points && shape->keys & 1) |
	       put(SHUNT_BLOB_NODE_STEPS_SHIFT, steps) |
	       put(SHUNT_BLOB_NODE_WIDE_SHIFT, shape->wide) |
	       put(SHUNT_BLOB_NODE_FROM_SHIFT, s.known) | line;
}

static uint64_t bucket6(struct shunt_setbuild *build, const struct shunt_setrange *iv,
			size_t n, struct shunt_setslice s, const struct shape *shape)
{
	uint32_t line = shunt_setbuild_lines(build, 1);

	if (!build->failed)
		put_line((uint8_t *)build->line[line], iv, n, s, shape);
	return bucket_node(shape, s, 0, line);
}

static unsigned int common_bits(u128 a, u128 b)
{
	uint64_t hi = (a ^ b) >> 64, lo = a ^ b;

	return hi ? __builtin_clzll(hi) : 64 + __builtin_clzll(lo);
}

/* The bits that separators look at. */
static uint32_t bits16(u128 addr, unsigned int from)
{
	return addr << from >> 112;
}

/* Where the leaves begin, as places in iv[]; `from` is the separators' first bit. */
struct cuts {
	size_t at[SHUNT_BLOB_LEAVES + 1];
	struct shape leaf[SHUNT_BLOB_LEAVES];
	size_t n;
	unsigned int from;
};

static struct shape shape_leaf(const struct shunt_setrange *iv, size_t n,
			       struct shunt_setslice s, const struct shape *all)
{
	u128 end = s.lo | ones_behind(s.bits);
	struct shape leaf = { true, all->wide, 0, 0 };
	size_t i;

	if (!all->points)
		return shape_ranges(iv, n, s);
	for (i = 0; i < n; i++)
		leaf.keys += clip_hi(&iv[i], end) - clip_lo(&iv[i], s.lo) + 1;
	return leaf;
}

/*
 * Deals intervals out to leaves, as many to each as fit in a line. A leaf may end where
 * the next interval's 16 bits are above all of the last one's. False: it cannot be.
 */
static bool cut(const struct shunt_setrange *iv, size_t n, struct shunt_setslice s,
		const struct shape *shape, struct cuts *cuts)
{
	u128 end = s.lo | ones_behind(s.bits);
	size_t from, to, good;

	cuts->n = 0;
	cuts->from = common_bits(clip_lo(&iv[0], s.lo), clip_hi(&iv[n - 1], end));
	if (iv[n - 1].hi >= known_end(s)) /* its leaf would have an odd boundary */
		return false;
	for (from = 0; from < n; from = good) {
		good = from;
		for (to = from + 1; to <= n; to++) {
			struct shape leaf = shape_leaf(iv + from, to - from, s, shape);

			if (bytes_of(leaf.keys, leaf.wide) > SHUNT_BLOB_LINE)
				break;
			if (to < n && bits16(iv[to].lo, cuts->from) <=
					      bits16(iv[to - 1].hi, cuts->from))
				continue;
			good = to;
			if (cuts->n < SHUNT_BLOB_LEAVES)
				cuts->leaf[cuts->n] = leaf;
		}
		if (good == from || cuts->n == SHUNT_BLOB_LEAVES)
			return false;
		cuts->at[cuts->n++] = from;
	}
	cuts->at[cuts->n] = n;
	return true;
}

static uint64_t index6(struct shunt_setbuild *build, const struct shunt_setrange *iv,
		       struct shunt_setslice s, const struct cuts *cuts)
{
	uint32_t line = shunt_setbuild_lines(build, 1 + cuts->n);
	struct shape node = { .points = cuts->leaf[0].points };
	uint16_t *separator;
	uint64_t *wide;
	size_t c;

	if (build->failed)
		return 0;
	separator = (uint16_t *)build->line[line];
	wide = &build->line[line][SHUNT_BLOB_WORDS - 1];
	memset(separator, 0xff, SHUNT_BLOB_LINE);
	for (*wide = 0, c = 0; c < cuts->n; c++) {
		const struct shunt_setrange *first = &iv[cuts->at[c]];

		if (c)
			separator[c - 1] = bits16(clip_lo(first, s.lo), cuts->from) - 1;
		*wide |= (uint64_t)cuts->leaf[c].wide << 2 * c;
		put_line((uint8_t *)build->line[line + 1 + c], first,
			 cuts->at[c + 1] - cuts->at[c], s, &cuts->leaf[c]);
	}
	return bucket_node(&node, s, SHUNT_BLOB_STEPS_INDEX, line) |
	       put(SHUNT_BLOB_NODE_BITS_SHIFT, cuts->from);
}

/* Bits of a table: so many that an index with its leaves is half full on average. */
static unsigned int table_bits(const struct shape *shape, unsigned int from)
{
	size_t indexes = shape->bytes / (SHUNT_BLOB_LINE * SHUNT_BLOB_LEAVES / 2);
	unsigned int bits = 3;

	while (bits < SHUNT_BLOB_TABLE_BITS && ((size_t)1 << bits) < indexes)
		bits++;
	return bits < 128 - from ? bits : 128 - from;
}

static uint64_t table6(struct shunt_setbuild *build, const struct shunt_setrange *iv,
		       size_t n, struct shunt_setslice s, const struct shape *shape)
{
	u128 first = clip_lo(&iv[0], s.lo);
	u128 last = clip_hi(&iv[n - 1], s.lo | ones_behind(s.bits));
	unsigned int from = common_bits(first, last), bits = table_bits(shape, from);
	uint32_t nodes = 1u << bits,
		 line = shunt_setbuild_lines(build, (nodes + 7) / 8);
	struct shunt_setslice child = { .bits = from + bits };
	size_t i = 0, j;
	uint32_t c;

	child.known = from == s.known ? from + bits : s.known;
	for (c = 0; !build->failed && c < nodes; c++) {
		u128 end;
		uint64_t node;

		child.lo = (first & ~ones_behind(from)) |
			   (child.bits < 128 ? (u128)c << (128 - child.bits) : c);
		end = child.lo | ones_behind(child.bits);
		while (i < n && iv[i].hi < child.lo)
			i++;
		for (j = i; j < n && iv[j].lo <= end; j++)
			;
		node = shunt_setbuild_node6(build, iv + i, j - i, child);
		if (!build->failed)
			build->line[line + c / 8][c % 8] = node;
	}
	return put(SHUNT_BLOB_NODE_KIND_SHIFT, SHUNT_BLOB_NODE_TABLE) |
	       put(SHUNT_BLOB_NODE_FROM_SHIFT, from) |
	       put(SHUNT_BLOB_NODE_BITS_SHIFT, bits) | line;
}

/*
 * Behind skipped bits "all" would be said of addresses that differ in them, hence a
 * bucket there, whose keys tell. "None" is right: what shares not the skipped bits of
 * all elements is in none of them.
 */
uint64_t shunt_setbuild_node6(struct shunt_setbuild *build,
			      const struct shunt_setrange *iv, size_t n,
			      struct shunt_setslice slice)
{
	u128 end = slice.lo | ones_behind(slice.bits);
	struct shape shape;
	struct cuts cuts;

	if (!n)
		return SHUNT_BLOB_NODE_NONE;
	if (iv[0].lo <= slice.lo && iv[0].hi >= end && slice.known == slice.bits)
		return SHUNT_BLOB_NODE_ALL;
	shape = shape_of(iv, n, slice);
	if (bytes_of(shape.keys, shape.wide) <= SHUNT_BLOB_LINE)
		return bucket6(build, iv, n, slice, &shape);
	if (shape.bytes <= SHUNT_BLOB_LEAVES * SHUNT_BLOB_LINE &&
	    cut(iv, n, slice, &shape, &cuts))
		return index6(build, iv, slice, &cuts);
	return table6(build, iv, n, slice, &shape);
}
