/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the classifier knows while it works on one packet. */
#pragma once

#include "maps/image.h"

struct shunt_search {
	__u32 x[SHUNT_LOOKUP_MAX];    /* the packet's classes, by slot */
	__u32 best;		      /* place of the first rule found; none: rules */
	__u32 slot;		      /* of the image (maps/gen.h) */
	__u64 hit[SHUNT_IMAGE_WORDS]; /* rules of the vectors that match, as bits */
	__u64 in[SHUNT_SIDE_MAX];     /* sets that hold the address, by set's bit */
	__u32 at[SHUNT_LOOKUP_MAX];   /* offsets of the classes' vectors */
	__u64 left;		      /* rules of a word, while sets have their say */
	__u64 may[SHUNT_SUMMARY_MAX]; /* words that may hold a rule that matches */
};

_Static_assert(sizeof(struct shunt_search) % 8 == 0, "shared with programs");
