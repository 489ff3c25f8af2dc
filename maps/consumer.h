/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Consumers: the AF_XDP sockets that a policy redirects into, by consumer and queue. */
#pragma once

#include "maps/type.h"

/*
 * Key: slot * SHUNT_QUEUE_MAX + receive queue. A slot belongs to a consumer's name for
 * as long as a policy names it (state record). An AF_XDP socket takes frames of its own
 * queue only.
 *
 * Written by: the consumer, which puts its sockets in with BPF_NOEXIST; the kernel
 * takes them out when they close. Read by: the XDP program.
 */
#define SHUNT_CONSUMER_MAX 16
#define SHUNT_CONSUMER_SLOTS (2 * SHUNT_CONSUMER_MAX) /* old policy's and new one's */
#define SHUNT_QUEUE_MAX 64

/*
 * How a consumer is served: by an AF_XDP socket, or by a ring buffer (maps/ring.h), which
 * is how TC serves either kind.
 */
enum shunt_consumer_kind { SHUNT_CONSUMER_XSK = 0, SHUNT_CONSUMER_RING = 1 };

static inline __u32 shunt_consumer_key(__u32 slot, __u32 queue)
{
	return slot * SHUNT_QUEUE_MAX + queue;
}

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, SHUNT_CONSUMER_SLOTS *SHUNT_QUEUE_MAX);
	__type(key, __u32);
	__type(value, __u32);
} shunt_xsk SEC(".maps");
#endif
