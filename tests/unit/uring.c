/* SPDX-License-Identifier: BSD-2-Clause */
/* The transport over io_uring, with itself, in a network namespace of its own. */
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/model/random.h"
#include "user/base/clock.h"
#include "user/transport/backends.h"

#define DEADLINE_NS 3000000000u /* what has not come by then never will */
#define LONGEST 20000u		/* bytes of a message: several frames */

static const char *const ways[] = {
	"127.0.0.1:0?proto=udp",
	"127.0.0.1:0?proto=udp&wait=poll",
	"127.0.0.1:0?proto=udp&wait=poll&receive=multishot",
	"127.0.0.1:0?proto=udp&receive=multishot&wait=spin",
	"127.0.0.1:0?proto=udp&receive=single",
	"127.0.0.1:0?proto=udp&any-thread=on&receive=multishot",
	"127.0.0.1:0?proto=udp&any-thread=on&wait=poll",
	"127.0.0.1:0?proto=udp&zc=on",
	"127.0.0.1:0?proto=udp&sqpoll=on",
	"[::1]:0?proto=udp&mtu=9000",
	"127.0.0.1:0?proto=tcp",
	"127.0.0.1:0?proto=tcp&wait=poll",
	"127.0.0.1:0?proto=tcp&receive=single&wait=spin",
	"127.0.0.1:0?proto=tcp&any-thread=on",
	"127.0.0.1:0?proto=tcp&zc=on",
	"[::1]:0?proto=tcp&wait=poll",
};

/* --- two transports ------------------------------------------------------------------------- */

static struct shunt_transport *open_one(const char *uri)
{
	struct shunt_transport *transport;
	struct shunt_err err = { 0 };
	char text[128];

	snprintf(text, sizeof(text), "uring://%s", uri);
	if (shunt_transport_open(&transport, text, &err))
		fail_msg("%s", err.message);
	return transport;
}

static shunt_peer open_peer(struct shunt_transport *from, struct shunt_transport *to)
{
	struct shunt_err err = { 0 };
	shunt_peer peer;

	if (shunt_peer_open(from, &peer, shunt_transport_address(to), &err))
		fail_msg("%s", err.message);
	return peer;
}

static void kick(struct shunt_transport *transport)
{
	struct shunt_err err = { 0 };

	if (shunt_transport_kick(transport, &err))
		fail_msg("%s", err.message);
}

/* The transport has something within the deadline. */
static void await(struct shunt_transport *transport)
{
	struct shunt_err err = { 0 };
	int ret = shunt_transport_poll(transport, DEADLINE_NS, &err);

	if (ret < 0)
		fail_msg("%s", err.message);
	assert_int_equal(ret, 1);
}

static struct shunt_transport_stats stats_of(struct shunt_transport *transport)
{
	struct shunt_transport_stats stats;

	assert_int_equal(shunt_transport_stats(transport, &stats, NULL), 0);
	return stats;
}

/* A message says its number, and each byte follows from that. */
static uint32_t write_message(uint8_t *bytes, uint32_t number, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		bytes[i] = (uint8_t)(number * 31 + i);
	return len;
}

static void check_message(const struct shunt_message *message, uint32_t number,
			  uint32_t len)
{
	uint8_t want[LONGEST];

	write_message(want, number, len);
	assert_int_equal(message->frame.len, len);
	assert_memory_equal(message->frame.data, want, len);
	assert_int_equal(message->channel, (uint16_t)number);
}

static uint32_t length_of(uint32_t number)
{
	static const uint32_t lengths[] = { 0, 1, 64, 1400, 1472, 3000, 9000, LONGEST };

	return lengths[number % (sizeof(lengths) / sizeof(*lengths))];
}

static int send_number(struct shunt_transport *transport, shunt_peer peer,
		       uint32_t number)
{
	uint8_t bytes[LONGEST];

	return shunt_send(transport, peer, (uint16_t)number, bytes,
			  write_message(bytes, number, length_of(number)));
}

/* Each message is sent on as it came, and comes back whole and in order. */
static void an_echo_is_what_was_sent(void **state)
{
	struct shunt_transport *a = open_one(*state), *b = open_one(*state);
	shunt_peer peer = open_peer(a, b);
	uint32_t sent = 0, back = 0, i, n, window = 8;
	uint64_t until = shunt_now_ns() + DEADLINE_NS;
	struct shunt_message messages[16];

	while (back < 600) {
		assert_true(shunt_now_ns() < until);
		while (sent < 600 && sent - back < window &&
		       send_number(a, peer, sent) == 1)
			sent++;
		kick(a);
		n = shunt_recv(b, messages, 16);
		for (i = 0; i < n; i++)
			while (!shunt_send(b, messages[i].peer, messages[i].channel,
					   messages[i].frame.data,
					   messages[i].frame.len))
				kick(b);
		shunt_release(b, messages, n);
		kick(b);
		n = shunt_recv(a, messages, 16);
		for (i = 0; i < n; i++, back++)
			check_message(&messages[i], back, length_of(back));
		shunt_release(a, messages, n);
	}
	assert_int_equal(stats_of(b).lost + stats_of(b).late + stats_of(a).duplicates,
			 0);
	assert_int_equal(stats_of(a).tx_failed + stats_of(b).tx_failed, 0);
	assert_string_equal(shunt_peer_address(a, peer), shunt_transport_address(b));
	shunt_transport_close(a);
	shunt_transport_close(b);
}

