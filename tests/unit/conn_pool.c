/* SPDX-License-Identifier: BSD-2-Clause */
/* A pool hands out no broken connection, to those who wait in their order. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/model/loose_line.h"
#include "user/transport/conn_pool.h"

#define DEADLINE_NS 30000000000ull
#define SERVERS 2u

const struct shunt_transport_ops *const shunt_transport_backends[] = { &shunt_loose_ops,
								       NULL };

static const uint8_t key[32] = "thirty-two bytes of no entropy.";
static const char *const addresses[] = { "192.0.2.1:7000", "192.0.2.2:7000" };

struct end {
	struct shunt_transport *transport;
	struct shunt_conns *conns;
};

static struct end client, server[SERVERS];
static struct shunt_conn_pool *pool;
static uint64_t begun_ns;

static void open_end(struct end *end, const char *address, unsigned int listen)
{
	const struct shunt_conns_opts opts = { .sz = sizeof(opts),
					       .psk = key,
					       .listen = listen,
					       .keepalive_ms = 20,
					       .dead_ms = 5000,
					       .connect_ms = 300,
					       .retry_ms = 5,
					       .retry_max_ms = 40 };
	struct shunt_err err = { 0 };
	char uri[64];

	snprintf(uri, sizeof(uri), "loose://%s", address);
	if (shunt_transport_open(&end->transport, uri, &err) ||
	    shunt_conns_open(&end->conns, end->transport, &opts, &err))
		fail_msg("%s", err.message);
}

static void close_end(struct end *end)
{
	shunt_conns_close(end->conns);
	shunt_transport_close(end->transport);
	*end = (struct end){ 0 };
}

/* It dies without a word. */
static void kill_server(unsigned int which)
{
	loose_line.cut = true;
	close_end(&server[which]);
	loose_line.cut = false;
}

/* A server says back what it is told, and with it who it is. */
static void run_server(unsigned int which)
{
	struct shunt_conn_news news[16];
	struct shunt_conn *conn;
	unsigned int i, n;
	uint8_t name = (uint8_t)which;

	if (!server[which].conns)
		return;
	if (shunt_conns_run(server[which].conns, NULL) < 0)
		fail_msg("a server stands still");
	while (shunt_conn_accept(server[which].conns, &conn))
		continue;
	n = shunt_conns_news(server[which].conns, news, 16);
	for (i = 0; i < n; i++)
		if (news[i].kind == SHUNT_CONN_ENDED_NEWS)
			shunt_conn_close(news[i].conn);
		else if (news[i].kind == SHUNT_CONN_MESSAGE_NEWS)
			assert_int_equal(shunt_conn_send(news[i].conn, news[i].channel,
							 &name, 1),
					 1);
	shunt_conns_release(server[which].conns, news, n);
}

static void run_servers(void)
{
	unsigned int which;

	for (which = 0; which < SERVERS; which++)
		run_server(which);
}

static struct shunt_conn_pool_stats stats(void)
{
	struct shunt_conn_pool_stats now;

	shunt_conn_pool_stats(pool, &now);
	return now;
}

static void run_all(void)
{
	run_servers();
	if (shunt_conns_run(client.conns, NULL) < 0)
		fail_msg("the client stands still");
	(void)shunt_conn_pool_run(pool);
	if (shunt_now_ns() - begun_ns > DEADLINE_NS)
		fail_msg("this takes too long: %u idle, %u waiting, %llu replaced", stats().idle, stats().waiting, (unsigned long long)stats().replaced);
}

#define UNTIL(condition)                                                               \
	do {                                                                           \
		for (begun_ns = shunt_now_ns(); !(condition);)                         \
			run_all();                                                     \
	} while (0)

