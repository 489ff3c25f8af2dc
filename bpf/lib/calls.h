/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The classifier's steps that are called, not inlined. */
#pragma once

/*
 * What stands inside a loop, or is needed at several places, is verified once if it is a
 * global function of its own. How such a function is called differs between the kernel
 * (bpf/lib/datapath.h) and user space (loader/policy/judge.c), which define these.
 */
#include "maps/pkt.h"
#include "maps/search.h"

/* Is the address, of a packet with this service (bpf/lib/decide.h), in the set? */
static int shunt_set_has(__u32 id, __u32 type, __u32 l3, const __u32 addr[4],
			 __u32 service);

/* shunt_lookup(), shunt_lookup_side(): bpf/lib/lookup.h */
static int shunt_lookup_call(const struct shunt_image *image, __u32 engine,
			     const struct shunt_pkt *pkt, struct shunt_search *s);
static int shunt_lookup_side_call(const struct shunt_image *image, __u32 engine,
				  const struct shunt_pkt *pkt, __u32 where,
				  struct shunt_search *s);

/* shunt_and_sets(): bpf/lib/vectors.h */
static int shunt_and_sets_call(const struct shunt_image *image, __u32 where,
			       struct shunt_search *s);

/* shunt_words_begin(), shunt_words_of(), shunt_word_rest(): bpf/lib/words.h */
static int shunt_words_begin_call(const struct shunt_image *image,
				  const struct shunt_pkt *pkt, struct shunt_search *s);
static int shunt_words_of_call(const struct shunt_image *image, struct shunt_search *s,
			       __u32 at);
static void shunt_word_rest_call(const struct shunt_image *image,
				 struct shunt_search *s, __u32 word);
