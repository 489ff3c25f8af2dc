/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames on their way to user space by a BPF ring buffer. */
#pragma once

#include "maps/consumer.h"
#include "maps/hook.h"
#include "maps/type.h"

/*
 * A ring buffer stands in the outer array for as long as somebody reads it: the reader
 * makes it, puts it into its place, and takes it out again. So a consumer that is not
 * there is seen at once, as with a socket, and memory is taken only while it is used. A
 * reader that was killed leaves its ring behind, which fills and is full from then on;
 * the next reader, or the next command that changes the instance, replaces it.
 *
 *     place 0          samples and mirrored frames
 *     place 1 + slot   the consumer of this slot
 *
 * A record is a struct shunt_ring_event with the frame behind it, a VLAN tag that stood
 * beside the packet put back into its place.
 *
 * Written by: the programs. Read by: user/io/ring.h.
 */
#define SHUNT_RING_PLACES (1 + SHUNT_CONSUMER_SLOTS)
#define SHUNT_RING_COPIES 0
#define SHUNT_RING_FRAME_MAX 9216 /* bytes of a frame: 9000 and its headers */

static inline __u32 shunt_ring_place(__u32 slot)
{
	return 1 + slot;
}

/* X(ENUM, value, name, help) */
#define SHUNT_RING_KINDS(X)                                                            \
	X(SAMPLE, 0, "sample", "one of the packets that a rule samples")               \
	X(MIRROR, 1, "mirror", "a copy of a packet that a rule mirrors")               \
	X(CONSUMER, 2, "consumer", "a packet that was redirected here")

enum shunt_ring_kind {
#define X(id, value, name, help) SHUNT_RING_##id = value,
	SHUNT_RING_KINDS(X)
#undef X
};

struct shunt_ring_event {
	__u64 time_ns; /* bpf_ktime_get_ns(): CLOCK_MONOTONIC */
	__u64 generation;
	__u32 kind; /* enum shunt_ring_kind */
	__u32 hook; /* enum shunt_hook */
	__u32 ifindex;
	__u32 queue;	/* receive queue; 0 in TC */
	__u32 rule;	/* its place in the policy of this generation */
	__u32 counter;	/* its counter id */
	__u32 verdict;	/* enum shunt_verdict */
	__u32 reason;	/* enum shunt_reason */
	__u32 len;	/* of the frame, FCS not counted */
	__u32 captured; /* bytes of it that follow */
};

_Static_assert(sizeof(struct shunt_ring_event) == 56, "read by user space");

#ifdef __bpf__
struct shunt_ring_inner {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SHUNT_RING_PLACES);
	__type(key, __u32);
	__array(values, struct shunt_ring_inner);
} shunt_ring SEC(".maps");

/* A record while it is put together: one a CPU and hook, as maps/scratch.h. */
struct shunt_ring_scratch {
	struct shunt_ring_event event;
	__u8 frame[SHUNT_RING_FRAME_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHUNT_HOOK_MAX);
	__type(key, __u32);
	__type(value, struct shunt_ring_scratch);
} shunt_event SEC(".maps");
#endif
