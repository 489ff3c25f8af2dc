/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages over a carrier that loses, doubles and delays by the word of the test. */
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
#include "user/transport/backends.h"

/* --- the carrier: two ends, and a line between them ---------------------------------------- */

#define LINE 4096u
#define MTU 256u

struct sent {
	struct shunt_endpoint from, to;
	uint32_t len;
	uint8_t bytes[MTU];
};

struct line {
	struct sent *sent[LINE];
	uint32_t n;
	uint32_t room; /* how many tx takes */
	uint64_t dropped, doubled;
	int broken;    /* what tx says */
	bool hangs_up; /* rx drops who has sent something, as a stream that ended */
};

static struct line line;

static int open_line(struct shunt_transport *transport, const struct shunt_uri *uri,
		     const void *options, struct shunt_err *err)
{
	(void)uri;
	(void)options;
	(void)err;
	transport->datagram_max = MTU;
	transport->caps = SHUNT_TRANSPORT_DATAGRAMS;
	return 0;
}

static void close_line(struct shunt_transport *transport)
{
	(void)transport;
}

static int open_peer(struct shunt_transport *transport, struct shunt_peer_state *peer,
		     uint64_t deadline_ns, struct shunt_err *err)
{
	(void)transport;
	(void)deadline_ns;
	return peer->remote.port == 1 ? shunt_fail(err, -EHOSTUNREACH, "no way there")
				      : 0;
}

static void close_peer(struct shunt_transport *transport, struct shunt_peer_state *peer)
{
	(void)transport;
	(void)peer;
}

static int tx(struct shunt_transport *transport, struct shunt_datagram *datagrams,
	      unsigned int n)
{
	unsigned int i;

	if (line.broken)
		return line.broken;
	for (i = 0; i < n && line.n < line.room; i++) {
		struct sent *sent = malloc(sizeof(*sent));

		assert_true(datagrams[i].frame.len <= MTU);
		sent->from = transport->local;
		sent->to = datagrams[i].peer->remote;
		sent->len = datagrams[i].frame.len;
		memcpy(sent->bytes, datagrams[i].frame.data, sent->len);
		line.sent[line.n++] = sent;
		shunt_frames_put(&datagrams[i].frame, 1);
	}
	transport->count.tx_datagrams += i;
	return (int)i;
}

static void take_from_line(uint32_t at)
{
	free(line.sent[at]);
	memmove(line.sent + at, line.sent + at + 1,
		(line.n - at - 1) * sizeof(*line.sent));
	line.n--;
}

static unsigned int rx(struct shunt_transport *transport,
		       struct shunt_datagram *datagrams, unsigned int max)
{
	unsigned int got = 0;
	uint32_t at = 0;

	while (at < line.n && got < max) {
		struct sent *sent = line.sent[at];

		if (!shunt_endpoint_same(&sent->to, &transport->local)) {
			at++;
			continue;
		}
		datagrams[got].peer =
			shunt_transport_peer(transport, &sent->from, true);
		if (datagrams[got].peer &&
		    shunt_transport_frame(transport, &datagrams[got].frame,
					  sent->len)) {
			memcpy(datagrams[got].frame.data, sent->bytes, sent->len);
			datagrams[got++].frame.len = sent->len;
		}
		take_from_line(at);
	}
	transport->count.rx_datagrams += got;
	if (got && line.hangs_up)
		shunt_transport_drop(transport, datagrams[0].peer);
	return got;
}

static int kick(struct shunt_transport *transport, struct shunt_err *err)
{
	(void)transport;
	(void)err;
	return 0;
}

static unsigned int wait_for(struct shunt_transport *transport, struct pollfd *fds,
			     unsigned int max)
{
	(void)transport;
	(void)fds;
	(void)max;
	return 0;
}

static int describe(struct shunt_transport *transport, cJSON *json)
{
	(void)transport;
	(void)json;
	return 0;
}

static const char *is_absent(char *room, size_t bytes)
{
	(void)room;
	(void)bytes;
	return "it is never there";
}

