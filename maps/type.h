/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The integer types of the kernel's ABI, on whichever side this is compiled. */
#pragma once

#ifdef __bpf__
#include "vmlinux/vmlinux.h"
#else
#include <linux/types.h>
#endif

#define SHUNT_ALIGN8 __attribute__((aligned(8)))
