/* SPDX-License-Identifier: BSD-2-Clause */
/* Pinning anew what sits on an interface and has lost its pins. */
#pragma once

/*
 * The programs of an instance, the links that hold them and the maps that they use are
 * found by the kernel's ids: all of its programs use one generation map. Of maps that no
 * program uses any more, as those of counters that have been outgrown, nothing is found.
 */
#include <stdbool.h>
#include <stdint.h>

#include "loader/bpffs.h"
#include "user/base/err.h"

/* The id of an instance's generation map, by any pin that it has; *gen 0: it has none. */
SHUNT_MUST_CHECK int shunt_adopt_gen(const char *instance, uint32_t *gen,
				     struct shunt_err *err);

/*
 * Pins every program that uses this generation map and sits on an interface, its link
 * and its maps, where there is no such pin. The links come last. `ifindex` is where a
 * clsact filter is looked for, in the calling thread's namespace; 0: nowhere.
 */
SHUNT_MUST_CHECK int shunt_adopt(const char *instance, uint32_t gen,
				 unsigned int ifindex, struct shunt_err *err);
