/* SPDX-License-Identifier: BSD-2-Clause */
/* What can be said of a DPDK port: the same words for the core's help and the plug-in. */
#pragma once

#include <stddef.h>

#include "user/io/spec.h"

#define SHUNT_DPDK_ARGS 384

struct shunt_dpdk_opts {
	uint64_t queues; /* bits */
	uint64_t ring;
	uint64_t burst;
	uint64_t frames; /* 0: by queues and rings */
	uint64_t room;	 /* bytes; 0: by the interface's MTU */
	uint64_t memory; /* bytes */
	uint64_t busy;	 /* frames a busy poll takes; 0: no busy poll */
	unsigned int huge;
	char args[SHUNT_DPDK_ARGS]; /* ';' between them */
};

/* Measured (bench/ports): see bench/README.md. */
#define SHUNT_DPDK_RING 512u
#define SHUNT_DPDK_BURST 64u
#define SHUNT_DPDK_MEMORY (256u << 20)

#define DPDK_AT(field) offsetof(struct shunt_dpdk_opts, field)

static const struct shunt_spec_row shunt_dpdk_rows[] = {
	{ "queues", SHUNT_SPEC_QUEUES, .offset = DPDK_AT(queues), .value = "0-3",
	  .help = "queues of the interface, in a row: 0, 0-3 (default: 0)" },
	{ "ring", SHUNT_SPEC_NUMBER, 64, 32768, .offset = DPDK_AT(ring),
	  .value = "PLACES", .help = "places of a queue, each way (default: 512)" },
	{ "burst", SHUNT_SPEC_NUMBER, 1, 512, .offset = DPDK_AT(burst),
	  .value = "FRAMES",
	  .help = "frames that the driver is asked for at once (default: 64)" },
	{ "frames", SHUNT_SPEC_NUMBER, 512, 1u << 24, .offset = DPDK_AT(frames),
	  .value = "COUNT",
	  .help = "mbufs in its own pool (default: as many as its rings take)" },
	{ "room", SHUNT_SPEC_NUMBER, 256, 65000, .offset = DPDK_AT(room),
	  .value = "BYTES",
	  .help = "of a packet in one mbuf (default: 2048, more for a large MTU)" },
	{ "memory", SHUNT_SPEC_NUMBER, 16u << 20, 1ull << 40, .offset = DPDK_AT(memory),
	  .value = "256M",
	  .help = "for all DPDK ports of the process, said by the first (default: "
		  "256M)" },
	{ "huge", SHUNT_SPEC_SWITCH, .offset = DPDK_AT(huge), .value = "on",
	  .help = "huge pages, said by the first DPDK port of the process (default: "
		  "off)" },
	{ "busy", SHUNT_SPEC_NUMBER, 0, 65535, .offset = DPDK_AT(busy),
	  .value = "FRAMES",
	  .help = "busy polling with this budget (default: 0, none)" },
	{ "args", SHUNT_SPEC_TEXT, .offset = DPDK_AT(args), .room = SHUNT_DPDK_ARGS,
	  .value = "K=V;K=V", .help = "the driver's own arguments" },
	{ 0 },
};

#define SHUNT_DPDK_ROW                                                                 \
	.scheme = "dpdk",                                                              \
	.help = "DPDK: its af_xdp driver on an interface, or any other of its "        \
		"drivers",                                                             \
	.device = "INTERFACE|net_DRIVER0|PCI-ADDRESS", .options = shunt_dpdk_rows
