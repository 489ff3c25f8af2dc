/* SPDX-License-Identifier: BSD-2-Clause */
/* AF_XDP ports: whose the frames are, through all that can happen to a port. */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/bpf/xsk_rig.h"

#define OPENS 100

/* Receives so many frames, or whatever comes until then; what is held, with its packets. */
static unsigned int receive(struct shunt_port *port, struct shunt_frame *frames,
			    unsigned int want)
{
	uint64_t deadline = shunt_now_ns() + WAIT_NS;
	unsigned int n = 0;

	while (n < want && shunt_now_ns() < deadline) {
		unsigned int got = shunt_port_rx(port, frames + n, want - n);

		if (!got && shunt_port_sleep(&port, 1, 10000000) < 0)
			break;
		n += got;
	}
	return n;
}

static unsigned int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* --- frames on their way ------------------------------------------------------------- */

static void packets_of_every_length_arrive(void **ctx)
{
	struct shunt_port *to = fed_port(NULL, "af_xdp:b0,rx=on,tx=off", 0);
	struct shunt_port *from = port_on(NULL, "af_xdp:a0,rx=off");
	uint32_t bytes;

	(void)ctx;
	assert_int_equal(from->frame_max, 1518);
	for (bytes = 14; bytes <= from->frame_max; bytes++) {
		send_packets(from, from->pool, bytes, 1, bytes, 0);
		expect_packets(to, bytes, 1, bytes, 0);
	}
	assert_int_equal(stats_of(from).tx_packets, bytes - 14);
	assert_int_equal(stats_of(to).rx_packets, bytes - 14);
	assert_int_equal(stats_of(to).rx_bytes, stats_of(from).tx_bytes);
	shunt_port_close(from);
	shunt_port_close(to);
}

static void what_is_too_long_or_too_short_is_taken_and_refused(void **ctx)
{
	struct shunt_memory *memory = memory_of(1024, 0);
	struct shunt_port *from = port_on(memory, "af_xdp:a0,rx=off");
	struct shunt_frame frames[3];

	(void)ctx;
	assert_int_equal(shunt_pool_get(from->pool, frames, 3), 3);
	frames[0].len = from->frame_max + 1;
	frames[1].len = 13;
	frames[2].len = 60;
	assert_int_equal(shunt_port_tx(from, frames, 3), 3);
	assert_int_equal(stats_of(from).tx_refused, 2);
	assert_int_equal(stats_of(from).tx_packets, 1);
	shunt_port_close(from);
	assert_int_equal(shunt_memory_free_frames(memory), 1024);
	shunt_memory_close(memory);
}

/* b0 ─▶ c0: what arrives on one wire is sent on over the other. */
static void forward(struct shunt_port *from, struct shunt_port *to, unsigned int n)
{
	struct shunt_frame frames[SHUNT_BURST];

	assert_int_equal(receive(from, frames, n), n);
	assert_int_equal(shunt_port_tx(to, frames, n), n);
	kick(to);
}

static void ports_on_one_pool_forward_without_a_copy(void **ctx)
{
	struct shunt_memory *memory = memory_of(8192, 0);
	struct shunt_port *source = port_on(memory, "af_xdp:a0,rx=off");
	struct shunt_port *in = fed_port(memory, "af_xdp:b0,rx=on,tx=off", 0);
	struct shunt_port *out = port_on(memory, "af_xdp:c0,rx=off");
	struct shunt_port *sink = fed_port(memory, "af_xdp:d0,rx=on,tx=off", FAR);
	unsigned int i;

	(void)ctx;
	for (i = 0; i < 100; i++) {
		send_packets(source, source->pool, i * 32, 32, 200, 0);
		forward(in, out, 32);
		expect_packets(sink, i * 32, 32, 200, 0);
	}
	assert_int_equal(stats_of(out).tx_packets, 3200);
	assert_int_equal(stats_of(out).tx_copied, 0);
	assert_int_equal(stats_of(out).tx_failed, 0);
	shunt_port_close(in);
	shunt_port_close(source);
	shunt_port_close(sink);
	shunt_port_close(out);
	assert_int_equal(shunt_memory_free_frames(memory), 8192);
	shunt_memory_close(memory);
}