static const struct shunt_transport_ops line_ops = {
	.scheme = "line",
	.help = "a line within a test",
	.bytes = sizeof(struct shunt_transport),
	.peer_bytes = sizeof(struct shunt_peer_state),
	.open = open_line,
	.close = close_line,
	.peer_open = open_peer,
	.peer_close = close_peer,
	.tx = tx,
	.rx = rx,
	.kick = kick,
	.wait = wait_for,
	.describe = describe,
};

static const struct shunt_transport_ops absent_ops = { .scheme = "absent",
						       .absent = is_absent };

/* In place of the library's own table. */
const struct shunt_transport_ops *const shunt_transport_backends[] = { &line_ops,
								       &absent_ops,
								       NULL };

/* --- two ends ------------------------------------------------------------------------------ */

struct ends {
	struct shunt_transport *a, *b;
	shunt_peer b_of_a; /* what a calls b */
};

static struct shunt_transport *open_end(const char *uri)
{
	struct shunt_transport *transport;
	struct shunt_err err = { 0 };

	if (shunt_transport_open(&transport, uri, &err))
		fail_msg("%s", err.message);
	return transport;
}

static struct ends open_ends(const char *options)
{
	char uri[128];
	struct ends ends;

	line = (struct line){ .room = LINE };
	snprintf(uri, sizeof(uri), "line://192.0.2.1:10%s", options);
	ends.a = open_end(uri);
	snprintf(uri, sizeof(uri), "line://192.0.2.2:20%s", options);
	ends.b = open_end(uri);
	assert_int_equal(shunt_peer_open(ends.a, &ends.b_of_a, "192.0.2.2:20", NULL),
			 0);
	return ends;
}

static void close_end(struct shunt_transport *transport)
{
	uint32_t frames = transport->memory->frames;

	assert_int_equal(shunt_memory_free_frames(transport->memory), frames);
	shunt_transport_close(transport);
}

static void close_ends(struct ends *ends)
{
	while (line.n)
		take_from_line(0);
	close_end(ends->a);
	close_end(ends->b);
}

static struct shunt_transport_stats stats_of(struct shunt_transport *transport)
{
	struct shunt_transport_stats stats;

	assert_int_equal(shunt_transport_stats(transport, &stats, NULL), 0);
	return stats;
}

/* --- tests ---------------------------------------------------------------------------------- */

static const uint32_t sizes[] = { 0, 1, MTU - 16, MTU - 15, 2 * (MTU - 16), 5000 };

static void messages_of_all_sizes_arrive(void **state)
{
	struct ends ends = open_ends("");
	struct shunt_message message;
	uint8_t bytes[5000];
	size_t i;

	(void)state;
	memset(bytes, 7, sizeof(bytes));
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		assert_int_equal(shunt_send(ends.a, ends.b_of_a, (uint16_t)i, bytes,
					    sizes[i]),
				 1);
		while (!shunt_recv(ends.b, &message, 1))
			assert_true(line.n);
		assert_int_equal(message.frame.len, sizes[i]);
		assert_int_equal(message.channel, i);
		assert_memory_equal(message.frame.data, bytes, sizes[i]);
		assert_string_equal(shunt_peer_address(ends.b, message.peer),
				    "192.0.2.1:10");
		shunt_release(ends.b, &message, 1);
	}
	close_ends(&ends);
}

static void a_received_message_is_its_own_answer(void **state)
{
	struct ends ends = open_ends("");
	struct shunt_message message;

	(void)state;
	assert_int_equal(shunt_send(ends.a, ends.b_of_a, 3, "question", 8), 1);
	assert_int_equal(shunt_recv(ends.b, &message, 1), 1);
	assert_int_equal(shunt_submit(ends.b, &message, 1), 1);
	assert_int_equal(shunt_recv(ends.a, &message, 1), 1);
	assert_int_equal(message.channel, 3);
	assert_memory_equal(message.frame.data, "question", 8);
	shunt_release(ends.a, &message, 1);
	close_ends(&ends);
}

