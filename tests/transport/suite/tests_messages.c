/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages: order, lengths, channels, batches, answers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/model/random.h"
#include "tests/transport/suite/tests.h"

static uint32_t datagram_max(const struct rig *rig)
{
	return shunt_transport_datagram_max(rig->end[NEAR].transport);
}

static uint32_t message_max(const struct rig *rig)
{
	return shunt_transport_message_max(rig->end[NEAR].transport);
}

/* --- order -------------------------------------------------------------------------------- */

static void in_order(struct rig *rig)
{
	struct shunt_transport_stats near, far;

	rig_begin(rig, "");
	rig_pass(rig, NEAR, 0, 2000);
	rig_pass(rig, FAR, 0, 2000);
	near = rig_stats(rig, NEAR);
	far = rig_stats(rig, FAR);
	assert_int_equal(near.tx_messages, 2001); /* with the hello */
	assert_int_equal(far.rx_messages, 2001);
	assert_int_equal(near.tx_bytes, far.rx_bytes);
	assert_int_equal(far.tx_messages, 2000);
	assert_int_equal(near.rx_messages, 2000);
	assert_int_equal(far.tx_bytes, near.rx_bytes);
	assert_int_equal(near.lost + near.late + near.duplicates, 0);
	assert_int_equal(far.lost + far.late + far.duplicates, 0);
}

static void both_ways_over_ipv6(struct rig *rig)
{
	rig_open_at(rig, FAR, net_address6[FAR], RIG_PORT, "");
	rig_open_at(rig, NEAR, net_address6[NEAR], RIG_PORT, "");
	rig_meet(rig);
	rig_pass(rig, NEAR, 0, 500);
	rig_pass(rig, FAR, 0, 500);
}

static void numbered_ports(struct rig *rig)
{
	char address[SHUNT_ENDPOINT_TEXT];

	rig_open_at(rig, FAR, net_address[FAR], 0, "");
	rig_open_at(rig, NEAR, net_address[NEAR], 0, "");
	strcpy(address, shunt_transport_address(rig->end[FAR].transport));
	assert_non_null(strchr(address, ':'));
	assert_int_not_equal(atoi(strchr(address, ':') + 1), 0);
	rig_meet(rig);
	rig_pass(rig, NEAR, 0, 100);
	rig_pass(rig, FAR, 0, 100);
}

/* --- lengths ------------------------------------------------------------------------------ */

static void every_length(struct rig *rig)
{
	rig_begin(rig, "");
	rig->length = rig_rising;
	rig_pass(rig, NEAR, 0,
		 datagram_max(rig) < 2000 ? datagram_max(rig) + 64 : 2000);
	rig_pass(rig, FAR, 0, 200);
}

static void nothing_in_it(struct rig *rig)
{
	rig_begin(rig, "");
	rig->length = rig_equal;
	rig->base = 0;
	rig_pass(rig, NEAR, 0, 100);
	rig_pass(rig, FAR, 0, 100);
	assert_int_equal(rig_stats(rig, FAR).rx_messages, 101);
	assert_int_equal(rig_stats(rig, FAR).rx_bytes, 5);
}

static void around_a_datagram(struct rig *rig)
{
	uint32_t longest;

	rig_begin(rig, "");
	longest = datagram_max(rig);
	assert_in_range(longest, 512, message_max(rig));
	rig->length = rig_rising;
	rig->base = longest - 8;
	rig_pass(rig, NEAR, 0, 16);
	rig_pass(rig, FAR, 0, 16);
	/* twice and three times as long */
	rig->base = 2 * longest - 8;
	if (2 * longest + 8 <= message_max(rig))
		rig_pass(rig, NEAR, 0, 16);
	rig->base = 3 * longest - 8;
	if (3 * longest + 8 <= message_max(rig))
		rig_pass(rig, FAR, 0, 16);
}

static void the_longest(struct rig *rig)
{
	uint32_t number;

	rig_begin(rig, rig->row->longest ? rig->row->longest : "");
	rig->length = rig_equal;
	rig->base = message_max(rig);
	assert_in_range(rig->base, datagram_max(rig), SHUNT_MESSAGE_MAX);
	for (number = 0; number < 4; number++) {
		rig_say(rig, NEAR, number, 1);
		rig_hear(rig, FAR, number, 1);
		rig_say(rig, FAR, number, 1);
		rig_hear(rig, NEAR, number, 1);
	}
	rig->base = message_max(rig) + 1;
	if (rig->base <= RIG_LONGEST)
		assert_int_equal(rig_offer(rig, NEAR, 4), -EMSGSIZE);
	rig->base = 100;
	rig_pass(rig, NEAR, 5, 1);
	assert_int_equal(rig_stats(rig, NEAR).tx_messages, 6);
}

static void a_stated_limit(struct rig *rig)
{
	rig_begin(rig, "message-max=5000");
	assert_int_equal(message_max(rig), 5000);
	rig->length = rig_equal;
	rig->base = 5000;
	rig_pass(rig, NEAR, 0, 8);
	rig->base = 5001;
	assert_int_equal(rig_offer(rig, NEAR, 8), -EMSGSIZE);
	rig_silent(rig, FAR);
}

