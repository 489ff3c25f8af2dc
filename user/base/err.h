/* SPDX-License-Identifier: BSD-2-Clause */
/* Errors: a negative errno, and the sentence that explains it. */
#pragma once

/*
 * A function that can fail returns 0 or -errno and takes an optional last argument
 * that receives the sentence. Both are set in one expression, so that a failure cannot
 * be returned without its reason:
 *
 *     return shunt_fail(err, -EBUSY, "attach %s: program %u is there", ifname, id);
 *
 * The sentence names the action, the object and the value, then the way out.
 */
#include <stddef.h>

#define SHUNT_API __attribute__((visibility("default"))) /* what libshunt exports */
#define SHUNT_MUST_CHECK __attribute__((warn_unused_result))
#define SHUNT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

struct shunt_err {
	char message[2048];
};

/* Writes the sentence where err is not NULL; returns code (a negative errno). */
int shunt_fail(struct shunt_err *err, int code, const char *fmt, ...)
	SHUNT_PRINTF(3, 4);

/* Puts words in front of a sentence that a callee wrote; returns code. */
int shunt_fail_in(struct shunt_err *err, int code, const char *fmt, ...)
	SHUNT_PRINTF(3, 4);

/* As shunt_fail, with the name of errno -code behind it: "open x: No such file …". */
int shunt_fail_errno(struct shunt_err *err, int code, const char *fmt, ...)
	SHUNT_PRINTF(3, 4);
