/* SPDX-License-Identifier: BSD-2-Clause */
/* The real programs of all hooks over maps of their own, attached nowhere. */
#pragma once

/*
 * A policy is put in force the way `apply` does it: plan, write, flip, tidy. So slots
 * alternate, and ids of counters and sets are used again. Packets go through
 * BPF_PROG_TEST_RUN.
 */
#include <stdbool.h>

#include "loader/maps.h"
#include "loader/state.h"
#include "maps/counter.h"
#include "maps/trace.h"

/* The interface that it stands for. */
#define SHUNT_RIG_IFACE "eth0"

struct shunt_rig {
	struct shunt_maps maps;
	int prog[SHUNT_HOOK_MAX];
	struct shunt_state *state; /* of the ruling policy; NULL: none yet */
	uint64_t token;
	uint8_t *in; /* request and frame, as the kernel wants them */
};

/* One run of a program. Zero what is not needed. */
struct shunt_rig_run {
	const struct shunt_trace_req *req;
	const void *frame;
	size_t bytes;
	uint32_t queue;	  /* receive queue, with an ifindex that has it; XDP */
	uint32_t ifindex; /* where the packet came in; 0: the loopback device */

	uint32_t code; /* what the program returned */
	uint8_t *out;  /* room for the frame behind it; NULL: not wanted */
	size_t out_room;
	size_t out_bytes;
};

/* Is there such a hook on this kernel? All but netfilter are on every one. */
bool shunt_rig_has(enum shunt_hook hook);

/* Does it see such frames? Netfilter sees IPv4 and IPv6 alone. */
bool shunt_rig_takes(enum shunt_hook hook, const void *frame, size_t bytes);

SHUNT_MUST_CHECK int shunt_rig_open(struct shunt_rig *rig, struct shunt_err *err);
void shunt_rig_close(struct shunt_rig *rig);

SHUNT_MUST_CHECK int shunt_rig_apply(struct shunt_rig *rig,
				     const struct shunt_policy *policy,
				     struct shunt_err *err);

/* 0, or the kernel's -errno. */
SHUNT_MUST_CHECK int shunt_rig_run(struct shunt_rig *rig, enum shunt_hook hook,
				   struct shunt_rig_run *run);

/* A run that is traced, not counted. */
SHUNT_MUST_CHECK int shunt_rig_trace(struct shunt_rig *rig, enum shunt_hook hook,
				     const void *frame, size_t bytes,
				     struct shunt_trace *trace);
