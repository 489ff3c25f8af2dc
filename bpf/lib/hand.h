/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counting what is handed to a consumer, beside the one counted exit. */
#pragma once

#include <bpf/bpf_helpers.h>

#include "bpf/lib/ring.h"
#include "maps/handed.h"

static __always_inline void shunt_hand(__u32 slot, __u32 lane)
{
	__u32 key = shunt_handed_key(slot, lane);
	__u64 *packets = bpf_map_lookup_elem(&shunt_handed, &key);

	if (packets)
		(*packets)++;
}

/* How writing into the consumer's ring went: `code` again. No ring is no full one. */
static __always_inline int shunt_hand_ring(const struct shunt_trace *t, int code)
{
	__u32 slot = t->rule_data.arg;

	if (!code)
		shunt_hand(slot, SHUNT_LANE_RING + t->hook);
	else if (shunt_ring_is_read(shunt_ring_place(slot)))
		shunt_hand(slot, SHUNT_LANE_FULL + t->hook);
	return code;
}
