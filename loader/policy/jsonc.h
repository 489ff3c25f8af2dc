/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON with comments, read strictly. */
#pragma once

/*
 * cJSON forgives much: control characters in strings, numbers such as 01, escapes that
 * put a NUL into a string and so cut it off. The text is therefore checked against RFC
 * 8259 first, which also yields the place of an error, and given to cJSON only then.
 * Beyond the RFC: comments of both C kinds are blanks; nesting ends at
 * SHUNT_JSONC_DEPTH; a string cannot contain a NUL; the text is UTF-8 without a byte
 * order mark.
 */
#include <stddef.h>

#include <cjson/cJSON.h>

#include "loader/policy/policy.h"

#define SHUNT_JSONC_DEPTH 64
#define SHUNT_JSONC_DIGITS 63 /* characters of a number: cJSON reads no more */

/*
 * Returns 0 and the document; or -EINVAL and one error at pointer "" that starts with
 * "source:line:column:" (columns count characters, from 1); or -ENOMEM.
 */
SHUNT_MUST_CHECK int shunt_jsonc_parse(cJSON **json, const char *text, size_t len,
				       const char *source, struct shunt_diags *diags);
