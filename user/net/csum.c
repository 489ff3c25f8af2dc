/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/net/csum.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "user/net/csum_rows.h"

static int fits_any(void)
{
	return 1;
}

/* --- the specification ------------------------------------------------------------- */

static uint16_t sum_scalar(const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += shunt_csum_word(at[i], at[i + 1]);
	if (i < len)
		sum += shunt_csum_word(at[i], 0);
	return shunt_csum_fold(sum);
}

/* --- by words ---------------------------------------------------------------------- */

static uint64_t load64(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static uint32_t load32(const uint8_t *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

/* Up to 7 bytes: where a word of 16 bits stands in a wider one does not matter. */
static uint64_t sum_rest(const uint8_t *at, size_t len)
{
	uint64_t sum = 0;

	if (len & 4) {
		sum += load32(at);
		at += 4;
	}
	if (len & 2) {
		sum += shunt_csum_word(at[0], at[1]);
		at += 2;
	}
	if (len & 1)
		sum += shunt_csum_word(at[0], 0);
	return sum;
}

/* 2^64 and 2^32 are 1 in one's complement. */
uint64_t shunt_csum_words(const uint8_t *at, size_t len)
{
	unsigned __int128 sum = 0;
	uint64_t half;

	for (; len >= 32; at += 32, len -= 32) {
		sum += load64(at);
		sum += load64(at + 8);
		sum += load64(at + 16);
		sum += load64(at + 24);
	}
	for (; len >= 8; at += 8, len -= 8)
		sum += load64(at);
	half = (uint64_t)sum;
	return (half & UINT32_MAX) + (half >> 32) + (uint64_t)(sum >> 64) +
	       sum_rest(at, len);
}

static uint16_t sum_words(const void *bytes, size_t len)
{
	return shunt_csum_fold64(shunt_csum_words(bytes, len));
}

/* --- the table --------------------------------------------------------------------- */

const struct shunt_csum_row shunt_csum_rows[] = {
#ifdef __x86_64__
	{ "avx512", shunt_csum_fits_avx512, shunt_csum_avx512 },
	{ "avx2", shunt_csum_fits_avx2, shunt_csum_avx2 },
	{ "sse2", fits_any, shunt_csum_sse2 },
#endif
	{ "words", fits_any, sum_words },
	{ "scalar", fits_any, sum_scalar },
	{ 0 },
};

const struct shunt_csum_row *shunt_csum_row;

__attribute__((constructor)) static void choose_best(void)
{
	const struct shunt_csum_row *row = shunt_csum_rows;

	while (!row->fits())
		row++;
	shunt_csum_row = row;
}

int shunt_csum_choose(const char *name, struct shunt_err *err)
{
	const struct shunt_csum_row *row;
	char names[128] = "";

	if (!name) {
		choose_best();
		return 0;
	}
	for (row = shunt_csum_rows; row->name; row++) {
		if (!row->fits())
			continue;
		if (!strcmp(row->name, name)) {
			shunt_csum_row = row;
			return 0;
		}
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 *names ? ", " : "", row->name);
	}
	return shunt_fail(err, -EINVAL,
			  "add checksums by \"%s\": this CPU and this build have %s",
			  name, names);
}

uint64_t shunt_csum_pseudo(const void *addresses, size_t bytes, uint8_t proto,
			   uint32_t len)
{
	const uint8_t *at = addresses;

	return shunt_csum_words(at, 2 * bytes) + shunt_csum_word(0, proto) +
	       shunt_csum_word(len >> 24, len >> 16 & 0xff) +
	       shunt_csum_word(len >> 8 & 0xff, len & 0xff);
}
