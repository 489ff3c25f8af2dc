/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a program thought about one packet: filled on every run, kept only in a test
 * run. */
#pragma once

#include "maps/image.h"
#include "maps/pkt.h"
#include "maps/type.h"

/*
 * `explain` asks the loaded program itself. It sends the packet through
 * BPF_PROG_TEST_RUN with a request beside it that no packet from a wire can carry: the
 * instance's random cookie in the XDP metadata, in __sk_buff's cb[0..4], or, where only
 * netfilter's test runs are looked at, behind the frame. A traced packet is not counted;
 * its record goes into an LRU map under the request's token.
 *
 * Written by: the programs. Read and deleted by: explain.
 */
struct shunt_trace_req {
	__u64 cookie; /* struct shunt_gen's trace_cookie */
	__u64 token;  /* random, chosen by the asker */
	__u32 idle; /* 1: judge by the generation after the one that rules, whose image
			 is written and not in force yet; else 0 */
	__u32 pad;
};

#define SHUNT_TRACE_COUNTED 8 /* how many `count` rules a record names */
#define SHUNT_TRACE_MAX 64    /* records that wait to be read */

struct shunt_trace {
	struct shunt_pkt pkt;
	__u64 generation;
	__u32 rule;   /* the deciding rule's place in the policy; its length: default */
	__u32 hook;   /* enum shunt_hook */
	__u32 reason; /* enum shunt_reason */
	__u32 verdict; /* enum shunt_verdict */
	__u32 counted; /* `count` rules that matched before the decision */
	__u16 counted_rule[SHUNT_TRACE_COUNTED];
	struct shunt_image_rule rule_data; /* the deciding rule, as the image has it */
} SHUNT_ALIGN8;

_Static_assert(sizeof(struct shunt_trace) == 328, "shared with pinned maps");

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHUNT_TRACE_MAX);
	__type(key, __u64);
	__type(value, struct shunt_trace);
} shunt_trace SEC(".maps");
#endif
