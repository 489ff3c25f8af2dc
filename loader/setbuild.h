/* SPDX-License-Identifier: BSD-2-Clause */
/* From intervals of addresses to the nodes of a blob (maps/setblob.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps/setblob.h"

/* Addresses of both families as one number; IPv4 in the uppermost 32 bits. */
__extension__ typedef unsigned __int128 shunt_u128;

/* Inclusive; sorted, disjoint, not adjacent. */
struct shunt_setrange {
	shunt_u128 lo, hi;
};

struct shunt_setslice {
	shunt_u128 lo;	    /* the bits behind `bits` are 0 */
	unsigned int bits;  /* which addresses a node is asked about */
	unsigned int known; /* up to here the tables above have compared all bits */
};

/*
 * Where lines come from: an array that grows (limit 0), or the free end of an arena.
 * `failed` stays set once there were none.
 */
struct shunt_setbuild {
	uint64_t (*line)[SHUNT_BLOB_WORDS];
	uint32_t used, room;
	bool grows, failed;
};

/* n fresh zeroed lines: the first one's number. */
uint32_t shunt_setbuild_lines(struct shunt_setbuild *build, uint32_t n);

/* The node of 65,536 IPv4 addresses, of the intervals that touch them. */
uint32_t shunt_setbuild_node4(struct shunt_setbuild *build,
			      const struct shunt_setrange *iv, size_t n,
			      uint32_t upper);

/* The node of a slice of IPv6. */
uint64_t shunt_setbuild_node6(struct shunt_setbuild *build,
			      const struct shunt_setrange *iv, size_t n,
			      struct shunt_setslice slice);
