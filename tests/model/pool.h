/* SPDX-License-Identifier: BSD-2-Clause */
/* The values that the rules of one random policy share. */
#pragma once

#include "tests/model/random.h"

#define SHUNT_POOL 10	  /* values of a kind */
#define SHUNT_POOL_SETS 6 /* sets at most */

/* Boundaries of the value's range among them; prefixes nest or stand side by side. */
struct shunt_pool {
	struct shunt_random *random;
	uint16_t port[SHUNT_POOL], vlan[SHUNT_POOL], eth_type[SHUNT_POOL];
	uint8_t proto[SHUNT_POOL];
	char prefix[2][SHUNT_POOL][64]; /* as text; IPv4 first */
	char address[2][SHUNT_POOL][64];
	uint32_t sets, consumers, cpus;
	char set[SHUNT_POOL_SETS][16]; /* their names */
};

/* Fills it; `random` is set. */
void shunt_pool_draw(struct shunt_pool *pool);
