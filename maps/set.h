/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Named sets of addresses and prefixes: they live outside the policy images. */
#pragma once

#include "maps/type.h"

/*
 * A set has an id. Its IPv4 and IPv6 members stand in two inner maps, found under that
 * id in an outer array: hash tables for a set of addresses, longest-prefix-match tries
 * for a set of prefixes. `set add` changes one inner map in place; a policy that
 * replaces a set fills new inner maps under a new id and names that id in its image, so
 * that the swap of the image is the swap of the set.
 *
 * A member's value is its prefix length (32 or 128 in a hash), which tells user space
 * which prefix a trie has found; programs only ask whether there is one.
 *
 * Written by: user space, under the instance's lock. Read by: the programs.
 */
enum shunt_set_type { SHUNT_SET_ADDRESS = 0, SHUNT_SET_PREFIX = 1 };

#define SHUNT_SET_MAX 32		  /* sets a policy */
#define SHUNT_SET_IDS (2 * SHUNT_SET_MAX) /* the old policy's and the new one's */
#define SHUNT_SET_SPARE                                                                \
	SHUNT_SET_IDS /* no set.s: for waiting   \
				       */

struct shunt_lpm4 {
	__u32 bits; /* 0..32 */
	__u32 addr; /* network order */
};

struct shunt_lpm6 {
	__u32 bits;    /* 0..128 */
	__u32 addr[4]; /* network order */
};

struct shunt_addr6 {
	__u32 addr[4]; /* network order */
};

#ifdef __bpf__
#define SHUNT_SET_MAP(name, kind, flags, key_t)                                        \
	struct name##_inner {                                                          \
		__uint(type, kind);                                                    \
		__uint(max_entries, 1);                                                \
		__uint(map_flags, flags);                                              \
		__uint(key_size, sizeof(key_t));                                       \
		__uint(value_size, sizeof(__u32));                                     \
	};                                                                             \
	struct {                                                                       \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);                              \
		__uint(max_entries, SHUNT_SET_IDS + 1);                                \
		__type(key, __u32);                                                    \
		__array(values, struct name##_inner);                                  \
	} name SEC(".maps")

SHUNT_SET_MAP(shunt_addr4, BPF_MAP_TYPE_HASH, 0, __u32);
SHUNT_SET_MAP(shunt_addr6, BPF_MAP_TYPE_HASH, 0, struct shunt_addr6);
SHUNT_SET_MAP(shunt_lpm4, BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, struct shunt_lpm4);
SHUNT_SET_MAP(shunt_lpm6, BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, struct shunt_lpm6);
#endif
