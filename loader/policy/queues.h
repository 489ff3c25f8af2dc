/* SPDX-License-Identifier: BSD-2-Clause */
/* The policy's "queues": how many an interface is to have, and which CPUs serve them. */
#pragma once

#include "loader/policy/node.h"
#include "loader/policy/policy.h"

/* NULL where the node is not there, or after a complaint. The caller frees it. */
struct shunt_policy_queues *shunt_queues_read(const struct shunt_node *node);
