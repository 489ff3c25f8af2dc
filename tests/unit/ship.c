/* SPDX-License-Identifier: BSD-2-Clause */
/* ship: ports without RDMA: a ring in memory of ours, beside a naive list of packets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/model/random.h"
#include "tests/model/ship_wire.h"
#include "user/base/clock.h"
#include "user/io/ship.h"
#include "user/io/ship_ring.h"

#define PACKETS 40000u
#define HELD 64u
#define LONGEST 5000u

struct pair {
	struct shunt_random random;
	struct shunt_port *sender, *receiver;
	uint32_t sent, got; /* packets: the next number to send, and to come */
	uint32_t held;
	struct shunt_frame hold[HELD]; /* received, and not given back */
};

static struct shunt_port *open_port(const char *text)
{
	const struct shunt_port_opts opts = { .sz = sizeof(opts) };
	struct shunt_port *port = NULL;
	struct shunt_spec spec;
	struct shunt_err err = { "" };
	int ret = shunt_spec_split(&spec, text, &err);

	if (!ret)
		ret = shunt_ship_open_by(&port, &spec, &opts, &shunt_model_wire_ops,
					 &err);
	if (ret)
		print_error("%s\n", err.message);
	assert_int_equal(ret, 0);
	return port;
}

static int fail_to_open(const char *text, struct shunt_err *err)
{
	const struct shunt_port_opts opts = { .sz = sizeof(opts) };
	struct shunt_port *port = NULL;
	struct shunt_spec spec;
	int ret;

	assert_int_equal(shunt_spec_split(&spec, text, NULL), 0);
	ret = shunt_ship_open_by(&port, &spec, &opts, &shunt_model_wire_ops, err);
	assert_null(port);
	return ret;
}

static void open_receiver(struct pair *pair, const char *text)
{
	pair->receiver = open_port(text);
	shunt_model_wire_listener(pair->receiver);
}

static void close_receiver(struct pair *pair)
{
	shunt_port_close(pair->receiver);
	shunt_model_wire_listener(NULL);
}

/* It looks at its connection a hundred times a second. */
static void kick_until(struct shunt_port *port, const uint64_t *count, uint64_t value)
{
	uint64_t end = shunt_now_ns() + UINT64_C(10000000000);

	while (*count < value && shunt_now_ns() < end)
		assert_int_equal(shunt_port_kick(port, NULL), 0);
	assert_int_equal(*count, value);
}

/* --- packets that say which one they are ---------------------------------------------------- */

static uint32_t length_of(uint32_t number)
{
	struct shunt_random r = { number };
	uint32_t kind = shunt_random_below(&r, 10);

	if (kind < 6)
		return shunt_random_in(&r, 12, 80);
	return shunt_random_in(&r, 12, kind < 9 ? 1518 : LONGEST);
}

static uint8_t byte_of(uint32_t number, uint32_t at)
{
	return (uint8_t)(number * 31 + at * 7);
}

static void fill(uint8_t *to, uint32_t number, uint32_t from, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		to[i] = byte_of(number, from + i);
	if (!from && len >= sizeof(number))
		memcpy(to, &number, sizeof(number));
}

static void check_frame(const struct shunt_frame *frame, uint32_t number)
{
	uint32_t i, said;

	memcpy(&said, frame->data, sizeof(said));
	assert_int_equal(said, number);
	assert_int_equal(frame->len, length_of(number));
	for (i = sizeof(said); i < frame->len; i++)
		if (frame->data[i] != byte_of(number, i))
			fail_msg("packet %u differs at %u", number, i);
	assert_int_equal(shunt_frame_time(frame) != 0, 1);
}

/* A packet in frames of the pool, of 1 .. 3 parts; of other memory where pool is NULL. */
static unsigned int make_packet(struct shunt_pool *pool, uint8_t *foreign,
				uint32_t number, unsigned int parts,
				struct shunt_frame *frames)
{
	uint32_t len = length_of(number), at = 0;
	unsigned int i;

	if (!pool) {
		frames[0] = (struct shunt_frame){ .data = foreign, .len = len };
		fill(foreign, number, 0, len);
		return 1;
	}
	while (len > parts * pool->room)
		parts++;
	if (shunt_pool_get(pool, frames, parts) != parts)
		return 0;
	for (i = 0; i < parts; i++) {
		uint32_t take = i == parts - 1 ? len - at : len / parts;

		frames[i].len = take;
		frames[i].flags = i == parts - 1 ? 0 : SHUNT_FRAME_MORE;
		fill(frames[i].data, number, at, take);
		at += take;
	}
	return parts;
}

