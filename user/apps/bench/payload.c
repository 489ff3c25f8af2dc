/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/bench/payload.h"

uint8_t shunt_bench_pattern[64 + SHUNT_BENCH_SIZE_MAX];

/* Marsaglia's xorshift: no part of the pattern is like another. */
void shunt_bench_pattern_make(void)
{
	uint64_t word = 0x9e3779b97f4a7c15u;
	size_t i;

	for (i = 0; i < sizeof(shunt_bench_pattern); i++) {
		word ^= word << 13;
		word ^= word >> 7;
		word ^= word << 17;
		shunt_bench_pattern[i] = (uint8_t)word;
	}
}
