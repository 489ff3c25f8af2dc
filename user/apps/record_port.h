/* SPDX-License-Identifier: BSD-2-Clause */
/* Recording what any port receives. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "user/io/feed.h"
#include "user/apps/record.h"
#include "user/rt/idle.h"

/* Zeroed but for port and record, it runs until ^C or the end of the port. */
struct shunt_record_port_opts {
	const char *port; /* user/io/spec.h */
	struct shunt_record_opts record;
	struct shunt_feed_opts feed; /* for af_xdp:IF without a consumer */
	uint64_t duration_ns;	     /* 0: no limit */
	uint64_t interval_ns;	     /* between reports */
	enum shunt_wait wait;
	FILE *out; /* for JSON */
	bool json;
};

/*
 * Receives and records, and gives every frame back. Live counts and totals as
 * shunt_app_record() has them. Owns SIGINT and SIGTERM meanwhile.
 */
SHUNT_MUST_CHECK int shunt_app_record_port(const struct shunt_record_port_opts *opts,
					   struct shunt_err *err);
