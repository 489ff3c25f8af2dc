/* SPDX-License-Identifier: BSD-2-Clause */
/* What code says to the core that it runs on, and how its cache is cut. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SHUNT_CORE_LINE 64u /* bytes that cores exchange */
/* What two cores write stays this far apart: they fetch lines in pairs. */
#define SHUNT_CORE_APART 128

/*
 * Between two looks at memory that another core writes: lets the core's other thread go
 * on, and leaves the wait without a load that was guessed wrongly.
 */
static inline void shunt_core_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

/*
 * Asks for the lines of what will be written, all at once: they lie in another core's
 * cache, and stores alone would wait for them one after the other.
 */
static inline void shunt_core_want(const uint8_t *at, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i += SHUNT_CORE_LINE)
#if defined(__x86_64__) /* what the compiler makes of a prefetch asks for reading */
		__asm__ volatile("prefetchw %0" : : "m"(at[i]));
#else
		__builtin_prefetch(at + i, 1);
#endif
}