/* What was received goes back as it lies: the buffer changes hands twice. */
static void a_message_is_submitted_again(void **state)
{
	struct shunt_transport *a = open_one(*state), *b = open_one(*state);
	shunt_peer peer = open_peer(a, b);
	struct shunt_message message;
	uint32_t i;

	for (i = 0; i < 300; i++) {
		assert_int_equal(shunt_send(a, peer, 7, &i, sizeof(i)), 1);
		kick(a);
		do
			await(b);
		while (!shunt_recv(b, &message, 1));
		assert_int_equal(shunt_submit(b, &message, 1), 1);
		kick(b);
		do
			await(a);
		while (!shunt_recv(a, &message, 1));
		assert_memory_equal(message.frame.data, &i, sizeof(i));
		shunt_release(a, &message, 1);
	}
	shunt_transport_close(a);
	shunt_transport_close(b);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void poll_wakes_for_what_comes_and_for_nothing_else(void **state)
{
	struct shunt_transport *a = open_one(*state), *b = open_one(*state);
	shunt_peer peer = open_peer(a, b);
	struct pollfd fds[SHUNT_TRANSPORT_FDS];
	struct shunt_message message;
	unsigned int n, i;

	for (i = 0; i < 6; i++) {
		/* Looks once more after it has asked, as a worker does. */
		do {
			n = shunt_transport_wait(b, fds, SHUNT_TRANSPORT_FDS);
			assert_int_equal(shunt_recv(b, &message, 1), 0);
		} while (poll(fds, n, 5) > 0);
		assert_int_equal(send_number(a, peer, 2), 1);
		kick(a);
		do {
			assert_int_equal(poll(fds, n, 3000), 1);
			n = shunt_recv(b, &message, 1);
			if (!n)
				n = shunt_transport_wait(b, fds, SHUNT_TRANSPORT_FDS);
			else
				break;
		} while (!shunt_recv(b, &message, 1));
		check_message(&message, 2, length_of(2));
		shunt_release(b, &message, 1);
	}
	assert_int_equal(shunt_transport_poll(b, 1000000, NULL), 0);
	shunt_transport_close(a);
	shunt_transport_close(b);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* All buffers are lent: nothing more comes until they are given back. */
static void lent_buffers_are_waited_for(void **state)
{
	struct shunt_transport *a, *b;
	struct shunt_message messages[64], more;
	uint32_t sent = 0, got = 0, i;
	uint64_t until = shunt_now_ns() + DEADLINE_NS;
	char uri[128];
	shunt_peer peer;

	snprintf(uri, sizeof(uri), "%s&buffers=32", (const char *)*state);
	a = open_one(*state);
	b = open_one(uri);
	peer = open_peer(a, b);
	while (sent < 64) {
		assert_int_equal(shunt_send(a, peer, 0, &sent, sizeof(sent)), 1);
		kick(a);
		sent++;
		got += shunt_recv(b, messages + got, 1);
	}
	for (i = 0; i < 1000; i++)
		got += shunt_recv(b, messages + got, 64 - got);
	assert_true(got <= 32);
	for (i = 0; i < got; i++) {
		assert_memory_equal(messages[i].frame.data, &i, sizeof(i));
		shunt_release(b, &messages[i], 1);
	}
	while (got < 64) {
		assert_true(shunt_now_ns() < until);
		if (!shunt_recv(b, &more, 1))
			continue;
		assert_memory_equal(more.frame.data, &got, sizeof(got));
		shunt_release(b, &more, 1);
		got++;
	}
	shunt_transport_close(a);
	shunt_transport_close(b);
}

static void a_transport_leaves_no_frame_behind(void **state)
{
	struct shunt_transport *a = open_one(*state), *b = open_one(*state);
	shunt_peer peer = open_peer(a, b);
	uint32_t i;

	/* Closed with messages under way, prepared, sent, and received but not asked for. */
	for (i = 0; i < 40; i++)
		assert_int_equal(send_number(a, peer, 3), 1);
	kick(a);
	await(b);
	for (i = 0; i < 5; i++)
		assert_int_equal(send_number(a, peer, 2), 1);
	shunt_transport_close(b);
	shunt_transport_close(a);
}

/* --- streams ---------------------------------------------------------------------------------- */

/* Nobody reads: it is full at last; then all of it comes, in order. */
static void a_full_stream_is_short(void **state)
{
	struct shunt_transport *a = open_one(*state), *b = open_one(*state);
	shunt_peer peer = open_peer(a, b);
	uint64_t until = shunt_now_ns() + DEADLINE_NS;
	struct shunt_message messages[16];
	uint32_t sent = 0, got = 0, i, n, full = 0;

	while (full < 1000) {
		assert_true(shunt_now_ns() < until);
		if (send_number(a, peer, sent) == 1) {
			sent++;
			full = 0;
		} else {
			full++;
		}
		kick(a);
	}
	assert_true(stats_of(a).tx_full >= 1000);
	while (got < sent) {
		assert_true(shunt_now_ns() < until);
		kick(a);
		shunt_recv(a, messages, 16);
		n = shunt_recv(b, messages, 16);
		for (i = 0; i < n; i++, got++)
			check_message(&messages[i], got, length_of(got));
		shunt_release(b, messages, n);
	}
	shunt_transport_close(a);
	shunt_transport_close(b);
}

static void a_peer_that_closes_is_gone(void **state)
{
	struct shunt_transport *a = open_one(*state), *b = open_one(*state);
	shunt_peer peer = open_peer(a, b), other;
	uint64_t until = shunt_now_ns() + DEADLINE_NS;
	struct shunt_message message;
	int ret;

	/* What was sent before the end arrives. */
	assert_int_equal(send_number(a, peer, 3), 1);
	kick(a);
	do
		await(b);
	while (!shunt_recv(b, &message, 1));
	other = message.peer;
	shunt_release(b, &message, 1);
	assert_int_equal(send_number(b, other, 5), 1);
	shunt_transport_close(b);
	while (!shunt_recv(a, &message, 1))
		assert_true(shunt_now_ns() < until);
	check_message(&message, 5, length_of(5));
	shunt_release(a, &message, 1);
	do {
		ret = send_number(a, peer, 1);
		kick(a);
		assert_int_equal(shunt_recv(a, &message, 1), 0);
		assert_true(shunt_now_ns() < until);
	} while (ret >= 0);
	assert_int_equal(ret, -ENOTCONN);
	assert_null(shunt_peer_address(a, peer));
	shunt_transport_close(a);
}

/* --- refusals ------------------------------------------------------------------------------ */

/* Nobody listens at one address: that is told, and costs no datagram to another. */
static void a_refusal_hits_nobody_else(void **state)
{
	struct shunt_transport *a = open_one(*state), *b = open_one(*state);
	shunt_peer peer = open_peer(a, b), nobody;
	struct shunt_message message;
	uint32_t i;

	assert_int_equal(shunt_peer_open(a, &nobody, "127.0.0.1:9", NULL), 0);
	for (i = 0; i < 100; i++) {
		assert_int_equal(send_number(a, nobody, 1), 1);
		kick(a);
		assert_int_equal(shunt_recv(a, &message, 1), 0);
		assert_int_equal(send_number(a, peer, 2), 1);
		kick(a);
		do
			await(b);
		while (!shunt_recv(b, &message, 1));
		check_message(&message, 2, length_of(2));
		shunt_release(b, &message, 1);
	}
	assert_int_equal(stats_of(b).lost, 0);
	assert_true(stats_of(a).tx_failed > 0);
	shunt_transport_close(a);
	shunt_transport_close(b);
}

static void an_unsound_option_is_refused(void **state)
{
	static const char *const uris[] = {
		"uring://127.0.0.1:0?proto=tcp&header=off",
		"uring://127.0.0.1:0?proto=tcp&receive=drain",
		"uring://127.0.0.1:0?receive=often",
		"uring://192.0.2.1:0",
	};
	struct shunt_transport *transport;
	struct shunt_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(uris) / sizeof(*uris); i++) {
		err.message[0] = '\0';
		assert_true(shunt_transport_open(&transport, uris[i], &err) < 0);
		assert_null(transport);
		assert_true(err.message[0]);
	}
}

/* --- threads ---------------------------------------------------------------------------------- */

struct turn {
	struct shunt_transport *a, *b;
	shunt_peer peer;
	int ret;
	struct shunt_err err;
};

static void *take_turn(void *arg)
{
	struct turn *turn = arg;
	struct shunt_message message;

	turn->ret = shunt_transport_kick(turn->a, &turn->err);
	if (!turn->ret)
		turn->ret = send_number(turn->a, turn->peer, 2);
	if (turn->ret == 1)
		turn->ret = shunt_transport_kick(turn->a, &turn->err);
	if (!turn->ret)
		turn->ret = shunt_transport_poll(turn->b, DEADLINE_NS, &turn->err);
	if (turn->ret == 1 && shunt_recv(turn->b, &message, 1) == 1)
		shunt_release(turn->b, &message, 1);
	return NULL;
}

static void run_turn(struct turn *turn)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, take_turn, turn), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Opened here, used there. */
static void the_first_thread_has_it(void **state)
{
	struct turn turn = { .a = open_one("127.0.0.1:0"),
			     .b = open_one("127.0.0.1:0") };

	(void)state;
	turn.peer = open_peer(turn.a, turn.b);
	run_turn(&turn);
	assert_int_equal(turn.ret, 1);
	/* The work of a thread that has ended is nobody else's. */
	assert_int_equal(send_number(turn.a, turn.peer, 2), 1);
	assert_int_equal(shunt_transport_kick(turn.a, &turn.err), -EEXIST);
	assert_non_null(strstr(turn.err.message, "any-thread=on"));
	shunt_transport_close(turn.a);
	shunt_transport_close(turn.b);
}

