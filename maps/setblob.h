/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A set of addresses or prefixes as one relocatable block of cache lines. */
#pragma once

/*
 * A blob is an array of 64-byte lines; all references are numbers of lines from its
 * start. It is built in plain memory (loader/setblob.c) and copied into an inner map
 * (maps/set.h), whose elements are the lines.
 *
 *     line 0      struct shunt_blob_head
 *     root4       u32 node[65536], by the upper 16 bits; absent where no IPv4 is in
 *     root6       u64 node[65536], likewise
 *     arena       buckets and tables; single edits take from its free end
 *     log         struct shunt_blob_record[]: edits since the blob was built
 *     element4/6  what the set was built from, sorted by address, then by length
 *
 * A node says what holds for the addresses below it: none is in, all are in, a table
 * (IPv6) says it by further bits, or a bucket of 2^steps lines has sorted keys. Keys are
 * `wide` bits of the address from bit `from` on, 16 << wide of them:
 *
 *     ranges   boundaries; an address is in where the number of keys that are not above
 *              it is odd. The bits behind the key are 0 in all of them.
 *     points   single addresses; an address is in where a key equals it
 *     bitmap   one bit an address, where keys would take more lines (IPv4)
 *
 * Room in front of the keys is filled with zeros (ranges; `flip` says that their number
 * is odd) or with copies of the first key (points). A table may stand behind bits that
 * all elements below it share: these bits are skipped, not compared. Then the keys of
 * the buckets below begin in front of the gap, so that the comparison is made there.
 *
 * An edit writes the changed bucket into free lines and then stores its node, at once:
 * a reader sees the old bucket or the new one. Lines are never used a second time in
 * one blob. The blob's own order makes edits safe against a kill:
 *
 *     record ─▶ logged ─▶ bucket ─▶ node ─▶ applied
 *
 * What is logged and not applied is applied by the next writer.
 *
 * Written by: user space, under the instance's lock. Read by: the programs (the root
 * numbers and what they lead to), and user space (all).
 */
#include "maps/type.h"

#define SHUNT_BLOB_MAGIC 0x31746573 /* "set1": this layout */
#define SHUNT_BLOB_LINE 64	    /* bytes */
#define SHUNT_BLOB_WORDS 8	    /* of 8 bytes, a line */
#define SHUNT_BLOB_ROOT 65536	    /* nodes of a root */
#define SHUNT_BLOB_ROOT4_LINES (SHUNT_BLOB_ROOT / 16)
#define SHUNT_BLOB_ROOT6_LINES (SHUNT_BLOB_ROOT / 8)
#define SHUNT_BLOB_BITMAP_LINES 128
#define SHUNT_BLOB_STEPS_MAX 6 /* a bucket has at most 64 lines */
/* Tables on a way: each one but the last takes 3 bits or more of the 112. */
#define SHUNT_BLOB_TABLES_MAX 40

struct shunt_blob_head {
	__u32 magic;
	__u32 lines; /* of the whole blob */
	__u32 root4; /* 0: none */
	__u32 root6; /* 0: none */
	__u32 free;  /* the arena's first free line */
	__u32 end;   /* the first line behind the arena */
	__u32 log;
	__u32 log_room; /* records */
	__u32 logged;	/* records that hold */
	__u32 applied;	/* records that the nodes show */
	__u32 element4;
	__u32 elements4;
	__u32 element6;
	__u32 elements6;
	__u32 pad[2];
};

/* IPv4's nodes are the upper half of this, with the line in the lower bits. */
#define SHUNT_BLOB_NODE_NONE 0ull
#define SHUNT_BLOB_NODE_ALL 1ull
#define SHUNT_BLOB_NODE_KIND_SHIFT 62 /* 0: none or all */
#define SHUNT_BLOB_NODE_RANGES 1u
#define SHUNT_BLOB_NODE_POINTS 2u
#define SHUNT_BLOB_NODE_TABLE 3u  /* in IPv6 */
#define SHUNT_BLOB_NODE_BITMAP 3u /* in IPv4 */
#define SHUNT_BLOB_NODE_FLIP_SHIFT 61
#define SHUNT_BLOB_NODE_STEPS_SHIFT 58 /* 3 bits: log2 of a bucket's lines */
#define SHUNT_BLOB_NODE_WIDE_SHIFT 56  /* 2 bits */
#define SHUNT_BLOB_NODE_FROM_SHIFT 48  /* 7 bits: first bit of the keys, of the index */
#define SHUNT_BLOB_NODE_BITS_SHIFT 40  /* 4 bits: a table has 2^bits nodes */
#define SHUNT_BLOB_NODE_HIGH4 0xfc000000u
#define SHUNT_BLOB_NODE_LINE4 0x03ffffffu

/* Of a table: at most so many bits. */
#define SHUNT_BLOB_TABLE_BITS 8

/* An element, or an edit: IPv4 stands in the uppermost 32 bits of hi. */
struct shunt_blob_record {
	__u64 hi, lo; /* host order */
	__u8 bits;
	__u8 family; /* 4 or 6 */
	__u8 add;    /* 1, or 0: deleted */
	__u8 pad[13];
};

struct shunt_blob_element6 {
	__u64 hi, lo; /* host order */
	__u64 bits;
};

/* IPv4's elements are u64: address << 8 | bits. */

_Static_assert(sizeof(struct shunt_blob_head) == SHUNT_BLOB_LINE, "one line");
_Static_assert(sizeof(struct shunt_blob_record) == 32, "two a line");
