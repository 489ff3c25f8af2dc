/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two ends of a connection, for tests: numbered messages there and back.
 *
 *     conn serve URI PSK MESSAGES                 sends back so many of one caller
 *     conn call URI ADDRESS PSK MESSAGES LONGEST  sends so many messages, of 8 to
 *                                                 LONGEST bytes, and awaits them all
 *
 * PSK is the file with the key. Both look at every message: its number is the next one,
 * and its bytes and channel follow from the number. A JSON object a line on stdout:
 * {"address": …} once it listens, {"half": true} when half of the messages are back,
 * {"messages": N, "bytes": N} at the end. What is wrong goes to stderr; exit 1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/random.h"
#include "user/base/clock.h"
#include "user/transport/conn.h"

#define DEADLINE_NS 120000000000u
#define SLICE_NS 20000000u /* that something is no news is found out so late */
#define LONGEST (64u << 10)
#define NUMBER 8u  /* bytes in front of a message: its number */
#define HELD 1024u /* messages that may wait for credit: the window */
#define NEWS 16u

struct end {
	struct shunt_conns *conns;
	struct shunt_conn *conn;
	uint64_t deadline_ns;
	uint64_t count, longest; /* of messages; longest is the caller's */
	uint64_t sent, got, bytes;
	struct shunt_conn_news held[HELD]; /* to be sent back; a ring */
	uint64_t held_first, held_end;
	bool ended;
};

static struct shunt_err err;

static void fail(const char *what)
{
	fprintf(stderr, "conn: %s\n", what);
	exit(1);
}

/* --- messages ---------------------------------------------------------------------------- */

/* Bytes of the message with this number; the server knows by its length. */
static uint32_t length_of(uint64_t number, uint64_t longest)
{
	struct shunt_random r = { number };

	return shunt_random_one_in(&r, 4) ? (uint32_t)longest
					  : shunt_random_in(&r, NUMBER, longest);
}

static void fill(uint8_t *message, uint64_t number, uint32_t length)
{
	struct shunt_random r = { ~number };
	uint32_t i;

	memcpy(message, &number, NUMBER);
	for (i = NUMBER; i < length; i++)
		message[i] = (uint8_t)shunt_random_next(&r);
}

static void look_at(struct end *end, const struct shunt_conn_news *news)
{
	static uint8_t want[LONGEST];

	if (news->len < NUMBER || news->len > LONGEST)
		fail("a message of a length that nobody sends");
	fill(want, end->got, news->len);
	if (memcmp(want, news->data, NUMBER))
		fail("a message with another number than the next");
	if (memcmp(want, news->data, news->len) || news->channel != (uint16_t)end->got)
		fail("a message with other bytes or another channel than it was sent "
		     "with");
	if (end->longest && news->len != length_of(end->got, end->longest))
		fail("a message of another length than it was sent with");
	end->got++;
	end->bytes += news->len;
}

/* --- news -------------------------------------------------------------------------------- */

static void send_back(struct end *end)
{
	while (end->held_first != end->held_end) {
		const struct shunt_conn_news *news = &end->held[end->held_first % HELD];
		int taken = shunt_conn_send(end->conn, news->channel, news->data,
					    news->len);

		if (taken < 0)
			fail("a message is not taken back");
		if (!taken)
			return;
		shunt_conns_release(end->conns, news, 1);
		end->held_first++;
	}
}

static void send_own(struct end *end)
{
	static uint8_t message[LONGEST];

	while (end->sent < end->count) {
		uint32_t length = length_of(end->sent, end->longest);
		int taken;

		fill(message, end->sent, length);
		taken = shunt_conn_send(end->conn, (uint16_t)end->sent, message,
					length);
		if (taken < 0)
			fail("a message is not taken");
		if (!taken)
			return;
		end->sent++;
	}
}

