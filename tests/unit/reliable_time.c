// SPDX-License-Identifier: BSD-2-Clause
/* When packets are sent: probes, acknowledgements, and how few of them are enough. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/model/lossy.h"
#include "user/transport/reliable.h"

#define MS UINT64_C(1000000)
#define ROOM 1000u

static const uint8_t bytes[ROOM];

struct line {
	struct shunt_reliable *end[2];
	struct shunt_lossy way[2]; /* out of each end */
	uint64_t now_ns;
	uint64_t packets[2];
};

static struct shunt_reliable_opts options(void)
{
	struct shunt_reliable_opts opts = {
		.sz = sizeof(opts),
		.packet_bytes = ROOM,
		.ours = { .ack_delay_us = 25000 },
	};

	assert_int_equal(shunt_reliable_terms(&opts.ours, NULL), 0);
	opts.theirs = opts.ours;
	return opts;
}

static void open_line(struct line *line, const struct shunt_reliable_opts *opts,
		      uint64_t delay_ns)
{
	unsigned int i;

	memset(line, 0, sizeof(*line));
	for (i = 0; i < 2; i++) {
		assert_int_equal(shunt_reliable_open(&line->end[i], opts, NULL), 0);
		line->way[i].mtu = ROOM;
		line->way[i].delay_ns = delay_ns;
	}
}

static void close_line(struct line *line)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		shunt_reliable_close(line->end[i]);
		shunt_lossy_close(&line->way[i]);
	}
}

static void step(struct line *line, unsigned int i)
{
	struct shunt_reliable_message got[16];
	uint8_t packet[ROOM], *came;
	uint32_t length, n;

	while ((came = shunt_lossy_recv(&line->way[!i], line->now_ns, &length))) {
		assert_int_equal(shunt_reliable_input(line->end[i], line->now_ns, came,
						      length),
				 0);
		free(came);
	}
	while ((n = shunt_reliable_recv(line->end[i], got, 16)))
		shunt_reliable_release(line->end[i], got, n);
	while ((length = shunt_reliable_packet(line->end[i], line->now_ns, packet,
					       ROOM))) {
		line->packets[i]++;
		shunt_lossy_send(&line->way[i], line->now_ns, packet, length);
	}
}

/* Until nothing is to be done any more, or until then. */
static void run_until(struct line *line, uint64_t end_ns)
{
	uint64_t next = line->now_ns;
	unsigned int i;

	do {
		line->now_ns = next > line->now_ns ? next : line->now_ns;
		next = UINT64_MAX;
		for (i = 0; i < 2; i++)
			step(line, i);
		for (i = 0; i < 2; i++) {
			uint64_t due = shunt_reliable_due(line->end[i]);
			uint64_t comes = shunt_lossy_due(&line->way[i]);

			next = due < next ? due : next;
			next = comes < next ? comes : next;
		}
	} while (next < end_ns);
}

static void send(struct line *line, unsigned int n)
{
	while (n--)
		assert_int_equal(shunt_reliable_send(line->end[0], 0, bytes, 900), 1);
}

static struct shunt_reliable_stats stats_of(const struct line *line, unsigned int i)
{
	struct shunt_reliable_stats stats;

	shunt_reliable_stats(line->end[i], &stats);
	return stats;
}

/* --- probes ------------------------------------------------------------------------------- */