static void what_lies_in_other_memory_is_copied(void **ctx)
{
	struct shunt_memory *mine = memory_of(2048, 0), *yours = memory_of(2048, 0);
	struct shunt_port *source = port_on(mine, "af_xdp:a0,rx=off");
	struct shunt_port *in = fed_port(mine, "af_xdp:b0,rx=on,tx=off", 0);
	struct shunt_port *out = port_on(yours, "af_xdp:c0,rx=off");
	struct shunt_port *sink = fed_port(yours, "af_xdp:d0,rx=on,tx=off", FAR);

	(void)ctx;
	send_packets(source, source->pool, 0, 32, 700, 0);
	forward(in, out, 32);
	expect_packets(sink, 0, 32, 700, 0);
	assert_int_equal(stats_of(out).tx_copied, 32);
	shunt_port_close(in);
	shunt_port_close(source);
	/* none of them is still with the port that copied them */
	assert_int_equal(shunt_memory_free_frames(mine), 2048);
	shunt_port_close(sink);
	shunt_port_close(out);
	assert_int_equal(shunt_memory_free_frames(yours), 2048);
	shunt_memory_close(mine);
	shunt_memory_close(yours);
}

static void a_full_ring_makes_tx_short(void **ctx)
{
	struct shunt_memory *memory = memory_of(256, 0);
	struct shunt_port *from = port_on(memory, "af_xdp:a0,rx=off,tx-ring=64");
	struct shunt_frame frames[100];
	unsigned int i;

	(void)ctx;
	assert_int_equal(shunt_pool_get(from->pool, frames, 100), 100);
	for (i = 0; i < 100; i++)
		frames[i].len = 60;
	assert_int_equal(shunt_port_tx(from, frames, 100), 64);
	assert_int_equal(shunt_port_tx(from, frames + 64, 36), 0);
	kick(from);
	assert_int_equal(shunt_port_tx(from, frames + 64, 36), 36);
	kick(from);
	assert_int_equal(stats_of(from).tx_packets, 100);
	assert_int_equal(shunt_memory_free_frames(memory), 256);
	shunt_port_close(from);
	shunt_memory_close(memory);
}

/* --- the pool --------------------------------------------------------------------------- */

static void a_dry_pool_loses_packets_and_recovers(void **ctx)
{
	struct shunt_memory *memory = memory_of(128, 0);
	struct shunt_port *from = port_on(NULL, "af_xdp:a0,rx=off");
	struct shunt_port *to = fed_port(memory, "af_xdp:b0,rx=on,tx=off,queues=0", 0);
	struct shunt_frame held[200];
	struct shunt_port_stats stats;

	(void)ctx;
	send_packets(from, from->pool, 0, 128, 100, 0);
	assert_int_equal(receive(to, held, 128), 128);
	assert_int_equal(shunt_memory_free_frames(memory), 0);
	send_and_arrive(from, 128, 50, 100, 0);
	assert_int_equal(shunt_port_rx(to, held + 128, 8), 0);
	stats = stats_of(to);
	assert_int_equal(stats.rx_dropped, 50);
	assert_int_equal(stats.rx_ring_full, 0);
	assert_true(stats.rx_fill_empty > 0);
	shunt_frames_put(held, 128);
	assert_int_equal(shunt_port_rx(to, held, 8), 0);
	send_packets(from, from->pool, 1000, 128, 100, 0);
	expect_packets(to, 1000, 128, 100, 0);
	assert_int_equal(stats_of(to).rx_dropped, 50);
	shunt_port_close(to);
	assert_int_equal(shunt_memory_free_frames(memory), 128);
	shunt_port_close(from);
	shunt_memory_close(memory);
}

static void a_slow_reader_finds_a_full_ring(void **ctx)
{
	struct shunt_port *from = port_on(NULL, "af_xdp:a0,rx=off");
	struct shunt_port *to = fed_port(NULL, "af_xdp:b0,rx=on,tx=off,ring=64", 0);

	(void)ctx;
	send_and_arrive(from, 0, 100, 100, 0);
	assert_int_equal(stats_of(to).rx_ring_full, 36);
	assert_int_equal(stats_of(to).rx_dropped, 0);
	expect_packets(to, 0, 64, 100, 0);
	send_packets(from, from->pool, 0, 64, 100, 0);
	expect_packets(to, 0, 64, 100, 0);
	shunt_port_close(to);
	shunt_port_close(from);
}

