/* SPDX-License-Identifier: BSD-2-Clause */
/* epoll:// and kqueue:// over UDP and TCP, beside plain sockets. */
#include "tests/unit/sockets.h"

#include <sys/resource.h>

#include "user/transport/stream.h"

/* --- both protocols ------------------------------------------------------------------------------- */

static const char *const protos[] = { "proto=udp", "proto=tcp" };

static void messages_of_any_length_go_to_and_fro(void **state)
{
	static const uint32_t lengths[] = {
		0, 1, 64, 1400, 4096, 70000, MESSAGE_BYTES
	};
	size_t p, i;

	(void)state;
	for (p = 0; p < 2; p++) {
		struct shunt_transport *a = open_any(protos[p]),
				       *b = open_any(protos[p]);
		shunt_peer peer = open_way(a, b);

		for (i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
			struct shunt_message message;

			send_all(a, peer, pattern, lengths[i]);
			message = await(b);
			assert_int_equal(message.frame.len, lengths[i]);
			assert_memory_equal(message.frame.data, pattern, lengths[i]);
			assert_int_equal(message.channel, 3);
			send_all(b, message.peer, message.frame.data, lengths[i]);
			shunt_release(b, &message, 1);
			expect(a, pattern, lengths[i]);
		}
		assert_int_equal(stats_of(b).malformed, 0);
		shunt_transport_close(a);
		shunt_transport_close(b);
	}
}

/* A hundred clients, ten messages each, all answered to whom they came from. */
static void many_peers_are_told_apart(void **state)
{
	enum { CLIENTS = 100, EACH = 10 };
	struct shunt_transport *client[CLIENTS], *server;
	unsigned int i, k;
	size_t p;

	(void)state;
	for (p = 0; p < 2; p++) {
		server = open_any(protos[p]);
		for (i = 0; i < CLIENTS; i++) {
			client[i] = open_any(p ? "proto=tcp&buffers=16"
					       : "proto=udp&buffers=16");
		}
		for (i = 0; i < CLIENTS; i++) {
			shunt_peer peer = open_way(client[i], server);

			for (k = 0; k < EACH; k++)
				send_all(client[i], peer, &i, sizeof(i));
		}
		for (i = 0; i < CLIENTS * EACH; i++) {
			struct shunt_message message = await(server);

			send_all(server, message.peer, message.frame.data,
				 message.frame.len);
			shunt_release(server, &message, 1);
		}
		for (i = 0; i < CLIENTS; i++) {
			for (k = 0; k < EACH; k++)
				expect(client[i], &i, sizeof(i));
			shunt_transport_close(client[i]);
		}
		shunt_transport_close(server);
	}
}

static void an_address_that_is_taken_is_told(void **state)
{
	size_t p;

	(void)state;
	for (p = 0; p < 2; p++) {
		struct shunt_transport *first = open_any(protos[p]), *second;
		struct shunt_err err = { 0 };
		char uri[256];

		snprintf(uri, sizeof(uri), "%s://%s?%s", scheme,
			 shunt_transport_address(first), protos[p]);
		assert_int_equal(shunt_transport_open(&second, uri, &err), -EADDRINUSE);
		assert_non_null(strstr(err.message, "somebody listens"));
		snprintf(uri, sizeof(uri), "%s://192.0.2.77:0?%s", scheme, protos[p]);
		assert_int_equal(shunt_transport_open(&second, uri, &err),
				 -EADDRNOTAVAIL);
		assert_non_null(strstr(err.message, "no address of this host"));
		shunt_transport_close(first);
	}
}

static void ipv6_is_an_equal(void **state)
{
	size_t p;

	(void)state;
	for (p = 0; p < 2; p++) {
		struct shunt_transport *a = open_at("[::1]:0", protos[p]);
		struct shunt_transport *b = open_at("[::1]:0", protos[p]);
		shunt_peer peer = open_way(a, b);
		struct shunt_message message;

		send_all(a, peer, pattern, 100000);
		message = await(b);
		assert_int_equal(message.frame.len, 100000);
		send_all(b, message.peer, pattern, 1);
		shunt_release(b, &message, 1);
		expect(a, pattern, 1);
		shunt_transport_close(a);
		shunt_transport_close(b);
	}
}

/* [::] takes IPv4 senders, and answers them. */
static void any_address_is_of_both_kinds(void **state)
{
	size_t p;

	(void)state;
	for (p = 0; p < 2; p++) {
		struct shunt_transport *a = open_any(protos[p]);
		struct shunt_transport *b = open_at("[::]:0", protos[p]);
		const char *port = strrchr(shunt_transport_address(b), ':');
		struct shunt_message message;
		char address[64];
		shunt_peer peer;

		snprintf(address, sizeof(address), "127.0.0.1%s", port);
		peer = open_peer(a, address);
		send_all(a, peer, "to", 2);
		message = await(b);
		assert_non_null(
			strstr(shunt_peer_address(b, message.peer), "127.0.0.1:"));
		send_all(b, message.peer, "fro", 3);
		shunt_release(b, &message, 1);
		expect(a, "fro", 3);
		shunt_transport_close(a);
		shunt_transport_close(b);
	}
}

