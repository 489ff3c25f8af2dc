/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole files: read into memory, and replaced at one moment. */
#pragma once

#include <stddef.h>

#include "user/base/err.h"

/*
 * Reads all of a file ("-": standard input) into malloced memory, with a NUL behind it
 * that *bytes does not count. -EFBIG: it has more than `most` bytes.
 */
SHUNT_MUST_CHECK int shunt_file_read(const char *path, size_t most, char **text,
				     size_t *bytes, struct shunt_err *err);

/*
 * Gives a file other contents, mode 0600: whoever reads it, also after a kill or a power
 * failure, finds all of the old ones or all of the new ones. They are written beside
 * it, as ".NAME.tmp"; what a killed process has left there is used again. What is no
 * regular file (/dev/null, a FIFO) is refused.
 */
SHUNT_MUST_CHECK int shunt_file_replace(const char *path, const char *text,
					size_t bytes, struct shunt_err *err);
