/* SPDX-License-Identifier: BSD-2-Clause */
/* What an end of reliable.h consists of. */
#pragma once

#include "user/transport/arrivals.h"
#include "user/transport/flight.h"
#include "user/transport/intake.h"
#include "user/transport/backlog.h"
#include "user/transport/reliable.h"

struct shunt_reliable {
	struct shunt_grant grant;
	struct shunt_flight flight;
	struct shunt_backlog backlog;
	struct shunt_intake intake;
	struct shunt_arrivals arrivals;
	uint64_t delay_ns; /* of our acknowledgements */
	uint64_t start;
	bool lossless;
	int broken; /* -EPROTO */
	struct shunt_reliable_stats count;
};