/* --- TCP ---------------------------------------------------------------------------------------------- */

static void a_listener_that_is_not_there_is_told(void **state)
{
	struct shunt_transport *a = open_any("proto=tcp"), *b = open_any("proto=tcp");
	struct shunt_err err = { 0 };
	char address[SHUNT_ENDPOINT_TEXT];
	shunt_peer peer;

	(void)state;
	strcpy(address, shunt_transport_address(b));
	shunt_transport_close(b);
	assert_int_equal(shunt_peer_open(a, &peer, address, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.message, "nobody listens there"));
	shunt_transport_close(a);
}

static void a_peer_that_died_is_gone(void **state)
{
	struct shunt_transport *a = open_any("proto=tcp"), *b = open_any("proto=tcp");
	shunt_peer peer = open_way(a, b);

	(void)state;
	send_all(a, peer, pattern, 10);
	expect(b, pattern, 10);
	shunt_transport_close(b);
	AWAIT(a, !shunt_peer_address(a, peer));
	assert_int_equal(shunt_send(a, peer, 3, pattern, 10), -ENOTCONN);
	shunt_transport_close(a);
}

static void who_ends_his_half_is_still_answered(void **state)
{
	struct shunt_transport *a = open_any("proto=tcp");
	int fd = connect_plain(a, SOCK_STREAM);
	uint8_t bytes[SHUNT_WIRE_BYTES + 100];
	struct shunt_message message;

	(void)state;
	write_all(fd, bytes, frame_message(bytes, 100));
	shutdown(fd, SHUT_WR);
	message = await(a);
	assert_int_equal(message.channel, 9);
	/* the end is seen by now, or soon: it does not matter */
	turn(a);
	assert_int_equal(shunt_submit(a, &message, 1), 1);
	assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
	assert_memory_equal(bytes + SHUNT_WIRE_BYTES, pattern, 100);
	AWAIT(a, has_ended(fd));
	assert_null(shunt_peer_address(a, message.peer));
	close(fd);
	shunt_transport_close(a);
}

static void who_sends_no_messages_is_dropped(void **state)
{
	static const uint32_t lengths[] = { MESSAGE_BYTES + 1, UINT32_MAX };
	struct shunt_transport *a = open_any("proto=tcp");
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct shunt_wire_piece piece = { .length = lengths[i % 2] };
		uint8_t bytes[SHUNT_WIRE_BYTES] = "GET / HTTP/1.1\r\n";
		int fd = connect_plain(a, SOCK_STREAM);

		if (i < 2)
			shunt_wire_write(bytes, &piece);
		write_all(fd, bytes, sizeof(bytes));
		AWAIT(a, has_ended(fd));
		assert_int_equal(stats_of(a).malformed, i + 1);
		close(fd);
	}
	assert_int_equal(stats_of(a).rx_messages, 0);
	shunt_transport_close(a);
}

static void a_reset_in_a_message_is_the_end_of_that_peer_alone(void **state)
{
	const struct linger abort_it = { .l_onoff = 1 };
	struct shunt_transport *a = open_any("proto=tcp"), *b = open_any("proto=tcp");
	shunt_peer other = open_way(b, a);
	int fd = connect_plain(a, SOCK_STREAM);
	static uint8_t bytes[SHUNT_WIRE_BYTES + 50000];
	size_t len = frame_message(bytes, 50000);
	struct shunt_message message;
	shunt_peer peer;

	(void)state;
	write_all(fd, bytes, frame_message(bytes, 1));
	message = await(a);
	peer = message.peer;
	shunt_release(a, &message, 1);
	frame_message(bytes, 50000);
	write_all(fd, bytes, len / 2);
	turn(a);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof(abort_it));
	close(fd);
	AWAIT(a, !shunt_peer_address(a, peer));
	send_all(b, other, pattern, 60000);
	expect(a, pattern, 60000);
	shunt_transport_close(a);
	shunt_transport_close(b);
}

/* Nobody reads: what is taken has a bound, and all of it comes in the end. */
static void a_full_connection_takes_no_more_and_loses_nothing(void **state)
{
	struct shunt_transport *a = open_any("proto=tcp&sndbuf=65536");
	struct shunt_transport *b = open_any("proto=tcp&rcvbuf=65536");
	shunt_peer peer = open_way(a, b);
	uint32_t sent = 0, came = 0;
	uint64_t begin_ns = shunt_now_ns();

	(void)state;
	while (shunt_now_ns() - begin_ns < DEADLINE_NS) {
		memcpy(pattern, &sent, sizeof(sent));
		if (shunt_send(a, peer, 3, pattern, 3000) != 1)
			break;
		sent++;
	}
	assert_int_equal(shunt_send(a, peer, 3, pattern, 3000), 0);
	assert_in_range(sent, SHUNT_STREAM_BACKLOG, 2000);
	assert_true(stats_of(a).tx_full > 0);
	for (; came < sent; came++) {
		memcpy(pattern, &came, sizeof(came));
		expect(b, pattern, 3000);
		turn(a);
	}
	send_all(a, peer, pattern, 5);
	expect(b, pattern, 5);
	shunt_transport_close(a);
	shunt_transport_close(b);
}

