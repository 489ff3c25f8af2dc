/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Comparing without branches, for the searches in images and sets. */
#pragma once

#include "bpf/lib/compiler.h"
#include "maps/type.h"

/* 1 where a < b, else 0, for any two 64-bit values (Hacker's Delight, 2-12). */
SHUNT_INLINE __u64 shunt_below(__u64 a, __u64 b)
{
	return ((~a & b) | ((~a | b) & (a - b))) >> 63;
}
