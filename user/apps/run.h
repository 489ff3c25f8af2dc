/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs applications: opens what they need, has workers run them, reports, and cleans up. */
#pragma once

/*
 *     memories ─▶ feeds ─▶ ports ─▶ apps ─▶ workers         reports once an interval
 *                                              │
 *          ^C, --duration: flush ◀─────────────┤ limits, ends of files: flush by themselves
 *                            └▶ stop ─▶ last report ─▶ close all, in the opposite order
 *
 * The calling thread only waits and reports. What an app and its ports have counted belongs
 * to its worker: it is asked for by a message, and the worker answers between two bursts.
 */
#include <stdio.h>

#include "user/apps/app.h"
#include "user/io/feed.h"
#include "user/apps/run_config.h"
#include "user/rt/worker.h"

/* What there is to report; numbers count from the start. */
struct shunt_run_report {
	const struct shunt_run_config *config;
	double seconds;
	bool final;
	struct shunt_app_counts app[SHUNT_RUN_APPS];
	struct shunt_port_stats port[SHUNT_RUN_PORTS];
	struct shunt_worker_time worker[SHUNT_RUN_WORKERS];
	struct shunt_port *const *opened; /* final: may be described */
};

/* A sum over the apps. */
struct shunt_app_counts shunt_report_sum(const struct shunt_run_report *report);

/* Packets that were lost with a name, here. */
uint64_t shunt_app_lost(const struct shunt_app_counts *count);

struct shunt_run_opts {
	size_t sz;
	FILE *out; /* reports */
	bool json; /* one object a line, of `schema` */
	const char *schema;
	struct shunt_feed_opts feed;
};

/*
 * Runs until ^C, a limit, or the end of all inputs, which are success, or an error. The
 * last report is written in any case once workers have begun.
 */
SHUNT_MUST_CHECK int shunt_run(const struct shunt_run_config *config,
			       const struct shunt_run_opts *opts,
			       struct shunt_err *err);
