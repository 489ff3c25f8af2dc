/* SPDX-License-Identifier: BSD-2-Clause */
/* What ends of rdma:// say as they meet: byte by byte, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "user/transport/rdma/hello.h"

static const struct shunt_rdma_hello sound = {
	.magic = SHUNT_RDMA_MAGIC,
	.mode = SHUNT_RDMA_WRITE,
	.port = 7000,
	.area = 0x7f0102030405000,
	.grants = 0x55aa00001000,
	.area_key = 0x11223344,
	.grants_key = 0x55667788,
	.frames = 4096,
	.frame_bytes = 4096,
	.headroom = 256,
	.room = 3840,
	.places = 256,
	.pair = 17,
};

static bool says(const struct shunt_rdma_hello *hello, unsigned int mode,
		 uint32_t longest)
{
	struct shunt_rdma_hello wire = shunt_rdma_hello_turn(hello), read;

	return shunt_rdma_hello_read(&read, &wire, sizeof(wire), mode, longest);
}

static void the_bytes_are_these(void **state)
{
	static const uint8_t want[56] = {
		0x73, 0x68, 0x72, 0x64, 0x00, 0x01, 0x1b, 0x58, 0x07, 0xf0, 0x10, 0x20,
		0x30, 0x40, 0x50, 0x00, 0x00, 0x00, 0x55, 0xaa, 0x00, 0x00, 0x10, 0x00,
		0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x00, 0x00, 0x10, 0x00,
		0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x0f, 0x00,
		0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x11,
	};
	struct shunt_rdma_hello wire = shunt_rdma_hello_turn(&sound), read;

	(void)state;
	assert_memory_equal(&wire, want, sizeof(want));
	assert_true(shunt_rdma_hello_read(&read, want, sizeof(want), SHUNT_RDMA_WRITE,
					  3840));
	assert_memory_equal(&read, &sound, sizeof(sound));
}

/* Private data has zeroes behind what was said. */
static void what_is_behind_it_does_not_matter(void **state)
{
	struct shunt_rdma_hello wire = shunt_rdma_hello_turn(&sound), read;
	uint8_t longer[196] = { 0 };
	size_t len;

	(void)state;
	memcpy(longer, &wire, sizeof(wire));
	for (len = 0; len <= sizeof(longer); len++)
		assert_int_equal(shunt_rdma_hello_read(&read, longer, len,
						       SHUNT_RDMA_WRITE, 100),
				 len >= sizeof(wire));
	assert_false(shunt_rdma_hello_read(&read, NULL, sizeof(wire), SHUNT_RDMA_WRITE,
					   100));
}

static void what_does_not_fit_is_refused(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint64_t value;
		size_t bytes;
		bool in_any_mode;
	} row[] = {
#define ROW(field, value, any)                                                         \
	{ #field " " #value, offsetof(struct shunt_rdma_hello, field), value,          \
	  sizeof(sound.field), any }
		ROW(magic, 0x64726873, true),
		ROW(magic, 0, true),
		ROW(mode, SHUNT_RDMA_UD, true),
		ROW(mode, 0xffff, true),
		ROW(room, 3839, true),
		ROW(room, 3841, false), /* longer than a frame is */
		ROW(room, UINT32_MAX, false),
		ROW(headroom, 4096, false),
		ROW(headroom, UINT32_MAX, false),
		ROW(frame_bytes, 0, false),
		ROW(frames, 0, false),
		ROW(places, 0, false),
		ROW(places, SHUNT_RDMA_PLACES_MAX + 1, false),
		ROW(area, UINT64_MAX - 4096 * 4096 + 1, false), /* it ends behind 0 */
		ROW(grants, UINT64_MAX - 2047, false),
	};
	struct shunt_rdma_hello hello;
	size_t i;

	(void)state;
	assert_true(says(&sound, SHUNT_RDMA_WRITE, 3840));
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		hello = sound;
		memcpy((uint8_t *)&hello + row[i].at, &row[i].value, row[i].bytes);
		if (says(&hello, SHUNT_RDMA_WRITE, 3840))
			fail_msg("%s", row[i].what);
		if (hello.mode != SHUNT_RDMA_WRITE)
			continue;
		hello.mode = SHUNT_RDMA_RC;
		if (says(&hello, SHUNT_RDMA_RC, 3840) == row[i].in_any_mode)
			fail_msg("mode=rc: %s", row[i].what);
	}
	hello = sound;
	hello.area = UINT64_MAX - 4096 * 4096;
	hello.grants = UINT64_MAX - 2048;
	hello.places = 256;
	assert_true(says(&hello, SHUNT_RDMA_WRITE, 3840));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bytes_are_these),
		cmocka_unit_test(what_is_behind_it_does_not_matter),
		cmocka_unit_test(what_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
