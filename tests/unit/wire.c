/* SPDX-License-Identifier: BSD-2-Clause */
/* The header of messages: what it says, what its numbers tell, and whole messages. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/model/random.h"
#include "user/rt/pool.h"
#include "user/transport/assembly.h"
#include "user/transport/wire.h"

#define MESSAGE_MAX 100000u

/* --- the header ------------------------------------------------------------------------ */

struct row {
	const char *name;
	const char header[SHUNT_WIRE_BYTES + 1];
	uint32_t bytes; /* behind it */
	bool sound;
};

/* clang-format off */
static const struct row rows[] = {
	{ "an empty message",
	  "\xd7\0" "\0\1" "\0\0\0\7" "\0\0\0\0" "\0\0" "\1\2", 0, true },
	{ "a whole message",
	  "\xd7\0" "\0\1" "\0\0\0\7" "\0\0\0\5" "\0\0" "\1\2", 5, true },
	{ "the first of two fragments",
	  "\xd7\1" "\0\1" "\0\0\0\7" "\0\0\0\11" "\0\0" "\1\2", 5, true },
	{ "the last of two fragments",
	  "\xd7\0" "\0\1" "\0\0\0\7" "\0\0\0\11" "\0\1" "\1\2", 4, true },
	{ "another magic",
	  "\xd6\0" "\0\1" "\0\0\0\7" "\0\0\0\5" "\0\0" "\1\2", 5, false },
	{ "a flag that there is not",
	  "\xd7\4" "\0\1" "\0\0\0\7" "\0\0\0\5" "\0\0" "\1\2", 5, false },
	{ "an answer",
	  "\xd7\2" "\0\1" "\0\0\0\7" "\0\0\0\5" "\0\0" "\1\2", 5, true },
	{ "the first fragment of an answer",
	  "\xd7\3" "\0\1" "\0\0\0\7" "\0\0\0\11" "\0\0" "\1\2", 5, false },
	{ "the last fragment of an answer",
	  "\xd7\2" "\0\1" "\0\0\0\7" "\0\0\0\11" "\0\1" "\1\2", 4, false },
	{ "fewer bytes than a whole message has",
	  "\xd7\0" "\0\1" "\0\0\0\7" "\0\0\0\5" "\0\0" "\1\2", 4, false },
	{ "more bytes than it has",
	  "\xd7\0" "\0\1" "\0\0\0\7" "\0\0\0\5" "\0\0" "\1\2", 6, false },
	{ "a fragment that leaves nothing to follow",
	  "\xd7\1" "\0\1" "\0\0\0\7" "\0\0\0\5" "\0\0" "\1\2", 5, false },
	{ "an empty fragment",
	  "\xd7\1" "\0\1" "\0\0\0\7" "\0\0\0\5" "\0\0" "\1\2", 0, false },
	{ "a last fragment whose place is no multiple",
	  "\xd7\0" "\0\1" "\0\0\0\7" "\0\0\0\12" "\0\2" "\1\2", 3, false },
	{ "a last fragment that is longer than the others",
	  "\xd7\0" "\0\1" "\0\0\0\7" "\0\0\0\11" "\0\1" "\1\2", 5, false },
	{ "a message that is too long",
	  "\xd7\1" "\0\1" "\0\0\0\7" "\0\2\0\0" "\0\0" "\1\2", 5, false },
};
/* clang-format on */

static void headers_are_sound_or_not(void **state)
{
	struct shunt_wire_piece piece;
	uint8_t datagram[64] = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		memcpy(datagram, rows[i].header, SHUNT_WIRE_BYTES);
		if (shunt_wire_read(&piece, datagram, SHUNT_WIRE_BYTES + rows[i].bytes,
				    MESSAGE_MAX) != rows[i].sound)
			fail_msg("%s: %s", rows[i].name,
				 rows[i].sound ? "refused" : "taken");
	}
	for (i = 0; i < SHUNT_WIRE_BYTES; i++)
		assert_false(shunt_wire_read(&piece, datagram, (uint32_t)i, 100));
}

