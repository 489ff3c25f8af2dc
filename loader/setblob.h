/* SPDX-License-Identifier: BSD-2-Clause */
/* A set of addresses or prefixes as lines (maps/setblob.h): building, asking, editing. */
#pragma once

/*
 * All functions work on plain memory: a fresh blob stands in malloced lines, one that is
 * in force in a mapped inner map. Nothing but shunt_blob_edit() and
 * shunt_blob_finish() writes, and those need the instance's lock. A blob that comes
 * from the kernel is checked once, by shunt_blob_sound(); damaged nodes are never
 * followed out of the lines.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loader/policy/policy.h"
#include "maps/setblob.h"
#include "user/base/err.h"

struct shunt_blob {
	uint64_t (*line)[SHUNT_BLOB_WORDS];
	uint32_t lines;
};

/* Elements sorted as shunt_prefix_compare() does, each once. The caller frees line. */
SHUNT_MUST_CHECK int shunt_blob_make(struct shunt_blob *blob,
				     const struct shunt_prefix *element,
				     size_t elements, struct shunt_err *err);

/* Do the head's numbers lie within the lines? */
bool shunt_blob_sound(const struct shunt_blob *blob);

/* --- asking ------------------------------------------------------------------ */

/* Is exactly this element in the set? */
bool shunt_blob_holds(const struct shunt_blob *blob,
		      const struct shunt_prefix *element);

/* How many elements, of IPv4 and of IPv6. 0 or -ENOMEM. */
SHUNT_MUST_CHECK int shunt_blob_count(const struct shunt_blob *blob, size_t count[2]);

/* The longest element that contains the address. */
bool shunt_blob_match(const struct shunt_blob *blob, const struct shunt_prefix *address,
		      struct shunt_prefix *element);

/* All elements, sorted, in a malloced array. -ENOMEM: there is none. */
SHUNT_MUST_CHECK int shunt_blob_list(const struct shunt_blob *blob,
				     struct shunt_prefix **element, size_t *elements);

/* --- editing in place ---------------------------------------------------------- */

/*
 * Adds an element that is not there, or deletes one that is. -ENOSPC: the blob has no
 * room for it, or the change is too wide; -ENOMEM. Then nothing has changed, and a new
 * blob is to be made.
 */
SHUNT_MUST_CHECK int shunt_blob_edit(const struct shunt_blob *blob, bool add,
				     const struct shunt_prefix *element);

/*
 * Applies what a killed writer has logged. -ENOSPC: there is no room for it; what the
 * new blob is made of, shunt_blob_list() says.
 */
SHUNT_MUST_CHECK int shunt_blob_finish(const struct shunt_blob *blob);

/* Number of edits that hold. */
uint32_t shunt_blob_logged(const struct shunt_blob *blob);
