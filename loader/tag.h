/* SPDX-License-Identifier: BSD-2-Clause */
/* VLAN tags that lie beside the frame: which XDP program sees them. */
#pragma once

/*
 * A tag that the NIC has taken off is not in the frame that XDP gets. Since Linux 6.8
 * the driver can be asked for it, by a program that was loaded for its device alone,
 * knows native mode only, and cannot be test-run. Hence the plain program everywhere
 * but where a policy matches tags that it would miss.
 *
 * Whatever the kernel then refuses (before 6.15 such a program may not use the maps of
 * redirect targets), the plain program stands in, and the caller has a warning to show.
 */
#include <stdbool.h>
#include <stdint.h>

#include "loader/hook.h"
#include "loader/maps.h"
#include "loader/nic.h"
#include "user/base/err.h"

/* An XDP hook; zeroed: the plain program does, and nothing is to be said. */
struct shunt_tag {
	bool chained; /* the program stands among others: loader/chain.h */
	unsigned int
		ifindex; /* of the driver that can be asked; 0: the plain program */
	struct shunt_err warning; /* what the plain program misses; "": nothing */
};

/*
 * Looks at the interface, if a policy with these features matches tags at all. `mode` is
 * one of struct shunt_place_request.
 */
void shunt_tag_choose(struct shunt_tag *tag, uint32_t features, const char *interface,
		      const char *mode);

/* Loads the program that was chosen, or the plain one; as shunt_program_load(). */
SHUNT_MUST_CHECK int shunt_tag_load(struct shunt_tag *tag, enum shunt_hook hook,
				    uint32_t features, struct shunt_maps *maps,
				    struct shunt_err *err);

/* Is it the bound program that this hook gets with these features? */
bool shunt_tag_wants(const struct shunt_tag *tag, enum shunt_hook hook,
		     uint32_t features);

/* The kernel has not taken the bound program, by `error`: the plain one is chosen. */
void shunt_tag_give_up(struct shunt_tag *tag, int error);

/* What rules of a policy with these features miss; NULL: nothing. */
const char *shunt_tag_missed(const struct shunt_tag *tag, uint32_t features);
