/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The watchdog: has a consumer stalled? Asked before a packet is handed to it. */
#pragma once

#include <bpf/bpf_helpers.h>

#include "bpf/lib/compiler.h"
#include "maps/config.h"
#include "maps/seat.h"

/*
 * The coarse clock is the fine one as of the last tick, and costs a tenth of it: where the
 * heartbeat is due later than that can be behind, it is enough. Netfilter has none, and a
 * ring's record wants the fine one anyway.
 */
#define SHUNT_COARSE_NS 20000000ull /* two ticks at 100 a second */

/* `place`: a receive queue, or SHUNT_SEAT_RING. `coarse`: there is such a clock. */
static __always_inline int shunt_is_stalled(__u32 slot, __u32 place, const int coarse)
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
	if (!due || (coarse && due > bpf_ktime_get_coarse_ns() + SHUNT_COARSE_NS))
		return 0;
	return shunt_seat_is_late(due, bpf_ktime_get_ns());
}
