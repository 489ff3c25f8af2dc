/* SPDX-License-Identifier: BSD-2-Clause */
/* A stream's messages, however its bytes arrive; and what waits to be written. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/model/random.h"
#include "user/transport/stream.h"

#define FRAMES 24u
#define FRAME_BYTES 1024u
#define MESSAGE_MAX 5000u
#define MESSAGES 400u
#define ROUNDS 200u

static struct shunt_transport transport;

static int open_memory(void **state)
{
	const struct shunt_memory_opts opts = { .sz = sizeof(opts),
						.frames = FRAMES,
						.frame_bytes = FRAME_BYTES };

	(void)state;
	if (shunt_memory_open(&transport.memory, &opts, NULL))
		return -1;
	transport.pool = &transport.memory->pool;
	transport.options.message_max = MESSAGE_MAX;
	return 0;
}

static int close_memory(void **state)
{
	(void)state;
	shunt_memory_close(transport.memory);
	return 0;
}

static void assert_all_back(void)
{
	assert_int_equal(shunt_memory_free_frames(transport.memory), FRAMES);
}

/* --- what is sent, and what came of it -------------------------------------------------- */

struct sent {
	uint8_t *bytes;
	size_t len, read; /* read: handed to the stream */
	uint32_t span[MESSAGES], at[MESSAGES];
	unsigned int n, got;
};

static void append(struct sent *sent, uint32_t len)
{
	const struct shunt_wire_piece piece = { .sequence = sent->n, .length = len };
	uint32_t i;

	sent->at[sent->n] = (uint32_t)sent->len;
	sent->span[sent->n++] = SHUNT_WIRE_BYTES + len;
	shunt_wire_write(sent->bytes + sent->len, &piece);
	sent->len += SHUNT_WIRE_BYTES;
	for (i = 0; i < len; i++)
		sent->bytes[sent->len++] = (uint8_t)(sent->n + i);
}

/* Lengths around those that matter: none, a frame's, the longest. */
static uint32_t any_length(struct shunt_random *seed)
{
	uint32_t room = FRAME_BYTES - SHUNT_MEMORY_HEADROOM;

	switch (shunt_random_below(seed, 6)) {
	case 0:
		return 0;
	case 1:
		return room - SHUNT_WIRE_BYTES - 1 +
		       (uint32_t)shunt_random_below(seed, 3);
	case 2:
		return MESSAGE_MAX - (uint32_t)shunt_random_below(seed, 2);
	default:
		return (uint32_t)shunt_random_below(seed, 200);
	}
}

static struct sent make_sent(struct shunt_random *seed)
{
	struct sent sent = { .bytes = malloc((size_t)MESSAGES *
					     (MESSAGE_MAX + SHUNT_WIRE_BYTES)) };

	assert_non_null(sent.bytes);
	while (sent.n < MESSAGES)
		append(&sent, any_length(seed));
	return sent;
}

/* --- a reader that keeps some of what it gets -------------------------------------------- */

struct reader {
	struct shunt_stream_in in;
	struct shunt_frame kept[FRAMES];
	unsigned int n;
};

static void keep(struct reader *reader, const struct shunt_frame *frame,
		 struct shunt_random *seed)
{
	if (reader->n == FRAMES / 2 || shunt_random_below(seed, 3)) {
		shunt_frames_put(frame, 1);
		return;
	}
	reader->kept[reader->n++] = *frame;
}

static void give_back(struct reader *reader)
{
	shunt_frames_put(reader->kept, reader->n);
	reader->n = 0;
}

/* All that is whole; each as it was sent. */
static void take_messages(struct reader *reader, struct sent *sent,
			  struct shunt_random *seed)
{
	struct shunt_frame frame;
	int ret;

	for (;;) {
		ret = shunt_stream_next(&reader->in, &transport, &frame);
		if (ret == -ENOBUFS) {
			assert_true(reader->n > 0);
			give_back(reader);
			continue;
		}
		assert_true(ret >= 0);
		if (!ret)
			return;
		assert_int_equal(frame.len, sent->span[sent->got]);
		assert_memory_equal(frame.data, sent->bytes + sent->at[sent->got],
				    frame.len);
		/* it is ours: the stream must not look at it any more */
		memset(frame.data, 0xee, frame.len);
		sent->got++;
		keep(reader, &frame, seed);
	}
}

