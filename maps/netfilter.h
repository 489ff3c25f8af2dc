/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the netfilter program alone has: whose packets it judges, and its successor. */
#pragma once

/*
 * A netfilter link belongs to a namespace, not to an interface, and the kernel puts no
 * other program into it (BPF_LINK_UPDATE is refused). So a program that takes over comes
 * by a link of its own, at a priority in front of the old one's, and for a moment both
 * see the packets. The kernel publishes the list of a hook's programs as a whole, and a
 * packet walks through the list that it has found:
 *
 *     old            the old program judges
 *     new, old       the new one judges, and leaves a note of the packet that it lets
 *                    pass; the old one finds it, takes it away, and lets the packet pass
 *     new            the new one judges
 *
 * Hence every packet is judged and counted once, and the atomic moment is the kernel's:
 * the list with the new program in it is published. There is nothing for user space to
 * switch, so that it may be killed anywhere. Nothing interrupts a packet between the two
 * programs on its CPU. Where a link leaves, its place in the list lets packets pass: if
 * the new one leaves again, those that it has not judged yet find the old one in its place.
 *
 * A program believes a note only of a higher number than its own, that is, of one that was
 * loaded later, about the very packet that it has in hand. So a note that was left lying,
 * as by a packet that another owner's hook drops between the two, deceives nobody but a
 * program whose successor has gone again, and that for one packet at the same address.
 */
#include "maps/type.h"

/* For load time. */
struct shunt_nf_config {
	__u64 number;  /* higher in each program than in the ones before */
	__u32 ifindex; /* of the interface whose packets are judged; 0: test runs' */
	__u32 pad;
};

/* Written and read by: the programs. */
struct shunt_relay {
	__u64 packet; /* address of the one that was let pass; 0: none */
	__u64 number; /* of the program that has judged it */
};

#define SHUNT_NF_FRAME 512 /* bytes of a frame that are looked at; as TC pulls in */

#ifdef __bpf__
const volatile struct shunt_nf_config shunt_nf_config = { 0 };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shunt_relay);
} shunt_relay SEC(".maps");

/* The start of the frame that is being parsed; each loaded object has its own. */
struct shunt_nf_frame {
	__u8 byte[SHUNT_NF_FRAME];
	__u32 seen;   /* of them are filled */
	__u32 hidden; /* the frame goes on behind them */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shunt_nf_frame);
} shunt_nf_frame SEC(".maps");
#endif