/* --- steps ---------------------------------------------------------------------------------- */

/* Offers packets until one is not taken; what is not taken is offered anew later. */
static void send_some(struct pair *pair, unsigned int n)
{
	static uint8_t foreign[LONGEST];

	while (n--) {
		/* a copy takes one frame */
		bool ours = length_of(pair->sent) > pair->sender->pool->room - 8 ||
			    !shunt_random_one_in(&pair->random, 8);
		struct shunt_frame frames[4];
		unsigned int parts = make_packet(
			ours ? pair->sender->pool : NULL, foreign, pair->sent,
			shunt_random_one_in(&pair->random, 6) ? 2 : 1, frames);
		unsigned int took;

		if (!parts)
			return;
		took = shunt_port_tx(pair->sender, frames, parts);
		if (took != parts) {
			assert_int_equal(took, 0);
			if (ours)
				shunt_frames_put(frames, parts);
			return;
		}
		pair->sent++;
	}
}

static void give_back_some(struct pair *pair, unsigned int left)
{
	while (pair->held > left) {
		uint32_t which = shunt_random_below(&pair->random, pair->held);

		shunt_frames_put(&pair->hold[which], 1);
		pair->hold[which] = pair->hold[--pair->held];
	}
}

/* Packets come in order; with gaps: some may be missing. */
static void receive_some(struct pair *pair, unsigned int max, bool gaps)
{
	struct shunt_frame frames[HELD];
	unsigned int i, n = shunt_port_rx(pair->receiver, frames, max);
	uint32_t said;

	for (i = 0; i < n; i++) {
		memcpy(&said, frames[i].data, sizeof(said));
		if (gaps)
			assert_true(said >= pair->got);
		else
			assert_int_equal(said, pair->got);
		pair->got = said;
		check_frame(&frames[i], pair->got++);
		if (pair->held == HELD)
			give_back_some(pair, HELD / 2);
		pair->hold[pair->held++] = frames[i];
	}
}

static void settle_all(struct pair *pair, bool gaps)
{
	unsigned int quiet = 0;

	while (quiet < 3) {
		uint32_t before = pair->got;
		unsigned int did = shunt_model_wire_do(UINT32_MAX);

		assert_int_equal(shunt_port_kick(pair->sender, NULL), 0);
		receive_some(pair, HELD, gaps);
		give_back_some(pair, 0);
		(void)shunt_port_rx(pair->receiver, pair->hold, 0);
		quiet = did || pair->got != before ? 0 : quiet + 1;
	}
}

static void run_pair(struct pair *pair, uint32_t packets, bool gaps)
{
	while (pair->sent < packets) {
		switch (shunt_random_below(&pair->random, 5)) {
		case 0:
		case 1:
			send_some(pair, shunt_random_below(&pair->random, 40));
			break;
		case 2:
			shunt_model_wire_do(shunt_random_below(&pair->random, 30));
			break;
		case 3:
			receive_some(pair, shunt_random_below(&pair->random, HELD + 1),
				     gaps);
			break;
		default:
			give_back_some(pair, shunt_random_below(&pair->random, HELD));
			assert_int_equal(shunt_port_kick(pair->sender, NULL), 0);
		}
	}
	settle_all(pair, gaps);
}

static uint32_t free_frames(const struct shunt_port *port)
{
	return shunt_memory_free_frames(shunt_memory_of(port->pool));
}

/* --- tests ------------------------------------------------------------------------------------ */