static void streams_are_cut_by_the_length(void **state)
{
	struct shunt_wire_piece piece = { .length = 5, .channel = 3 };
	uint8_t stream[SHUNT_WIRE_BYTES];

	(void)state;
	shunt_wire_write(stream, &piece);
	assert_int_equal(shunt_wire_span(stream, sizeof(stream), 5), 21);
	assert_int_equal(shunt_wire_span(stream, sizeof(stream) - 1, 5), 0);
	assert_int_equal(shunt_wire_span(stream, sizeof(stream), 4), -EBADMSG);
	piece.more = 1;
	shunt_wire_write(stream, &piece);
	assert_int_equal(shunt_wire_span(stream, sizeof(stream), 5), -EBADMSG);
	piece = (struct shunt_wire_piece){ .length = 5, .fragment = 1 };
	shunt_wire_write(stream, &piece);
	assert_int_equal(shunt_wire_span(stream, sizeof(stream), 5), -EBADMSG);
}

/* --- numbers ------------------------------------------------------------------------------ */

#define NUMBERS 20000u

/* Beside one byte for each number that there is. */
static void windows_tell_what_a_naive_model_tells(void **state)
{
	struct shunt_random random = { shunt_random_seed(2) };
	static uint8_t came[NUMBERS];
	unsigned int round;

	(void)state;
	for (round = 0; round < 20; round++) {
		uint32_t start = (uint32_t)shunt_random_next(&random), newest = 0, i;
		uint64_t late = 0, duplicates = 0, lost = 0;
		struct shunt_wire_window window = { 0 };
		struct shunt_wire_piece piece = { .epoch = 9, .sequence = start };

		memset(came, 0, sizeof(came));
		came[0] = 1;
		assert_true(shunt_wire_enter(&window, &piece));
		while (newest < NUMBERS - 3000) {
			uint32_t back = shunt_random_below(&random, 1500), at;

			at = newest > back && shunt_random_one_in(&random, 3)
				     ? newest - back
				     : newest + 1 +
					       shunt_random_below(
						       &random,
						       shunt_random_one_in(&random, 50)
							       ? 2500
							       : 3);
			piece.sequence = start + at;
			if (at > newest) {
				assert_true(shunt_wire_enter(&window, &piece));
				newest = at;
			} else if (newest - at >= SHUNT_WIRE_WINDOW || came[at]) {
				assert_false(shunt_wire_enter(&window, &piece));
				duplicates++;
				continue;
			} else {
				assert_true(shunt_wire_enter(&window, &piece));
				late++;
			}
			came[at] = 1;
		}
		for (i = 0; i < newest; i++)
			lost += !came[i];
		assert_int_equal(shunt_wire_lost(&window), lost);
		assert_int_equal(window.late, late);
		assert_int_equal(window.duplicates, duplicates);
		assert_int_equal(window.restarts, 0);
	}
}

static void another_epoch_begins_anew(void **state)
{
	struct shunt_wire_window window = { 0 };
	struct shunt_wire_piece piece = { .epoch = 1, .sequence = 100 };

	(void)state;
	assert_true(shunt_wire_enter(&window, &piece));
	piece = (struct shunt_wire_piece){ .epoch = 2, .sequence = 0 };
	assert_true(shunt_wire_enter(&window, &piece));
	assert_int_equal(window.restarts, 1);
	/* A straggler of the first life is nothing new. */
	piece = (struct shunt_wire_piece){ .epoch = 1, .sequence = 101 };
	assert_false(shunt_wire_enter(&window, &piece));
	piece = (struct shunt_wire_piece){ .epoch = 2, .sequence = 1 };
	assert_true(shunt_wire_enter(&window, &piece));
	assert_int_equal(window.restarts, 1);
	assert_int_equal(shunt_wire_lost(&window), 0);
}

/* --- fragments ------------------------------------------------------------------------------ */

