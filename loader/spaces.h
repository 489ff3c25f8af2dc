/* SPDX-License-Identifier: BSD-2-Clause */
/* Network namespaces that can be entered by a name, and whose instances are whose. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"

struct shunt_space {
	char *name; /* as shunt_netns_enter() takes it; NULL: the calling thread's own */
	uint64_t cookie;
	bool host; /* the machine's first one */
};

struct shunt_spaces {
	struct shunt_space *at; /* the calling thread's own comes first */
	size_t n;
};

/*
 * The calling thread's own namespace, called `own` (NULL: by its name in /run/netns, if
 * it has one and is not the host's); with `all` also every other one with a name there.
 */
SHUNT_MUST_CHECK int shunt_spaces_find(struct shunt_spaces *spaces, const char *own,
				       bool all, struct shunt_err *err);
void shunt_spaces_free(struct shunt_spaces *spaces);

/* The one that an instance (a folder of the tree) lives in; NULL: none of them. */
const struct shunt_space *shunt_spaces_of(const struct shunt_spaces *spaces,
					  const char *instance);
