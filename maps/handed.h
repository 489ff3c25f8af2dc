/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs have handed to each consumer, by the way it went. */
#pragma once

#include "maps/consumer.h"
#include "maps/hook.h"
#include "maps/type.h"

/*
 * The counters of verdicts say how much was redirected to consumers; these say to whom.
 * A consumer (by slot) has lanes:
 *
 *     0 .. 63       the AF_XDP socket of this receive queue
 *     64 .. 67      its ring buffer, by hook
 *     68 .. 71      found its ring buffer full, by hook: not handed over, its if_down
 *                   decided
 *
 * They outlive the consumer; a slot that is given to another name goes on from where it
 * stands, for the sums of the ledger are by slot.
 *
 * Written by: the programs. Read by: user space, which sums over the CPUs.
 */
#define SHUNT_LANE_RING SHUNT_QUEUE_MAX
#define SHUNT_LANE_FULL (SHUNT_LANE_RING + SHUNT_HOOK_MAX)
#define SHUNT_LANES (SHUNT_LANE_FULL + SHUNT_HOOK_MAX)
#define SHUNT_HANDED_MAX (SHUNT_CONSUMER_SLOTS * SHUNT_LANES)

static inline __u32 shunt_handed_key(__u32 slot, __u32 lane)
{
	return slot * SHUNT_LANES + lane;
}

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHUNT_HANDED_MAX);
	__type(key, __u32);
	__type(value, __u64);
} shunt_handed SEC(".maps");
#endif