/* A line that takes no more: nothing is lost, and nothing is queued but one message. */
static void full_is_short(void **state)
{
	struct ends ends = open_ends("");
	struct shunt_message messages[100], got[SHUNT_BURST];
	uint8_t bytes[1000] = { 0 };
	unsigned int i, n = 0, sent;

	(void)state;
	line.room = 10;
	for (i = 0; i < 100; i++)
		messages[i] =
			(struct shunt_message){ .frame = { .data = bytes, .len = 8 },
						.peer = ends.b_of_a };
	assert_int_equal(shunt_send_batch(ends.a, messages, 100), 10);
	assert_int_equal(shunt_send(ends.a, ends.b_of_a, 0, bytes, 8), 0);
	/* The rest of one in fragments waits, and others behind it. */
	line.room = 12;
	assert_int_equal(shunt_send(ends.a, ends.b_of_a, 0, bytes, sizeof(bytes)), 1);
	assert_int_equal(shunt_send(ends.a, ends.b_of_a, 0, bytes, sizeof(bytes)), 0);
	assert_true(stats_of(ends.a).tx_full > 0);
	line.room = LINE;
	sent = 11;
	for (i = 0; i < 20 && n < sent; i++) {
		unsigned int some = shunt_recv(ends.b, got, SHUNT_BURST);

		shunt_release(ends.b, got, some);
		n += some;
		assert_int_equal(shunt_transport_kick(ends.a, NULL), 0);
	}
	assert_int_equal(n, sent);
	assert_int_equal(stats_of(ends.b).lost, 0);
	close_ends(&ends);
}

static void what_cannot_be_sent_is_an_error(void **state)
{
	struct ends ends = open_ends("?message-max=1000");
	static const uint8_t bytes[2000];
	struct shunt_err err;
	shunt_peer peer;

	(void)state;
	assert_int_equal(shunt_send(ends.a, ends.b_of_a, 0, bytes, 1001), -EMSGSIZE);
	assert_int_equal(shunt_send(ends.a, 12345, 0, bytes, 1), -ENOTCONN);
	assert_int_equal(shunt_peer_open(ends.a, &peer, "192.0.2.2:1", &err),
			 -EHOSTUNREACH);
	assert_non_null(strstr(err.message, "no way there"));
	assert_int_equal(shunt_peer_open(ends.a, &peer, "[2001:db8::1]:7", &err),
			 -EINVAL);
	assert_int_equal(shunt_peer_open(ends.a, &peer, "0.0.0.0:7", &err), -EINVAL);
	line.broken = -ENETDOWN;
	assert_int_equal(shunt_send(ends.a, ends.b_of_a, 0, bytes, 1), -ENETDOWN);
	line.broken = 0;
	shunt_peer_close(ends.a, ends.b_of_a);
	shunt_peer_close(ends.a, ends.b_of_a);
	assert_int_equal(shunt_send(ends.a, ends.b_of_a, 0, bytes, 1), -ENOTCONN);
	assert_null(shunt_peer_address(ends.a, ends.b_of_a));
	close_ends(&ends);
}

static void without_a_header_bytes_travel_bare(void **state)
{
	struct ends ends = open_ends("?header=off");
	struct shunt_message message;
	static const uint8_t bytes[MTU + 1];

	(void)state;
	assert_int_equal(shunt_transport_message_max(ends.a), MTU);
	assert_int_equal(shunt_send(ends.a, ends.b_of_a, 0, bytes, MTU + 1), -EMSGSIZE);
	assert_int_equal(shunt_send(ends.a, ends.b_of_a, 0, "bare", 4), 1);
	assert_int_equal(line.sent[0]->len, 4);
	assert_int_equal(shunt_recv(ends.b, &message, 1), 1);
	assert_memory_equal(message.frame.data, "bare", 4);
	shunt_release(ends.b, &message, 1);
	close_ends(&ends);
}

static void garbage_is_counted_and_harmless(void **state)
{
	struct shunt_random random = { shunt_random_seed(5) };
	struct ends ends = open_ends("");
	struct shunt_message message;
	unsigned int i, j;

	(void)state;
	for (i = 0; i < 10000; i++) {
		assert_int_equal(shunt_send(ends.a, ends.b_of_a, 0, "x", 1), 1);
		for (j = 0; j < 1 + shunt_random_below(&random, 4); j++)
			line.sent[0]->bytes[shunt_random_below(&random, 17)] ^=
				(uint8_t)(1u << shunt_random_below(&random, 8));
		if (shunt_recv(ends.b, &message, 1))
			shunt_release(ends.b, &message, 1);
	}
	assert_true(stats_of(ends.b).malformed > 1000);
	close_ends(&ends);
}

