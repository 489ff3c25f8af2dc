/* SPDX-License-Identifier: BSD-2-Clause */
/* What the header's numbers tell: loss, doubles, disorder, restarts, fragments, rubbish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/model/random.h"
#include "tests/transport/suite/plain.h"
#include "tests/transport/suite/tests.h"

#define PLAIN_PORT 7100u

#define NOBODY_PORT 9u /* discard */

/* What waits in the kernel for a MAC address is dropped where it is much, and may be overtaken
 * by what comes behind it: a datagram for nobody goes in front of those that are counted. */
static void begin(struct rig *rig, struct plain *plain, const char *options)
{
	struct shunt_message none;

	rig_open(rig, NEAR, options);
	plain_open(plain, PLAIN_PORT);
	net_send(plain->fd, "", 0, NEAR, NOBODY_PORT);
	/* a station that answers for its address itself does so as it receives */
	RIG_UNTIL(rig, !rig_recv(rig, NEAR, &none, 1, 0) && net_knows(FAR),
		  "the plain socket's kernel has a MAC address");
}

static struct shunt_transport_stats of_peer(struct rig *rig, shunt_peer peer)
{
	struct shunt_transport_stats stats;
	struct shunt_err err = { "" };

	net_at(NEAR);
	if (shunt_peer_stats(rig->end[NEAR].transport, peer, &stats, &err))
		fail_msg("%s", err.message);
	return stats;
}

static void lost_ones(struct rig *rig)
{
	shunt_peer peer = SHUNT_PEER_NONE;
	struct plain plain;
	uint32_t number, missing = 0;

	begin(rig, &plain, "");
	for (number = 0; number < 300; number++) {
		if (number % 7 == 3) {
			plain.sequence++;
			missing++;
			continue;
		}
		plain_say(rig, &plain, number);
		peer = plain_heard(rig, number, 1);
	}
	assert_int_equal(rig_stats(rig, NEAR).lost, missing);
	assert_int_equal(of_peer(rig, peer).lost, missing);
	assert_int_equal(rig_stats(rig, NEAR).rx_messages, 300 - missing);
	/* a long silence, then one: what was between is lost */
	plain.sequence += 5000;
	plain_say(rig, &plain, number);
	plain_heard(rig, number, 1);
	assert_int_equal(rig_stats(rig, NEAR).lost, missing + 5000);
}

static void doubles(struct rig *rig)
{
	struct plain plain;
	uint32_t number;

	begin(rig, &plain, "");
	for (number = 0; number < 100; number++) {
		plain_say_as(rig, &plain, number, number);
		plain_say_as(rig, &plain, number, number);
		if (number > 50)
			plain_say_as(rig, &plain, number - 50, number - 50);
		plain_heard(rig, number, 1);
	}
	plain_say_as(rig, &plain, number, number);
	plain_heard(rig, number, 1);
	assert_int_equal(rig_stats(rig, NEAR).duplicates, 149);
	assert_int_equal(rig_stats(rig, NEAR).rx_messages, 101);
	assert_int_equal(rig_stats(rig, NEAR).lost, 0);
}

static void late_ones(struct rig *rig)
{
	static const uint32_t order[] = { 0, 2, 1, 5, 4, 3, 9, 6, 7, 8 };
	struct plain plain;
	size_t i;

	begin(rig, &plain, "");
	for (i = 0; i < sizeof(order) / sizeof(*order); i++) {
		plain_say_as(rig, &plain, order[i], order[i]);
		plain_heard(rig, order[i], 1);
	}
	assert_int_equal(rig_stats(rig, NEAR).late, 6);
	assert_int_equal(rig_stats(rig, NEAR).lost, 0);
}

/* Numbers wrap, and begin where they will. */
static void numbers_wrap(struct rig *rig)
{
	struct plain plain;
	uint32_t number;

	begin(rig, &plain, "");
	plain.sequence = UINT32_MAX - 20;
	for (number = 0; number < 50; number++) {
		plain_say(rig, &plain, number);
		plain_heard(rig, number, 1);
	}
	assert_int_equal(rig_stats(rig, NEAR).lost, 0);
	assert_int_equal(rig_stats(rig, NEAR).late, 0);
	assert_int_equal(rig_stats(rig, NEAR).duplicates, 0);
}

static void another_epoch(struct rig *rig)
{
	struct plain plain;
	shunt_peer before;
	uint32_t number;

	begin(rig, &plain, "");
	for (number = 0; number < 50; number++) {
		plain_say(rig, &plain, number);
		before = plain_heard(rig, number, 1);
	}
	plain.epoch = 8;
	plain.sequence = 0;
	for (number = 0; number < 50; number++) {
		plain_say(rig, &plain, number);
		assert_int_equal(plain_heard(rig, number, 1), before);
	}
	assert_int_equal(of_peer(rig, before).restarts, 1);
	assert_int_equal(rig_stats(rig, NEAR).restarts, 1);
	assert_int_equal(rig_stats(rig, NEAR).lost, 0);
}

/* --- fragments ---------------------------------------------------------------------------- */

