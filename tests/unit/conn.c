/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections over a line that loses, doubles and reorders. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/model/loose_line.h"
#include "user/transport/conn.h"

#define DEADLINE_NS 30000000000ull /* a test that stands still ends */

const struct shunt_transport_ops *const shunt_transport_backends[] = { &shunt_loose_ops,
								       NULL };

static const uint8_t key[32] = "thirty-two bytes of no entropy.";
static const uint8_t other_key[32] = "thirty-two bytes of none either";

/* --- two endpoints ------------------------------------------------------------------------ */

struct end {
	struct shunt_transport *transport;
	struct shunt_conns *conns;
	struct shunt_conn *conn;
	uint32_t next; /* number of the message that is to come */
	uint32_t told; /* datagrams that came */
	bool down, up, ended, writable;
	char reason[128];
	bool reads; /* news are taken */
};

static struct end client, server;
static uint64_t begun_ns;

static struct shunt_conns_opts quick(const uint8_t *psk)
{
	return (struct shunt_conns_opts){ .sz = sizeof(struct shunt_conns_opts),
					  .psk = psk,
					  .keepalive_ms = 20,
					  .dead_ms = 80,
					  .connect_ms = 200,
					  .retry_ms = 5,
					  .retry_max_ms = 20,
					  .linger_ms = 9000 };
}

static void open_end(struct end *end, const char *uri,
		     const struct shunt_conns_opts *opts)
{
	struct shunt_err err = { 0 };

	*end = (struct end){ .reads = true };
	if (shunt_transport_open(&end->transport, uri, &err) ||
	    shunt_conns_open(&end->conns, end->transport, opts, &err))
		fail_msg("%s", err.message);
}

static void close_end(struct end *end)
{
	shunt_conns_close(end->conns);
	shunt_transport_close(end->transport);
	*end = (struct end){ 0 };
}

static void hear(struct end *end, const struct shunt_conn_news *news)
{
	uint32_t number;

	switch (news->kind) {
	case SHUNT_CONN_MESSAGE_NEWS:
		assert_true(news->len >= sizeof(number));
		memcpy(&number, news->data, sizeof(number));
		assert_int_equal(number, end->next);
		assert_int_equal(news->channel, number % 7);
		assert_int_equal(news->data[news->len - 1],
				 news->len == 4 ? number >> 24 : 'e');
		end->next++;
		break;
	case SHUNT_CONN_DATAGRAM_NEWS:
		assert_memory_equal(news->data, "told", 4);
		end->told++;
		break;
	case SHUNT_CONN_WRITABLE_NEWS:
		end->writable = true;
		break;
	case SHUNT_CONN_DOWN_NEWS:
		end->down = true;
		end->next = 0;
		snprintf(end->reason, sizeof(end->reason), "%s", news->reason);
		break;
	case SHUNT_CONN_UP_NEWS:
		end->up = true;
		break;
	case SHUNT_CONN_ENDED_NEWS:
		end->ended = true;
		snprintf(end->reason, sizeof(end->reason), "%s", news->reason);
		shunt_conn_close(news->conn);
		end->conn = NULL;
	}
}

static void run_end(struct end *end)
{
	struct shunt_conn_news news[8];
	struct shunt_err err = { 0 };
	unsigned int i, n;

	if (!end->conns)
		return;
	if (shunt_conns_run(end->conns, &err) < 0)
		fail_msg("%s", err.message);
	if (!end->reads)
		return;
	n = shunt_conns_news(end->conns, news, 8);
	for (i = 0; i < n; i++)
		hear(end, &news[i]);
	shunt_conns_release(end->conns, news, n);
}

static void run_both(void)
{
	run_end(&client);
	run_end(&server);
	if (shunt_now_ns() - begun_ns > DEADLINE_NS)
		fail_msg("this takes too long: client next %u, server next %u",
			 client.next, server.next);
}

/* Runs both ends until it is so; or the block behind WHILE_NOT, which does. */
#define WHILE_NOT(condition) for (begun_ns = shunt_now_ns(); !(condition);)
#define UNTIL(condition)                                                               \
	do {                                                                           \
		WHILE_NOT(condition)                                                   \
		run_both();                                                            \
	} while (0)

static void call(struct shunt_conn_hello **hello)
{
	struct shunt_err err = { 0 };

	if (shunt_conn_call(client.conns, hello, "192.0.2.1:7000", &err))
		fail_msg("%s", err.message);
}

static int proven;

static bool is_settled(struct shunt_conn_hello **hello, struct shunt_err *err)
{
	proven = shunt_conn_proven(hello, &client.conn, err);
	return proven != 0;
}

