/* SPDX-License-Identifier: BSD-2-Clause */
/* The values that the rules of one random policy share. */
#pragma once

#include "tests/model/random.h"

#define SHUNT_POOL 256	  /* values of a kind at most */
#define SHUNT_POOL_SETS 6 /* sets at most */

/* Boundaries of the value's range among them; prefixes nest or stand side by side. */
struct shunt_pool {
	struct shunt_random *random;
	uint32_t values; /* of each kind: few, so that rules meet */
	uint32_t port[SHUNT_POOL], vlan[SHUNT_POOL], eth_type[SHUNT_POOL];
	uint32_t proto[SHUNT_POOL], dscp[SHUNT_POOL], length[SHUNT_POOL];
	uint32_t vni[SHUNT_POOL], key[SHUNT_POOL];
	char prefix[2][SHUNT_POOL][64]; /* as text; IPv4 first */
	char address[2][SHUNT_POOL][64];
	char mac[SHUNT_POOL][24], mac_prefix[SHUNT_POOL][24];
	uint32_t without; /* enum shunt_author_part */
	uint32_t sets, consumers, cpus, port_lists;
	uint32_t rules;		       /* of the policy */
	uint32_t counts;	       /* of these, how many may still count */
	uint32_t limits_by;	       /* how many may still have a limit per address */
	char set[SHUNT_POOL_SETS][16]; /* their names */
};

/* Fills the values; `random` and `values` are set. */
void shunt_pool_draw(struct shunt_pool *pool);
