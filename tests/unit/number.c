/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers in payloads: put there, found again, and no byte outside the frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "user/net/number.h"

/* ICMPv6 of 8 bytes with 16 of payload; a message may end before its fifth byte. */
static const uint8_t frame[] = {
	2,    0,    0,	  0,	0,    2,  2,  0,  0, 0, 0, 1, 0x86, 0xdd, /* Ethernet */
	0x60, 0,    0,	  0,	0,    24, 58, 64,			  /* IPv6 */
	0x20, 0x01, 0x0d, 0xb8, 0,    0,  0,  0,  0, 0, 0, 0, 0,    0,	  0,
	1,    0x20, 0x01, 0x0d, 0xb8, 0,  0,  0,  0, 0, 0, 0, 0,    0,	  0,
	0,    2,    128,  0,	0,    0,  0,  0,  0, 0, 0, 0, 0,    0,	  0,
	0,    0,    0,	  0,	0,    0,  0,  0,  0, 0, 0,
};

#define L4 (14 + 40)

static void a_number_is_found_where_it_was_written(void **ctx)
{
	struct shunt_number_place place;
	uint8_t copy[sizeof(frame)];
	uint64_t number;

	(void)ctx;
	memcpy(copy, frame, sizeof(copy));
	assert_true(shunt_number_find(copy, sizeof(copy), &place));
	assert_int_equal(place.payload, L4 + 8);
	assert_false(shunt_number_read(copy, sizeof(copy), &number));
	shunt_number_mark(copy, &place);
	shunt_number_write(copy, &place, 7);
	assert_true(shunt_number_read(copy, sizeof(copy), &number));
	assert_int_equal(number, 7);
	/* nothing in front of it but the checksum has changed */
	assert_memory_equal(copy, frame, L4 + 2);
	assert_memory_equal(copy + L4 + 4, frame + L4 + 4, 4);
}

static void a_message_that_ends_before_its_payload_has_no_place_for_one(void **ctx)
{
	struct shunt_number_place place;
	uint8_t copy[sizeof(frame)];
	uint8_t bytes;

	(void)ctx;
	memcpy(copy, frame, sizeof(copy));
	for (bytes = 0; bytes < 24; bytes++) {
		copy[14 + 5] = bytes;
		assert_int_equal(shunt_number_find(copy, L4 + bytes, &place),
				 bytes >= 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_is_found_where_it_was_written),
		cmocka_unit_test(
			a_message_that_ends_before_its_payload_has_no_place_for_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