static void all_come_once_in_order_and_as_they_were(void **state)
{
	static const char *const receivers[] = {
		"ship:192.0.2.2:7400,listen,ring=64K",
		"ship:192.0.2.2:7400,listen,ring=64K,spin",
		"ship:192.0.2.2:7400,listen,ring=1M",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(receivers) / sizeof(*receivers); i++) {
		struct pair pair = { .random = { shunt_random_seed(61 + i) } };
		uint32_t before;

		open_receiver(&pair, receivers[i]);
		pair.sender = open_port("ship:192.0.2.2:7400");
		before = free_frames(pair.sender);
		run_pair(&pair, PACKETS, false);
		assert_int_equal(pair.got, pair.sent);
		assert_int_equal(pair.sender->count.tx_packets, pair.sent);
		assert_int_equal(pair.receiver->count.rx_packets, pair.sent);
		assert_int_equal(pair.receiver->count.rx_bytes,
				 pair.sender->count.tx_bytes);
		assert_true(pair.sender->count.tx_copied > 0);
		assert_false(pair.sender->ops->under_way(pair.sender));
		assert_int_equal(free_frames(pair.sender), before);
		shunt_port_close(pair.sender);
		close_receiver(&pair);
	}
}

static void a_full_ring_loses_what_is_counted_and_no_more(void **state)
{
	struct pair pair = { .random = { shunt_random_seed(67) } };
	const struct shunt_port_stats *count;

	(void)state;
	open_receiver(&pair, "ship:192.0.2.2:7400,listen,ring=64K");
	pair.sender = open_port("ship:192.0.2.2:7400,full=drop");
	count = &pair.sender->count;
	while (pair.sent < PACKETS) {
		send_some(&pair, shunt_random_below(&pair.random, 40));
		shunt_model_wire_do(UINT32_MAX);
		assert_int_equal(shunt_port_kick(pair.sender, NULL), 0);
		if (shunt_random_one_in(&pair.random, 9)) {
			receive_some(&pair, HELD, true);
			give_back_some(&pair, 0);
		}
	}
	settle_all(&pair, true);
	assert_true(count->tx_no_room > PACKETS / 100);
	assert_int_equal(count->tx_packets + count->tx_no_room, pair.sent);
	assert_int_equal(pair.receiver->count.rx_packets, count->tx_packets);
	assert_true(pair.receiver->count.rx_dropped <= count->tx_no_room);
	assert_true(pair.receiver->count.rx_dropped > 0);
	shunt_port_close(pair.sender);
	close_receiver(&pair);
}

static void what_is_too_long_is_refused(void **state)
{
	struct pair pair = { .random = { shunt_random_seed(71) } };
	static uint8_t bytes[20000];
	struct shunt_frame frame = { .data = bytes, .len = sizeof(bytes) };

	(void)state;
	open_receiver(&pair, "ship:192.0.2.2:7400,listen,ring=64K");
	pair.sender = open_port("ship:192.0.2.2:7400");
	assert_int_equal(pair.sender->frame_max, 16384);
	assert_int_equal(shunt_port_tx(pair.sender, &frame, 1), 1);
	assert_int_equal(pair.sender->count.tx_refused, 1);
	assert_int_equal(pair.sender->count.tx_packets, 0);
	shunt_port_close(pair.sender);
	close_receiver(&pair);
}

/* What it had written to the end is read; what it was about to write is not there. */
static void a_sender_that_dies_leaves_what_it_wrote(void **state)
{
	struct pair pair = { .random = { shunt_random_seed(73) } };

	(void)state;
	open_receiver(&pair, "ship:192.0.2.2:7400,listen,ring=1M");
	pair.sender = open_port("ship:192.0.2.2:7400");
	send_some(&pair, 30);
	shunt_model_wire_do(20); /* of a WRITE and a produced each, and a READ */
	assert_true(shunt_model_wire_waiting() > 0);
	shunt_port_close(pair.sender); /* waits in vain, then gives up */
	assert_int_equal(shunt_port_kick(pair.receiver, NULL), 0);
	receive_some(&pair, HELD, false);
	assert_in_range(pair.got, 1, 29);
	give_back_some(&pair, 0);
	receive_some(&pair, 0, false);
	pair.sender = open_port("ship:192.0.2.2:7400");
	pair.got = pair.sent = 1000;
	run_pair(&pair, 2000, false);
	assert_int_equal(pair.got, pair.sent);
	kick_until(pair.receiver, &pair.receiver->count.connects, 2);
	assert_int_equal(pair.receiver->count.cuts, 1);
	shunt_port_close(pair.sender);
	close_receiver(&pair);
}