static void connect_ends(void)
{
	struct shunt_conn_hello *hello;
	struct shunt_err err = { 0 };

	call(&hello);
	UNTIL(is_settled(&hello, &err));
	if (proven < 0)
		fail_msg("%s", err.message);
	UNTIL(shunt_conn_accept(server.conns, &server.conn));
}

static void open_server(const struct shunt_conns_opts *opts)
{
	struct shunt_conns_opts listening = *opts;

	listening.listen = 1;
	open_end(&server, "loose://192.0.2.1:7000", &listening);
}

static void open_both(const struct shunt_conns_opts *opts)
{
	loose_line_clear();
	open_server(opts);
	open_end(&client, "loose://192.0.2.2:9", opts);
	connect_ends();
}

static void close_both(void)
{
	close_end(&client);
	close_end(&server);
	loose_line_clear();
}

static int send_number(struct shunt_conn *conn, uint32_t number, uint32_t len)
{
	uint8_t bytes[20000];

	memset(bytes, 'e', sizeof(bytes));
	memcpy(bytes, &number, sizeof(number));
	return shunt_conn_send(conn, number % 7, bytes, len < 4 ? 4 : len);
}

/* --- messages -------------------------------------------------------------------------------- */

static void send_both_ways(uint32_t count, uint64_t seed)
{
	struct shunt_random r = { .state = seed };
	uint32_t there = 0, back = 0;

	WHILE_NOT(client.next == count && server.next == count)
	{
		uint32_t len = shunt_random_one_in(&r, 10)
				       ? shunt_random_below(&r, 20000)
				       : shunt_random_below(&r, 200);

		if (there < count && send_number(client.conn, there, len) == 1)
			there++;
		if (back < count && send_number(server.conn, back, len) == 1)
			back++;
		run_both();
	}
	UNTIL(shunt_conn_is_idle(client.conn) && shunt_conn_is_idle(server.conn));
}

static void test_all_arrives_once_and_in_order(void **state)
{
	static const struct loose_line odds[] = {
		{ .drop = 0 },
		{ .drop = 10 },
		{ .twice = 3 },
		{ .late = 3 },
		{ .drop = 10, .twice = 10, .late = 10 },
	};
	struct shunt_conns_opts opts = quick(key);
	size_t i;

	(void)state;
	/* a machine that is busy is not to lose its peer */
	opts.dead_ms = 10000;
	for (i = 0; i < sizeof(odds) / sizeof(*odds); i++) {
		open_both(&opts);
		loose_line = odds[i];
		loose_line.random.state = i;
		send_both_ways(600, i);
		assert_false(client.down || server.ended);
		close_both();
	}
}

static void test_what_is_told_arrives_or_not(void **state)
{
	const struct shunt_conns_opts opts = quick(key);
	uint8_t bytes[LOOSE_MTU] = "told";
	struct shunt_conns_stats stats;
	unsigned int i;

	(void)state;
	open_both(&opts);
	for (i = 0; i < 50; i++)
		assert_int_equal(shunt_conn_tell(client.conn, bytes,
						 shunt_conn_tell_max(client.conn)),
				 1);
	assert_int_equal(shunt_conn_tell(client.conn, bytes,
					 shunt_conn_tell_max(client.conn) + 1),
			 -EMSGSIZE);
	UNTIL(server.told == 50);
	/* whoever doesn't read loses them, and that is counted */
	server.reads = false;
	for (i = 0; i < 100; i++)
		assert_int_equal(shunt_conn_tell(client.conn, bytes, 4), 1);
	UNTIL((shunt_conns_stats(server.conns, &stats), stats.unread == 36));
	server.reads = true;
	UNTIL(server.told == 50 + 64);
	close_both();
}

static void test_who_does_not_read_stops_the_sender(void **state)
{
	struct shunt_conns_opts opts = quick(key);
	uint32_t sent = 0;
	bool stuck = false;

	(void)state;
	opts.window_bytes = 65536;
	opts.message_max = 16384;
	opts.dead_ms = 10000;
	open_both(&opts);
	server.reads = false;
	WHILE_NOT(sent == 1000 || (stuck && shunt_conn_is_idle(client.conn)))
	{
		int ret = send_number(client.conn, sent, 1000);

		stuck = !ret;
		sent += ret == 1;
		run_both();
	}
	/* all that fits into the window, and no more */
	assert_in_range(sent, 60, 66);
	client.writable = false;
	assert_int_equal(send_number(client.conn, sent, 1000), 0);
	server.reads = true;
	UNTIL(server.next == sent && client.writable);
	assert_int_equal(send_number(client.conn, sent, 1000), 1);
	UNTIL(server.next == sent + 1);
	close_both();
}

