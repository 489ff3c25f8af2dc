/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An inbox: frames of one UDP port on their way to the process that loaded the program. */
#pragma once

/*
 * Frames lie in a BPF ring buffer as struct shunt_inbox_record. The program wakes nobody
 * who is awake: whoever is about to sleep says so in `asleep`, looks once more, and sleeps;
 * the program looks at `asleep` once a frame is there. One of them sees the other.
 *
 * Written by: the program; `asleep` by both. Read by: user/io/inbox.h.
 */
#include "maps/type.h"

struct shunt_inbox_record {
	__u32 len; /* of the frame, bytes */
	__u32 reserved;
	__u8 frame[];
};

/* A record is as long as one of these, header included: its length must be a constant. */
#define SHUNT_INBOX_SMALL 256u
#define SHUNT_INBOX_LARGE 2048u
#define SHUNT_INBOX_HUGE 4096u
#define SHUNT_INBOX_FRAME_MAX (SHUNT_INBOX_HUGE - 8u) /* bytes of the longest frame */

#define SHUNT_INBOX_LOSSES 2u
#define SHUNT_INBOX_FULL 0u /* the ring was full */
#define SHUNT_INBOX_LONG 1u /* the frame was longer than SHUNT_INBOX_FRAME_MAX */

struct shunt_inbox_state {
	__u32 asleep;
	__u32 pad[15];
} __attribute__((aligned(64)));

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} shunt_inbox SEC(".maps");

/* Frames that were lost. Written by the program, summed up by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHUNT_INBOX_LOSSES);
	__type(key, __u32);
	__type(value, __u64);
} shunt_inbox_loss SEC(".maps");

struct shunt_inbox_state shunt_inbox_state;
#endif
