/* SPDX-License-Identifier: BSD-2-Clause */
/* Text that is pinned: what must be remembered when no process is alive. */
#pragma once

/*
 * A record is a frozen map of one entry. It is never changed: another one takes its place,
 * by its pin's removal or by a rename over it.
 */
#include "user/base/err.h"

/*
 * Pins a record under a path, in the place of the one that may be there. `map` is what
 * the kernel calls it.
 */
SHUNT_MUST_CHECK int shunt_record_write(const char *text, const char *map,
					const char *path, struct shunt_err *err);

/* Reads one; the caller frees *text. -ENOENT: there is no such pin. */
SHUNT_MUST_CHECK int shunt_record_read(char **text, const char *path,
				       struct shunt_err *err);

/* The same of a map that is open; `path` is what it is called in messages. */
SHUNT_MUST_CHECK int shunt_record_read_map(char **text, int fd, const char *path,
					   struct shunt_err *err);
