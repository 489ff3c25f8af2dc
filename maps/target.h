/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where an XDP program may redirect to: interfaces by index, CPUs by number. */
#pragma once

#include "maps/type.h"

/*
 * Written by: user space, before the image that names the target takes over; the kernel
 * removes an interface that vanishes. Read by: the XDP program.
 */
#define SHUNT_DEV_MAX 512    /* interfaces of two policies */
#define SHUNT_CPU_MAX 256    /* highest CPU number + 1 */
#define SHUNT_CPU_QUEUE 2048 /* frames that wait for a CPU before they are dropped */

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, SHUNT_DEV_MAX);
	__type(key, __u32);
	__type(value, __u32);
} shunt_dev SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, SHUNT_CPU_MAX);
	__type(key, __u32);
	__type(value, __u32);
} shunt_cpu SEC(".maps");
#endif