/* Frames in all the rings each time, and the two ends closed in turn first. */
static void opening_and_closing_loses_no_frame(void **ctx)
{
	struct shunt_memory *memory = memory_of(4096, 0);
	struct shunt_frame frames[40];
	unsigned int i, k, files = open_files();

	(void)ctx;
	for (i = 0; i < OPENS; i++) {
		struct shunt_port *from = port_on(memory, "af_xdp:a0,rx=off");
		struct shunt_port *to = fed_port(memory, "af_xdp:b0,rx=on", 0);

		send_packets(from, from->pool, 0, 40, 100, 0);
		assert_int_equal(receive(to, frames, 10), 10);
		shunt_frames_put(frames, 10);
		assert_int_equal(shunt_pool_get(to->pool, frames, 40), 40);
		for (k = 0; k < 40; k++)
			frames[k].len = 60;
		assert_int_equal(shunt_port_tx(to, frames, 20), 20);
		assert_int_equal(shunt_port_tx(from, frames + 20, 20), 20);
		shunt_port_close(i % 2 ? from : to);
		shunt_port_close(i % 2 ? to : from);
		assert_int_equal(shunt_memory_free_frames(memory), 4096);
		assert_int_equal(open_files(), files);
	}
	shunt_memory_close(memory);
}

/* --- queues ------------------------------------------------------------------------------ */

static void a_port_serves_all_the_queues(void **ctx)
{
	struct shunt_port *first = port_on(NULL, "af_xdp:a0,rx=off,queues=0");
	struct shunt_port *second = port_on(NULL, "af_xdp:a0,rx=off,queues=1");
	struct shunt_port *to = fed_port(NULL, "af_xdp:b0,rx=on,queues=all,tx=off", 0);

	(void)ctx;
	send_packets(first, first->pool, 0, 50, 80, 0);
	expect_packets(to, 0, 50, 80, 0);
	send_packets(second, second->pool, 50, 50, 80, 0);
	expect_packets(to, 50, 50, 80, 0);
	/* neither of them starves the other one */
	send_and_arrive(first, 0, 64, 80, 0);
	send_and_arrive(second, 0, 64, 81, 0);
	{
		struct shunt_frame frames[48];
		unsigned int i, of_second = 0;

		assert_int_equal(receive(to, frames, 16), 16);
		assert_int_equal(receive(to, frames + 16, 16), 16);
		for (i = 0; i < 32; i++)
			of_second += frames[i].len == 81;
		assert_int_equal(of_second, 16);
		shunt_frames_put(frames, 32);
	}
	shunt_port_close(first);
	shunt_port_close(second);
	shunt_port_close(to);
}

/* One that nothing comes by has its share of them, and no more. */
static void the_queues_share_few_frames(void **ctx)
{
	struct shunt_port *first = port_on(NULL, "af_xdp:a0,rx=off,queues=0");
	struct shunt_port *second = port_on(NULL, "af_xdp:a0,rx=off,queues=1");
	struct shunt_port *to =
		fed_port(NULL, "af_xdp:b0,rx=on,queues=all,tx=off,frames=64", 0);

	(void)ctx;
	send_packets(second, second->pool, 0, 16, 80, 0);
	expect_packets(to, 0, 16, 80, 0);
	send_packets(first, first->pool, 16, 16, 80, 0);
	expect_packets(to, 16, 16, 80, 0);
	shunt_port_close(first);
	shunt_port_close(second);
	shunt_port_close(to);
}

static void sockets_of_one_queue_share_it(void **ctx)
{
	struct shunt_memory *memory = memory_of(4096, 0);
	struct shunt_port *from = port_on(NULL, "af_xdp:a0,rx=off");
	struct shunt_port *slot0 = fed_port(memory, "af_xdp:b0,rx=on", 0);
	struct shunt_port *slot1 = fed_port(memory, "af_xdp:b0,rx=on", 1);
	struct shunt_frame frames[8];

	(void)ctx;
	send_packets(from, from->pool, 0, 32, 100, 0);
	send_packets(from, from->pool, 32, 32, 100, 1);
	expect_packets(slot0, 0, 32, 100, 0);
	expect_packets(slot1, 32, 32, 100, 1);
	/* the one whose rings they are goes first, with packets in its own */
	send_packets(from, from->pool, 0, 32, 100, 0);
	assert_int_equal(receive(slot0, frames, 8), 8);
	shunt_frames_put(frames, 8);
	shunt_port_close(slot0);
	send_packets(from, from->pool, 64, 300, 100, 1);
	expect_packets(slot1, 64, 300, 100, 1);
	/* and its place is free */
	slot0 = fed_port(memory, "af_xdp:b0,rx=on", 0);
	send_packets(from, from->pool, 0, 32, 100, 0);
	expect_packets(slot0, 0, 32, 100, 0);
	shunt_port_close(slot1);
	shunt_port_close(slot0);
	assert_int_equal(shunt_memory_free_frames(memory), 4096);
	shunt_port_close(from);
	shunt_memory_close(memory);
}

