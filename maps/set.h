/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Named sets of addresses, prefixes and services: they live outside the policy images. */
#pragma once

#include "maps/setblob.h"
#include "maps/type.h"

/*
 * A set has an id. Its members stand in one inner map, IPv4's and IPv6's alike, found
 * under that id in an outer array: a blob of lines (maps/setblob.h) for addresses and
 * prefixes, a hash table for services. `shunt set add` of few members changes the
 * inner map in place; what changes many, or replaces a set, fills a new inner map and
 * puts it under the id. A policy that replaces a set fills a new inner map under a new
 * id and names that id in its image, so that the swap of the image is the swap of the
 * set.
 *
 * Written by: user space, under the instance's lock. Read by: the programs.
 */
enum shunt_set_type {
	SHUNT_SET_ADDRESS = 0,
	SHUNT_SET_PREFIX = 1,
	SHUNT_SET_SERVICE = 2, /* address, protocol and port */
};

/* The outer arrays. */
enum shunt_set_kind { SHUNT_SETS_BLOB = 0, SHUNT_SETS_SERVICE = 1, SHUNT_SETS_KINDS };

static inline enum shunt_set_kind shunt_set_kind(enum shunt_set_type type)
{
	return type == SHUNT_SET_SERVICE ? SHUNT_SETS_SERVICE : SHUNT_SETS_BLOB;
}

#define SHUNT_SET_MAX 32		  /* sets a policy */
#define SHUNT_SET_IDS (2 * SHUNT_SET_MAX) /* the old policy's and the new one's */
#define SHUNT_SET_SPARE SHUNT_SET_IDS	  /* no set's: for waiting */

struct shunt_addr6 {
	__u32 addr[4]; /* network order */
};

/* What a packet is asked for: its protocol and port, or none. */
#define SHUNT_SERVICE_NONE 0xffffffffu
#define SHUNT_SERVICE(proto, port) ((__u32)(proto) << 16 | (port))

/* A member of a set of services. */
struct shunt_service {
	__u32 addr[4]; /* network order; IPv4 in the first, the rest 0 */
	__u16 port;    /* host order */
	__u8 proto;
	__u8 family; /* 4 or 6 */
};

_Static_assert(sizeof(struct shunt_service) == 20, "a key without holes");

#ifdef __bpf__
struct shunt_set_inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, SHUNT_BLOB_LINE);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SHUNT_SET_IDS + 1);
	__type(key, __u32);
	__array(values, struct shunt_set_inner);
} shunt_set SEC(".maps");

struct shunt_service_inner {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct shunt_service));
	__uint(value_size, sizeof(__u32));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SHUNT_SET_IDS + 1);
	__type(key, __u32);
	__array(values, struct shunt_service_inner);
} shunt_service SEC(".maps");
#endif
