/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/queues.h"

#include "loader/ethtool.h"
#include "maps/consumer.h"

uint64_t shunt_queues(const char *interface)
{
	struct shunt_ethtool_queues queues = { 0 };

	if (shunt_ethtool_queues(interface, &queues) || !queues.now)
		queues.now = 1;
	return queues.now >= SHUNT_QUEUE_MAX ? UINT64_MAX : (1ull << queues.now) - 1;
}
