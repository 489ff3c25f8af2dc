/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a program is loaded for: the verifier removes the code of all other features. */
#pragma once

/*
 * A policy needs features; an image names those it needs; a program has those that it was
 * loaded with. A program meets no image that needs more: before such an image may rule,
 * a program that has both policies' features takes the hook over. How a packet is
 * parsed and judged malformed does not depend on the features, except that the inner
 * packet of a tunnel is looked at for TUNNEL only.
 *
 *     X(ENUM, bit, name, help)
 */
#include "maps/type.h"

#define SHUNT_FEATURES(X)                                                              \
	X(VECTORS, 0, "vectors", "few rules, as bit vectors")                          \
	X(WORDS, 1, "words", "many rules, as bit vectors with summaries")              \
	X(IP6, 2, "ipv6", "IPv6 addresses and prefixes in rules")                      \
	X(SETS, 3, "sets", "sets of addresses and prefixes")                           \
	X(SERVICES, 4, "services", "sets of (address, protocol, port)")                \
	X(WIDE, 5, "wide", "MAC addresses, and network ids of tunnels")                \
	X(TUNNEL, 6, "tunnel", "the packet inside a tunnel")                           \
	X(COUNT, 7, "count", "rules that count and go on")                             \
	X(LIMIT, 8, "limit", "token buckets, one a rule")                              \
	X(LIMIT_BY, 9, "limit-by", "token buckets by address")                         \
	X(SAMPLE, 10, "sample", "samples into the ring buffer")                        \
	X(MIRROR, 11, "mirror", "copies to an interface or into the ring buffer")      \
	X(REWRITE, 12, "rewrite", "changed headers")                                   \
	X(RING, 13, "ring", "consumers that are served by a ring buffer")              \
	X(VLAN_TAG, 14, "vlan-tag", "the VLAN tag that the NIC has taken off (XDP)")   \
	X(CARRY, 15, "carry", "a packet's generation goes with it from XDP to TC")     \
	X(HEARTBEAT, 16, "heartbeat", "consumers that are watched for stalling")

enum shunt_feature {
#define X(id, bit, name, help) SHUNT_HAS_##id = 1 << bit,
	SHUNT_FEATURES(X)
#undef X
};

struct shunt_config {
	__u32 features;	   /* enum shunt_feature */
	__u32 image_bytes; /* size of one slot of shunt_image, a multiple of 4096 */
};

#ifdef __bpf__
const volatile struct shunt_config shunt_config = { ~0u, 4096 };
#define SHUNT_HAS(id) (shunt_config.features & SHUNT_HAS_##id)
#else
#define SHUNT_HAS(id) 1
#endif