struct reader {
	struct shunt_port *port;
	uint8_t slot;
	uint32_t packets;
};

/* Receives packets, and sends each one back. */
static void *read_and_send(void *self)
{
	struct reader *reader = self;
	uint64_t deadline = shunt_now_ns() + WAIT_NS;
	struct shunt_frame frames[SHUNT_BURST];
	struct shunt_err err;

	while (reader->packets < 2000 && shunt_now_ns() < deadline) {
		unsigned int n = shunt_port_rx(reader->port, frames, SHUNT_BURST), took;
		unsigned int i;

		for (i = 0; i < n; i++)
			if (frames[i].data[5] != reader->slot)
				return NULL;
		took = shunt_port_tx(reader->port, frames, n);
		shunt_frames_put(frames + took, n - took);
		if (shunt_port_kick(reader->port, &err))
			return NULL;
		reader->packets += n;
	}
	return NULL;
}

static void sockets_of_one_queue_may_be_in_several_threads(void **ctx)
{
	struct shunt_memory *memory = memory_of(8192, 0);
	struct shunt_port *from = port_on(NULL, "af_xdp:a0,rx=off");
	struct reader reader[2] = { { .slot = 0 }, { .slot = 1 } };
	pthread_t thread[2];
	unsigned int i;

	(void)ctx;
	for (i = 0; i < 2; i++)
		reader[i].port = fed_port(memory, "af_xdp:b0,rx=on,ring=4096,queues=0",
					  reader[i].slot);
	for (i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, read_and_send, &reader[i]), 0);
	for (i = 0; i < 2000; i += 20) {
		send_packets(from, from->pool, i, 20, 100, 0);
		send_packets(from, from->pool, i, 20, 100, 1);
	}
	for (i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(reader[i].packets, 2000);
		shunt_port_close(reader[i].port);
	}
	assert_int_equal(shunt_memory_free_frames(memory), 8192);
	shunt_port_close(from);
	shunt_memory_close(memory);
}

static void a_queue_has_one_memory(void **ctx)
{
	struct shunt_port *first = port_on(NULL, "af_xdp:b0,rx=on");
	struct shunt_err err;

	(void)ctx;
	assert_int_equal(refused(NULL, "af_xdp:b0,rx=on", &err), -EBUSY);
	assert_string_equal(err.message,
			    "queue 0 of b0 is already served by another AF_XDP socket: "
			    "a queue serves one process at a time, end that one or "
			    "choose other queues");
	shunt_port_close(first);
	shunt_port_close(port_on(NULL, "af_xdp:b0,rx=on"));
}

static void *open_late(void *self)
{
	struct shunt_port **port = self;
	struct shunt_err err;

	if (shunt_port_open(port, "af_xdp:b0,rx=on", NULL, &err))
		*port = NULL;
	return NULL;
}

/* The kernel frees a queue in its own time, which a successor waits for. */
static void a_queue_that_is_about_to_be_free_is_waited_for(void **ctx)
{
	struct shunt_port *first = port_on(NULL, "af_xdp:b0,rx=on"), *second = NULL;
	pthread_t thread;

	(void)ctx;
	assert_int_equal(pthread_create(&thread, NULL, open_late, &second), 0);
	shunt_port_close(first);
	pthread_join(thread, NULL);
	assert_non_null(second);
	shunt_port_close(second);
}

/* --- the interface -------------------------------------------------------------------------- */