/* --- lives ------------------------------------------------------------------------------------ */

static void test_another_key_finds_nobody(void **state)
{
	const struct shunt_conns_opts ours = quick(key), theirs = quick(other_key);
	struct shunt_conn_hello *hello;
	struct shunt_conns_stats stats;
	struct shunt_err err = { 0 };

	(void)state;
	loose_line_clear();
	open_server(&ours);
	open_end(&client, "loose://192.0.2.2:9", &theirs);
	call(&hello);
	UNTIL(is_settled(&hello, &err));
	assert_int_equal(proven, -ETIMEDOUT);
	assert_null(hello);
	assert_non_null(strstr(err.message, "192.0.2.1:7000"));
	shunt_conns_stats(server.conns, &stats);
	assert_true(stats.strangers > 1);
	assert_int_equal(stats.strangers, loose_line.sent);
	assert_int_equal(stats.answered, 0);
	close_both();
}

static void test_what_was_sent_before_close_arrives_before_the_end(void **state)
{
	struct shunt_conns_opts opts = quick(key);
	uint32_t i;

	(void)state;
	opts.dead_ms = 10000;
	open_both(&opts);
	loose_line.drop = 5;
	for (i = 0; i < 100; i++)
		assert_int_equal(send_number(client.conn, i, 500), 1);
	shunt_conn_close(client.conn);
	UNTIL(server.ended);
	assert_int_equal(server.next, 100);
	assert_string_equal(server.reason, "the peer has closed it");
	close_both();
}

static void test_a_peer_that_restarts_is_called_again(void **state)
{
	struct shunt_conns_opts opts = quick(key);
	int times;

	(void)state;
	opts.dead_ms = 10000; /* GONE is faster */
	open_both(&opts);
	for (times = 0; times < 3; times++) {
		send_both_ways(20, 1);
		loose_line.cut = true; /* it dies without a word */
		close_end(&server);
		loose_line.cut = false;
		open_server(&opts);
		client.up = client.down = false;
		UNTIL(client.down && client.up);
		assert_string_equal(client.reason,
				    "nothing was heard of the peer any more");
		UNTIL(shunt_conn_accept(server.conns, &server.conn));
		client.next = 0;
	}
	send_both_ways(20, 1);
	close_both();
}

static void test_a_network_that_heals_is_used_again(void **state)
{
	const struct shunt_conns_opts opts = quick(key);

	(void)state;
	open_both(&opts);
	loose_line.cut = true;
	UNTIL(client.down && server.ended);
	assert_int_equal(send_number(client.conn, 0, 4), -ENOTCONN);
	assert_false(shunt_conn_is_up(client.conn));
	loose_line.cut = false;
	UNTIL(client.up);
	UNTIL(shunt_conn_accept(server.conns, &server.conn));
	server.ended = false;
	client.next = server.next = 0;
	send_both_ways(20, 1);
	close_both();
}

static void test_an_address_that_changes_breaks_nothing(void **state)
{
	struct shunt_conns_opts opts = quick(key);
	struct shunt_conns_stats stats;

	(void)state;
	opts.dead_ms = 10000;
	open_both(&opts);
	send_both_ways(20, 1);
	loose_line_move(client.transport, "192.0.2.77:1234");
	client.next = server.next = 0;
	send_both_ways(20, 1);
	assert_string_equal(shunt_conn_address(server.conn), "192.0.2.77:1234");
	shunt_conns_stats(server.conns, &stats);
	assert_int_equal(stats.moved, 1);
	assert_int_equal(stats.proven, 1);
	close_both();
}

static void test_what_is_lent_outlives_its_connection(void **state)
{
	const struct shunt_conns_opts opts = quick(key);
	struct shunt_conn_news news[4];
	unsigned int n = 0;

	(void)state;
	open_both(&opts);
	server.reads = false;
	assert_int_equal(send_number(client.conn, 5, 500), 1);
	UNTIL((n = shunt_conns_news(server.conns, news, 4)));
	assert_int_equal(n, 1);
	shunt_conn_close(server.conn);
	UNTIL(client.ended);
	assert_int_equal(news[0].len, 500);
	assert_int_equal(news[0].data[499], 'e');
	shunt_conns_release(server.conns, news, 1);
	close_both();
}

/* --- bounds ------------------------------------------------------------------------------------ */

