/* SPDX-License-Identifier: BSD-2-Clause */
/* Loading the program of a hook. */
#pragma once

#include "loader/maps.h"
#include "maps/hook.h"
#include "user/base/err.h"

/*
 * Loads the program over the maps that exist, and adds those that it makes to them.
 * Returns its descriptor, which the caller owns, or -errno; the verifier's last words
 * are in the sentence.
 */
SHUNT_MUST_CHECK int shunt_program_load(enum shunt_hook hook, struct shunt_maps *maps,
					struct shunt_err *err);

/* "xdp" for SHUNT_HOOK_XDP; NULL for a number that is no hook. */
const char *shunt_hook_name(unsigned int hook);

/* The hook of a name; -EINVAL: there is none, the sentence lists those that there are. */
int shunt_hook_find(const char *name, struct shunt_err *err);
