/* SPDX-License-Identifier: BSD-2-Clause */
/* Modes: how a program sits on its hook, and which of them can be asked for. */
#pragma once

#include <stdbool.h>

#include "loader/policy/name.h"
#include "maps/hook.h"

/* Those that `attach --mode` takes; what stands between two of them is the caller's. */
#define SHUNT_MODES_XDP(X, between) X("native") between X("generic")
#define SHUNT_MODES_TC(X, between) X("tcx") between X("clsact")
#define SHUNT_MODES_NETFILTER(X, between) X("link")

#define SHUNT_MODE_CHAINED "chained" /* of --chain, which is no --mode */

/* As words: SHUNT_MODES_TC(SHUNT_MODE_TEXT, " and "). */
#define SHUNT_MODE_TEXT(name) name

/* Those of a hook; the value says whether it can be asked for. */
const struct shunt_name *shunt_modes_of(enum shunt_hook hook);

/* "auto", or NULL: the best that there is. */
bool shunt_mode_is_auto(const char *wanted);

/* May it be this mode, where `wanted` was asked for? */
bool shunt_mode_allows(const char *wanted, const char *mode);

/* Can it be asked for at this hook? */
bool shunt_mode_fits(const char *wanted, enum shunt_hook hook);
