/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections over real sockets, datagrams and streams. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "user/base/clock.h"
#include "user/transport/backends.h"
#include "user/transport/conn.h"

#define DEADLINE_NS 30000000000ull
#define MESSAGES 2000u

const struct shunt_transport_ops *const shunt_transport_backends[] = { &shunt_epoll_ops,
								       NULL };

static const uint8_t key[32] = "thirty-two bytes of no entropy.";

struct end {
	struct shunt_transport *transport;
	struct shunt_conns *conns;
	struct shunt_conn *conn;
	uint32_t next; /* number of the message that is to come */
	bool down, up;
};

static struct end client, server;
static uint64_t begun_ns;

static void open_end(struct end *end, const char *address, const char *proto,
		     unsigned int listen)
{
	const struct shunt_conns_opts opts = { .sz = sizeof(opts),
					       .psk = key,
					       .listen = listen,
					       .keepalive_ms = 50,
					       .dead_ms = 5000,
					       .retry_ms = 10,
					       .retry_max_ms = 100 };
	struct shunt_err err = { 0 };
	char uri[128];

	*end = (struct end){ 0 };
	snprintf(uri, sizeof(uri), "epoll://%s?proto=%s&wait=poll&connect=200", address,
		 proto);
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

static void hear(struct end *end, const struct shunt_conn_news *news)
{
	uint32_t number;

	end->down |= news->kind == SHUNT_CONN_DOWN_NEWS;
	end->up |= news->kind == SHUNT_CONN_UP_NEWS;
	if (news->kind != SHUNT_CONN_MESSAGE_NEWS)
		return;
	memcpy(&number, news->data, sizeof(number));
	assert_int_equal(number, end->next++);
}

static void run_end(struct end *end)
{
	struct shunt_conn_news news[32];
	struct shunt_err err = { 0 };
	unsigned int i, n;

	if (shunt_conns_run(end->conns, &err) < 0)
		fail_msg("%s", err.message);
	n = shunt_conns_news(end->conns, news, 32);
	for (i = 0; i < n; i++)
		hear(end, &news[i]);
	shunt_conns_release(end->conns, news, n);
}

static void run_both(void)
{
	run_end(&client);
	if (server.conns)
		run_end(&server);
	if (shunt_now_ns() - begun_ns > DEADLINE_NS)
		fail_msg("this takes too long: %u and %u came", client.next,
			 server.next);
}

#define WHILE_NOT(condition) for (begun_ns = shunt_now_ns(); !(condition);)
#define UNTIL(condition)                                                               \
	do {                                                                           \
		WHILE_NOT(condition)                                                   \
		run_both();                                                            \
	} while (0)

static int proven;

static int ask_proven(struct shunt_conn_hello **hello, struct shunt_err *err)
{
	return proven = shunt_conn_proven(hello, &client.conn, err);
}

static void connect_to(const char *address)
{
	struct shunt_conn_hello *hello;
	struct shunt_err err = { 0 };

	if (shunt_conn_call(client.conns, &hello, address, &err))
		fail_msg("%s", err.message);
	UNTIL(ask_proven(&hello, &err));
	if (proven < 0)
		fail_msg("%s", err.message);
}

static int send_number(struct shunt_conn *conn, uint32_t number)
{
	uint8_t bytes[3000] = { 0 };

	memcpy(bytes, &number, sizeof(number));
	return shunt_conn_send(conn, 1, bytes, 4 + number * 7 % 2900);
}

/* --- a server that is another process --------------------------------------------------------- */

static void echo(struct shunt_conns *conns, const struct shunt_conn_news *news)
{
	int ret = 1;

	if (news->kind == SHUNT_CONN_ENDED_NEWS)
		shunt_conn_close(news->conn);
	if (news->kind != SHUNT_CONN_MESSAGE_NEWS)
		return;
	/* who has sent it will take it: there is credit sooner or later, or an end */
	while (!(ret = shunt_conn_send(news->conn, news->channel, news->data,
				       news->len)))
		if (shunt_conns_poll(conns, 1000000, NULL) < 0)
			return;
}

static void serve(const char *address, const char *proto, int tell)
{
	struct shunt_conn_news news;
	struct shunt_conn *conn;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	open_end(&server, address, proto, 1);
	address = shunt_transport_address(server.transport);
	if (write(tell, address, strlen(address) + 1) < 0)
		_exit(1);
	while (shunt_conns_poll(server.conns, DEADLINE_NS, NULL) >= 0) {
		while (shunt_conn_accept(server.conns, &conn))
			continue;
		while (shunt_conns_news(server.conns, &news, 1)) {
			echo(server.conns, &news);
			shunt_conns_release(server.conns, &news, 1);
		}
	}
	_exit(1);
}

static pid_t start_server(char address[SHUNT_ENDPOINT_TEXT], const char *proto)
{
	int pipes[2];
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child)
		serve(address, proto, pipes[1]);
	close(pipes[1]);
	assert_true(read(pipes[0], address, SHUNT_ENDPOINT_TEXT) > 1);
	close(pipes[0]);
	return child;
}

static void kill_server(pid_t child)
{
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void talk(void)
{
	uint32_t said = 0;

	client.next = 0;
	WHILE_NOT(client.next == MESSAGES)
	{
		said += said < MESSAGES && send_number(client.conn, said) == 1;
		run_both();
	}
}

static void meet_talk_and_restart(const char *proto)
{
	char address[SHUNT_ENDPOINT_TEXT] = "127.0.0.1:0";
	pid_t child = start_server(address, proto);

	open_end(&client, "127.0.0.1:0", proto, 0);
	connect_to(address);
	talk();
	assert_false(client.down);
	/* it dies without a word, but for what its sockets say for it */
	kill_server(child);
	child = start_server(address, proto);
	UNTIL(client.down && client.up);
	talk();
	close_end(&client);
	kill_server(child);
}

static void test_datagrams(void **state)
{
	(void)state;
	meet_talk_and_restart("udp");
}

static void test_streams(void **state)
{
	(void)state;
	meet_talk_and_restart("tcp");
}

/* A connection that is idle costs no time: poll sleeps until there is something. */
static void test_a_poll_that_nothing_wakes(void **state)
{
	struct shunt_transport_stats before, after;

	(void)state;
	open_end(&server, "127.0.0.1:0", "udp", 1);
	open_end(&client, "127.0.0.1:0", "udp", 0);
	connect_to(shunt_transport_address(server.transport));
	UNTIL(shunt_conn_accept(server.conns, &server.conn));
	UNTIL(shunt_conn_is_idle(client.conn) && shunt_conn_is_idle(server.conn));
	assert_int_equal(shunt_transport_stats(client.transport, &before, NULL), 0);
	assert_int_equal(shunt_conns_poll(client.conns, 20000000, NULL), 0);
	assert_int_equal(shunt_transport_stats(client.transport, &after, NULL), 0);
	assert_in_range(after.system_calls - before.system_calls, 1, 20);
	/* and what the other end has said wakes it */
	assert_int_equal(send_number(server.conn, 0), 1);
	run_end(&server);
	assert_int_equal(shunt_conns_poll(client.conns, DEADLINE_NS, NULL), 1);
	run_end(&client);
	assert_int_equal(client.next, 1);
	close_end(&client);
	close_end(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_a_poll_that_nothing_wakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
