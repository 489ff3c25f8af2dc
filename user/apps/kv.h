/* SPDX-License-Identifier: BSD-2-Clause */
/* `shunt run kv`: a server of keys and values that answers in XDP, for as long as it runs. */
#pragma once

/*
 * The process itself answers nothing: it reports, and takes changes from a stream, a line
 * each:
 *
 *     set KEY VALUE      the rest of the line is the value, from the first blank on
 *     del KEY
 *
 * A line that is wrong is told of on stderr, and counted; the others take effect.
 */
#include <stdbool.h>
#include <stdio.h>

#include "loader/kv.h"

struct shunt_app_kv_opts {
	size_t sz;
	const char *interface;
	struct shunt_kv *kv; /* filled, and attached by the run */
	FILE *out;
	bool json;	      /* objects of schema shunt.run.kv/1 */
	int changes_fd;	      /* < 0: there are none; its end is not that of the run */
	uint64_t duration_ns; /* 0: until ^C */
	uint64_t interval_ns; /* between reports; 0: the last one only */
};

SHUNT_MUST_CHECK int shunt_app_kv(const struct shunt_app_kv_opts *opts,
				  struct shunt_err *err);