static void threads_take_turns(void **state)
{
	static const char *const uris[] = {
		"127.0.0.1:0?any-thread=on", "127.0.0.1:0?any-thread=on&proto=tcp",
		"127.0.0.1:0?any-thread=on&receive=multishot"
	};
	struct turn turn;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(uris) / sizeof(*uris); i++) {
		turn = (struct turn){ .a = open_one(uris[i]), .b = open_one(uris[i]) };
		turn.peer = open_peer(turn.a, turn.b);
		for (j = 0; j < 4; j++) {
			run_turn(&turn);
			assert_int_equal(turn.ret, 1);
			take_turn(&turn);
			assert_int_equal(turn.ret, 1);
		}
		shunt_transport_close(turn.a);
		shunt_transport_close(turn.b);
	}
}

/* --- all ways ----------------------------------------------------------------------------------- */

#define WAYS (sizeof(ways) / sizeof(*ways))
#define UDP 1
#define TCP 2
#define IP4 4
#define FAST 8 /* on two cores SQPOLL takes milliseconds for each message */

static const struct {
	const char *name;
	CMUnitTestFunction run;
	int only;
} each_way[] = {
	{ "an_echo_is_what_was_sent", an_echo_is_what_was_sent, UDP | TCP | FAST },
	{ "a_message_is_submitted_again", a_message_is_submitted_again,
	  UDP | TCP | FAST },
	{ "poll_wakes_for_what_comes_and_for_nothing_else",
	  poll_wakes_for_what_comes_and_for_nothing_else, UDP | TCP },
	{ "lent_buffers_are_waited_for", lent_buffers_are_waited_for, UDP | TCP },
	{ "a_transport_leaves_no_frame_behind", a_transport_leaves_no_frame_behind,
	  UDP | TCP },
	{ "a_full_stream_is_short", a_full_stream_is_short, TCP },
	{ "a_peer_that_closes_is_gone", a_peer_that_closes_is_gone, TCP },
	{ "a_refusal_hits_nobody_else", a_refusal_hits_nobody_else, UDP | IP4 | FAST },
};

