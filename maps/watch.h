/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What becomes of packets behind the XDP program's verdict, as the kernel tells it. */
#pragma once

#include "maps/type.h"

/*
 * A verdict is a wish: the kernel carries it out later and tells failures by tracepoints
 * alone. bpf/watch.bpf.c counts them for one instance. Tracepoints are the whole
 * machine's; what belongs to the instance is known by the ids of its maps, or, where the
 * kernel does not tell the map, by the interface: ifindex and network namespace.
 */
struct shunt_watch_config {
	__u64 netns; /* its cookie */
	__u32 ifindex;
	__u32 xsk, dev, cpu; /* the kernel's ids of the instance's maps */
};

/* Where a packet was lost; X(ENUM, value, name). Explicit, append-only. */
#define SHUNT_LOSSES(X)                                                                \
	X(CONSUMER, 0, "consumer")                                                     \
	X(INTERFACE, 1, "interface")                                                   \
	X(CPU, 2, "cpu")                                                               \
	X(TX, 3, "tx")                                                                 \
	X(STACK, 4, "stack") /* taken by a target CPU, which had no memory for it */

enum shunt_loss_where {
#define X(id, value, name) SHUNT_LOSS_##id = value,
	SHUNT_LOSSES(X)
#undef X
		SHUNT_LOSS_COUNT,
};

/*
 * Written by: the watch; by user space before it is attached. Read by: the ledger, which
 * sums over the CPUs.
 */
struct shunt_loss {
	__u32 where; /* enum shunt_loss_where */
	__u32 index; /* key of the XSKMAP, ifindex of the target, or CPU; 0 for TX */
	__u32 error; /* the errno that the kernel gave; ENOBUFS where it gave none */
};

#define SHUNT_LOSS_MAX 1024 /* kinds of loss that are told apart */

/* Sums, in an order such that what comes later on a packet's way is read first. */
#define SHUNT_WATCHES(X)                                                               \
	X(CPU_TAKEN, 0, "frames that target CPUs have taken from their queues")        \
	X(CPU_QUEUED, 1, "frames that went into the queues of target CPUs")            \
	X(SENT, 2, "frames that target interfaces have accepted")                      \
	X(UNNOTED, 3, "losses that there was no room to tell apart")                   \
	X(REFUSED, 4, "user space's own: the errno with which the watch was refused")  \
	X(GENERIC, 5,                                                                  \
	  "user space's own: 1 once XDP ran in generic mode, in which "                \
	  "SENT is not told")

enum shunt_watch_id {
#define X(id, value, help) SHUNT_WATCH_##id = value,
	SHUNT_WATCHES(X)
#undef X
		SHUNT_WATCH_COUNT,
};

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHUNT_WATCH_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} shunt_watch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, SHUNT_LOSS_MAX);
	__type(key, struct shunt_loss);
	__type(value, __u64);
} shunt_loss SEC(".maps");
#endif
