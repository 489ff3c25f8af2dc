/* SPDX-License-Identifier: BSD-2-Clause */
/* An image while it grows: pieces one behind the other, named by their offset. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "loader/policy/alt.h"
#include "loader/policy/sweep.h"
#include "maps/image.h"

struct shunt_build {
	const struct shunt_policy *policy;
	const struct shunt_binding *binding;
	uint8_t *bytes; /* moves when a piece is added: hold offsets, not pointers */
	size_t len, room;
	struct shunt_compiled *stats; /* what the engines tell of themselves */
	const char *full; /* which limit was met, where something gives -E2BIG */
	size_t counting;  /* alternatives that only count, where they are too many */
};

/* A zeroed piece of n bytes at an offset that 8 divides; 0 where memory ran out. */
uint32_t shunt_build_piece(struct shunt_build *b, size_t n);

static inline struct shunt_image *shunt_build_head(struct shunt_build *b)
{
	return (struct shunt_image *)b->bytes;
}

static inline void *shunt_build_at(struct shunt_build *b, uint32_t offset)
{
	return b->bytes + offset;
}

/* --- tables: intervals of classes, put where the classifier looks them up -------- */

/* Of a narrow field. 0: memory ran out. */
uint32_t shunt_build_table(struct shunt_build *b, uint64_t values,
			   const struct shunt_interval *interval, size_t n);

/* How a root's starts are kept. */
enum shunt_root { SHUNT_ROOT_IP4, SHUNT_ROOT_WIDE, SHUNT_ROOT_IP6 };

/* `shift`, of WIDE: what the starts are to be moved up by. 0: memory ran out. */
uint32_t shunt_build_root(struct shunt_build *b, enum shunt_root kind,
			  unsigned int shift, const struct shunt_interval *interval,
			  size_t n);

/* So that the highest index of a wide field reaches bit 63. */
unsigned int shunt_wide_shift(enum shunt_field field);

/*
 * What one lookup of an engine gives: the intervals of a field's domain, or of the two
 * address families, and the class of packets without the address.
 */
struct shunt_classes {
	struct shunt_interval *at[2]; /* malloced: fields and IPv4; IPv6 */
	size_t n[2];
	uint32_t none;
	bool same6; /* one class for all of IPv6 */
};

void shunt_classes_free(struct shunt_classes *classes);

/* Writes the tables of one lookup; the engine's tables stand at offset `tables`. */
SHUNT_MUST_CHECK int shunt_build_lookup(struct shunt_build *b, uint32_t tables,
					struct shunt_lookup lookup, uint32_t slot,
					const struct shunt_classes *classes);

/* --- the engines ------------------------------------------------------------- */

/* 0, -ENOMEM, or -E2BIG with b->full set. */
SHUNT_MUST_CHECK int shunt_build_vectors(struct shunt_build *b,
					 const struct shunt_alt *alt, size_t alts);
SHUNT_MUST_CHECK int shunt_build_words(struct shunt_build *b,
				       const struct shunt_alt *alt, size_t alts);
