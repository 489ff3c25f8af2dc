/* SPDX-License-Identifier: BSD-2-Clause */
/* Sums by vectors: each 32-bit word is added into a 64-bit lane, so nothing carries. */
#include "user/net/csum_rows.h"

#ifdef __x86_64__
#include <immintrin.h>

/* Below that, setting up and adding across a vector costs more than it saves. */
#define SHORT 64

int shunt_csum_fits_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

int shunt_csum_fits_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}

__attribute__((target("avx512f,avx512bw"))) static __m512i add512(__m512i sum,
								  __m512i words)
{
	const __m512i low = _mm512_set1_epi64(UINT32_MAX);

	sum = _mm512_add_epi64(sum, _mm512_and_si512(words, low));
	return _mm512_add_epi64(sum, _mm512_srli_epi64(words, 32));
}

__attribute__((target("avx512f,avx512bw"))) uint16_t shunt_csum_avx512(
	const void *bytes, size_t len)
{
	__m512i even = _mm512_setzero_si512(), odd = even;
	const uint8_t *at = bytes;

	for (; len >= 128; at += 128, len -= 128) {
		even = add512(even, _mm512_loadu_si512(at));
		odd = add512(odd, _mm512_loadu_si512(at + 64));
	}
	if (len >= 64) {
		even = add512(even, _mm512_loadu_si512(at));
		at += 64;
		len -= 64;
	}
	if (len) /* bytes that the mask leaves out are not read */
		odd = add512(odd, _mm512_maskz_loadu_epi8((1ull << len) - 1, at));
	return shunt_csum_fold64(_mm512_reduce_add_epi64(_mm512_add_epi64(even, odd)));
}

__attribute__((target("avx2"))) static __m256i add256(__m256i sum, __m256i words)
{
	const __m256i low = _mm256_set1_epi64x(UINT32_MAX);

	sum = _mm256_add_epi64(sum, _mm256_and_si256(words, low));
	return _mm256_add_epi64(sum, _mm256_srli_epi64(words, 32));
}

__attribute__((target("avx2"))) static uint64_t across256(__m256i sum)
{
	__m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum),
				     _mm256_extracti128_si256(sum, 1));

	return (uint64_t)_mm_cvtsi128_si64(half) + (uint64_t)_mm_extract_epi64(half, 1);
}

__attribute__((target("avx2"))) uint16_t shunt_csum_avx2(const void *bytes, size_t len)
{
	__m256i even = _mm256_setzero_si256(), odd = even;
	const uint8_t *at = bytes;

	if (len < SHORT)
		return shunt_csum_fold64(shunt_csum_words(at, len));
	for (; len >= 64; at += 64, len -= 64) {
		even = add256(even, _mm256_loadu_si256((const __m256i *)at));
		odd = add256(odd, _mm256_loadu_si256((const __m256i *)(at + 32)));
	}
	return shunt_csum_fold64(across256(_mm256_add_epi64(even, odd)) +
				 shunt_csum_words(at, len));
}

static __m128i add128(__m128i sum, __m128i words)
{
	const __m128i low = _mm_set1_epi64x(UINT32_MAX);

	sum = _mm_add_epi64(sum, _mm_and_si128(words, low));
	return _mm_add_epi64(sum, _mm_srli_epi64(words, 32));
}

uint16_t shunt_csum_sse2(const void *bytes, size_t len)
{
	__m128i even = _mm_setzero_si128(), odd = even;
	const uint8_t *at = bytes;

	if (len < SHORT)
		return shunt_csum_fold64(shunt_csum_words(at, len));
	for (; len >= 32; at += 32, len -= 32) {
		even = add128(even, _mm_loadu_si128((const __m128i *)at));
		odd = add128(odd, _mm_loadu_si128((const __m128i *)(at + 16)));
	}
	even = _mm_add_epi64(even, odd);
	return shunt_csum_fold64((uint64_t)_mm_cvtsi128_si64(even) +
				 (uint64_t)_mm_cvtsi128_si64(_mm_srli_si128(even, 8)) +
				 shunt_csum_words(at, len));
}
#endif
