/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What code that is compiled for BPF and for the host asks of the compiler. */
#pragma once

#define SHUNT_INLINE static inline __attribute__((always_inline))

/*
 * Hides from the compiler what it knows of a value, so that it neither drops a check that
 * the verifier needs to see, nor moves a use in front of it.
 */
#define SHUNT_OPAQUE(value) asm volatile("" : "+r"(value))

#ifdef __bpf__
#define SHUNT_UNROLL _Pragma("clang loop unroll(full)")
#define SHUNT_NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define SHUNT_UNROLL
#define SHUNT_NO_UNROLL
#endif
