/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways to add of one kind of CPU, for the table of user/net/csum.c. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* By words of 8 bytes: the best way for short packets. The sum stays far below 2^63. */
uint64_t shunt_csum_words(const uint8_t *at, size_t len);

/*
 * shunt_csum_fold() in half as many steps: a number plus itself with its halves swapped
 * has the sum of both, with the carry brought around, in its upper half.
 */
static inline uint16_t shunt_csum_fold64(uint64_t sum)
{
	uint32_t half = (sum + (sum >> 32 | sum << 32)) >> 32;

	return (half + (half >> 16 | half << 16)) >> 16;
}

#ifdef __x86_64__
int shunt_csum_fits_avx512(void);
int shunt_csum_fits_avx2(void);
uint16_t shunt_csum_avx512(const void *bytes, size_t len);
uint16_t shunt_csum_avx2(const void *bytes, size_t len);
uint16_t shunt_csum_sse2(const void *bytes, size_t len);
#endif