/* Streams that stop in the middle of a message must not keep the buffers of the others. */
static void idle_beginnings_do_not_starve_the_others(void **state)
{
	enum { HOSTILE = 100 };
	struct shunt_transport *a = open_any("proto=tcp&buffers=32");
	struct shunt_transport *b = open_any("proto=tcp");
	shunt_peer peer = open_way(b, a);
	uint8_t bytes[SHUNT_WIRE_BYTES + 100];
	int fd[HOSTILE], i;

	(void)state;
	for (i = 0; i < HOSTILE; i++) {
		fd[i] = connect_plain(a, SOCK_STREAM);
		frame_message(bytes, 100);
		write_all(fd[i], bytes, 20);
	}
	for (i = 0; i < 100; i++) {
		turn(a);
		send_all(b, peer, pattern, 1000);
		expect(a, pattern, 1000);
	}
	for (i = 0; i < HOSTILE; i++) {
		frame_message(bytes, 100);
		write_all(fd[i], bytes + 20, sizeof(bytes) - 20);
		expect(a, pattern, 100);
		close(fd[i]);
	}
	shunt_transport_close(a);
	shunt_transport_close(b);
}

/* While one talks without end, another one is accepted and heard. */
static void who_never_stops_starves_nobody(void **state)
{
	struct shunt_transport *a = open_any("proto=tcp"), *b = open_any("proto=tcp");
	shunt_peer peer = open_way(b, a);
	struct shunt_message messages[8];
	uint8_t bytes[SHUNT_WIRE_BYTES + 77];
	unsigned int i, k, n, heard = 0;
	int fd = -1;

	(void)state;
	for (i = 0; i < 200 && !heard; i++) {
		for (k = 0; k < 16; k++)
			if (shunt_send(b, peer, 3, pattern, 1000) != 1)
				break;
		if (i == 20) {
			fd = connect_plain(a, SOCK_STREAM);
			write_all(fd, bytes, frame_message(bytes, 77));
		}
		n = shunt_recv(a, messages, 8);
		for (k = 0; k < n; k++)
			heard += messages[k].frame.len == 77;
		shunt_release(a, messages, n);
	}
	assert_int_equal(heard, 1);
	close(fd);
	shunt_transport_close(a);
	shunt_transport_close(b);
}

static void without_descriptors_it_waits_for_some(void **state)
{
	struct shunt_transport *a = open_any("proto=tcp&peers=64");
	uint8_t bytes[SHUNT_WIRE_BYTES + 4];
	struct rlimit all, few;
	int spare, fd;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	fd = connect_plain(a, SOCK_STREAM);
	write_all(fd, bytes, frame_message(bytes, 4));
	spare = dup(0);
	assert_true(spare >= 0);
	few = all;
	few.rlim_cur = (rlim_t)spare;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	AWAIT(a, stats_of(a).no_peer);
	assert_int_equal(stats_of(a).rx_messages, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	expect(a, pattern, 4);
	close(spare);
	close(fd);
	shunt_transport_close(a);
}

static void a_stream_without_headers_is_refused(void **state)
{
	struct shunt_transport *transport;
	struct shunt_err err = { 0 };
	char uri[64];

	(void)state;
	snprintf(uri, sizeof(uri), "%s://127.0.0.1:0?proto=tcp&header=off", scheme);
	assert_int_equal(shunt_transport_open(&transport, uri, &err), -EINVAL);
	assert_non_null(strstr(err.message, "header=off"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_any_length_go_to_and_fro),
		cmocka_unit_test(many_peers_are_told_apart),
		cmocka_unit_test(an_address_that_is_taken_is_told),
		cmocka_unit_test(ipv6_is_an_equal),
		cmocka_unit_test(any_address_is_of_both_kinds),
		cmocka_unit_test(a_listener_that_is_not_there_is_told),
		cmocka_unit_test(a_peer_that_died_is_gone),
		cmocka_unit_test(who_ends_his_half_is_still_answered),
		cmocka_unit_test(who_sends_no_messages_is_dropped),
		cmocka_unit_test(a_reset_in_a_message_is_the_end_of_that_peer_alone),
		cmocka_unit_test(a_full_connection_takes_no_more_and_loses_nothing),
		cmocka_unit_test(idle_beginnings_do_not_starve_the_others),
		cmocka_unit_test(who_never_stops_starves_nobody),
		cmocka_unit_test(without_descriptors_it_waits_for_some),
		cmocka_unit_test(a_stream_without_headers_is_refused),
	};

	return RUN_WITH_BOTH(tests);
}
