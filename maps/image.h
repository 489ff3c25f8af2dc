/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The compiled policy: one relocatable block of tables. */
#pragma once

/*
 * An image is built in plain memory (loader/policy/compile.c), copied into the idle
 * slot of the mapped array, and ruled by the generation word (maps/gen.h). All
 * references are byte offsets from the image's start, so that it can be copied, hashed
 * and saved whole.
 *
 * Classification is by aggregated classes: every field of the packet is looked up in a
 * table of its own and gives a class; a class is a bit vector over the rules (bit r of
 * word r / 64: the field does not speak against rule r). The vectors of all fields are
 * ANDed; the first set bit is the first rule that matches.
 * (Lakshman, Stiliadis: High-speed policy-based packet forwarding, SIGCOMM 1998.)
 *
 *     header ─▶ field tables   u16 class by index          (fields that the policy
 * uses) ─▶ address roots  u32 node by the upper 16 bits of the address ─▶ buckets
 * sorted starts inside one root entry, and their classes ─▶ vectors SHUNT_IMAGE_WORDS x
 * u64 by class, shared by all tables ─▶ rules          what to do, by place; the last
 * one is the default
 *
 * Named sets cannot be part of the tables, for they change without a new image. A rule
 * that names a set lacks its bit in the address vectors; a set that contains the
 * address ORs its own vector in.
 *
 * Written by: user space, into the slot that does not rule. Read by: the programs.
 */
#include "maps/config.h"
#include "maps/field.h"
#include "maps/pkt.h"
#include "maps/set.h"
#include "maps/type.h"

#define SHUNT_RULE_MAX 16384
#define SHUNT_VECTOR_MAX 256 /* rules of a policy that is searched by bit vectors */
#define SHUNT_IMAGE_WORDS (SHUNT_VECTOR_MAX / 64)
#define SHUNT_IMAGE_BYTES (64u << 20) /* one slot at most: offsets reach as far */

/* How much of it there is. BPF's slot has the size that it was loaded for. */
#ifdef __bpf__
#define SHUNT_IMAGE_ROOM shunt_config.image_bytes
#else
#define SHUNT_IMAGE_ROOM SHUNT_IMAGE_BYTES
#endif

/* A field's table: u16 class[values + 1], by the index of struct shunt_pkt. */
struct shunt_image_field {
	__u32 table; /* offset of the table */
	__u32 field; /* enum shunt_field */
};

struct shunt_image_set {
	__u16 id;    /* place in the outer set maps */
	__u16 type;  /* enum shunt_set_type */
	__u32 class; /* rules that name this set on this side */
};

struct shunt_image_side {
	__u32 used;  /* 0: no rule looks at this address */
	__u32 none;  /* class of a packet that is not IP */
	__u32 root4; /* offset of u32 node[65536] */
	__u32 root6;
	__u32 sets; /* how many of set[] */
	__u32 pad;
	struct shunt_image_set set[SHUNT_SET_MAX];
};

/*
 * A node of an address root: a class, or a bucket of 2^steps sorted entries. A bucket
 * of n entries is n starts followed by n u16 classes. The class of an address is that
 * of the last start that is not above it. The first start of a bucket is its lower
 * bound; room up to the power of two is filled with copies of the last entry.
 */
#define SHUNT_NODE_BUCKET (1u << 31)
#define SHUNT_NODE_STEPS_SHIFT 26
#define SHUNT_NODE_STEPS_MASK 31u		/* log2 of the entries, at most 17 */
#define SHUNT_NODE_OFFSET_MASK ((1u << 23) - 1) /* in units of 8 bytes */
#define SHUNT_NODE_STEPS_MAX 17

struct shunt_start6 {
	__u64 hi, lo; /* host order */
};

struct shunt_image_rule {
	__u32 counter; /* counter id (maps/counter.h) */
	__u32 arg;     /* ifindex, CPU, or consumer slot */
	__u8 action;   /* enum shunt_verdict, or SHUNT_ACTION_COUNT */
	__u8 if_down;  /* for a consumer that is not there: PASS or DROP */
	__u16 pad;
	__u32 mods; /* offset of struct shunt_image_mods (maps/mods.h); 0: none */
};

struct shunt_image {
	__u32 abi;   /* SHUNT_ABI */
	__u32 bytes; /* of the whole image */
	__u64 generation;
	__u32 rules;  /* number of rules, the default not counted */
	__u32 rule;   /* offset of struct shunt_image_rule[rules + 1] */
	__u32 vector; /* offset of u64[vectors][SHUNT_IMAGE_WORDS] */
	__u32 vectors;
	__u32 malformed; /* enum shunt_verdict for malformed packets: PASS or DROP */
	__u32 fields;	 /* how many of field[] */
	__u32 features;	 /* that a program must have: enum shunt_feature */
	__u32 pad;
	struct shunt_image_field field[SHUNT_FIELD_NARROW];
	struct shunt_image_side side[SHUNT_SIDES];
};

_Static_assert(sizeof(struct shunt_image_rule) == 16, "shared with pinned maps");
_Static_assert(sizeof(struct shunt_image) ==
		       48 + 8 * SHUNT_FIELD_NARROW + 2 * (24 + 8 * 32),
	       "shared with pinned maps");

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct shunt_image)); /* the loader's to choose */
} shunt_image SEC(".maps");
#endif
