/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/base/progress.h"

static __thread shunt_progress_fn listener;

void shunt_progress_to(shunt_progress_fn fn)
{
	listener = fn;
}

void shunt_progress(const char *what, size_t done, size_t total)
{
	if (listener)
		listener(what, done, total);
}
