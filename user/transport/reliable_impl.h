/* SPDX-License-Identifier: BSD-2-Clause */
/* What an end of reliable.h consists of. */
#pragma once

#include "user/transport/arrivals.h"
#include "user/transport/flight.h"
#include "user/transport/inbox.h"
#include "user/transport/outbox.h"
#include "user/transport/reliable.h"

struct shunt_reliable {
	struct shunt_grant grant;
	struct shunt_flight flight;
	struct shunt_outbox outbox;
	struct shunt_inbox inbox;
	struct shunt_arrivals arrivals;
	uint64_t delay_ns; /* of our acknowledgements */
	uint64_t start;
	bool lossless;
	int broken; /* -EPROTO */
	struct shunt_reliable_stats count;
};
