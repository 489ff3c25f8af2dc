/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP of epoll:// and kqueue://: refusals, drops, runs of datagrams, the direct socket. */
#include "tests/unit/sockets.h"

#include <netinet/udp.h>

/* --- UDP --------------------------------------------------------------------------------------------------- */

static void a_refusal_is_counted_and_no_death(void **state)
{
	struct shunt_transport *a = open_any(""), *b = open_any(""),
			       *gone = open_any("");
	shunt_peer nobody = open_way(a, gone), peer = open_way(a, b);
	int i;

	(void)state;
	shunt_transport_close(gone);
	assert_int_equal(shunt_send(a, nobody, 3, pattern, 10), 1);
	AWAIT(a, stats_of(a).tx_failed == 1);
	for (i = 0; i < 10; i++) {
		assert_int_equal(shunt_send(a, nobody, 3, pattern, 10), 1);
		assert_int_equal(shunt_send(a, peer, 3, pattern, 100), 1);
		expect(b, pattern, 100);
	}
	AWAIT(a, stats_of(a).tx_failed == 11);
	shunt_transport_close(a);
	shunt_transport_close(b);
}

static void bare_datagrams_talk_to_anybody(void **state)
{
	struct shunt_transport *a = open_any("header=off");
	int fd = connect_plain(a, SOCK_DGRAM);
	struct shunt_message message;
	uint8_t bytes[16];

	(void)state;
	write_all(fd, pattern, 11);
	message = await(a);
	assert_int_equal(message.frame.len, 11);
	assert_int_equal(shunt_submit(a, &message, 1), 1);
	assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 11);
	assert_memory_equal(bytes, pattern, 11);
	assert_int_equal(send(fd, "", 0, 0), 0);
	expect(a, "", 0);
	close(fd);
	shunt_transport_close(a);
}

static void what_no_buffer_takes_is_counted_as_dropped(void **state)
{
	struct shunt_transport *a = open_any("header=off");
	int fd = connect_plain(a, SOCK_DGRAM);

	(void)state;
	write_all(fd, pattern, 5000);
	write_all(fd, pattern, 20);
	expect(a, pattern, 20);
	assert_int_equal(stats_of(a).rx_dropped, 1);
	close(fd);
	shunt_transport_close(a);
}

static void what_the_kernel_dropped_is_counted(void **state)
{
	struct shunt_transport *a = open_any("header=off&rcvbuf=8192");
	int fd = connect_plain(a, SOCK_DGRAM), i;
	struct shunt_message message;
	unsigned int came = 0;

	(void)state;
	for (i = 0; i < 200; i++)
		write_all(fd, pattern, 1000);
	while (came + stats_of(a).rx_dropped < 200) {
		message = await(a);
		shunt_release(a, &message, 1);
		came++;
	}
	assert_int_equal(came + stats_of(a).rx_dropped, 200);
	assert_true(stats_of(a).rx_dropped > 0);
	close(fd);
	shunt_transport_close(a);
}

/* All buffers are lent: what waits in the socket is not lost by that. */
static void without_buffers_datagrams_wait(void **state)
{
	struct shunt_transport *a = open_any("header=off&buffers=16");
	struct shunt_message held[64];
	int fd = connect_plain(a, SOCK_DGRAM), i;
	unsigned int n = 0, came = 0;

	(void)state;
	for (i = 0; i < 50; i++)
		write_all(fd, pattern, 100);
	while (came < 50) {
		unsigned int got = shunt_recv(a, held + n, 64 - n);

		n += got;
		came += got;
		assert_true(n <= 16);
		if (n == 16 || (!got && n)) {
			shunt_release(a, held, n);
			n = 0;
		} else if (!got) {
			turn(a);
		}
	}
	shunt_release(a, held, n);
	assert_int_equal(stats_of(a).rx_dropped, 0);
	close(fd);
	shunt_transport_close(a);
}

/* --- runs and the direct socket: epoll alone ------------------------------------------------ */

static bool is_described(struct shunt_transport *transport, const char *key)
{
	_json_ cJSON *json = shunt_transport_describe(transport);

	assert_non_null(json);
	return cJSON_IsTrue(cJSON_GetObjectItem(json, key));
}

/* A run of datagrams as one packet: n of `each` bytes, then one of `last`. */
static void send_run(int fd, unsigned int n, uint16_t each, uint16_t last)
{
	struct iovec part = { .iov_base = pattern, .iov_len = n * each + last };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(each))];
	} control = { .head = { .cmsg_level = IPPROTO_UDP,
				.cmsg_type = UDP_SEGMENT,
				.cmsg_len = CMSG_LEN(sizeof(each)) } };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.head), &each, sizeof(each));
	assert_int_equal(sendmsg(fd, &message, 0), (ssize_t)part.iov_len);
}

