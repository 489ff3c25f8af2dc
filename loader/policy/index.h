/* SPDX-License-Identifier: BSD-2-Clause */
/* Names and their places: sixteen thousand rules are not compared one by one. */
#pragma once

#include <stddef.h>

#include "user/base/err.h"

/* A zeroed one is empty. Names are borrowed and must stay as they are. */
struct shunt_index {
	struct shunt_index_seat {
		const char *name; /* NULL: free */
		size_t place;
	} * seat;
	size_t room, used; /* room: 0 or a power of two */
};

#define SHUNT_INDEX_NONE ((size_t)-1)

/*
 * Gives the name its place, unless it has one. Returns 0; -EEXIST where the name has a
 * place already, which stays; -ENOMEM.
 */
SHUNT_MUST_CHECK int shunt_index_add(struct shunt_index *index, const char *name,
				     size_t place);

/* The name's place, or SHUNT_INDEX_NONE. */
size_t shunt_index_find(const struct shunt_index *index, const char *name);

void shunt_index_free(struct shunt_index *index);
