/* SPDX-License-Identifier: BSD-2-Clause */
/* The classifier in user space: the same code that the programs run, over an image. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps/image.h"
#include "maps/pkt.h"

/* Does the set that stands under this id hold the address? As shunt_set_has in BPF. */
typedef bool (*shunt_judge_set_fn)(void *self, uint32_t id, uint32_t type, uint32_t l3,
				   const uint32_t addr[4], uint32_t service);

struct shunt_judge {
	const struct shunt_image *image; /* image->bytes long */
	shunt_judge_set_fn set_has;	 /* NULL: every set is empty */
	void *self;
};

struct shunt_judged {
	uint32_t rule;	  /* the deciding rule's place; image->rules: the default */
	uint32_t counted; /* `count` rules that matched before it */
	uint32_t counted_rule[SHUNT_VECTOR_MAX];
};

/* 0, or -1: damaged image. */
int shunt_judge_packet(const struct shunt_judge *judge, const struct shunt_pkt *pkt,
		       struct shunt_judged *judged);

/*
 * Calls `each` with the place of every rule that matches, `count` rules included, in no
 * order; a place may come more than once. 0, or -1: damaged image.
 */
int shunt_judge_each(const struct shunt_judge *judge, const struct shunt_pkt *pkt,
		     void (*each)(void *self, uint32_t place), void *self);