static uint32_t portion(const struct sent *sent, struct shunt_random *seed,
			uint32_t most)
{
	uint32_t bytes = 1 + (uint32_t)shunt_random_below(
				     seed, shunt_random_below(seed, 2) ? most : 20);

	if (bytes > most)
		bytes = most;
	return bytes < sent->len - sent->read ? bytes
					      : (uint32_t)(sent->len - sent->read);
}

static void read_some(struct reader *reader, struct sent *sent,
		      struct shunt_random *seed)
{
	uint32_t room, bytes;
	void *to;

	if (!shunt_stream_room(&reader->in, &transport, &to, &room)) {
		assert_true(reader->n > 0);
		give_back(reader);
		return;
	}
	assert_true(room > 0);
	bytes = shunt_random_below(seed, 8) ? portion(sent, seed, room) : 0;
	memcpy(to, sent->bytes + sent->read, bytes);
	sent->read += bytes;
	shunt_stream_came(&reader->in, bytes);
}

static void feed_some(struct reader *reader, struct sent *sent,
		      struct shunt_random *seed)
{
	struct shunt_frame frame;

	if (!shunt_pool_get(transport.pool, &frame, 1)) {
		give_back(reader);
		return;
	}
	frame.len = portion(sent, seed, transport.pool->room);
	memcpy(frame.data, sent->bytes + sent->read, frame.len);
	sent->read += frame.len;
	shunt_stream_feed(&reader->in, &frame);
}

static void run_stream(uint64_t first, int fed)
{
	struct shunt_random seed = { first };
	struct sent sent = make_sent(&seed);
	struct reader reader = { 0 };

	while (sent.read < sent.len) {
		if (fed)
			feed_some(&reader, &sent, &seed);
		else
			read_some(&reader, &sent, &seed);
		take_messages(&reader, &sent, &seed);
		if (!shunt_random_below(&seed, 10))
			shunt_stream_spill(&reader.in, &transport);
	}
	assert_int_equal(sent.got, sent.n);
	assert_false(shunt_stream_cut(&reader.in));
	give_back(&reader);
	/* an idle stream holds nothing */
	assert_all_back();
	free(sent.bytes);
}

static void messages_come_whole_however_they_are_read(void **state)
{
	uint64_t i;

	(void)state;
	for (i = 0; i < ROUNDS; i++)
		run_stream(1 + i, 0);
}

static void messages_come_whole_however_they_are_fed(void **state)
{
	uint64_t i;

	(void)state;
	for (i = 0; i < ROUNDS; i++)
		run_stream(1 + i, 1);
}

/* --- single cases -------------------------------------------------------------------------- */

static void put_header(struct shunt_frame *frame, uint32_t length)
{
	const struct shunt_wire_piece piece = { .length = length };

	assert_int_equal(shunt_pool_get(transport.pool, frame, 1), 1);
	shunt_wire_write(frame->data, &piece);
	frame->len = SHUNT_WIRE_BYTES;
}

static void one_message_alone_stays_where_it_was_read(void **state)
{
	struct shunt_stream_in in = { 0 };
	struct shunt_frame frame, message;

	(void)state;
	put_header(&frame, 100);
	frame.len += 100;
	shunt_stream_feed(&in, &frame);
	assert_int_equal(shunt_stream_next(&in, &transport, &message), 1);
	assert_ptr_equal(message.data, frame.data);
	assert_int_equal(shunt_stream_next(&in, &transport, &frame), 0);
	shunt_frames_put(&message, 1);
	assert_all_back();
}

static void a_length_beyond_the_longest_is_no_message(void **state)
{
	struct shunt_stream_in in = { 0 };
	struct shunt_frame frame;

	(void)state;
	put_header(&frame, MESSAGE_MAX + 1);
	shunt_stream_feed(&in, &frame);
	assert_int_equal(shunt_stream_next(&in, &transport, &frame), -EBADMSG);
	assert_int_equal(shunt_stream_next(&in, &transport, &frame), -EBADMSG);
	shunt_stream_in_close(&in);
	assert_all_back();
}

static void a_long_message_gets_room_for_itself_alone(void **state)
{
	struct shunt_stream_in in = { 0 };
	struct shunt_frame frame;
	uint32_t room;
	void *to;

	(void)state;
	put_header(&frame, MESSAGE_MAX);
	shunt_stream_feed(&in, &frame);
	assert_int_equal(shunt_stream_next(&in, &transport, &frame), 0);
	assert_true(shunt_stream_room(&in, &transport, &to, &room));
	assert_int_equal(room, MESSAGE_MAX);
	assert_all_back(); /* the header's frame, too */
	assert_true(shunt_stream_cut(&in));
	shunt_stream_in_close(&in);
}