#define EACH 500u

/* One fragment of message `number`; fragments have EACH bytes. */
static void say_piece(struct rig *rig, struct plain *plain, uint32_t number,
		      uint32_t sequence, uint16_t fragment)
{
	static uint8_t bytes[65536];
	uint32_t length = rig->length(rig, number), at = fragment * EACH;
	const struct shunt_wire_piece piece = {
		.sequence = sequence + fragment,
		.length = length,
		.bytes = length - at < EACH ? length - at : EACH,
		.channel = rig_channel(number),
		.fragment = fragment,
		.epoch = plain->epoch,
		.more = at + EACH < length,
	};

	rig_fill(bytes, length, number);
	plain_piece(plain, &piece, bytes + at);
}

static void disordered_fragments(struct rig *rig)
{
	static const uint16_t order[][4] = {
		{ 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 0, 3, 2 }, { 2, 3, 0, 1 }
	};
	struct plain plain;
	uint32_t number, i;

	begin(rig, &plain, "");
	rig->length = rig_equal;
	rig->base = 3 * EACH + 1;
	for (number = 0; number < 4; number++) {
		for (i = 0; i < 4; i++) {
			say_piece(rig, &plain, number, number * 4, order[number][i]);
			/* a double of a fragment is none of the message */
			say_piece(rig, &plain, number, number * 4, order[number][i]);
		}
		plain_heard(rig, number, 1);
	}
	rig->base = 1;
	plain_say_as(rig, &plain, 4, 16);
	plain_heard(rig, 4, 1);
	assert_int_equal(rig_stats(rig, NEAR).duplicates, 16);
	assert_int_equal(rig_stats(rig, NEAR).rx_messages, 5);
}

/* Messages whose fragments come between those of others; and from two peers. */
static void mixed_fragments(struct rig *rig)
{
	struct plain plain, other;
	uint16_t fragment;

	begin(rig, &plain, "");
	plain_open(&other, PLAIN_PORT + 1);
	rig->length = rig_equal;
	rig->base = 5 * EACH;
	for (fragment = 0; fragment < 5; fragment++) {
		say_piece(rig, &plain, 1, 0, fragment);
		say_piece(rig, &other, 2, 0, fragment);
		if (fragment == 3)
			say_piece(rig, &plain, 3, 5, 4);
	}
	plain_heard(rig, 1, 1);
	plain_heard(rig, 2, 1);
	for (fragment = 0; fragment < 4; fragment++)
		say_piece(rig, &plain, 3, 5, fragment);
	plain_heard(rig, 3, 1);
	assert_int_equal(rig_stats(rig, NEAR).incomplete, 0);
}

static void missing_fragments(struct rig *rig)
{
	struct plain plain;
	uint32_t number;
	uint16_t fragment;

	begin(rig, &plain, "");
	rig->length = rig_equal;
	rig->base = 4 * EACH;
	for (number = 0; number < 40; number++)
		for (fragment = 0; fragment < 4; fragment++)
			if (number % 4 == 0 || fragment != number % 4)
				say_piece(rig, &plain, number, number * 4, fragment);
	for (number = 0; number < 40; number += 4)
		plain_heard(rig, number, 1);
	rig->base = 10;
	plain.sequence = 160;
	plain_say(rig, &plain, 99);
	plain_heard(rig, 99, 1);
	assert_int_equal(rig_stats(rig, NEAR).lost, 30);
	assert_in_range(rig_stats(rig, NEAR).incomplete, 30 - SHUNT_ASSEMBLIES, 30);
	assert_int_equal(rig_stats(rig, NEAR).rx_messages, 11);
}

/* --- rubbish ------------------------------------------------------------------------------- */

static void rubbish(struct rig *rig)
{
	struct shunt_random random = { shunt_now_ns() };
	struct plain plain;
	uint8_t bytes[200];
	uint32_t number, i, len;

	print_message("seed %#llx\n", (unsigned long long)random.state);
	begin(rig, &plain, "");
	for (number = 0; number < 200; number++) {
		len = shunt_random_below(&random, sizeof(bytes));
		for (i = 0; i < len; i++)
			bytes[i] = (uint8_t)shunt_random_next(&random);
		if (len && bytes[0] == SHUNT_WIRE_MAGIC)
			bytes[0] = 0;
		net_send(plain.fd, bytes, len, NEAR, RIG_PORT);
		plain_say(rig, &plain, number);
		plain_heard(rig, number, 1);
	}
	assert_int_equal(rig_stats(rig, NEAR).malformed, 200);
	assert_int_equal(rig_stats(rig, NEAR).lost, 0);
}