#define EACH (sizeof(each_way) / sizeof(*each_way))

static int run_each_way(void)
{
	static struct CMUnitTest tests[EACH * WAYS + 3];
	static char names[EACH * WAYS][160];
	size_t i, j, n = 0;

	for (i = 0; i < EACH; i++)
		for (j = 0; j < WAYS; j++) {
			int proto = strstr(ways[j], "tcp") ? TCP : UDP;

			if (!(each_way[i].only & proto) ||
			    (each_way[i].only & IP4 && ways[j][0] == '[') ||
			    (each_way[i].only & FAST && strstr(ways[j], "sqpoll")))
				continue;
			snprintf(names[n], sizeof(names[n]), "%s: %s", ways[j],
				 each_way[i].name);
			tests[n] =
				(struct CMUnitTest){ .name = names[n],
						     .test_func = each_way[i].run,
						     .initial_state = (void *)ways[j] };
			n++;
		}
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(an_unsound_option_is_refused);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(the_first_thread_has_it);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(threads_take_turns);
	return _cmocka_run_group_tests("uring", tests, n, NULL, NULL);
}

static int raise_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = unshare(CLONE_NEWNET) ? -1 : socket(AF_INET, SOCK_DGRAM, 0);
	int ret = fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) ? -errno : 0;

	close(fd);
	return ret;
}

int main(void)
{
	int ret = raise_loopback();

	if (ret) {
		fprintf(stderr, "make a network namespace: %s\n", strerror(-ret));
		return 1;
	}
	return run_each_way();
}