/* Who is silent makes room; who was opened by hand stays. */
static void there_is_room_for_so_many_peers(void **state)
{
	struct ends ends = open_ends("?peers=4");
	struct shunt_transport *others[8];
	struct shunt_message message;
	shunt_peer peer, kept;
	unsigned int i;
	char uri[64];

	(void)state;
	assert_int_equal(shunt_peer_open(ends.b, &kept, "192.0.2.1:10", NULL), 0);
	for (i = 0; i < 8; i++) {
		snprintf(uri, sizeof(uri), "line://192.0.2.3:%u", 100 + i);
		others[i] = open_end(uri);
		assert_int_equal(
			shunt_peer_open(others[i], &peer, "192.0.2.2:20", NULL), 0);
		assert_int_equal(shunt_send(others[i], peer, 0, "me", 2), 1);
		assert_int_equal(shunt_recv(ends.b, &message, 1), 1);
		shunt_release(ends.b, &message, 1);
	}
	assert_non_null(shunt_peer_address(ends.b, kept));
	assert_non_null(shunt_peer_address(ends.b, message.peer));
	for (i = 0; i < 8; i++)
		close_end(others[i]);
	close_ends(&ends);
}

/* --- a line that loses, doubles and delays ---------------------------------------------------- */

static void do_harm(struct shunt_random *random)
{
	uint32_t at = shunt_random_below(random, line.n), other;
	struct sent *twin;

	switch (shunt_random_below(random, 3)) {
	case 0:
		take_from_line(at);
		line.dropped++;
		return;
	case 1:
		twin = malloc(sizeof(*twin));
		*twin = *line.sent[at];
		line.sent[line.n++] = twin;
		line.doubled++;
		return;
	default:
		other = shunt_random_below(random, line.n);
		twin = line.sent[at];
		line.sent[at] = line.sent[other];
		line.sent[other] = twin;
	}
}

/* Bytes that tell their own length and number. */
static void fill(uint8_t *bytes, uint32_t len, uint32_t number)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		bytes[i] = (uint8_t)(number * 31 + i * 7 + len);
}

static void what_arrives_was_sent_and_the_rest_is_counted(void **state)
{
	struct shunt_random random = { shunt_random_seed(6) };
	struct ends ends = open_ends("");
	static uint32_t len[30000];
	uint8_t bytes[2000];
	uint32_t sent = 0, i;
	uint64_t got = 0, datagrams;
	struct shunt_transport_stats stats;

	(void)state;
	while (sent < 30000) {
		struct shunt_message messages[SHUNT_BURST];
		unsigned int n;

		for (i = shunt_random_below(&random, 20); i && sent < 30000; i--) {
			len[sent] = 4 + shunt_random_below(&random, 1900);
			fill(bytes, len[sent], sent);
			memcpy(bytes, &sent, 4);
			assert_int_equal(shunt_send(ends.a, ends.b_of_a, 0, bytes,
						    len[sent]),
					 1);
			sent++;
		}
		for (i = shunt_random_below(&random, 6); i && line.n; i--)
			do_harm(&random);
		n = shunt_recv(ends.b, messages, SHUNT_BURST);
		for (i = 0; i < n; i++) {
			uint32_t number, length = messages[i].frame.len;

			memcpy(&number, messages[i].frame.data, 4);
			assert_true(number < sent && length == len[number]);
			fill(bytes, length, number);
			memcpy(bytes, &number, 4);
			assert_memory_equal(messages[i].frame.data, bytes, length);
			len[number] = 0; /* never twice */
		}
		got += n;
		shunt_release(ends.b, messages, n);
	}
	while (line.n) {
		struct shunt_message message;

		if (shunt_recv(ends.b, &message, 1)) {
			got++;
			shunt_release(ends.b, &message, 1);
		}
	}
	stats = stats_of(ends.b);
	datagrams = stats_of(ends.a).tx_datagrams;
	assert_int_equal(stats.rx_messages, got);
	assert_int_equal(stats.rx_datagrams, datagrams - line.dropped + line.doubled);
	/* What was doubled may have been dropped after all, and the end is not missed. */
	assert_true(stats.lost <= line.dropped);
	assert_true(stats.lost + line.doubled + SHUNT_WIRE_WINDOW > line.dropped);
	assert_true(stats.duplicates <= line.doubled && stats.duplicates > 0);
	assert_int_equal(stats.rx_datagrams - stats.duplicates + stats.lost, datagrams);
	assert_true(got > 10000 && got < sent);
	close_ends(&ends);
}