static void a_message_that_has_begun_leaves_the_pool_when_told(void **state)
{
	struct shunt_stream_in in = { 0 };
	struct shunt_frame frame, message;
	uint32_t room;
	void *to;

	(void)state;
	put_header(&frame, 100);
	shunt_stream_feed(&in, &frame);
	assert_int_equal(shunt_stream_next(&in, &transport, &message), 0);
	assert_true(shunt_stream_spill(&in, &transport));
	assert_false(shunt_stream_spill(&in, &transport));
	assert_all_back();
	assert_true(shunt_stream_room(&in, &transport, &to, &room));
	assert_int_equal(room, 100);
	memset(to, 7, room);
	shunt_stream_came(&in, room);
	assert_int_equal(shunt_stream_next(&in, &transport, &message), 1);
	assert_int_equal(message.len, SHUNT_WIRE_BYTES + 100);
	assert_int_equal(message.data[SHUNT_WIRE_BYTES + 99], 7);
	shunt_frames_put(&message, 1);
}

/* --- sending --------------------------------------------------------------------------------- */

/* A frame whose bytes go on counting where the last one's ended. */
static void push_some(struct shunt_stream_out *out, struct shunt_random *seed,
		      uint8_t *pushed)
{
	struct shunt_frame frame;
	uint32_t i;

	if (!shunt_pool_get(transport.pool, &frame, 1))
		return;
	frame.len = shunt_random_in(seed, 1, 40);
	for (i = 0; i < frame.len; i++)
		frame.data[i] = (uint8_t)(*pushed + i);
	if (shunt_stream_push(out, &frame))
		*pushed = (uint8_t)(*pushed + frame.len);
	else
		shunt_frames_put(&frame, 1);
}

/* As a connection that takes some of what it is offered. */
static unsigned int write_some(struct shunt_stream_out *out, struct shunt_random *seed,
			       uint8_t *written)
{
	unsigned int n, i, whole;
	struct iovec iov[4];
	uint64_t bytes = 0, left, k;

	n = shunt_stream_iov(out, iov, 4);
	whole = n ? shunt_random_below(seed, n + 1) : 0;
	for (i = 0; i < whole; i++)
		bytes += iov[i].iov_len;
	if (whole < n)
		bytes += shunt_random_below(seed, (uint32_t)iov[whole].iov_len);
	left = bytes;
	for (i = 0; i < n; i++)
		for (k = 0; k < iov[i].iov_len && left; k++, left--)
			assert_int_equal(((uint8_t *)iov[i].iov_base)[k], (*written)++);
	return shunt_stream_wrote(out, bytes);
}

static void what_is_pushed_is_written_in_order_and_given_back(void **state)
{
	struct shunt_stream_out *out = calloc(1, sizeof(*out));
	struct shunt_random seed = { 1 };
	uint8_t pushed = 0, written = 0;
	unsigned int ended = 0, i;

	(void)state;
	assert_non_null(out);
	for (i = 0; i < 20000; i++) {
		push_some(out, &seed, &pushed);
		ended += write_some(out, &seed, &written);
		assert_true(shunt_stream_waiting(out) <= SHUNT_STREAM_BACKLOG);
	}
	assert_true(ended > 10000);
	shunt_stream_out_close(out);
	assert_all_back();
	free(out);
}

static void a_full_backlog_takes_no_more(void **state)
{
	struct shunt_stream_out *out = calloc(1, sizeof(*out));
	struct shunt_frame frame = { .len = 1 };
	unsigned int i;

	(void)state;
	assert_non_null(out);
	for (i = 0; i < SHUNT_STREAM_BACKLOG; i++)
		assert_true(shunt_stream_push(out, &frame));
	assert_false(shunt_stream_push(out, &frame));
	assert_int_equal(shunt_stream_wrote(out, 1), 1);
	assert_true(shunt_stream_push(out, &frame));
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_come_whole_however_they_are_read),
		cmocka_unit_test(messages_come_whole_however_they_are_fed),
		cmocka_unit_test(one_message_alone_stays_where_it_was_read),
		cmocka_unit_test(a_length_beyond_the_longest_is_no_message),
		cmocka_unit_test(a_long_message_gets_room_for_itself_alone),
		cmocka_unit_test(a_message_that_has_begun_leaves_the_pool_when_told),
		cmocka_unit_test(what_is_pushed_is_written_in_order_and_given_back),
		cmocka_unit_test(a_full_backlog_takes_no_more),
	};

	return cmocka_run_group_tests(tests, open_memory, close_memory);
}