static void heed(struct end *end, const struct shunt_conn_news *news)
{
	switch (news->kind) {
	case SHUNT_CONN_MESSAGE_NEWS:
		look_at(end, news);
		if (end->longest) {
			shunt_conns_release(end->conns, news, 1);
			if (end->got == end->count / 2)
				puts("{\"half\": true}");
			return;
		}
		if (end->held_end - end->held_first == HELD)
			fail("more messages than the window has room for");
		end->held[end->held_end++ % HELD] = *news;
		return;
	case SHUNT_CONN_DATAGRAM_NEWS:
		fail("a datagram that nobody has sent");
		return;
	case SHUNT_CONN_DOWN_NEWS:
	case SHUNT_CONN_UP_NEWS:
		fail(news->reason ? news->reason : "the connection was lost");
		return;
	case SHUNT_CONN_ENDED_NEWS:
		/* The other end is through, and has said so before we saw it. */
		if (end->got < end->count || end->held_first != end->held_end)
			fail(news->reason ? news->reason : "it has ended");
		end->ended = true;
		return;
	case SHUNT_CONN_WRITABLE_NEWS:
		return;
	}
}

/* Waits for news, and heeds them. */
static void turn(struct end *end)
{
	struct shunt_conn_news news[NEWS];
	unsigned int n, i;
	uint64_t now_ns = shunt_now_ns();
	int ret;

	if (now_ns >= end->deadline_ns)
		fail("the time is over");
	ret = shunt_conns_poll(end->conns, SLICE_NS, &err);
	if (ret < 0 && ret != -EINTR)
		fail(err.message);
	while ((n = shunt_conns_news(end->conns, news, NEWS)))
		for (i = 0; i < n; i++)
			heed(end, &news[i]);
}

static void report(const struct end *end)
{
	printf("{\"messages\": %llu, \"bytes\": %llu}\n", (unsigned long long)end->got,
	       (unsigned long long)end->bytes);
}

/* --- the two ends ------------------------------------------------------------------------- */

/* All that was sent has arrived there. */
static void finish(struct end *end)
{
	while (!end->ended && !shunt_conn_is_idle(end->conn))
		turn(end);
	report(end);
	shunt_conn_close(end->conn);
}

static void serve(struct end *end)
{
	while (!shunt_conn_accept(end->conns, &end->conn))
		turn(end);
	while (end->got < end->count || end->held_first != end->held_end) {
		turn(end);
		send_back(end);
	}
	finish(end);
}

static void call(struct end *end, const char *address)
{
	struct shunt_conn_hello *hello;

	if (shunt_conn_call(end->conns, &hello, address, &err) ||
	    shunt_conn_prove(&hello, &end->conn, &err))
		fail(err.message);
	while (end->got < end->count) {
		send_own(end);
		turn(end);
	}
	finish(end);
}

static void usage(void)
{
	fprintf(stderr,
		"conn serve URI PSK MESSAGES | conn call URI ADDRESS PSK MESSAGES "
		"LONGEST\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static struct end end;
	bool serves = argc == 5 && !strcmp(argv[1], "serve");
	const struct shunt_conns_opts opts = {
		.sz = sizeof(opts),
		.psk_file = argc > 3 ? argv[serves ? 3 : 4] : NULL,
		.listen = serves,
		.window_messages = HELD,
		.message_max = LONGEST,
		.connect_ms = 30000,
		/* The goodbye is a datagram, and may be lost as well. */
		.keepalive_ms = 500,
		.dead_ms = 3000,
	};
	struct shunt_transport *transport;

	if (!serves && (argc != 7 || strcmp(argv[1], "call")))
		usage();
	setlinebuf(stdout);
	end.count = strtoull(argv[serves ? 4 : 5], NULL, 10);
	end.longest = serves ? 0 : strtoull(argv[6], NULL, 10);
	if (!end.count || end.longest > LONGEST || (!serves && end.longest < NUMBER))
		usage();
	end.deadline_ns = shunt_now_ns() + DEADLINE_NS;
	if (shunt_transport_open(&transport, argv[2], &err) ||
	    shunt_conns_open(&end.conns, transport, &opts, &err))
		fail(err.message);
	printf("{\"address\": \"%s\"}\n", shunt_transport_address(transport));
	if (serves)
		serve(&end);
	else
		call(&end, argv[3]);
	shunt_conns_close(end.conns);
	shunt_transport_close(transport);
	return 0;
}
