// SPDX-License-Identifier: BSD-2-Clause
/* What no sound peer says is an error, and what a network does to a sound one is none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "user/transport/reliable.h"

#define WINDOW 4096u
#define MESSAGES 4u
#define LONGEST 1000u
#define NUMBERED SHUNT_SEGMENT_NUMBERED
#define ACK SHUNT_SEGMENT_ACK
#define WANT SHUNT_SEGMENT_WANT
#define DATA SHUNT_SEGMENT_DATA

static const struct shunt_terms terms = { WINDOW, MESSAGES, LONGEST, 1000 };

static struct shunt_reliable *open_end(unsigned int lossless)
{
	const struct shunt_reliable_opts opts = {
		.sz = sizeof(opts),
		.ours = terms,
		.theirs = terms,
		.lossless = lossless,
	};
	struct shunt_reliable *end;

	assert_int_equal(shunt_reliable_open(&end, &opts, NULL), 0);
	return end;
}

/* A segment as a peer may forge it: credits are those of the beginning if they are 0. */
struct forged {
	struct shunt_segment s;
	const char *data; /* NULL: zeros */
	uint32_t data_len;
};

static int input(struct shunt_reliable *end, const struct forged *forged)
{
	struct shunt_segment s = forged->s;
	uint32_t head, bytes;
	uint8_t *packet;
	int ret;

	s.credit_bytes = s.credit_bytes ? s.credit_bytes : WINDOW;
	s.credit_messages = s.credit_messages ? s.credit_messages : MESSAGES;
	head = shunt_segment_head(&s);
	bytes = head + forged->data_len;
	packet = calloc(1, bytes);
	shunt_segment_write(&s, packet);
	if (forged->data)
		memcpy(packet + head, forged->data, forged->data_len);
	ret = shunt_reliable_input(end, 1000, packet, bytes);
	free(packet);
	return ret;
}

/* An end that has sent three packets with 16 bytes of the stream each, the last of which has
 * a message of no bytes as well, and has received two of 8. */
static struct shunt_reliable *in_the_middle(void)
{
	static const struct forged came[] = {
		{ { .flags = NUMBERED | DATA, .number = 0 }, NULL, 8 },
		{ { .flags = NUMBERED | DATA, .number = 1, .back = 1, .offset = 8 },
		  NULL,
		  8 },
	};
	struct shunt_reliable *end = open_end(0);
	uint8_t packet[200];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(shunt_reliable_send(end, 0, "12345678", 8), 1);
		assert_true(shunt_reliable_packet(end, i, packet, sizeof(packet)));
		assert_int_equal(shunt_reliable_packet(end, i, packet, sizeof(packet)),
				 0);
	}
	for (i = 0; i < 2; i++)
		assert_int_equal(input(end, &came[i]), 0);
	return end;
}