/* Headers of which one thing is not as it has to be. */
static void unsound_headers(struct rig *rig)
{
	static const struct shunt_wire_piece unsound[] = {
		{ .length = 9, .bytes = 10 },
		{ .length = 11, .bytes = 10 },
		{ .length = 10, .bytes = 10, .more = 1 },
		{ .length = UINT32_MAX, .bytes = 10, .more = 1 },
		{ .length = SHUNT_MESSAGE_MAX + 1, .bytes = 10, .more = 1 },
		{ .length = 10, .bytes = 10, .fragment = 1 },
		{ .length = 100, .bytes = 10, .fragment = 10, .more = 1 },
		{ .length = 100, .bytes = 0, .fragment = 0, .more = 1 },
		{ .length = 100, .bytes = 0, .fragment = 3 },
	};
	const uint32_t n = sizeof(unsound) / sizeof(*unsound);
	uint8_t other[SHUNT_WIRE_BYTES] = { SHUNT_WIRE_MAGIC, 0x80 };
	struct plain plain;
	uint32_t i;

	begin(rig, &plain, "");
	for (i = 0; i < n; i++) {
		struct shunt_wire_piece piece = unsound[i];

		piece.epoch = plain.epoch;
		plain_piece(&plain, &piece, "0123456789");
		plain_say(rig, &plain, i);
		plain_heard(rig, i, 1);
		assert_int_equal(rig_stats(rig, NEAR).malformed, i + 1);
	}
	net_send(plain.fd, other, sizeof(other), NEAR, RIG_PORT);
	plain_say(rig, &plain, i);
	plain_heard(rig, i, 1);
	assert_int_equal(rig_stats(rig, NEAR).malformed, n + 1);
}

/* A stream that begins with rubbish ends; the others stay. */
static void rubbish_in_a_stream(struct rig *rig)
{
	static const uint8_t bytes[64] = { 1, 2, 3 };
	struct shunt_message message;
	uint32_t i;
	int fd;

	rig_begin(rig, "");
	for (i = 0; i < 20; i++) {
		fd = net_tcp(FAR, NEAR, RIG_PORT);
		assert_int_equal(write(fd, bytes, 1 + i * 3), 1 + i * 3);
		if (1 + i * 3 < SHUNT_WIRE_BYTES)
			shutdown(fd, SHUT_WR);
		RIG_UNTIL(rig,
			  !rig_recv(rig, NEAR, &message, 1, 0) &&
				  !net_receive(fd, (uint8_t[8]){ 0 }, 8, 0),
			  "the connection to be ended");
		rig_pass(rig, NEAR, i, 1);
		rig_pass(rig, FAR, i, 1);
	}
	assert_in_range(rig_stats(rig, NEAR).malformed, 15, 20);
}

/* --- without a header ----------------------------------------------------------------------- */

static void bare(struct rig *rig)
{
	static uint8_t bytes[65536], got[65536];
	struct shunt_message message;
	struct shunt_transport *near;
	struct plain plain;
	uint32_t longest, number, len;
	shunt_peer peer;

	begin(rig, &plain, "header=off");
	near = rig->end[NEAR].transport;
	longest = shunt_transport_datagram_max(near);
	assert_int_equal(shunt_transport_message_max(near), longest);
	peer = rig_peer(rig, NEAR, "192.0.2.2:7100");
	for (number = 0; number < 200; number++) {
		len = number == 199 ? longest : number * 797 % (longest + 1);
		rig_fill(bytes, len, number);
		net_at(NEAR);
		RIG_UNTIL(rig, shunt_send(near, peer, 0, bytes, len) == 1, "room");
		rig_turn(rig);
		assert_int_equal(net_receive(plain.fd, got, sizeof(got), RIG_WAIT_MS),
				 len);
		assert_memory_equal(got, bytes, len);
		net_send(plain.fd, bytes, len, NEAR, RIG_PORT);
		assert_int_equal(rig_recv(rig, NEAR, &message, 1, RIG_WAIT_MS), 1);
		assert_int_equal(message.frame.len, len);
		assert_int_equal(message.channel, 0);
		assert_int_equal(message.peer, peer);
		assert_memory_equal(message.frame.data, bytes, len);
		shunt_release(near, &message, 1);
	}
	assert_true(shunt_send(near, peer, 0, bytes, longest + 1) < 0);
	assert_int_equal(rig_stats(rig, NEAR).lost + rig_stats(rig, NEAR).late +
				 rig_stats(rig, NEAR).malformed,
			 0);
}

#define D SHUNT_TRANSPORT_DATAGRAMS

const struct rig_test rig_tests_numbers[] = {
	{ "what never came is counted as lost", lost_ones, D },
	{ "what comes again is dropped and counted", doubles, D },
	{ "what comes late is handed on and counted", late_ones, D },
	{ "numbers begin anywhere, and wrap", numbers_wrap, D },
	{ "a peer that begins anew is the same peer, and that is counted",
	  another_epoch, D },
	{ "fragments may come in any order, and twice", disordered_fragments, D },
	{ "fragments of several messages do not mix", mixed_fragments, D },
	{ "a message that lacks a fragment is given up and counted", missing_fragments,
	  D },
	{ "rubbish is counted and harmless", rubbish, D },
	{ "unsound headers are counted and harmless", unsound_headers, D },
	{ "a stream that is rubbish ends, the others go on", rubbish_in_a_stream,
	  SHUNT_TRANSPORT_STREAM },
	{ "without a header an ordinary socket is a peer", bare, D },
	{ NULL },
};
