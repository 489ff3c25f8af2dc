/* SPDX-License-Identifier: BSD-2-Clause */
/* What a thread does between two looks at memory that another core writes. */
#pragma once

/* Lets the core's other thread go on, and leaves the wait without a mispredicted load. */
static inline void shunt_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}
