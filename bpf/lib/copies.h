/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Copies of a packet: which ones its rule wants, and how many were lost. */
#pragma once

#include "bpf/lib/datapath.h"
#include "bpf/lib/mods.h"
#include "bpf/lib/ring.h"

/*
 * Samples and mirrored frames of a packet whose verdict is clear; counted. `clones`: the
 * hook sends copies out of an interface by itself; else such a copy is lost.
 */
static __always_inline void shunt_copy(void *ctx, struct shunt_trace *t,
				       shunt_emit *emit, int clones)
{
	const struct shunt_image_mods *mods = t ? shunt_mods_at(t) : 0;
	__u32 id;

	if (!mods)
		return;
	if (SHUNT_HAS(MIRROR) && mods->bits & SHUNT_MOD_MIRROR_RING) {
		id = emit(ctx, t, SHUNT_RING_COPIES, SHUNT_RING_MIRROR,
			  SHUNT_RING_FRAME_MAX)
			     ? SHUNT_COUNTER_MIRROR_LOST
			     : SHUNT_COUNTER_MIRRORED;
		shunt_count(t->hook, id, t->pkt.len);
	}
	if (!clones && SHUNT_HAS(MIRROR) && mods->bits & SHUNT_MOD_MIRROR_INTERFACE)
		shunt_count(t->hook, SHUNT_COUNTER_MIRROR_LOST, t->pkt.len);
	if (SHUNT_HAS(SAMPLE) && mods->bits & SHUNT_MOD_SAMPLE &&
	    shunt_is_sampled(mods->sample_one_in)) {
		id = emit(ctx, t, SHUNT_RING_COPIES, SHUNT_RING_SAMPLE,
			  mods->sample_bytes)
			     ? SHUNT_COUNTER_SAMPLE_LOST
			     : SHUNT_COUNTER_SAMPLED;
		shunt_count(t->hook, id, t->pkt.len);
	}
}