/* A reader that was told less takes no more. */
static void longer_than_the_other_takes(struct rig *rig)
{
	rig_open(rig, FAR, "message-max=2000");
	rig_open(rig, NEAR, "");
	rig_meet(rig);
	rig->length = rig_equal;
	rig->base = 2001;
	rig_say(rig, NEAR, 0, 3);
	rig_silent(rig, FAR);
	assert_in_range(rig_stats(rig, FAR).malformed, 3, 12);
}

/* --- channels, batches, answers ------------------------------------------------------------ */

static void channels(struct rig *rig)
{
	static const uint16_t channel[] = { 0, 1, 255, 256, 32768, 65535 };
	struct shunt_message message;
	size_t i;

	rig_begin(rig, "");
	for (i = 0; i < sizeof(channel) / sizeof(*channel); i++) {
		net_at(NEAR);
		assert_int_equal(shunt_send(rig->end[NEAR].transport,
					    rig->end[NEAR].peer, channel[i], "x", 1),
				 1);
		assert_int_equal(rig_recv(rig, FAR, &message, 1, RIG_WAIT_MS), 1);
		assert_int_equal(message.channel, channel[i]);
		shunt_release(rig->end[FAR].transport, &message, 1);
	}
}

static void batches(struct rig *rig)
{
	static uint8_t bytes[SHUNT_BURST][RIG_LONGEST / 64];
	struct shunt_message batch[SHUNT_BURST] = { 0 };
	uint32_t first, i, count = SHUNT_BURST;

	rig_begin(rig, "");
	if (count > rig->row->burst)
		count = rig->row->burst;
	for (first = 0; first < 1000; first += count) {
		unsigned int done = 0;

		for (i = 0; i < count; i++) {
			batch[i].frame.len = rig->length(rig, first + i);
			batch[i].frame.data = bytes[i];
			batch[i].peer = rig->end[NEAR].peer;
			batch[i].channel = rig_channel(first + i);
			rig_fill(bytes[i], batch[i].frame.len, first + i);
		}
		while (done < count) {
			int taken;

			net_at(NEAR);
			taken = shunt_send_batch(rig->end[NEAR].transport, batch + done,
						 count - done);
			assert_in_range(taken, 0, count - done);
			done += (unsigned int)taken;
			rig_turn(rig);
		}
		rig_hear(rig, FAR, first, count);
	}
}

/* What stops a batch is told when it is at the front, not before. */
static void a_batch_stops_at_its_fault(struct rig *rig)
{
	static uint8_t bytes[100];
	struct shunt_message batch[3] = { 0 };
	struct shunt_transport *transport;
	int i;

	rig_begin(rig, "");
	transport = rig->end[NEAR].transport;
	rig->length = rig_equal;
	rig->base = sizeof(bytes);
	rig_fill(bytes, sizeof(bytes), 0);
	for (i = 0; i < 3; i++) {
		batch[i].frame.len = sizeof(bytes);
		batch[i].frame.data = bytes;
		batch[i].peer = i == 1 ? SHUNT_PEER_NONE : rig->end[NEAR].peer;
		batch[i].channel = rig_channel(0);
	}
	net_at(NEAR);
	assert_int_equal(shunt_send_batch(transport, batch, 3), 1);
	assert_int_equal(shunt_send_batch(transport, batch + 1, 2), -ENOTCONN);
	assert_int_equal(shunt_send_batch(transport, batch, 0), 0);
	rig_hear(rig, FAR, 0, 1);
	rig_silent(rig, FAR);
}

/* The answer is the very buffer that came. */
static void answered_in_place(struct rig *rig)
{
	struct shunt_message messages[SHUNT_BURST];
	uint32_t first, got, i;

	rig_begin(rig, "");
	for (first = 0; first < 1000; first += 16) {
		uint32_t answered = 0;

		rig_say(rig, NEAR, first, 16);
		while (answered < 16) {
			unsigned int done = 0;

			got = rig_recv(rig, FAR, messages, SHUNT_BURST, RIG_WAIT_MS);
			if (!got)
				rig_late(rig, "a message to answer");
			for (i = 0; i < got; i++)
				rig_check(rig, &messages[i], first + answered + i);
			while (done < got) {
				int taken;

				net_at(FAR);
				taken = shunt_submit(rig->end[FAR].transport,
						     messages + done, got - done);
				assert_in_range(taken, 0, got - done);
				done += (unsigned int)taken;
				rig_turn(rig);
			}
			answered += got;
		}
		rig_hear(rig, NEAR, first, 16);
	}
}