/* Those that were under way may have come or not; the others come, and in order. */
static void a_receiver_that_comes_back_gets_what_follows(void **state)
{
	struct pair pair = { .random = { shunt_random_seed(79) } };
	const struct shunt_port_stats *count;
	uint32_t before, got = 0;
	int i;

	(void)state;
	open_receiver(&pair, "ship:192.0.2.2:7400,listen,ring=64K");
	pair.sender = open_port("ship:192.0.2.2:7400");
	before = free_frames(pair.sender);
	count = &pair.sender->count;
	for (i = 0; i < 3; i++) {
		run_pair(&pair, pair.sent + 500, i > 0);
		got += (uint32_t)pair.receiver->count.rx_packets;
		send_some(&pair, 40);
		shunt_model_wire_do(5);
		close_receiver(&pair);
		kick_until(pair.sender, &count->cuts, (uint64_t)i + 1);
		assert_false(pair.sender->ops->under_way(pair.sender));
		assert_int_equal(free_frames(pair.sender), before);
		open_receiver(&pair, "ship:192.0.2.2:7400,listen,ring=64K");
		kick_until(pair.sender, &count->connects, (uint64_t)i + 2);
	}
	assert_int_equal(count->cuts, 3);
	assert_true(count->tx_failed > 0);
	assert_true(got <= count->tx_packets);
	assert_true(got + count->tx_failed >= count->tx_packets);
	shunt_port_close(pair.sender);
	close_receiver(&pair);
}

static void one_that_is_to_end_with_its_receiver_does(void **state)
{
	struct pair pair = { 0 };
	struct shunt_err err;

	(void)state;
	open_receiver(&pair, "ship:192.0.2.2:7400,listen");
	pair.sender = open_port("ship:192.0.2.2:7400,lost=end");
	close_receiver(&pair);
	while (!pair.sender->count.cuts)
		(void)!shunt_port_kick(pair.sender, NULL);
	assert_int_equal(shunt_port_kick(pair.sender, &err), -ECONNRESET);
	assert_non_null(strstr(err.message, "the receiver is gone"));
	shunt_port_close(pair.sender);
}

static void who_is_refused_is_told_why(void **state)
{
	static const uint8_t version9[] = { 's', 'h', 's', 'p', 0, 9, 0, 1 };
	static const uint8_t nonsense[SHUNT_SHIP_OFFER_BYTES] = { 's', 'h', 's',
								  'p', 0,   1 };
	struct pair pair = { 0 };
	struct shunt_err err;

	(void)state;
	assert_int_equal(fail_to_open("ship:192.0.2.2:7400", &err), -ECONNREFUSED);
	assert_non_null(strstr(err.message, "nobody listens there"));
	open_receiver(&pair, "ship:192.0.2.2:7400,listen");
	shunt_model_wire_forge(version9, sizeof(version9)); /* the ask */
	assert_int_equal(fail_to_open("ship:192.0.2.2:7400", &err), -EPROTO);
	assert_non_null(strstr(err.message, "version"));
	pair.sender = open_port("ship:192.0.2.2:7400");
	assert_int_equal(fail_to_open("ship:192.0.2.2:7400", &err), -EBUSY);
	assert_non_null(strstr(err.message, "has a sender already"));
	shunt_port_close(pair.sender);
	close_receiver(&pair);
	assert_int_equal(shunt_ship_read_offer(&(struct shunt_ship_offer){ 0 },
					       nonsense, sizeof(nonsense), &err),
			 -EPROTO);
	assert_non_null(strstr(err.message, "makes no sense"));
}

static void the_handshake_reads_what_it_has_written(void **state)
{
	const struct shunt_ship_offer offer = { .session = UINT64_C(0x0123456789abcdef),
						.base = 0x7f0000001000,
						.ring = 0x7f0000002000,
						.bytes = 1 << 20,
						.key = 0xdeadbeef,
						.frame_max = 9000,
						.flags = SHUNT_SHIP_SLEEPS };
	struct shunt_ship_offer back;
	uint8_t bytes[SHUNT_SHIP_HELLO_MAX + 100] = { 0 }, again[SHUNT_SHIP_HELLO_MAX];
	size_t len = shunt_ship_put_offer(bytes, &offer), i;

	(void)state;
	assert_int_equal(shunt_ship_read_offer(&back, bytes, sizeof(bytes), NULL), 0);
	assert_int_equal(shunt_ship_put_offer(again, &back), len);
	assert_memory_equal(again, bytes, len);
	for (i = 0; i < len; i++)
		assert_int_equal(shunt_ship_read_offer(&back, bytes, i, NULL), -EPROTO);
	assert_int_equal(shunt_ship_put_ask(bytes), SHUNT_SHIP_ASK_BYTES);
	assert_int_equal(shunt_ship_read_ask(bytes, 8), SHUNT_SHIP_FINE);
	assert_int_equal(shunt_ship_read_ask(bytes, 7), SHUNT_SHIP_NO_ASK);
}

