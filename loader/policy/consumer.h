/* SPDX-License-Identifier: BSD-2-Clause */
/* A consumer of the policy's "consumers", and the ring buffers. */
#pragma once

#include "loader/policy/node.h"
#include "loader/policy/policy.h"

/* Fills consumer, whose name stands already. */
void shunt_consumer_read(struct shunt_policy_consumer *consumer,
			 const struct shunt_node *node);

/* The policy's "ring", or a consumer: the value of its "bytes", or the default. */
uint32_t shunt_ring_bytes_read(const struct shunt_node *object);

/* "pass" or "drop"; otherwise, or where the key is absent: drop. */
uint8_t shunt_fate_read(const struct shunt_node *object, const char *key);