static void test_no_more_connections_than_there_may_be(void **state)
{
	struct shunt_conns_opts opts = quick(key);
	struct shunt_conn_hello *hello[4] = { 0 };
	struct shunt_conn *conn[4] = { 0 }, *accepted[4];
	struct shunt_conns_stats stats = { 0 };
	unsigned int i, up = 0;

	(void)state;
	loose_line_clear();
	opts.dead_ms = 10000;
	opts.connect_ms = 2000;
	opts.connections = 3;
	open_server(&opts);
	opts.connections = 4;
	open_end(&client, "loose://192.0.2.2:9", &opts);
	for (i = 0; i < 4; i++)
		call(&hello[i]);
	assert_int_equal(shunt_conn_call(client.conns, &hello[0], "192.0.2.1:7000",
					 NULL),
			 -ENOSPC);
	WHILE_NOT(up == 3 && stats.refused > 2)
	{
		for (i = 0; i < 4; i++)
			up += hello[i] &&
			      shunt_conn_proven(&hello[i], &conn[i], NULL) == 1;
		run_both();
		shunt_conns_stats(server.conns, &stats);
	}
	for (i = 0; i < 3; i++)
		UNTIL(shunt_conn_accept(server.conns, &accepted[i]));
	/* one leaves, and the fourth, who still calls, gets in */
	shunt_conn_close(accepted[0]);
	UNTIL(shunt_conn_accept(server.conns, &accepted[0]));
	for (i = 0; i < 4; i++)
		shunt_conn_give_up(hello[i]);
	close_both();
}

static void test_ten_thousand_connections(void **state)
{
	const uint32_t count = (uint32_t)shunt_random_cases(10000);
	struct shunt_conns_opts opts = quick(key);
	struct shunt_conn_hello **hello = calloc(count, sizeof(*hello));
	struct shunt_conn **conn = calloc(count, sizeof(*conn));
	uint32_t up = 0, accepted = 0, calls = 0, heard = 0, number, n, i;
	struct shunt_conn_news news[64];
	struct shunt_conn *one;

	(void)state;
	loose_line_clear();
	opts.connections = count;
	opts.window_bytes = 4096;
	opts.message_max = 1024;
	opts.window_messages = 16;
	opts.keepalive_ms = 20000;
	opts.dead_ms = 60000;
	opts.connect_ms = 20000;
	opts.retry_ms = 1000;
	open_server(&opts);
	open_end(&client, "loose://192.0.2.2:9", &opts);
	WHILE_NOT(up == count && accepted == count)
	{
		/* no more are half open at once than there may be */
		for (i = 0; i < 64 && calls < count && calls < accepted + 128; i++)
			call(&hello[calls++]);
		for (i = calls > 512 ? calls - 512 : 0; i < calls; i++)
			up += hello[i] &&
			      shunt_conn_proven(&hello[i], &conn[i], NULL) == 1;
		while (shunt_conn_accept(server.conns, &one))
			accepted++;
		run_both();
	}
	/* and each is another one: what is said on it comes once, and on no other */
	server.reads = false;
	for (i = 0; i < count; i++)
		assert_int_equal(shunt_conn_send(conn[i], 0, &i, sizeof(i)), 1);
	WHILE_NOT(heard == count)
	{
		run_both();
		n = shunt_conns_news(server.conns, news, 64);
		for (i = 0; i < n; i++) {
			memcpy(&number, news[i].data, sizeof(number));
			assert_int_equal(news[i].kind, SHUNT_CONN_MESSAGE_NEWS);
			assert_true(number < count && conn[number]);
			assert_null(shunt_conn_user(news[i].conn));
			shunt_conn_set_user(news[i].conn, news);
			conn[number] = NULL;
		}
		shunt_conns_release(server.conns, news, n);
		heard += n;
	}
	close_both();
	free(hello);
	free(conn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_arrives_once_and_in_order),
		cmocka_unit_test(test_what_is_told_arrives_or_not),
		cmocka_unit_test(test_who_does_not_read_stops_the_sender),
		cmocka_unit_test(test_another_key_finds_nobody),
		cmocka_unit_test(
			test_what_was_sent_before_close_arrives_before_the_end),
		cmocka_unit_test(test_a_peer_that_restarts_is_called_again),
		cmocka_unit_test(test_a_network_that_heals_is_used_again),
		cmocka_unit_test(test_an_address_that_changes_breaks_nothing),
		cmocka_unit_test(test_what_is_lent_outlives_its_connection),
		cmocka_unit_test(test_no_more_connections_than_there_may_be),
		cmocka_unit_test(test_ten_thousand_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