static void open_all(uint32_t peers, uint32_t each)
{
	const struct shunt_conn_pool_opts opts = {
		.sz = sizeof(opts), .addresses = addresses, .peers = peers, .each = each
	};
	struct shunt_err err = { 0 };
	unsigned int which;

	loose_line_clear();
	for (which = 0; which < SERVERS; which++)
		open_end(&server[which], addresses[which], 1);
	open_end(&client, "192.0.2.9:9", 0);
	if (shunt_conn_pool_open(&pool, client.conns, &opts, &err))
		fail_msg("%s", err.message);
	UNTIL(stats().idle == peers * each);
}

static void close_all(void)
{
	unsigned int which;

	shunt_conn_pool_close(pool);
	close_end(&client);
	for (which = 0; which < SERVERS; which++)
		close_end(&server[which]);
	loose_line_clear();
}

/* --- asking ------------------------------------------------------------------------------- */

struct asker {
	struct shunt_conn_pool_wait wait;
	struct shunt_conn *conn;
	int error;
	unsigned int turn; /* when it was answered */
};

static unsigned int turns;

static void answered(struct shunt_conn_pool_wait *wait, struct shunt_conn *conn,
		     int error)
{
	struct asker *asker = (struct asker *)wait;

	asker->conn = conn;
	asker->error = error;
	asker->turn = ++turns;
}

static void ask(struct asker *asker, uint64_t ns)
{
	*asker = (struct asker){ .wait = { .answer = answered,
					   .until_ns = shunt_now_ns() + ns } };
	shunt_conn_pool_ask(pool, &asker->wait);
}

static struct shunt_conn *take(void)
{
	struct asker asker;

	ask(&asker, DEADLINE_NS);
	UNTIL(asker.turn);
	assert_non_null(asker.conn);
	assert_true(shunt_conn_is_up(asker.conn));
	return asker.conn;
}

/* Which server answers? A conversation proves that the connection is whole. */
static int converse(struct shunt_conn *conn, uint16_t channel)
{
	struct shunt_conn_news news = { .conn = NULL };
	int name;

	assert_int_equal(shunt_conn_send(conn, channel, "who?", 4), 1);
	UNTIL(shunt_conns_news(client.conns, &news, 1));
	assert_ptr_equal(news.conn, conn);
	assert_int_equal(news.kind, SHUNT_CONN_MESSAGE_NEWS);
	assert_int_equal(news.channel, channel);
	name = news.data[0];
	shunt_conns_release(client.conns, &news, 1);
	return name;
}

/* --- tests ----------------------------------------------------------------------------------- */

static void test_each_gets_its_share(void **state)
{
	struct shunt_conn *seen[4] = { 0 };
	unsigned int times[4] = { 0 }, servers[SERVERS] = { 0 }, i, at;

	(void)state;
	open_all(2, 2);
	for (i = 0; i < 40; i++) {
		struct shunt_conn *conn = take();

		for (at = 0; seen[at] && seen[at] != conn; at++)
			assert_true(at < 3);
		seen[at] = conn;
		times[at]++;
		servers[converse(conn, (uint16_t)i)]++;
		shunt_conn_pool_give(pool, conn);
	}
	for (i = 0; i < 4; i++)
		assert_int_equal(times[i], 10);
	assert_int_equal(servers[0], 20);
	close_all();
}

static void test_who_waits_is_served_in_turn(void **state)
{
	struct asker asker[4];
	struct shunt_conn *conn;
	unsigned int i;

	(void)state;
	open_all(1, 1);
	conn = take();
	turns = 0;
	for (i = 0; i < 4; i++)
		ask(&asker[i], i == 1 ? 20000000 : DEADLINE_NS);
	assert_int_equal(stats().waiting, 4);
	/* whose time is over leaves the line */
	UNTIL(asker[1].turn);
	assert_int_equal(asker[1].error, -ETIMEDOUT);
	assert_int_equal(turns, 1);
	for (i = 0; i < 4; i++) {
		if (i == 1)
			continue;
		shunt_conn_pool_give(pool, conn);
		UNTIL(asker[i].turn);
		assert_ptr_equal(asker[i].conn, conn);
	}
	assert_int_equal(stats().taken, 1);
	assert_int_equal(stats().timeouts, 1);
	close_all();
}

