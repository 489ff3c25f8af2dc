/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void shunt_diag_add(struct shunt_diags *diags, bool warning, const char *pointer,
		    const char *fmt, ...)
{
	struct shunt_diag *at = diags->at;
	char *message;
	va_list args;
	int n;

	if ((diags->n & (diags->n - 1)) == 0) /* full: the room is a power of two */
		at = realloc(at, (diags->n ? diags->n * 2 : 1) * sizeof(*at));
	va_start(args, fmt);
	n = vasprintf(&message, fmt, args);
	va_end(args);
	if (!at || n < 0)
		abort();
	diags->at = at;
	at += diags->n++;
	*at = (struct shunt_diag){ warning, strdup(pointer), message };
	if (!at->pointer)
		abort();
	diags->errors += !warning;
}

void shunt_diags_free(struct shunt_diags *diags)
{
	for (size_t i = 0; i < diags->n; i++) {
		free(diags->at[i].pointer);
		free(diags->at[i].message);
	}
	free(diags->at);
	*diags = (struct shunt_diags){ 0 };
}