/* Shorter than it was, with other bytes, on another channel; also a long one. */
static void answered_with_changes(struct rig *rig)
{
	static const uint32_t length[] = { 1, 100, 1000, 4000, 20000 };
	struct shunt_message message;
	uint32_t i;

	rig_begin(rig, "");
	rig->length = rig_equal;
	for (i = 0; i < sizeof(length) / sizeof(*length); i++) {
		if (length[i] > message_max(rig))
			continue;
		rig->base = length[i];
		rig_say(rig, NEAR, i, 1);
		assert_int_equal(rig_recv(rig, FAR, &message, 1, RIG_WAIT_MS), 1);
		rig_check(rig, &message, i);
		rig->base = length[i] / 2;
		rig_fill(message.frame.data, rig->base, 100 + i);
		message.frame.len = rig->base;
		message.channel = rig_channel(100 + i);
		net_at(FAR);
		RIG_UNTIL(rig, shunt_submit(rig->end[FAR].transport, &message, 1) == 1,
			  "the answer to be taken");
		rig_hear(rig, NEAR, 100 + i, 1);
	}
}

/* The kernel sends back what comes, while nobody receives it. */
static void answered_by_the_kernel(struct rig *rig)
{
	rig_open(rig, FAR, "answer=all");
	rig_open(rig, NEAR, "");
	rig->end[NEAR].peer = rig_peer(rig, NEAR, "192.0.2.2:7000");
	rig->length = rig_equal;
	rig->base = 900;
	for (uint32_t number = 0; number < 1000; number += 16) {
		rig_say(rig, NEAR, number, 16);
		rig_hear(rig, NEAR, number, 16);
	}
	assert_int_equal(rig_stats(rig, FAR).rx_messages, 0);
}

/* --- random ------------------------------------------------------------------------------- */

#define STEPS 6000

struct flow {
	uint32_t sent, heard;
};

static uint32_t often_short(const struct rig *rig, uint32_t number)
{
	struct shunt_random random = { number };
	uint32_t kind = shunt_random_below(&random, 16);
	uint32_t span = kind < 10 ? 200 : kind < 15 ? datagram_max(rig) + 1 : 9000;

	if (span > message_max(rig))
		span = message_max(rig);
	return shunt_random_below(&random, span);
}

static void say_some(struct rig *rig, enum net_side side, struct flow *flow, uint32_t n)
{
	while (n-- && flow->sent - flow->heard < rig->row->burst / 4) {
		int taken = rig_offer(rig, side, flow->sent);

		assert_in_range(taken, 0, 1);
		flow->sent += (uint32_t)taken;
		if (!taken)
			return;
	}
}

static void hear_some(struct rig *rig, enum net_side side, struct flow *flow,
		      uint32_t n)
{
	struct shunt_message messages[SHUNT_BURST];
	unsigned int got, i;

	net_at(side);
	got = shunt_recv(rig->end[side].transport, messages, n);
	for (i = 0; i < got; i++)
		rig_check(rig, &messages[i], flow->heard++);
	/* in any order */
	for (i = got; i > 0; i--)
		shunt_release(rig->end[side].transport, &messages[i - 1], 1);
}

/* The model: two queues of numbers. */
static void like_two_queues(struct rig *rig)
{
	struct shunt_random random = { shunt_now_ns() };
	struct flow flow[NET_SIDES] = { 0 };
	uint32_t step;

	print_message("seed %#llx\n", (unsigned long long)random.state);
	rig_begin(rig, "");
	rig->length = often_short;
	for (step = 0; step < STEPS; step++) {
		enum net_side side = shunt_random_below(&random, 2) ? FAR : NEAR;
		uint32_t n = shunt_random_in(&random, 1, 16);
		uint32_t what = shunt_random_below(&random, 8);

		if (what == 0)
			rig_turn(rig);
		else if (what < 4)
			say_some(rig, side, &flow[side], n);
		else
			hear_some(rig, side, &flow[!side], n);
	}
	rig_turn(rig);
	rig_hear(rig, FAR, flow[NEAR].heard, flow[NEAR].sent - flow[NEAR].heard);
	rig_hear(rig, NEAR, flow[FAR].heard, flow[FAR].sent - flow[FAR].heard);
	assert_in_range(flow[NEAR].sent + flow[FAR].sent, 1000, STEPS * 16);
}

const struct rig_test rig_tests_messages[] = {
	{ "messages arrive in order, each once", in_order },
	{ "messages travel over IPv6", both_ways_over_ipv6 },
	{ "port 0 takes a free one, and says which", numbered_ports },
	{ "messages of every length arrive", every_length },
	{ "messages may be empty", nothing_in_it },
	{ "messages around a datagram's length arrive", around_a_datagram },
	{ "the longest message arrives, a longer one is refused", the_longest },
	{ "a limit that is told is kept", a_stated_limit },
	{ "what is longer than the other end takes is dropped",
	  longer_than_the_other_takes, SHUNT_TRANSPORT_DATAGRAMS },
	{ "a message comes on its channel", channels },
	{ "batches arrive like single messages", batches },
	{ "a batch stops in front of its fault", a_batch_stops_at_its_fault },
	{ "a message is answered in its own buffer", answered_in_place },
	{ "an answer may be shorter, and changed", answered_with_changes },
	{ "the kernel answers by itself", answered_by_the_kernel,
	  SHUNT_TRANSPORT_ANSWERS },
	{ "random traffic both ways is as two queues have it", like_two_queues },
	{ NULL },
};