static void test_no_broken_one_is_handed_out(void **state)
{
	struct shunt_conn *taken[2];
	uint64_t dead_ns;
	unsigned int i;

	(void)state;
	open_all(2, 2);
	kill_server(0);
	/* for as long as a silence is none, nobody can know */
	dead_ns = shunt_now_ns() + 31000000;
	UNTIL(shunt_now_ns() > dead_ns);
	for (i = 0; i < 20; i++) {
		taken[0] = take();
		taken[1] = take();
		assert_int_equal(converse(taken[0], 1), 1);
		assert_int_equal(converse(taken[1], 2), 1);
		shunt_conn_pool_give(pool, taken[1]);
		shunt_conn_pool_give(pool, taken[0]);
	}
	assert_true(stats().doubted >= 2);
	/* and once it lives again, it has its share again */
	open_end(&server[0], addresses[0], 1);
	for (i = 0, begun_ns = shunt_now_ns(); i < 2;) {
		taken[0] = take();
		i += converse(taken[0], 3) == 0;
		shunt_conn_pool_give(pool, taken[0]);
	}
	close_all();
}

static void test_who_has_ended_is_replaced(void **state)
{
	struct shunt_conn *conn;
	unsigned int i;

	(void)state;
	open_all(1, 2);
	for (i = 0; i < 2; i++) {
		conn = take();
		assert_int_equal(converse(conn, 1), 0);
		shunt_conn_pool_give(pool, conn);
	}
	/* it takes leave of all, and comes back */
	close_end(&server[0]);
	open_end(&server[0], addresses[0], 1);
	UNTIL(stats().replaced == 2 && stats().idle == 2);
	conn = take();
	assert_int_equal(converse(conn, 1), 0);
	shunt_conn_pool_discard(pool, conn);
	UNTIL(stats().idle == 2);
	assert_int_equal(stats().taken, 0);
	close_all();
}

static void test_nobody_reads_what_was_said_to_another(void **state)
{
	struct shunt_conn_news news;
	struct shunt_conn *conn;
	uint64_t until_ns;

	(void)state;
	open_all(1, 1);
	conn = take();
	assert_int_equal(shunt_conn_send(conn, 77, "who?", 4), 1);
	shunt_conn_pool_give(pool, conn);
	until_ns = shunt_now_ns() + 20000000;
	UNTIL(shunt_now_ns() > until_ns);
	assert_int_equal(shunt_conns_news(client.conns, &news, 1), 0);
	conn = take();
	assert_int_equal(converse(conn, 78), 0);
	close_all();
}

static void test_a_wait_ends_at_its_deadline(void **state)
{
	struct shunt_conn *conn, *other;
	struct shunt_err err = { 0 };

	(void)state;
	open_all(1, 1);
	assert_int_equal(shunt_conn_pool_take(pool, &conn, 1000000, &err), 0);
	assert_int_equal(shunt_conn_pool_take(pool, &other, 10000000, &err),
			 -ETIMEDOUT);
	assert_non_null(strstr(err.message, "1 are taken"));
	assert_int_equal(stats().waiting, 0);
	close_all();
}

static void test_who_waits_is_told_of_the_end(void **state)
{
	struct asker asker;

	(void)state;
	open_all(1, 1);
	(void)take();
	ask(&asker, DEADLINE_NS);
	close_all();
	assert_int_equal(asker.error, -ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_gets_its_share),
		cmocka_unit_test(test_who_waits_is_served_in_turn),
		cmocka_unit_test(test_no_broken_one_is_handed_out),
		cmocka_unit_test(test_who_has_ended_is_replaced),
		cmocka_unit_test(test_nobody_reads_what_was_said_to_another),
		cmocka_unit_test(test_a_wait_ends_at_its_deadline),
		cmocka_unit_test(test_who_waits_is_told_of_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
