/* SPDX-License-Identifier: BSD-2-Clause */
/* What a run tells: a row an interval and a summary, or JSON objects. */
#pragma once

#include "user/apps/run.h"

struct shunt_reporter {
	const struct shunt_run_opts *opts;
	double seconds; /* of the report before; 0: there was none */
	struct shunt_app_counts before;
	struct shunt_port_stats port[SHUNT_RUN_PORTS];
};

/* -EIO: the output is closed, or its disk is full. */
SHUNT_MUST_CHECK int shunt_report(struct shunt_reporter *reporter,
				  const struct shunt_run_report *report,
				  struct shunt_err *err);

/* Says on stderr what has become of a port's connections since `before`, which is renewed. */
void shunt_report_links(const char *name, const struct shunt_port_stats *now,
			struct shunt_port_stats *before);
