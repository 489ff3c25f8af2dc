/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counting what is handed to a consumer, beside the one counted exit. */
#pragma once

#include <bpf/bpf_helpers.h>

#include "bpf/lib/ring.h"
#include "bpf/lib/watchdog.h"
#include "maps/handed.h"

static __always_inline void shunt_hand(__u32 slot, __u32 lane)
{
	__u32 key = shunt_handed_key(slot, lane);
	__u64 *packets = bpf_map_lookup_elem(&shunt_handed, &key);

	if (packets)
		(*packets)++;
}

/*
 * Into the consumer's ring; 1: it is there. No ring is no full one, and none that nobody
 * empties. Not `live`: would it get there?
 */
static __always_inline int shunt_hand_ring(void *ctx, struct shunt_trace *t,
					   shunt_emit *emit, __u32 live)
{
	__u32 slot = t->rule_data.arg, place = shunt_ring_place(slot);

	if (shunt_is_stalled(slot, SHUNT_SEAT_RING, 0) && shunt_ring_is_read(place)) {
		t->reason = SHUNT_REASON_CONSUMER_STALLED;
		return 0;
	}
	if (!live)
		return shunt_ring_is_read(place);
	if (!emit(ctx, t, place, SHUNT_RING_CONSUMER, SHUNT_RING_FRAME_MAX)) {
		shunt_hand(slot, SHUNT_LANE_RING + t->hook);
		return 1;
	}
	if (shunt_ring_is_read(place))
		shunt_hand(slot, SHUNT_LANE_FULL + t->hook);
	return 0;
}

/*
 * The consumer is not there, unless the trace says already that it has stalled, and its
 * if_down decides. 1: the packet passes.
 */
static __always_inline int shunt_consumer_down(struct shunt_trace *t)
{
	if (t->reason != SHUNT_REASON_CONSUMER_STALLED)
		t->reason = SHUNT_REASON_CONSUMER_DOWN;
	t->verdict = t->rule_data.if_down;
	return t->verdict == SHUNT_VERDICT_PASS;
}
