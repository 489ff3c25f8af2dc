/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes random policies, as a person would: in JSON. */
#pragma once

/*
 * Every match key of both layers, "not", every action and modifier, all kinds of sets
 * and consumers and both families appear. Values come from a small pool of each policy,
 * so that rules overlap, nest and repeat one another. Rules that the reader would
 * refuse as contradictions are not written. What modifiers do to a packet's verdict is
 * certain: limits are so high that no packet is beyond them.
 */
#include <stdbool.h>

#include "tests/model/random.h"

/* Parts that can be left out. */
enum shunt_author_part {
	SHUNT_AUTHOR_VALUES = 1 << 0, /* dscp, length, src_mac, dst_mac */
	SHUNT_AUTHOR_NOT = 1 << 1,
	SHUNT_AUTHOR_TUNNELS = 1 << 2,
	SHUNT_AUTHOR_IFACES = 1 << 3,
	SHUNT_AUTHOR_SERVICES = 1 << 4, /* sets of them */
	SHUNT_AUTHOR_MODIFIERS = 1 << 5,
	SHUNT_AUTHOR_RINGS = 1 << 6, /* consumers that are served by a ring buffer */
};

struct shunt_author {
	struct shunt_random *random;
	uint32_t from, rules; /* at least and at most; rules 0: 256 */
	uint32_t cpus;	      /* CPUs that a redirect may name; 0: no such redirect */
	bool dynamic;	      /* sets that are filled later may appear: d0 to d3 */
	uint32_t without;     /* enum shunt_author_part */
};

/* The interface that half of the patterns of "iface" are meant for. */
#define SHUNT_AUTHOR_IFACE "eth0"

/* The policy's text, malloced. */
char *shunt_author_write(const struct shunt_author *author);
