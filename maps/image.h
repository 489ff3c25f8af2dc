/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The compiled policy: one relocatable block of tables. */
#pragma once

/*
 * An image is built in plain memory (loader/policy/compile.c), copied into the idle
 * slot of the mapped array, and ruled by the generation word (maps/gen.h). All
 * references are byte offsets from the image's start, so that it can be copied, hashed
 * and saved whole.
 *
 * A lookup takes one field or address of the packet to a small number, its class:
 * fields by a table, addresses and wide fields by a search. A class is a bit vector over
 * the rules (the field does not speak against rule r); the vectors of all lookups are
 * ANDed, and what is left are the rules that match. (Lakshman, Stiliadis: High-speed
 * policy-based packet forwarding, SIGCOMM 1998.) Two engines do so; a packet's rule is
 * the first of both.
 *
 * Vectors, for up to SHUNT_VECTOR_MAX rules, are short and ANDed as a whole.
 *
 * Words, for any number of rules: on top of each vector stands its summary, a bit for
 * each word that is not zero; only words that all summaries name are ANDed. (Baboescu,
 * Varghese: Scalable packet classification, SIGCOMM 2001: aggregation, and rules
 * rearranged.) Rules that are alike stand in the same word, so that few words are named
 * by all; the first rule of each word is known, so that a word is skipped that cannot have
 * a better one than was found. Vectors are long and alike, so that they consist of pages of
 * 8 words, a cache line; equal pages are kept once.
 *
 * Named sets are no part of the tables, for they change without a new image.
 *
 * Written by: user space, into the slot that does not rule. Read by: the programs.
 */
#include "maps/config.h"
#include "maps/field.h"
#include "maps/pkt.h"
#include "maps/set.h"
#include "maps/type.h"

#define SHUNT_RULE_MAX 16384
#define SHUNT_VECTOR_MAX 256 /* rules by bit vectors */
#define SHUNT_IMAGE_WORDS (SHUNT_VECTOR_MAX / 64)
#define SHUNT_IMAGE_BYTES (64u << 20) /* one slot at most: offsets reach as far */

/* How much of it there is. BPF's slot has the size that it was loaded for. */
#ifdef __bpf__
#define SHUNT_IMAGE_ROOM shunt_config.image_bytes
#else
#define SHUNT_IMAGE_ROOM SHUNT_IMAGE_BYTES
#endif

/* --- lookups ----------------------------------------------------------------- */

#define SHUNT_NARROW_MAX                                                               \
	24 /* narrow fields of both layers; those of TUNNEL only once */
#define SHUNT_WIDE_MAX 6
#define SHUNT_SIDE_MAX (SHUNT_LAYERS * SHUNT_SIDES)
#define SHUNT_LOOKUP_MAX (SHUNT_NARROW_MAX + SHUNT_WIDE_MAX + SHUNT_SIDE_MAX)

/* A narrow field: u16 class[values + 1], by the index of struct shunt_layer. */
struct shunt_image_narrow {
	__u32 table; /* offset of the table */
	__u16 word;  /* layer * SHUNT_LAYER_WORDS + enum shunt_field */
	__u16 slot;  /* where the class goes: struct shunt_search's x[] */
};

/* A wide field: root by the upper 16 bits of its index << shift. */
struct shunt_image_wide {
	__u32 root;
	__u8 field; /* layer * SHUNT_FIELD_STRIDE + enum shunt_field */
	__u8 shift; /* so that the widest index reaches bit 63 */
	__u16 slot;
};

/* An address: layer * SHUNT_SIDES + enum shunt_side is its place. */
struct shunt_image_side {
	__u32 root4; /* offset of u32 node[65536]; 0: no rule looks at this address */
	__u32 root6; /* 0 where no rule has an IPv6 prefix */
	__u16 none;  /* class where the packet has no such address */
	__u16 any6;  /* class of all IPv6 addresses, where root6 is 0 */
	__u16 slot;
	__u16 pad;
};

/*
 * A node of a root: a class, or a bucket of 2^steps sorted entries. A bucket of n entries
 * is n starts followed by n u16 classes. The class of a value is that of the last start
 * that is not above it. The first start of a bucket is its lower bound; room up to the
 * power of two is filled with copies of the last entry. Starts are the lower 16 bits of an
 * IPv4 address, the whole of a wide value, the upper 64 bits of an IPv6 address, or, where
 * SHUNT_NODE_LONG says so, all its bits; all in host order.
 */
#define SHUNT_NODE_BUCKET (1u << 31)
#define SHUNT_NODE_STEPS_SHIFT 26
#define SHUNT_NODE_STEPS_MASK 31u /* log2 of the entries, at most 17 */
#define SHUNT_NODE_LONG (1u << 25)
#define SHUNT_NODE_OFFSET_MASK ((1u << 25) - 1) /* in units of 8 bytes */
#define SHUNT_NODE_STEPS_MAX 17

