/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Live frames: what the program that makes them is told (bpf/live.bpf.c). */
#pragma once

#include "maps/type.h"

/*
 * A page of a test run keeps its bytes from frame to frame, so the program writes only the
 * head, in which flows differ and whose checksum a number changes.
 */
#define SHUNT_LIVE_FLOWS 4096
#define SHUNT_LIVE_WORDS 32 /* of 4 bytes: the head */
#define SHUNT_LIVE_OFFSET_MASK 0xff

struct shunt_live_plan {
	__u32 ifindex; /* where the frames go out */
	__u32 flows;
	__u32 words;   /* of the head */
	__u32 payload; /* offset of mark and number; 0: there is none */
	__u32 check;   /* offset of the transport checksum */
	__u32 udp;
};

_Static_assert(sizeof(struct shunt_live_plan) == 24, "shared with programs");
