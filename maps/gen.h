/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The generation word: which of the two policy images rules, and until when. */
#pragma once

#include "maps/type.h"

/*
 * A program reads the word once a packet and carries it through; storing it is the
 * commit of a policy swap, for every hook of the instance at once.
 *
 * An armed word names a policy that rules on trial: from its deadline on the generation
 * before it rules again, in the other slot, and no process has to be alive for that. The
 * deadline is written before the word that it belongs to and stays for as long as that
 * word does.
 *
 * Written by: user space, by one 8-byte store to the mapped value, under the instance's
 * lock. Read by: the programs, once a packet.
 */
#define SHUNT_GEN_ARMED (1ull << 63)

struct shunt_gen {
	__u64 word; /* generation, from 1 upwards, its lowest bit is the image slot; and
		       SHUNT_GEN_ARMED */
	__u64 deadline;	    /* of an armed word: ns of CLOCK_MONOTONIC */
	__u64 trace_cookie; /* random; proves that a test run is ours (maps/trace.h) */
	__u64 pad[5];
	/*
	 * User space's own, by enum shunt_set_kind, bit i for set id i: members stand
	 * there; a map stands there, be it an empty one. Old kernels (6.1) wait for
	 * programs when they are asked what stands in a map in a map, once an id.
	 */
	__u64 set_members[2];
	__u64 set_maps[2];
	__u64 limit_maps; /* user space's own: bit i: a table stands in shunt_limit_by */
	__u64 rings;	  /* readers' own: bit i: a ring buffer stands in shunt_ring */
	__u64 pad2[2];
};

_Static_assert(sizeof(struct shunt_gen) == 128, "the programs' line, and user space's");

#define SHUNT_SLOTS 2

static inline __u32 shunt_gen_slot(__u64 generation)
{
	return generation & (SHUNT_SLOTS - 1);
}

/* The generation that a word stands for; `late`: its deadline has passed. */
static inline __u64 shunt_gen_of(__u64 word, int late)
{
	__u64 generation = word & ~SHUNT_GEN_ARMED;

	return word & SHUNT_GEN_ARMED && late ? generation - 1 : generation;
}

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct shunt_gen);
} shunt_gen SEC(".maps");
#endif