static void last_words_are_heard(void **state)
{
	struct ends ends = open_ends("");
	struct shunt_message messages[4];
	unsigned int i;

	(void)state;
	line.hangs_up = true;
	for (i = 0; i < 3; i++)
		assert_int_equal(shunt_send(ends.a, ends.b_of_a, 0, "bye", 3), 1);
	assert_int_equal(shunt_recv(ends.b, messages, 4), 3);
	assert_null(shunt_peer_address(ends.b, messages[0].peer));
	assert_int_equal(shunt_send(ends.b, messages[2].peer, 0, "too late", 8),
			 -ENOTCONN);
	assert_memory_equal(messages[2].frame.data, "bye", 3);
	shunt_release(ends.b, messages, 3);
	close_ends(&ends);
}

static void uris_are_read_or_explained(void **state)
{
	static const struct {
		const char *uri, *words;
	} bad[] = {
		{ "line", "it has no scheme" },
		{ "://:7", "it has no scheme" },
		{ "nothing://:7", "there are line, absent" },
		{ "absent://:7", "absent:// cannot be had here: it is never there" },
		{ "line://192.0.2.1", "names no port" },
		{ "line://:7?wait=never", "it takes one of adaptive, poll, spin" },
		{ "line://:7?way=spin", "it has wait, header" },
		{ "line://:7?wait=spin,header=off", "& stands between" },
		{ "line://:7?peers=0", "a number from 1" },
	};
	struct shunt_transport *transport;
	struct shunt_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_true(shunt_transport_open(&transport, bad[i].uri, &err) < 0);
		assert_null(transport);
		if (!strstr(err.message, bad[i].words))
			fail_msg("%s: %s", bad[i].uri, err.message);
	}
}

static void poll_keeps_what_it_has_seen(void **state)
{
	struct ends ends = open_ends("?wait=spin");
	struct shunt_message message;

	(void)state;
	assert_int_equal(shunt_transport_poll(ends.b, 1000000, NULL), 0);
	assert_int_equal(shunt_send(ends.a, ends.b_of_a, 0, "x", 1), 1);
	assert_int_equal(shunt_transport_poll(ends.b, 1000000, NULL), 1);
	assert_int_equal(line.n, 0);
	assert_int_equal(shunt_transport_poll(ends.b, 1000000, NULL), 1);
	assert_int_equal(shunt_recv(ends.b, &message, 1), 1);
	assert_memory_equal(message.frame.data, "x", 1);
	shunt_release(ends.b, &message, 1);
	assert_int_equal(shunt_recv(ends.b, &message, 1), 0);
	close_ends(&ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_all_sizes_arrive),
		cmocka_unit_test(a_received_message_is_its_own_answer),
		cmocka_unit_test(full_is_short),
		cmocka_unit_test(what_cannot_be_sent_is_an_error),
		cmocka_unit_test(without_a_header_bytes_travel_bare),
		cmocka_unit_test(garbage_is_counted_and_harmless),
		cmocka_unit_test(there_is_room_for_so_many_peers),
		cmocka_unit_test(what_arrives_was_sent_and_the_rest_is_counted),
		cmocka_unit_test(last_words_are_heard),
		cmocka_unit_test(uris_are_read_or_explained),
		cmocka_unit_test(poll_keeps_what_it_has_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
