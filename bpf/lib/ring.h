/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames into ring buffers: what the hooks share. */
#pragma once

/*
 * A record is put together in a scratch of this CPU and hook, then copied into the ring:
 * how long it is is not known before, and the ring takes no room back. The hook brings
 * the frame's bytes, as it alone can.
 */
#include <bpf/bpf_helpers.h>

#include "bpf/lib/mods.h"
#include "maps/ring.h"

/* A hook's own way to write a frame into a ring; 0, or not. `ctx` is what it is given. */
typedef int shunt_emit(void *ctx, struct shunt_trace *t, __u32 place, __u32 kind,
		       __u32 bytes);

static __always_inline int shunt_ring_is_read(__u32 place)
{
	return bpf_map_lookup_elem(&shunt_ring, &place) != 0;
}

/* The scratch with its header filled, but for what is captured; NULL: no ring. */
static __always_inline struct shunt_ring_scratch *shunt_ring_start(
	const struct shunt_trace *t, __u32 place, __u32 kind, __u32 len)
{
	struct shunt_ring_scratch *s;
	__u32 hook = t->hook;

	s = bpf_map_lookup_elem(&shunt_event, &hook);
	if (!s || !shunt_ring_is_read(place))
		return 0;
	s->event.time_ns = bpf_ktime_get_ns();
	s->event.generation = t->generation;
	s->event.kind = kind;
	s->event.hook = t->hook;
	s->event.rule = t->rule;
	s->event.counter = t->rule_data.counter;
	s->event.verdict = t->verdict;
	s->event.reason = t->reason;
	s->event.len = len;
	return s;
}

/*
 * How much is captured, 1 to SHUNT_RING_FRAME_MAX, shown to the verifier where it is used:
 * Linux 6.1 learns a lower bound from arithmetic, not from a comparison with 0.
 */
static __always_inline __u32 shunt_ring_room(__u32 len, __u32 bytes)
{
	__u32 last = (len < bytes ? len : bytes) - 1;

	if (last >= SHUNT_RING_FRAME_MAX)
		last = SHUNT_RING_FRAME_MAX - 1;
	SHUNT_OPAQUE(last);
	last &= 0x3fff;
	return last + 1;
}

_Static_assert(SHUNT_RING_FRAME_MAX <= 0x4000, "the mask leaves it whole");

/* 0, or not: the ring is full, or there is none. */
static __always_inline int shunt_ring_end(struct shunt_ring_scratch *s, __u32 place,
					  __u32 captured)
{
	void *ring = bpf_map_lookup_elem(&shunt_ring, &place);

	if (!ring || captured > SHUNT_RING_FRAME_MAX)
		return -1;
	s->event.captured = captured;
	return bpf_ringbuf_output(ring, s, sizeof(s->event) + captured, 0);
}

/* One packet of one_in. Off by less than one_in in 2^32. */
static __always_inline int shunt_is_sampled(__u32 one_in)
{
	return (__u64)bpf_get_prandom_u32() * one_in >> 32 == 0;
}
