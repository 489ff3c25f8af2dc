/* SPDX-License-Identifier: BSD-2-Clause */
/* The receive queues of an interface. */
#pragma once

#include <stdint.h>

/*
 * Bit q: receive queue q exists, as ethtool's channels tell. One queue where the driver
 * does not tell; at most SHUNT_QUEUE_MAX are seen.
 */
uint64_t shunt_queues(const char *interface);