static void expect_run(struct shunt_transport *transport, unsigned int n, uint16_t each,
		       uint16_t last)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		expect(transport, pattern + (size_t)i * each, each);
	if (last)
		expect(transport, pattern + (size_t)n * each, last);
}

static void a_run_is_received_as_the_datagrams_it_was(void **state)
{
	static const struct {
		uint16_t n, each, last;
	} runs[] = { { 1, 100, 0 },   { 2, 1, 0 },	{ 64, 64, 0 },
		     { 63, 1000, 1 }, { 43, 1400, 77 }, { 16, 3840, 60 },
		     { 10, 4000, 9 }, { 50, 90, 90 } };
	static const char *const queries[] = { "header=off&gro=on&buffers=16",
					       "header=off&gro=off",
					       "header=off&gro=auto" };
	size_t i, q;

	(void)state;
	for (q = 0; q < 3; q++) {
		struct shunt_transport *a = open_any(queries[q]);
		int fd = connect_plain(a, SOCK_DGRAM);

		for (i = 0; i < sizeof(runs) / sizeof(*runs); i++) {
			bool fits = runs[i].each <= 3840;

			send_run(fd, runs[i].n, runs[i].each, runs[i].last);
			write_all(fd, pattern + 5, 123);
			if (fits)
				expect_run(a, runs[i].n, runs[i].each, runs[i].last);
			else if (
				!q) /* as a run all of them go, else the last one fits */
				assert_int_equal(stats_of(a).rx_dropped, 0);
			else
				expect(a, pattern + runs[i].n * runs[i].each,
				       runs[i].last);
			expect(a, pattern + 5, 123);
		}
		assert_int_equal(stats_of(a).rx_dropped, q ? 10 : 11);
		close(fd);
		shunt_transport_close(a);
	}
}

/* A burst of messages both of one length and of many, to two peers in turn. */
static void bursts_arrive_as_they_were_sent(void **state)
{
	static const char *const queries[] = { "gso=on&gro=on", "gso=off&gro=off", "" };
	struct shunt_message burst[60];
	size_t q, i, k;

	(void)state;
	for (q = 0; q < 3; q++) {
		struct shunt_transport *a = open_any(queries[q]);
		struct shunt_transport *b[2] = { open_any(queries[q]),
						 open_any(queries[q]) };
		shunt_peer peer[2] = { open_way(a, b[0]), open_way(a, b[1]) };

		for (i = 0; i < 60; i++)
			burst[i] = (struct shunt_message){
				.frame = { .data = pattern + i,
					   .len = i % 20 < 15 ? 700 : (uint32_t)i },
				.peer = peer[i / 20 % 2],
			};
		for (k = 0; k < 50; k++) {
			assert_int_equal(shunt_send_batch(a, burst, 60), 60);
			for (i = 0; i < 60; i++)
				expect(b[i / 20 % 2], burst[i].frame.data,
				       burst[i].frame.len);
		}
		assert_int_equal(stats_of(a).tx_failed, 0);
		assert_int_equal(stats_of(b[0]).late + stats_of(b[1]).late, 0);
		shunt_transport_close(a);
		shunt_transport_close(b[0]);
		shunt_transport_close(b[1]);
	}
}

/* Datagrams longer than the path's MTU travel in fragments of IP, which no run can be. */
static void a_run_that_is_refused_goes_one_by_one(void **state)
{
	struct shunt_transport *a, *b;
	struct shunt_message burst[20];
	shunt_peer peer;
	size_t i;

	(void)state;
	set_loopback(1500);
	a = open_any("mtu=3000");
	b = open_any("mtu=3000");
	peer = open_way(a, b);
	for (i = 0; i < 20; i++)
		burst[i] = (struct shunt_message){
			.frame = { .data = pattern + i, .len = 2500 }, .peer = peer
		};
	assert_int_equal(shunt_send_batch(a, burst, 20), 20);
	for (i = 0; i < 20; i++)
		expect(b, pattern + i, 2500);
	assert_int_equal(stats_of(a).tx_failed, 0);
	shunt_transport_close(a);
	shunt_transport_close(b);
	set_loopback(65536);
}

/* So many to and fro that the direct socket is aimed. */
static void talk(struct shunt_transport *a, shunt_peer peer, struct shunt_transport *b)
{
	unsigned int i;

	for (i = 0; i < 600; i++) {
		struct shunt_message message;

		send_all(a, peer, pattern, 50);
		message = await(b);
		assert_int_equal(shunt_submit(b, &message, 1), 1);
		expect(a, pattern, 50);
	}
}

