/* SPDX-License-Identifier: BSD-2-Clause */
/* Checksums: every way to add against the plain one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/model/random.h"
#include "user/net/csum.h"

/* Lengths behind it stand at the very end of memory: what reads further, dies. */
#define ROOM (1u << 17)

static uint8_t *room_end;

static int map_room(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *at = mmap(NULL, ROOM + page, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	if (at == MAP_FAILED || mprotect(at + ROOM, page, PROT_NONE))
		return -1;
	room_end = at + ROOM;
	return 0;
}

static const struct shunt_csum_row *scalar(void)
{
	const struct shunt_csum_row *row = shunt_csum_rows;

	while (strcmp(row->name, "scalar") != 0)
		row++;
	return row;
}

/* --- the specification --------------------------------------------------------------- */

/* RFC 1071 section 3: 00 01 f2 03 f4 f5 f6 f7 add up to ddf2. */
static void the_example_of_the_rfc(void **state)
{
	static const uint8_t bytes[] = {
		0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7
	};
	const struct shunt_csum_row *row;

	(void)state;
	for (row = shunt_csum_rows; row->name; row++)
		if (row->fits())
			assert_int_equal(row->sum(bytes, sizeof(bytes)),
					 shunt_csum_word(0xdd, 0xf2));
}

static void an_odd_byte_is_the_first_of_its_word(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3 };

	(void)state;
	assert_int_equal(scalar()->sum(bytes, 3), shunt_csum_word(4, 2));
	assert_int_equal(scalar()->sum(bytes, 0), 0);
}

static void a_pseudo_header_is_added(void **state)
{
	static const uint8_t four[] = { 192, 0, 2, 1, 192, 0, 2, 2 };
	static const uint8_t as_bytes[] = { 192, 0, 2, 1, 192, 0, 2, 2, 0, 17, 0, 9 };
	static const uint8_t six[32] = { 0x20, 1, 0x0d, 0xb8, [31] = 2 };
	uint8_t whole[40] = { 0 };

	(void)state;
	assert_int_equal(shunt_csum_fold(shunt_csum_pseudo(four, 4, 17, 9)),
			 scalar()->sum(as_bytes, sizeof(as_bytes)));
	memcpy(whole, six, 32);
	whole[33] = 1; /* 0x00012345 bytes of protocol 58 */
	whole[34] = 0x23;
	whole[35] = 0x45;
	whole[39] = 58;
	assert_int_equal(shunt_csum_fold(shunt_csum_pseudo(six, 16, 58, 0x12345)),
			 scalar()->sum(whole, sizeof(whole)));
}

/* --- all rows ------------------------------------------------------------------------ */

/* Random bytes, and those that carry most and least. */
static void fill(struct shunt_random *r, uint8_t *at, size_t len)
{
	uint32_t kind = shunt_random_below(r, 4);
	size_t i;

	for (i = 0; i < len; i++)
		at[i] = kind == 0   ? 0xff
			: kind == 1 ? (shunt_random_one_in(r, 64) ? 1 : 0)
				    : (uint8_t)shunt_random_next(r);
}

static void compare_rows(const uint8_t *at, size_t len)
{
	uint16_t want = scalar()->sum(at, len);
	const struct shunt_csum_row *row;

	for (row = shunt_csum_rows; row->name; row++)
		if (row->fits() && row->sum(at, len) != want)
			fail_msg("%s: %zu bytes at %p: %04x, not %04x", row->name, len,
				 (const void *)at, row->sum(at, len), want);
}

static void every_length_at_every_alignment(void **state)
{
	struct shunt_random r = { shunt_random_seed(1071) };
	size_t len, shift;

	(void)state;
	for (len = 0; len <= 600; len++) {
		for (shift = 0; shift < 64; shift += len < 160 ? 1 : 13) {
			fill(&r, room_end - shift - len, len);
			compare_rows(room_end - shift - len, len);
		}
	}
}

static void long_ones_of_any_length(void **state)
{
	struct shunt_random r = { shunt_random_seed(1624) };
	uint64_t i, cases = shunt_random_cases(2000);

	(void)state;
	for (i = 0; i < cases; i++) {
		size_t len = shunt_random_below(&r, i % 50 ? 9300 : ROOM - 64);
		size_t shift = shunt_random_below(&r, 64);

		fill(&r, room_end - shift - len, len);
		compare_rows(room_end - shift - len, len);
	}
}

/* --- choosing ------------------------------------------------------------------------ */

static void the_best_row_is_in_use(void **state)
{
	const struct shunt_csum_row *row = shunt_csum_rows;

	(void)state;
	while (!row->fits())
		row++;
	assert_ptr_equal(shunt_csum_row, row);
}

static void a_row_is_chosen_by_name(void **state)
{
	struct shunt_err err;

	(void)state;
	assert_int_equal(shunt_csum_choose("scalar", &err), 0);
	assert_ptr_equal(shunt_csum_row, scalar());
	assert_true(shunt_csum_choose("abacus", &err) < 0);
	assert_non_null(strstr(err.message, "abacus"));
	assert_non_null(strstr(err.message, "words, scalar"));
	assert_ptr_equal(shunt_csum_row, scalar());
	assert_int_equal(shunt_csum_choose(NULL, &err), 0);
	the_best_row_is_in_use(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_the_rfc),
		cmocka_unit_test(an_odd_byte_is_the_first_of_its_word),
		cmocka_unit_test(a_pseudo_header_is_added),
		cmocka_unit_test(every_length_at_every_alignment),
		cmocka_unit_test(long_ones_of_any_length),
		cmocka_unit_test(the_best_row_is_in_use),
		cmocka_unit_test(a_row_is_chosen_by_name),
	};

	return cmocka_run_group_tests(tests, map_room, NULL);
}
