/* SPDX-License-Identifier: BSD-2-Clause */
/* How a recording comes along: live on a terminal, as JSON objects, and at the end. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "user/apps/record.h"

struct shunt_record_report_opts {
	FILE *out;	      /* where JSON goes; words go to stderr */
	bool json;	      /* objects of schema shunt.run.capture/1 */
	const char *source;   /* interface or port */
	const char *consumer; /* NULL: none */
};

/*
 * `unread`: packets that came after the limit and were thrown away. Words only at the end,
 * or where stderr is a terminal. -EIO: the output is closed.
 */
SHUNT_MUST_CHECK int shunt_record_report(const struct shunt_record_report_opts *opts,
					 const struct shunt_recorder *recorder,
					 double seconds, uint64_t unread, bool final,
					 struct shunt_err *err);