static void the_direct_socket_is_aimed_at_whom_most_is_exchanged_with(void **state)
{
	struct shunt_transport *a = open_any(""), *b = open_any(""), *c = open_any("");
	shunt_peer to_b = open_way(a, b), to_c = open_way(a, c);
	struct shunt_err err;
	struct shunt_transport *same;
	char uri[128];

	(void)state;
	assert_false(is_described(a, "direct"));
	talk(a, to_b, b);
	assert_true(is_described(a, "direct") && is_described(b, "direct"));
	/* others are still heard, and the address is still taken */
	send_all(a, to_c, pattern, 60);
	expect(c, pattern, 60);
	talk(c, open_way(c, a), a);
	snprintf(uri, sizeof(uri), "epoll://%s", shunt_transport_address(a));
	assert_int_equal(shunt_transport_open(&same, uri, &err), -EADDRINUSE);
	/* whoever is left alone may come back */
	talk(a, to_b, b);
	shunt_peer_close(a, to_b);
	assert_false(is_described(a, "direct"));
	to_b = open_way(a, b);
	talk(a, to_b, b);
	assert_int_equal(stats_of(a).lost + stats_of(a).late + stats_of(a).duplicates,
			 0);
	assert_int_equal(stats_of(b).late + stats_of(b).duplicates, 0);
	shunt_transport_close(a);
	shunt_transport_close(b);
	shunt_transport_close(c);
}

/* While one talks without end, the other is heard, too. */
static void the_direct_socket_starves_nobody(void **state)
{
	struct shunt_transport *a = open_any(""), *b = open_any(""), *c = open_any("");
	shunt_peer b_to_a, c_to_a;
	struct shunt_message messages[8];
	unsigned int i, k, from_c = 0;

	(void)state;
	talk(b, open_way(b, a), a);
	assert_true(is_described(a, "direct"));
	b_to_a = open_way(b, a);
	c_to_a = open_way(c, a);
	assert_int_equal(shunt_send(c, c_to_a, 3, pattern, 77), 1);
	for (i = 0; i < 100 && !from_c; i++) {
		for (k = 0; k < 8; k++)
			assert_int_equal(shunt_send(b, b_to_a, 3, pattern, 50), 1);
		k = shunt_recv(a, messages, 8);
		while (k) {
			from_c += messages[--k].frame.len == 77;
			shunt_release(a, messages + k, 1);
		}
	}
	assert_int_equal(from_c, 1);
	shunt_transport_close(a);
	shunt_transport_close(b);
	shunt_transport_close(c);
}

/* Nor does what comes to the other socket starve it, once it is aimed. */
static void nobody_starves_the_direct_socket(void **state)
{
	struct shunt_transport *a = open_any("gro=off"), *b = open_any("gso=off");
	struct shunt_transport *c[2] = { open_any("gso=off"), open_any("gso=off") };
	shunt_peer b_to_a = open_way(b, a);
	shunt_peer c_to_a[2] = { open_way(c[0], a), open_way(c[1], a) };
	struct shunt_message messages[8];
	unsigned int i, k, heard = 0;

	(void)state;
	/* it is aimed while there is still something in the other one */
	for (i = 0; i < 400; i++)
		assert_int_equal(shunt_send(b, b_to_a, 3, pattern, 50), 1);
	while (!is_described(a, "direct")) {
		k = shunt_recv(a, messages, 8);
		assert_true(k > 0);
		shunt_release(a, messages, k);
	}
	assert_int_equal(shunt_send(b, b_to_a, 3, pattern, 77), 1);
	for (i = 0; i < 200 && !heard; i++) {
		for (k = 0; k < 8; k++)
			assert_int_equal(
				shunt_send(c[k % 2], c_to_a[k % 2], 3, pattern, 50), 1);
		k = shunt_recv(a, messages, 8);
		while (k) {
			heard += messages[--k].frame.len == 77;
			shunt_release(a, messages + k, 1);
		}
	}
	assert_int_equal(heard, 1);
	shunt_transport_close(a);
	shunt_transport_close(b);
	shunt_transport_close(c[0]);
	shunt_transport_close(c[1]);
}

int main(void)
{
	const struct CMUnitTest both[] = {
		cmocka_unit_test(a_refusal_is_counted_and_no_death),
		cmocka_unit_test(bare_datagrams_talk_to_anybody),
		cmocka_unit_test(what_no_buffer_takes_is_counted_as_dropped),
		cmocka_unit_test(what_the_kernel_dropped_is_counted),
		cmocka_unit_test(without_buffers_datagrams_wait),
	};
	const struct CMUnitTest epoll[] = {
		cmocka_unit_test(a_run_is_received_as_the_datagrams_it_was),
		cmocka_unit_test(bursts_arrive_as_they_were_sent),
		cmocka_unit_test(a_run_that_is_refused_goes_one_by_one),
		cmocka_unit_test(
			the_direct_socket_is_aimed_at_whom_most_is_exchanged_with),
		cmocka_unit_test(the_direct_socket_starves_nobody),
		cmocka_unit_test(nobody_starves_the_direct_socket),
	};

	return RUN_WITH_BOTH(both) + cmocka_run_group_tests(epoll, begin_epoll, NULL);
}