struct shunt_start6 {
	__u64 hi, lo;
};

struct shunt_image_tables {
	__u32 narrows, wides; /* how many there are of each */
	__u32 slots;	      /* of x[], in all */
	__u32 pad;
	struct shunt_image_narrow narrow[SHUNT_NARROW_MAX];
	struct shunt_image_wide wide[SHUNT_WIDE_MAX];
	struct shunt_image_side side[SHUNT_SIDE_MAX];
	__u32 pad2[2];
};

/* --- sets -------------------------------------------------------------------- */

/* One set, asked about one address. */
struct shunt_image_set {
	__u16 id;    /* place in the outer set maps */
	__u8 type;   /* enum shunt_set_type */
	__u8 bit;    /* in struct shunt_search's in[], by set of the policy */
	__u16 where; /* layer * SHUNT_SIDES + enum shunt_side */
	__u16 pad;
	/* By enum shunt_engine: class of rules that want the address in it, or out of it. */
	__u16 in[2], out[2];
};

#define SHUNT_ASK_MAX (SHUNT_SET_MAX * SHUNT_SIDE_MAX)

/* --- the engines ------------------------------------------------------------- */

enum shunt_engine { SHUNT_ENGINE_VECTORS = 0, SHUNT_ENGINE_WORDS = 1 };

struct shunt_image_vectors {
	__u32 rules;   /* bits in use; 0: this engine has no rule */
	__u32 place;   /* offset of u16 place[rules]: the rule's place in the policy,
			  ascending; a rule may have several bits */
	__u32 vector;  /* offset of u64[vectors][SHUNT_IMAGE_WORDS] */
	__u32 vectors; /* how many */
	/* By place of the address: class of rules that ask for no set there, and which
	 * of the image's set[] are asked there. */
	__u16 free[SHUNT_SIDE_MAX];
	__u16 ask[SHUNT_SIDE_MAX], asks[SHUNT_SIDE_MAX];
	struct shunt_image_tables tables;
};

#define SHUNT_WORD_MAX 512 /* words of a vector; rules may have several bits */
#define SHUNT_SUMMARY_MAX (SHUNT_WORD_MAX / 64)
#define SHUNT_PAGE_WORDS 8
#define SHUNT_WORD_FEW 6 /* lookups that are ANDed without a loop */

struct shunt_image_words {
	__u32 words;	 /* u64 of a vector, its summary not counted; 0: no rule here */
	__u32 summaries; /* u64 of a summary */
	__u32 vector;	 /* offset of the vectors: summary, then u32 offsets of pages */
	__u32 stride;	 /* bytes from vector to vector */
	__u32 first;	 /* offset of u32 first[words]: place of a word's first rule */
	__u32 place;	 /* offset of u16 place[words * 64], ascending in each word */
	__u32 ones;	 /* offset of a vector's pages that have all bits set: for
			    lookups that the policy does not have, up to
			    SHUNT_WORD_FEW */
	__u32 more;	 /* there are more lookups, or sets */
	/* As in struct shunt_image_vectors. */
	__u16 free[SHUNT_SIDE_MAX];
	__u16 ask[SHUNT_SIDE_MAX], asks[SHUNT_SIDE_MAX];
	struct shunt_image_tables tables;
};

/* --- rules ------------------------------------------------------------------- */

struct shunt_image_rule {
	__u32 counter; /* counter id (maps/counter.h) */
	__u32 arg;     /* ifindex, CPU, or consumer slot */
	__u8 action;   /* enum shunt_verdict, or SHUNT_ACTION_COUNT */
	__u8 if_down;  /* for a consumer that is not there: PASS or DROP */
	__u8 kind;     /* of a consumer: enum shunt_consumer_kind */
	__u8 pad;
	__u32 mods; /* offset of struct shunt_image_mods (maps/mods.h); 0: none */
};

struct shunt_image {
	__u32 abi;   /* SHUNT_ABI */
	__u32 bytes; /* of the whole image */
	__u64 generation;
	__u32 features;	 /* that it needs: enum shunt_feature */
	__u32 rules;	 /* number of rules, the default not counted */
	__u32 rule;	 /* offset of struct shunt_image_rule[rules + 1], by place; the
			    last one is the default */
	__u32 malformed; /* enum shunt_verdict for malformed packets: PASS or DROP */
	__u32 sets;	 /* how many of set[]; sorted by where */
	__u32 pad;
	struct shunt_image_set set[SHUNT_ASK_MAX];
	struct shunt_image_vectors vectors;
	struct shunt_image_words words;
};

_Static_assert(sizeof(struct shunt_image_rule) == 16, "shared with pinned maps");
_Static_assert(sizeof(struct shunt_image_tables) % 8 == 0, "no hole behind it");

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct shunt_image)); /* the loader's to choose */
} shunt_image SEC(".maps");
#endif