/* Cuts a message and enters its fragments in any order; whether it came out whole. */
static bool pass_message(struct shunt_assembly **assembly,
			 struct shunt_assembly_room *room, struct shunt_random *random,
			 uint32_t sequence, bool lose)
{
	uint32_t length = shunt_random_in(random, 2, MESSAGE_MAX);
	uint32_t size = shunt_random_in(random, length / 200 + 1, length - 1);
	uint32_t n = (length + size - 1) / size, i, skip = n;
	uint8_t *bytes = malloc(length);
	uint32_t *order = malloc(n * sizeof(*order));
	struct shunt_frame frame = { 0 };
	bool whole = false;

	for (i = 0; i < length; i++)
		bytes[i] = (uint8_t)shunt_random_next(random);
	for (i = 0; i < n; i++) {
		uint32_t j = shunt_random_below(random, i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	if (lose)
		skip = shunt_random_below(random, n);
	for (i = 0; i < n; i++) {
		struct shunt_wire_piece piece = {
			.sequence = sequence + order[i],
			.length = length,
			.fragment = (uint16_t)order[i],
			.more = order[i] + 1 < n,
			.offset = order[i] * size,
			.bytes = order[i] + 1 < n ? size : length - order[i] * size,
		};
		int ret;

		if (order[i] == skip)
			continue;
		assert_false(whole);
		ret = shunt_assembly_enter(assembly, room, &piece, bytes + piece.offset,
					   1, &frame);
		assert_true(ret >= 0);
		whole = ret;
	}
	if (whole) {
		assert_int_equal(frame.len, length);
		assert_memory_equal(frame.data, bytes, length);
		shunt_frames_put(&frame, 1);
	}
	free(order);
	free(bytes);
	return whole;
}

static void fragments_become_the_message_again(void **state)
{
	struct shunt_random random = { shunt_random_seed(3) };
	struct shunt_assembly_room room = { .budget = 10 * MESSAGE_MAX };
	struct shunt_assembly *assembly = NULL;
	unsigned int i, lost = 0;

	(void)state;
	for (i = 0; i < 500; i++) {
		bool lose = shunt_random_one_in(&random, 3);

		lost += lose;
		assert_int_equal(
			pass_message(&assembly, &room, &random, i * 1000, lose), !lose);
	}
	shunt_assembly_free(assembly, &room);
	/* A message of which all was lost was never begun: here, two fragments at least. */
	assert_int_equal(room.incomplete, lost);
	assert_int_equal(room.used, 0);
}

/* Fragments that disagree cannot lend bytes that nobody sent. */
static void fragments_cannot_overlap(void **state)
{
	struct shunt_assembly_room room = { .budget = 1000 };
	struct shunt_assembly *assembly = NULL;
	const uint8_t bytes[300] = { 0 };
	struct shunt_frame frame;
	struct shunt_wire_piece first = {
		.sequence = 7, .length = 300, .more = 1, .bytes = 150
	};
	struct shunt_wire_piece other = { .sequence = 8,
					  .length = 300,
					  .more = 1,
					  .fragment = 1,
					  .offset = 100,
					  .bytes = 100 };
	struct shunt_wire_piece long_one = {
		.sequence = 100, .length = 2000, .more = 1, .bytes = 100
	};

	(void)state;
	assert_int_equal(
		shunt_assembly_enter(&assembly, &room, &first, bytes, 1, &frame), 0);
	assert_int_equal(room.used, 300);
	assert_int_equal(
		shunt_assembly_enter(&assembly, &room, &other, bytes, 1, &frame), 0);
	assert_int_equal(room.incomplete, 1);
	assert_int_equal(room.used, 0);
	assert_int_equal(shunt_assembly_enter(&assembly, &room, &long_one, bytes, 1,
					      &frame),
			 -ENOMEM);
	shunt_assembly_free(assembly, &room);
}

/* What stops coming gives its bytes back when its time is over. */
static void unfinished_messages_go(void **state)
{
	struct shunt_assembly_room room = { .budget = 1000 };
	struct shunt_assembly *assembly = NULL;
	const uint8_t bytes[500] = { 0 };
	struct shunt_frame frame;
	struct shunt_wire_piece piece = { .length = 600, .more = 1, .bytes = 500 };

	(void)state;
	assert_int_equal(
		shunt_assembly_enter(&assembly, &room, &piece, bytes, 1, &frame), 0);
	piece.sequence = 50;
	assert_int_equal(shunt_assembly_enter(&assembly, &room, &piece, bytes, 2,
					      &frame),
			 -ENOMEM);
	assert_int_equal(shunt_assembly_enter(&assembly, &room, &piece, bytes,
					      SHUNT_ASSEMBLY_NS + 2, &frame),
			 0);
	assert_int_equal(room.incomplete, 1);
	shunt_assembly_free(assembly, &room);
	assert_int_equal(room.used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_sound_or_not),
		cmocka_unit_test(streams_are_cut_by_the_length),
		cmocka_unit_test(windows_tell_what_a_naive_model_tells),
		cmocka_unit_test(another_epoch_begins_anew),
		cmocka_unit_test(fragments_become_the_message_again),
		cmocka_unit_test(fragments_cannot_overlap),
		cmocka_unit_test(unfinished_messages_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