static int kick_until_it_fails(struct shunt_port *port, struct shunt_err *err)
{
	uint64_t deadline = shunt_now_ns() + WAIT_NS;
	int ret = 0;

	while (!ret && shunt_now_ns() < deadline)
		ret = shunt_port_kick(port, err);
	return ret;
}

static void an_interface_that_goes_down_is_told(void **ctx)
{
	struct shunt_port *to = fed_port(NULL, "af_xdp:b0,rx=on,tx=off,queues=0", 0);
	struct shunt_port *from = port_on(NULL, "af_xdp:b0,rx=off,queues=1");
	struct shunt_frame frame;
	struct shunt_err err;

	(void)ctx;
	command("ip link set b0 down");
	assert_int_equal(kick_until_it_fails(to, &err), -ENETDOWN);
	assert_non_null(strstr(err.message, "`ip link set b0 up`"));
	assert_int_equal(shunt_pool_get(from->pool, &frame, 1), 1);
	frame.len = 60;
	assert_int_equal(shunt_port_tx(from, &frame, 1), 1);
	assert_int_equal(shunt_port_kick(from, &err), -ENETDOWN);
	command("ip link set b0 up");
	kick(from);
	shunt_port_close(to);
	shunt_port_close(from);
}

static void an_interface_that_is_deleted_is_told_and_no_frame_lost(void **ctx)
{
	struct shunt_memory *memory = memory_of(4096, 0);
	struct shunt_port *to = fed_port(memory, "af_xdp:b0,rx=on", 0);
	struct shunt_port *from = port_on(memory, "af_xdp:a0,rx=off");
	struct shunt_frame frames[8];
	struct shunt_err err;

	(void)ctx;
	send_and_arrive(from, 0, 32, 100, 0);
	command("ip link del b0");
	assert_int_equal(kick_until_it_fails(to, &err), -ENODEV);
	assert_non_null(strstr(err.message, "b0 is gone"));
	/* what had come in before can still be read */
	assert_int_equal(receive(to, frames, 8), 8);
	check_packet(frames, 1, 0, 100, 0);
	shunt_frames_put(frames, 8);
	shunt_port_close(to);
	shunt_port_close(from);
	assert_int_equal(shunt_memory_free_frames(memory), 4096);
	shunt_memory_close(memory);
}

static void a_port_that_is_stopped_receives_what_had_come_in(void **ctx)
{
	struct shunt_port *from = port_on(NULL, "af_xdp:a0,rx=off");
	struct shunt_port *to = fed_port(NULL, "af_xdp:b0,rx=on,tx=off", 0);
	struct shunt_frame frames[16];

	(void)ctx;
	send_and_arrive(from, 0, 20, 100, 0);
	shunt_port_stop(to);
	send_and_arrive(from, 20, 20, 100, 0);
	assert_int_equal(receive(to, frames, 15), 15);
	check_packet(&frames[14], 1, 14, 100, 0);
	shunt_frames_put(frames, 15);
	assert_int_equal(shunt_af_xdp_discard(to), 5);
	assert_int_equal(shunt_port_rx(to, frames, 1), 0);
	shunt_port_close(to);
	shunt_port_close(from);
}

#define PORT_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(packets_of_every_length_arrive),
		PORT_TEST(what_is_too_long_or_too_short_is_taken_and_refused),
		PORT_TEST(ports_on_one_pool_forward_without_a_copy),
		PORT_TEST(what_lies_in_other_memory_is_copied),
		PORT_TEST(a_full_ring_makes_tx_short),
		PORT_TEST(a_dry_pool_loses_packets_and_recovers),
		PORT_TEST(a_slow_reader_finds_a_full_ring),
		PORT_TEST(opening_and_closing_loses_no_frame),
		PORT_TEST(a_port_serves_all_the_queues),
		PORT_TEST(the_queues_share_few_frames),
		PORT_TEST(sockets_of_one_queue_share_it),
		PORT_TEST(sockets_of_one_queue_may_be_in_several_threads),
		PORT_TEST(a_queue_has_one_memory),
		PORT_TEST(a_queue_that_is_about_to_be_free_is_waited_for),
		PORT_TEST(an_interface_that_goes_down_is_told),
		PORT_TEST(an_interface_that_is_deleted_is_told_and_no_frame_lost),
		PORT_TEST(a_port_that_is_stopped_receives_what_had_come_in),
	};

	libbpf_set_print(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
