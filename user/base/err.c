/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int shunt_fail(struct shunt_err *err, int code, const char *fmt, ...)
{
	va_list args;

	if (!err)
		return code;
	va_start(args, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	return code;
}

int shunt_fail_in(struct shunt_err *err, int code, const char *fmt, ...)
{
	struct shunt_err inner;
	va_list args;
	int n;

	if (!err)
		return code;
	inner = *err;
	va_start(args, fmt);
	n = vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(err->message))
		snprintf(err->message + n, sizeof(err->message) - n, "%s",
			 inner.message);
	return code;
}

int shunt_fail_errno(struct shunt_err *err, int code, const char *fmt, ...)
{
	va_list args;
	int n;

	if (!err)
		return code;
	va_start(args, fmt);
	n = vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(err->message))
		snprintf(err->message + n, sizeof(err->message) - n, ": %s",
			 strerror(-code));
	return code;
}
