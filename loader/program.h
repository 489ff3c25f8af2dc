/* SPDX-License-Identifier: BSD-2-Clause */
/* Loading the program of a hook. */
#pragma once

#include "loader/maps.h"
#include "maps/hook.h"
#include "user/base/err.h"

/*
 * Loads the program, with the code of these features (enum shunt_feature) alone, over
 * the maps that exist, and adds those that it makes to them, in the size that they say.
 * Returns its descriptor, which the caller owns, or -errno; the verifier's last words
 * are in the sentence.
 */
SHUNT_MUST_CHECK int shunt_program_load(enum shunt_hook hook, uint32_t features,
					struct shunt_maps *maps, struct shunt_err *err);

/*
 * The same of the XDP program that asks the driver of this interface, of the calling
 * thread's network namespace, for VLAN tags. It can be put there alone, in native mode,
 * and the kernel makes no test run of it.
 */
SHUNT_MUST_CHECK int shunt_program_load_bound(uint32_t features, unsigned int ifindex,
					      struct shunt_maps *maps,
					      struct shunt_err *err);

/*
 * The same of the XDP program that stands among others (loader/chain.h): an freplace
 * program, of which the kernel makes no test run either.
 */
SHUNT_MUST_CHECK int shunt_program_load_chained(uint32_t features,
						struct shunt_maps *maps,
						struct shunt_err *err);

#define SHUNT_FEATURES_ALL UINT32_MAX

/* What a loaded program was made for, as the kernel has it. */
struct shunt_program_facts {
	uint32_t features;
	uint32_t image; /* ids of the maps that it uses */
	uint32_t counter;
	uint32_t ifindex; /* of netfilter: whose packets it judges */
	bool bound;	  /* to a device: see shunt_program_load_bound() */
	bool chained;
};

/* Of the program with this id. */
SHUNT_MUST_CHECK int shunt_program_ask(enum shunt_hook hook, uint32_t id,
				       struct shunt_program_facts *facts,
				       struct shunt_err *err);

/* The id of an open program; 0: the descriptor is none of a program. */
uint32_t shunt_program_id(int prog_fd);

/* "xdp" for SHUNT_HOOK_XDP; NULL for a number that is no hook. */
const char *shunt_hook_name(unsigned int hook);

/* The hook of a name; -EINVAL: there is none, the sentence lists those that there are. */
int shunt_hook_find(const char *name, struct shunt_err *err);
