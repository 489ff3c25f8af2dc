/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Token buckets: how far each has been used up. */
#pragma once

#include "maps/hook.h"
#include "maps/type.h"

/*
 * A bucket is one number, the theoretical arrival time of the generic cell rate
 * algorithm (bpf/lib/limit.h); its parameters stand in the image. A rule has one bucket
 * a hook, so that a packet that passes XDP and TC takes one token in each, not two in
 * one. An id belongs to a rule's name and parameters and outlives a policy swap.
 *
 * A limit by address has a table of buckets of its own, the least recently used of which
 * make room for new ones.
 *
 * Written by: the programs; user space clears a bucket whose id is given out anew, and
 * places the tables. Read by: the programs.
 */
#define SHUNT_LIMIT_SHIFT 16 /* ticks a nanosecond, as a power of two */
#define SHUNT_LIMIT_MAX 4096 /* rules with one bucket, a policy */
#define SHUNT_LIMIT_IDS (2 * SHUNT_LIMIT_MAX) /* the old policy's and the new one's */
#define SHUNT_LIMIT_BY_MAX 32		      /* rules with a table of buckets */
#define SHUNT_LIMIT_BY_IDS (2 * SHUNT_LIMIT_BY_MAX) /* a bit each in struct shunt_gen */
#define SHUNT_LIMIT_SIZE_MAX (1u << 20)		    /* prefixes of one rule */

/* A cache line: buckets of different rules do not share one. */
struct shunt_limiter {
	__u64 tat[SHUNT_HOOK_MAX]; /* ticks of the monotonic clock, modulo 2^64 */
	__u64 pad[8 - SHUNT_HOOK_MAX];
};

/* A packet without an address has family 0 and shares its bucket with its like. */
struct shunt_limit_key {
	__u8 family; /* 4, 6, or 0 */
	__u8 hook;   /* enum shunt_hook */
	__u16 pad;
	__u32 addr[4]; /* network order, bits behind the prefix cleared */
};

_Static_assert(sizeof(struct shunt_limiter) == 64, "one cache line");
_Static_assert(sizeof(struct shunt_limit_key) == 20, "shared with pinned maps");

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHUNT_LIMIT_IDS);
	__type(key, __u32);
	__type(value, struct shunt_limiter);
} shunt_limit SEC(".maps");

struct shunt_limit_by_inner {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct shunt_limit_key));
	__uint(value_size, sizeof(__u64)); /* as tat above */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SHUNT_LIMIT_BY_IDS);
	__type(key, __u32);
	__array(values, struct shunt_limit_by_inner);
} shunt_limit_by SEC(".maps");
#endif