static const struct {
	const char *name;
	struct forged forged;
	int want;
} rows[] = {
	{ "nothing new at all", { { .number = 2 } }, 0 },
	{ "acknowledges all", { { .flags = ACK, .before = 3, .received = 48 } }, 0 },
	{ "acknowledges what was never sent",
	  { { .flags = ACK, .before = 4, .received = 48 } },
	  -EPROTO },
	{ "acknowledges what lies before the first",
	  { { .flags = ACK, .before = 0xffffffff } },
	  -EPROTO },
	{ "acknowledges a range up to the last",
	  { { .flags = ACK, .ranges = 1, .range = { { 1, 2 } } } },
	  0 },
	{ "acknowledges a range beyond the last",
	  { { .flags = ACK, .ranges = 1, .range = { { 1, 3 } } } },
	  -EPROTO },
	{ "acknowledges ranges that end far beyond",
	  { { .flags = ACK,
	      .ranges = 3,
	      .range = { { 1, 1 }, { 65535, 65535 }, { 65535, 65535 } } } },
	  -EPROTO },
	{ "has received more than was sent",
	  { { .flags = ACK, .before = 1, .received = 49 } },
	  -EPROTO },
	{ "has all packets, and not all that was in them",
	  { { .flags = ACK, .before = 3, .received = 40 } },
	  -EPROTO },
	{ "grants more", { { .number = 2, .credit_bytes = WINDOW + 48 } }, 0 },
	{ "grants more than it can have room for",
	  { { .number = 2, .credit_bytes = WINDOW + 49 } },
	  -EPROTO },
	{ "grants more messages than it can",
	  { { .number = 2, .credit_messages = MESSAGES + 4 } },
	  -EPROTO },
	{ "takes credit back",
	  { { .number = 2, .credit_bytes = WINDOW - 1 } },
	  -EPROTO },
	{ "takes messages back",
	  { { .number = 2, .credit_messages = MESSAGES - 1 } },
	  -EPROTO },
	{ "wants what can be wanted",
	  { { .flags = NUMBERED | WANT,
	      .number = 2,
	      .want_bytes = WINDOW + 8 + LONGEST,
	      .want_messages = MESSAGES + 1 } },
	  0 },
	{ "wants more than its message can need",
	  { { .flags = NUMBERED | WANT,
	      .number = 2,
	      .want_bytes = WINDOW + 9 + LONGEST,
	      .want_messages = MESSAGES + 1 } },
	  -EPROTO },
	{ "wants two messages at once",
	  { { .flags = NUMBERED | WANT,
	      .number = 2,
	      .want_bytes = WINDOW + 8,
	      .want_messages = MESSAGES + 2 } },
	  -EPROTO },
	{ "wants without a number",
	  { { .flags = WANT, .number = 2, .want_bytes = WINDOW + 8 } },
	  -EPROTO },
	{ "has data without a number",
	  { { .flags = DATA, .number = 2, .offset = 16 }, NULL, 8 },
	  -EPROTO },
	{ "has data up to its credit",
	  { { .flags = NUMBERED | DATA, .number = 2, .offset = WINDOW - 8 }, NULL, 8 },
	  0 },
	{ "has data beyond its credit",
	  { { .flags = NUMBERED | DATA, .number = 2, .offset = WINDOW - 7 }, NULL, 8 },
	  -EPROTO },
	{ "has data from before the beginning",
	  { { .flags = NUMBERED | DATA, .number = 2, .offset = 0xffffff00 }, NULL, 8 },
	  -EPROTO },
	{ "has data that came already",
	  { { .flags = NUMBERED | DATA, .number = 2, .offset = 8 }, "other", 5 },
	  0 },
	{ "has as many messages as it may",
	  { { .flags = NUMBERED | DATA, .number = 2, .offset = 16 }, NULL, 16 },
	  0 },
	{ "has a message too many",
	  { { .flags = NUMBERED | DATA, .number = 2, .offset = 16 }, NULL, 24 },
	  -EPROTO },
	{ "has a message that is too long",
	  { { .flags = NUMBERED | DATA, .number = 2, .offset = 16 },
	    "\0\0\x03\xe9\0\0\0\0",
	    8 },
	  -EPROTO },
	{ "has a message with something where nothing may be",
	  { { .flags = NUMBERED | DATA, .number = 2, .offset = 16 },
	    "\0\0\0\x08\0\0\0\x01",
	    8 },
	  -EPROTO },
	{ "waits for packets before its first",
	  { { .flags = NUMBERED, .number = 2, .back = 3 } },
	  -EPROTO },
	{ "has too many packets under way",
	  { { .flags = NUMBERED, .number = 5000, .back = 4096 } },
	  -EPROTO },
	{ "has as many under way as it may",
	  { { .flags = NUMBERED, .number = 5000, .back = 4095 } },
	  0 },
	{ "comes from before the first",
	  { { .flags = NUMBERED, .number = 0xfffffff0 } },
	  -EPROTO },
	{ "has flags that nobody knows", { { .flags = 16, .number = 2 } }, -EBADMSG },
	{ "has a range without a gap",
	  { { .flags = ACK, .ranges = 1, .range = { { 0, 1 } } } },
	  -EBADMSG },
	{ "has a range of nothing",
	  { { .flags = ACK, .ranges = 1, .range = { { 1, 0 } } } },
	  -EBADMSG },
	{ "has ranges and no acknowledgement",
	  { { .ranges = 1, .number = 2 } },
	  -EBADMSG },
	{ "has more ranges than there may be",
	  { { .flags = ACK, .ranges = 33 }, NULL, 0 },
	  -EBADMSG },
	{ "waits for packets and has no number",
	  { { .number = 2, .back = 1 } },
	  -EBADMSG },
	{ "has bytes that are no data", { { .number = 2 }, "x", 1 }, -EBADMSG },
	{ "has data of no bytes",
	  { { .flags = NUMBERED | DATA, .number = 2, .offset = 16 } },
	  -EBADMSG },
};

static void each_forged_packet_is_judged(void **state)
{
	struct shunt_reliable_message messages[8];
	unsigned int i, wrong = 0;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_reliable *end = in_the_middle();
		int got = input(end, &rows[i].forged);

		if (got != rows[i].want) {
			fprintf(stderr, "%s: %d, not %d\n", rows[i].name, got,
				rows[i].want);
			wrong++;
		}
		/* whatever it was, what came before is still to be had */
		assert_true(shunt_reliable_recv(end, messages, 2) == 2);
		shunt_reliable_release(end, messages, 2);
		shunt_reliable_close(end);
	}
	assert_int_equal(wrong, 0);
}

