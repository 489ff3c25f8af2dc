/* SPDX-License-Identifier: BSD-2-Clause */
/* DPDK's ports: the row of the core; what it opens is the plug-in user/io/dpdk/. */
#pragma once

#include "user/io/port.h"

/* Only what describes it, and open: a port that it opens has the plug-in's table. */
extern const struct shunt_port_ops shunt_dpdk_port_ops;
