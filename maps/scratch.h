/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program's working memory: what does not fit onto the 512 bytes of its stack. */
#pragma once

#include "maps/config.h"
#include "maps/hook.h"
#include "maps/search.h"
#include "maps/trace.h"
#include "maps/type.h"

/*
 * One a CPU and hook: a program is not interrupted by another one of the same hook, for
 * the hooks run with softirqs off. Written and read by: the programs; nothing in it
 * outlives a packet. It is not pinned, each loaded object has its own.
 */
struct shunt_scratch {
	struct shunt_trace trace;
	struct shunt_search search;
	__u64 carried; /* the generation that an earlier hook judged the packet by; 0: none */
	__u32 busy;  /* a copy of the packet is being sent, which may come by here */
	__u32 ahead; /* of a test run: shunt_trace_req's idle */
};

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHUNT_HOOK_MAX);
	__type(key, __u32);
	__type(value, struct shunt_scratch);
} shunt_scratch SEC(".maps");

static __always_inline void shunt_scratch_busy(struct shunt_trace *t, __u32 busy)
{
	__u32 hook = t->hook;
	struct shunt_scratch *s = bpf_map_lookup_elem(&shunt_scratch, &hook);

	if (s)
		s->busy = busy;
}

/* For a new packet; NULL: it is a copy that this very hook has made. */
static __always_inline struct shunt_scratch *shunt_scratch_take(__u32 hook)
{
	struct shunt_scratch *s = bpf_map_lookup_elem(&shunt_scratch, &hook);
	struct shunt_trace *t;

	if (!s || s->busy)
		return 0;
	t = &s->trace;
	__builtin_memset(&t->pkt.layer[SHUNT_OUTER], 0, sizeof(struct shunt_layer));
	if (SHUNT_HAS(TUNNEL)) /* else nobody ever writes it */
		__builtin_memset(&t->pkt.layer[SHUNT_INNER], 0,
				 sizeof(struct shunt_layer));
	t->hook = hook;
	t->counted = 0;
	s->carried = 0;
	s->ahead = 0;
	return s;
}
#endif
