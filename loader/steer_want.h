/* SPDX-License-Identifier: BSD-2-Clause */
/* What a policy wants of an interface's NIC, as a record of steering. */
#pragma once

#include <cjson/cJSON.h>

#include "loader/policy/policy.h"
#include "loader/steer_record.h"

struct shunt_steer_wish {
	const struct shunt_policy *policy;
	const char *interface;
	bool sockets;		       /* there is XDP: filters make sense */
	const struct shunt_steer *old; /* flows stay in the queues that they are in */
	cJSON *notes;		       /* gets warnings of what no filter can say */
};

/*
 * Adds filters, without places, and settings, the number of queues first. A consumer's
 * filters are spread over those of its queues that there are, or will be.
 */
SHUNT_MUST_CHECK int shunt_steer_want(struct shunt_steer *steer,
				      const struct shunt_steer_wish *wish,
				      struct shunt_err *err);