static void probes_come_ever_more_seldom_but_do_not_cease(void **state)
{
	struct shunt_reliable_opts opts = options();
	uint64_t sent_ns = 0, gap_ns = 0, last_gap_ns = 0;
	struct shunt_reliable *end;
	uint8_t packet[ROOM];
	unsigned int probes, n;

	(void)state;
	opts.rtt_ns = 10 * MS;
	assert_int_equal(shunt_reliable_open(&end, &opts, NULL), 0);
	for (n = 0; n < 10; n++) {
		assert_int_equal(shunt_reliable_send(end, 0, bytes, 900), 1);
		assert_true(shunt_reliable_packet(end, 0, packet, ROOM) > 900);
	}
	for (probes = 0; probes < 12; probes++) {
		uint64_t due = shunt_reliable_due(end);

		gap_ns = due - sent_ns;
		/* smoothed + 4 * variance + the peer's delay: 10 + 20 + 25 */
		if (!probes)
			assert_int_equal(gap_ns, 55 * MS);
		else
			assert_int_equal(gap_ns, 2 * last_gap_ns < 1000 * MS
							 ? 2 * last_gap_ns
							 : 1000 * MS);
		assert_int_equal(shunt_reliable_packet(end, due - 1, packet, ROOM), 0);
		/* two, and each carries something though the window is shut */
		for (n = 0; n < 2; n++)
			assert_true(shunt_reliable_packet(end, due, packet, ROOM) >
				    200);
		assert_int_equal(shunt_reliable_packet(end, due, packet, ROOM), 0);
		last_gap_ns = gap_ns;
		sent_ns = due;
	}
	assert_int_equal(gap_ns, 1000 * MS);
	shunt_reliable_close(end);
}

/* However long the way, and however few probes are remembered. */
static void a_way_that_is_longer_than_thought_is_found_out(void **state)
{
	static const struct {
		uint64_t way_ns;
		uint32_t packets;
		uint64_t most; /* packets of the sender */
	} rows[] = {
		{ 3000 * MS, 1024, 150 },
		{ 60000 * MS, 1024, 1400 },
		{ 60000 * MS, 16, 60 },
	};
	struct shunt_reliable_opts opts = options();
	struct line line;
	unsigned int i;

	(void)state;
	opts.probe_max_ns = 100 * MS;
	opts.rtt_ns = MS;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		opts.packets = rows[i].packets;
		open_line(&line, &opts, rows[i].way_ns);
		send(&line, 1);
		run_until(&line, 10 * rows[i].way_ns);
		assert_true(shunt_reliable_idle(line.end[0]));
		assert_in_range(line.packets[0], 1, rows[i].most);
		close_line(&line);
	}
	/* and nothing of it is needed any more once it is known */
	opts.packets = 1024;
	open_line(&line, &opts, 3000 * MS);
	send(&line, 1);
	run_until(&line, 30000 * MS);
	line.packets[0] = 0;
	send(&line, 1);
	run_until(&line, UINT64_MAX);
	assert_int_equal(line.packets[0], 1);
	close_line(&line);
}

static void a_network_that_is_whole_again_is_used_within_a_second(void **state)
{
	struct shunt_reliable_opts opts = options();
	struct line line;

	(void)state;
	opts.rtt_ns = MS;
	open_line(&line, &opts, MS);
	line.way[0].dark_ns = 0;
	line.way[0].light_ns = 100000 * MS;
	send(&line, 10);
	run_until(&line, UINT64_MAX);
	assert_true(shunt_reliable_idle(line.end[0]));
	assert_in_range(line.now_ns, 100000 * MS, 101100 * MS);
	/* some 7 that double, then 2 a second */
	assert_in_range(line.packets[0], 200, 250);
	close_line(&line);
}

/* --- without losses ------------------------------------------------------------------------ */

static void nothing_is_sent_twice_where_nothing_is_lost(void **state)
{
	struct shunt_reliable_opts opts = options();
	struct line line;

	(void)state;
	opts.rtt_ns = 20 * MS;
	open_line(&line, &opts, 10 * MS);
	send(&line, 1000);
	run_until(&line, UINT64_MAX);
	assert_true(shunt_reliable_idle(line.end[0]));
	assert_int_equal(stats_of(&line, 1).rx_messages, 1000);
	assert_int_equal(stats_of(&line, 0).lost, 0);
	assert_int_equal(stats_of(&line, 0).resent_bytes, 0);
	assert_int_equal(stats_of(&line, 0).probes, 0);
	/* 912 bytes a message in packets of 1000, and at most an acknowledgement for two */
	assert_in_range(line.packets[0], 930, 945);
	assert_in_range(line.packets[1], 1, 480);
	assert_in_range(stats_of(&line, 0).rtt_ns, 20 * MS, 21 * MS);
	close_line(&line);
}

