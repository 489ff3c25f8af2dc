/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Per-CPU packet and byte counters: by hook, then by (reason, verdict) and by rule. */
#pragma once

#include "maps/hook.h"
#include "maps/image.h"
#include "maps/reason.h"
#include "maps/type.h"
#include "maps/verdict.h"

/*
 * Each hook has a counter of every id:
 *
 *     0 .. 255      reason * 8 + verdict: every packet is in exactly one of them, so
 *                   their sum is the number of packets that the hook was offered
 *     256           rules that are gone: what they had counted is added here
 *     257           the default
 *     258 .. 261    samples and mirrored frames (SHUNT_COPIES): what went on its way, and
 *                   what was lost because nobody reads, the ring is full, or the
 *                   interface is down
 *     262 .. 271    nothing yet
 *     272 ..        rules, by counter id. An id belongs to a rule's name and
 *                   outlives a policy swap; the state record says whose
 *
 * How many ids there are is for the instance to choose, as its policies need them. When
 * they run out, programs with a larger map take over; the smaller ones stay as they
 * were left, and what a counter holds is the sum over all of them (loader/maps.h).
 *
 * Written by: the programs; by user space only for ids that no active policy names.
 * Read by: user space, which sums over the CPUs.
 */
struct shunt_counter {
	__u64 packets;
	__u64 bytes; /* on the wire: Ethernet header and VLAN tags included, FCS not */
};

#define SHUNT_COUNTER_REASONS (SHUNT_REASON_MAX * SHUNT_VERDICT_MAX)
#define SHUNT_COUNTER_RETIRED (SHUNT_COUNTER_REASONS + 0)
#define SHUNT_COUNTER_DEFAULT (SHUNT_COUNTER_REASONS + 1)
#define SHUNT_COUNTER_RULES (SHUNT_COUNTER_REASONS + 16)
#define SHUNT_COUNTER_MAX (SHUNT_COUNTER_RULES + 2 * SHUNT_RULE_MAX) /* old and new */

/* Copies of packets; X(ENUM, value, name, help). Explicit, append-only. */
#define SHUNT_COPIES(X)                                                                \
	X(SAMPLED, 258, "sampled", "packets whose sample went into the ring buffer")   \
	X(SAMPLE_LOST, 259, "sample_lost",                                             \
	  "samples lost: the ring buffer is full, or nobody reads it")                 \
	X(MIRRORED, 260, "mirrored", "packets whose copy was sent or is in the ring")  \
	X(MIRROR_LOST, 261, "mirror_lost",                                             \
	  "copies lost: the ring is full or not read, the interface down, or the "     \
	  "hook cannot")

enum shunt_copy {
#define X(id, value, name, help) SHUNT_COUNTER_##id = value,
	SHUNT_COPIES(X)
#undef X
};

_Static_assert(SHUNT_COUNTER_REASONS == 256, "the comment above says so");
_Static_assert(SHUNT_COUNTER_DEFAULT < SHUNT_COUNTER_SAMPLED &&
		       SHUNT_COUNTER_MIRROR_LOST < SHUNT_COUNTER_RULES,
	       "no id has two meanings");

static inline __u32 shunt_counter_key(__u32 hook, __u32 id)
{
	return id * SHUNT_HOOK_MAX + hook;
}

static inline __u32 shunt_counter_reason_id(__u32 reason, __u32 verdict)
{
	return reason * SHUNT_VERDICT_MAX + verdict;
}

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHUNT_HOOK_MAX); /* the loader's to choose */
	__type(key, __u32);
	__type(value, struct shunt_counter);
} shunt_counter SEC(".maps");
#endif
