/* SPDX-License-Identifier: BSD-2-Clause */
/* The elements of a blob: what it was built from, with its log of edits on top. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loader/setblob.h"
#include "loader/setbuild.h"

/* The elements as they were after the first `upto` edits. */
struct shunt_view {
	const struct shunt_blob *blob;
	uint32_t upto;
	uint8_t family;
};

static inline struct shunt_blob_head *shunt_blob_head(const struct shunt_blob *blob)
{
	return (struct shunt_blob_head *)blob->line;
}

static inline shunt_u128 shunt_record_addr(const struct shunt_blob_record *r)
{
	return (shunt_u128)r->hi << 64 | r->lo;
}

/* All ones behind the first `bits` bits. */
static inline shunt_u128 shunt_behind(unsigned int bits)
{
	return bits >= 128 ? 0 : ~(shunt_u128)0 >> bits;
}

struct shunt_blob_record shunt_record_of(const struct shunt_prefix *prefix);
void shunt_record_prefix(const struct shunt_blob_record *record,
			 struct shunt_prefix *prefix);

/* Is exactly this element there? */
bool shunt_view_holds(const struct shunt_view *view, shunt_u128 addr,
		      unsigned int bits);

/* Is there an element shorter than `bits` that contains all of them? */
bool shunt_view_covers(const struct shunt_view *view, shunt_u128 addr,
		       unsigned int bits);

/* Some element inside the prefix; false: there is none. */
bool shunt_view_any(const struct shunt_view *view, shunt_u128 addr, unsigned int bits,
		    shunt_u128 *found);

/* How many elements inside the prefix there were at the most. */
size_t shunt_view_most(const struct shunt_view *view, shunt_u128 addr,
		       unsigned int bits);

/* The elements inside a prefix (bits 0: all), sorted, in a malloced array. */
SHUNT_MUST_CHECK int shunt_view_inside(const struct shunt_view *view, shunt_u128 addr,
				       unsigned int bits,
				       struct shunt_blob_record **record, size_t *n);

/* How many elements there are. -1: out of memory. */
long shunt_view_count(const struct shunt_view *view);

/* Adds an element behind sorted ones: joins what overlaps or touches. */
void shunt_setrange_add(struct shunt_setrange *iv, size_t *n, shunt_u128 lo,
			unsigned int bits);