/* Who sleeps is woken once, whether the frames came before or after it fell asleep. */
static void a_receiver_that_sleeps_is_rung(void **state)
{
	struct pair pair = { .random = { shunt_random_seed(83) } };
	struct pollfd fds[SHUNT_PORT_FDS];
	unsigned int before, i;

	(void)state;
	open_receiver(&pair, "ship:192.0.2.2:7400,listen");
	pair.sender = open_port("ship:192.0.2.2:7400");
	before = shunt_model_wire_bells();
	for (i = 0; i < 20; i++) {
		bool early = i % 2;

		if (early)
			send_some(&pair, 3);
		/* a second descriptor says: do not sleep */
		if (early && i % 4 == 1) {
			shunt_model_wire_do(UINT32_MAX);
			assert_int_equal(
				pair.receiver->ops->wait(pair.receiver, fds, 9), 2);
		} else {
			assert_int_equal(
				pair.receiver->ops->wait(pair.receiver, fds, 9), 1);
		}
		if (!early)
			send_some(&pair, 3);
		while (shunt_model_wire_do(UINT32_MAX))
			assert_int_equal(shunt_port_kick(pair.sender, NULL), 0);
		if (!early || i % 4 == 3)
			assert_int_equal(shunt_model_wire_bells(), ++before);
		before = shunt_model_wire_bells();
		receive_some(&pair, HELD, false);
		assert_int_equal(pair.got, pair.sent);
		give_back_some(&pair, 0);
	}
	shunt_port_close(pair.sender);
	close_receiver(&pair);
}

/* Whatever is written there: no read leads out of the ring, and the next sender is served. */
static void rubbish_in_the_ring_ends_the_connection(void **state)
{
	struct pair pair = { .random = { shunt_random_seed(89) } };
	struct shunt_frame frames[HELD];
	struct shunt_ship_page *page;
	uint64_t cuts = 0;
	size_t bytes, i;
	uint8_t *area;
	int round;

	(void)state;
	open_receiver(&pair, "ship:192.0.2.2:7400,listen,ring=64K");
	area = shunt_model_wire_area(&bytes);
	page = (struct shunt_ship_page *)area;
	for (round = 0; round < 60; round++) {
		pair.sender = open_port("ship:192.0.2.2:7400");
		pair.sent = pair.got = (uint32_t)round * 10;
		send_some(&pair, 5);
		shunt_model_wire_do(UINT32_MAX);
		if (round % 2)
			for (i = 0; i < 200; i++)
				area[SHUNT_SHIP_PAGE +
				     shunt_random_below(&pair.random, 4000)] =
					(uint8_t)shunt_random_next(&pair.random);
		else
			page->produced = shunt_random_one_in(&pair.random, 2)
						 ? shunt_random_next(&pair.random)
						 : page->produced + 8;
		for (i = 0; i < 4; i++)
			shunt_frames_put(frames,
					 shunt_port_rx(pair.receiver, frames, HELD));
		cuts = pair.receiver->count.rx_damaged;
		pair.sender->ops->close(pair.sender);
	}
	assert_true(cuts > 40);
	close_receiver(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_come_once_in_order_and_as_they_were),
		cmocka_unit_test(a_full_ring_loses_what_is_counted_and_no_more),
		cmocka_unit_test(what_is_too_long_is_refused),
		cmocka_unit_test(a_sender_that_dies_leaves_what_it_wrote),
		cmocka_unit_test(a_receiver_that_comes_back_gets_what_follows),
		cmocka_unit_test(one_that_is_to_end_with_its_receiver_does),
		cmocka_unit_test(who_is_refused_is_told_why),
		cmocka_unit_test(the_handshake_reads_what_it_has_written),
		cmocka_unit_test(a_receiver_that_sleeps_is_rung),
		cmocka_unit_test(rubbish_in_the_ring_ends_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