static void a_broken_end_stays_broken(void **state)
{
	struct shunt_reliable *end = in_the_middle();
	const struct forged bad = { { .flags = ACK, .before = 99 } };
	const struct forged good = { { .number = 2 } };
	uint8_t packet[200];

	(void)state;
	assert_int_equal(input(end, &bad), -EPROTO);
	assert_int_equal(input(end, &good), -EPROTO);
	assert_int_equal(shunt_reliable_send(end, 0, "x", 1), -EPROTO);
	assert_int_equal(
		shunt_reliable_packet(end, UINT64_MAX / 2, packet, sizeof(packet)), 0);
	assert_true(shunt_reliable_due(end) == UINT64_MAX);
	shunt_reliable_close(end);
}

static void credit_that_was_overtaken_is_no_fault(void **state)
{
	struct shunt_reliable *end = in_the_middle();
	const struct forged newer = { { .number = 5, .credit_bytes = WINDOW + 32 } };
	const struct forged older = { { .number = 4, .credit_bytes = WINDOW + 16 } };
	const struct forged liar = { { .number = 6, .credit_bytes = WINDOW + 16 } };

	(void)state;
	assert_int_equal(input(end, &newer), 0);
	assert_int_equal(input(end, &older), 0);
	assert_int_equal(input(end, &liar), -EPROTO);
	shunt_reliable_close(end);
}

static void without_losses_only_what_comes_next_may_come(void **state)
{
	static const struct {
		struct forged forged;
		int want;
	} only[] = {
		{ { { .flags = DATA }, NULL, 8 }, 0 },
		{ { { .flags = DATA, .offset = 8 }, NULL, 8 }, -EPROTO },
		{ { { .flags = DATA, .offset = 0xfffffff8 }, NULL, 16 }, -EPROTO },
		{ { { .flags = NUMBERED | DATA }, NULL, 8 }, -EPROTO },
		{ { { .flags = ACK } }, -EPROTO },
		{ { { .credit_bytes = WINDOW - 8 } }, -EPROTO },
		{ { { .flags = WANT,
		      .want_bytes = WINDOW + 8,
		      .want_messages = MESSAGES } },
		  0 },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(only) / sizeof(*only); i++) {
		struct shunt_reliable *end = open_end(1);

		assert_int_equal(input(end, &only[i].forged), only[i].want);
		shunt_reliable_close(end);
	}
}

/* --- what a user is told -------------------------------------------------------------- */

static void messages_that_can_never_go_are_refused(void **state)
{
	static uint8_t bytes[LONGEST + 1];
	struct shunt_reliable *end = open_end(0);
	struct shunt_reliable_stats stats;
	unsigned int i;

	(void)state;
	assert_int_equal(shunt_reliable_send(end, 0, bytes, LONGEST + 1), -EMSGSIZE);
	for (i = 0; i < MESSAGES; i++)
		assert_int_equal(shunt_reliable_send(end, 0, bytes, LONGEST), 1);
	assert_int_equal(shunt_reliable_send(end, 0, bytes, 0), 0);
	shunt_reliable_stats(end, &stats);
	assert_int_equal(stats.tx_messages, MESSAGES);
	assert_int_equal(stats.no_credit, 1);
	assert_false(shunt_reliable_idle(end));
	shunt_reliable_close(end);
}

static void unsound_options_are_refused(void **state)
{
	struct shunt_reliable_opts good = { .sz = sizeof(good), .theirs = terms };
	struct shunt_reliable_opts opts;
	struct shunt_reliable *end;
	struct shunt_terms back;
	uint8_t wire[SHUNT_TERMS_BYTES];

	(void)state;
	opts = good;
	opts.theirs.window_bytes = LONGEST + 7;
	assert_int_equal(shunt_reliable_open(&end, &opts, NULL), -EINVAL);
	opts = good;
	opts.ours = (struct shunt_terms){ .window_bytes = 100, .message_max = 93 };
	assert_int_equal(shunt_reliable_open(&end, &opts, NULL), -EINVAL);
	opts = good;
	opts.packets = 100;
	assert_int_equal(shunt_reliable_open(&end, &opts, NULL), -EINVAL);
	opts = good;
	opts.start = 4;
	assert_int_equal(shunt_reliable_open(&end, &opts, NULL), -EINVAL);
	assert_null(end);
	shunt_terms_write(&terms, wire);
	assert_true(shunt_terms_read(&back, wire));
	assert_memory_equal(&back, &terms, sizeof(terms));
	memset(wire, 0xff, sizeof(wire));
	assert_false(shunt_terms_read(&back, wire));
	memset(wire, 0, sizeof(wire));
	assert_false(shunt_terms_read(&back, wire));
	assert_int_equal(shunt_reliable_open(&end, &good, NULL), 0);
	shunt_reliable_close(end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_forged_packet_is_judged),
		cmocka_unit_test(a_broken_end_stays_broken),
		cmocka_unit_test(credit_that_was_overtaken_is_no_fault),
		cmocka_unit_test(without_losses_only_what_comes_next_may_come),
		cmocka_unit_test(messages_that_can_never_go_are_refused),
		cmocka_unit_test(unsound_options_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