static void short_messages_share_a_packet(void **state)
{
	struct shunt_reliable_opts opts = options();
	struct line line;
	unsigned int i;

	(void)state;
	open_line(&line, &opts, MS);
	for (i = 0; i < 50; i++)
		assert_int_equal(shunt_reliable_send(line.end[0], 0, bytes, 8), 1);
	run_until(&line, UINT64_MAX);
	assert_int_equal(line.packets[0], 1);
	assert_int_equal(line.packets[1], 1); /* one acknowledgement, in the end */
	assert_int_equal(line.now_ns, 2 * MS + 25 * MS);
	close_line(&line);
}

static void one_lost_packet_is_sent_again_once(void **state)
{
	struct shunt_reliable_opts opts = options();
	struct line line;

	(void)state;
	opts.rtt_ns = 20 * MS;
	open_line(&line, &opts, 10 * MS);
	send(&line, 1);
	line.way[0].mtu = 0; /* loses this one */
	run_until(&line, MS);
	line.way[0].mtu = ROOM;
	send(&line, 9);
	run_until(&line, UINT64_MAX);
	assert_int_equal(stats_of(&line, 0).lost, 1);
	assert_int_equal(stats_of(&line, 0).probes, 0);
	assert_int_equal(stats_of(&line, 1).rx_messages, 10);
	/* found out by those behind it, an RTT later: it did not wait for a timeout */
	assert_in_range(line.now_ns, 40 * MS, 66 * MS);
	close_line(&line);
}

/* --- memory -------------------------------------------------------------------------------- */

/* A peer that leaves more gaps than can be remembered has to send some of it again. */
static void what_there_is_no_memory_for_is_not_acknowledged(void **state)
{
	struct shunt_reliable_opts opts = options();
	struct shunt_segment s = {
		.flags = SHUNT_SEGMENT_NUMBERED | SHUNT_SEGMENT_DATA,
		.credit_bytes = opts.ours.window_bytes,
		.credit_messages = opts.ours.window_messages,
	};
	struct shunt_reliable_stats stats;
	struct shunt_reliable *end;
	uint8_t packet[200] = { 0 };
	uint32_t i, head;

	(void)state;
	assert_int_equal(shunt_reliable_open(&end, &opts, NULL), 0);
	for (i = 0; i < SHUNT_RELIABLE_ISLANDS + 10; i++) {
		s.number = i;
		s.back = (uint16_t)i;
		s.offset = 2 * i + 1;
		head = shunt_segment_write(&s, packet);
		assert_int_equal(shunt_reliable_input(end, 1, packet, head + 1), 0);
	}
	shunt_reliable_stats(end, &stats);
	assert_int_equal(stats.refused, 10);
	assert_true(shunt_reliable_packet(end, 1, packet, sizeof(packet)));
	assert_true(shunt_segment_read(&s, packet,
				       SHUNT_SEGMENT_FIXED + SHUNT_SEGMENT_ACK_BYTES));
	assert_int_equal(s.before, SHUNT_RELIABLE_ISLANDS);
	assert_int_equal(s.ranges, 0);
	assert_int_equal(s.received, 0);
	shunt_reliable_close(end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probes_come_ever_more_seldom_but_do_not_cease),
		cmocka_unit_test(a_way_that_is_longer_than_thought_is_found_out),
		cmocka_unit_test(a_network_that_is_whole_again_is_used_within_a_second),
		cmocka_unit_test(nothing_is_sent_twice_where_nothing_is_lost),
		cmocka_unit_test(short_messages_share_a_packet),
		cmocka_unit_test(one_lost_packet_is_sent_again_once),
		cmocka_unit_test(what_there_is_no_memory_for_is_not_acknowledged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
