/* SPDX-License-Identifier: BSD-2-Clause */
/* The state record as text: JSON with the schema number and the ABI in it. */
#pragma once

#include "loader/state.h"

/* The caller frees it; NULL: out of memory. */
char *shunt_state_to_text(const struct shunt_state *state);

/*
 * Reads it back, with the rules findable by name; `path` is what the record is called in
 * messages. -EPROTO: its ABI is another one, or somebody has damaged it.
 */
SHUNT_MUST_CHECK int shunt_state_from_text(struct shunt_state **state, const char *text,
					   const char *path, struct shunt_err *err);
