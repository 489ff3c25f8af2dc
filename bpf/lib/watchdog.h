/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The watchdog: has a consumer stalled? Asked before a packet is handed to it. */
#pragma once

#include <bpf/bpf_helpers.h>

#include "bpf/lib/compiler.h"
#include "maps/config.h"
#include "maps/seat.h"

/*
 * One look into an array, and one at the clock where the consumer is watched. `place`: a
 * receive queue, or SHUNT_SEAT_RING.
 */
static __always_inline int shunt_is_stalled(__u32 slot, __u32 place)
{
	__u32 key = shunt_seat_key(slot, place);
	const struct shunt_seat *seat;
	__u64 due;

	if (!SHUNT_HAS(HEARTBEAT))
		return 0;
	seat = bpf_map_lookup_elem(&shunt_seat, &key);
	if (!seat)
		return 0;
	due = *(const volatile __u64 *)&seat->due_ns;
	return due && shunt_seat_is_late(due, bpf_ktime_get_ns());
}
