/* SPDX-License-Identifier: BSD-2-Clause */
/* Earlier policies of an instance, by generation. */
#pragma once

/*
 * Their state records stay pinned as history/<generation>: the one before a policy that
 * is on trial is needed again when nobody confirms that, and `rollback` goes back to any.
 * A record is pinned there before its successor is staged, so that a kill at worst leaves
 * the ruling one there as well, which is no history and is not listed.
 */
#include <stddef.h>
#include <stdint.h>

#include "loader/bpffs.h"
#include "user/base/err.h"

#define SHUNT_HISTORY_MAX 8 /* records that are kept */

void shunt_history_path(char path[SHUNT_PIN_MAX], const char *instance,
			uint64_t generation);

/* Keeps the record that is pinned as `state`, of this generation. */
SHUNT_MUST_CHECK int shunt_history_keep(const char *instance, uint64_t generation,
					struct shunt_err *err);

/*
 * The generations before this one that are kept, the newest first; returns how many,
 * SHUNT_HISTORY_MAX + 1 at most, or -errno.
 */
SHUNT_MUST_CHECK int shunt_history_list(const char *instance, uint64_t before,
					uint64_t generation[SHUNT_HISTORY_MAX + 1],
					struct shunt_err *err);

/* Forgets what is more than are kept, before the generation that rules. */
SHUNT_MUST_CHECK int shunt_history_trim(const char *instance, uint64_t ruling,
					struct shunt_err *err);
