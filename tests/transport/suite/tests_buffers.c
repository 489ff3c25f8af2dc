/* SPDX-License-Identifier: BSD-2-Clause */
/* Buffers: lent, filled, submitted, released, and all back in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/transport/suite/tests.h"

#define LENT_MAX 65536

/* Frames that are in nobody's hands; 0 where the memory is of another kind. */
static uint32_t free_frames(const struct rig *rig, enum net_side side)
{
	struct shunt_transport *transport = rig->end[side].transport;
	struct shunt_memory *memory = shunt_memory_of(transport->pool);

	return memory ? shunt_memory_free_frames(memory) : 0;
}

struct baseline {
	uint32_t frames[NET_SIDES];
};

/* What the carrier holds for itself, once it has come to rest. */
static struct baseline rest(struct rig *rig)
{
	struct baseline base;

	rig_pass(rig, NEAR, 0, 200);
	rig_pass(rig, FAR, 0, 200);
	rig_turn(rig);
	base.frames[NEAR] = free_frames(rig, NEAR);
	base.frames[FAR] = free_frames(rig, FAR);
	return base;
}

static void all_are_back(struct rig *rig, const struct baseline *base)
{
	uint32_t holds = rig->row->holds;

	RIG_UNTIL(rig,
		  free_frames(rig, NEAR) + holds >= base->frames[NEAR] &&
			  free_frames(rig, FAR) + holds >= base->frames[FAR],
		  "all buffers to be back");
}

static void reserved_and_submitted(struct rig *rig)
{
	struct shunt_message messages[SHUNT_BURST];
	struct shunt_transport *near;
	struct baseline base;
	uint32_t number = 0;

	rig_begin(rig, "");
	base = rest(rig);
	near = rig->end[NEAR].transport;
	while (number < 2000) {
		unsigned int n, i, done = 0;

		net_at(NEAR);
		n = shunt_reserve(near, messages, 16);
		assert_in_range(n, 0, 16);
		for (i = 0; i < n; i++) {
			struct shunt_message *one = &messages[i];

			assert_in_range(one->room, shunt_transport_datagram_max(near),
					UINT32_MAX);
			one->frame.len = rig->length(rig, number + i);
			one->peer = rig->end[NEAR].peer;
			one->channel = rig_channel(number + i);
			rig_fill(one->frame.data, one->frame.len, number + i);
		}
		while (done < n) {
			int taken;

			net_at(NEAR);
			taken = shunt_submit(near, messages + done, n - done);
			assert_in_range(taken, 0, n - done);
			done += (unsigned int)taken;
			rig_turn(rig);
		}
		if (!n)
			rig_turn(rig);
		rig_hear(rig, FAR, number, n);
		number += n;
	}
	all_are_back(rig, &base);
}

/* Those that were never filled, too. */
static void reserved_and_released(struct rig *rig)
{
	static struct shunt_message messages[LENT_MAX];
	struct shunt_transport *near;
	struct baseline base;
	int round;

	rig_begin(rig, rig->row->small);
	base = rest(rig);
	near = rig->end[NEAR].transport;
	for (round = 0; round < 3; round++) {
		unsigned int n = 0, more;

		net_at(NEAR);
		while (n < LENT_MAX &&
		       (more = shunt_reserve(near, messages + n, LENT_MAX - n)))
			n += more;
		assert_in_range(n, 1, LENT_MAX - 1);
		assert_int_equal(shunt_reserve(near, messages + n, 1), 0);
		shunt_release(near, messages + n / 2, n - n / 2);
		shunt_release(near, messages, n / 2);
		all_are_back(rig, &base);
		rig_pass(rig, NEAR, 0, 16);
	}
}

/* What is lent does not change while others come. */
static void lent_stays(struct rig *rig)
{
	struct shunt_message lent[16];
	struct baseline base;
	uint32_t n = 0, i;

	rig_begin(rig, "");
	base = rest(rig);
	rig_say(rig, NEAR, 0, 16);
	while (n < 16) {
		unsigned int got = rig_recv(rig, FAR, lent + n, 16 - n, RIG_WAIT_MS);

		if (!got)
			rig_late(rig, "a message to hold");
		n += got;
	}
	rig_pass(rig, NEAR, 1000, 1000);
	rig_pass(rig, FAR, 1000, 100);
	for (i = 0; i < 16; i++)
		rig_check(rig, &lent[i], i);
	for (i = 0; i < 16; i++)
		shunt_release(rig->end[FAR].transport, &lent[(i * 7 + 3) % 16], 1);
	all_are_back(rig, &base);
}

/* Borrows without giving back, until nothing comes any more. */
static uint32_t hoard(struct rig *rig, enum net_side side, struct shunt_message *lent,
		      uint32_t *said)
{
	uint32_t n = 0, silent = 0;

	while (silent < 50 && n < LENT_MAX) {
		unsigned int got, i;

		while (*said < n + rig->row->burst / 2 &&
		       rig_offer(rig, side == NEAR ? FAR : NEAR, *said) == 1)
			++*said;
		rig_turn(rig);
		net_at(side);
		got = shunt_recv(rig->end[side].transport, lent + n, LENT_MAX - n);
		for (i = 0; i < got; i++)
			rig_check(rig, &lent[n + i], n + i);
		n += got;
		silent = got ? 0 : silent + 1;
	}
	return n;
}

/* What came in the end is all, or the rest was counted. */
static void take_the_rest(struct rig *rig, enum net_side side, uint32_t n,
			  uint32_t said)
{
	enum net_side from = side == NEAR ? FAR : NEAR;
	struct shunt_message messages[SHUNT_BURST];
	struct shunt_transport_stats stats;
	unsigned int more;

	if (rig_can(rig, SHUNT_TRANSPORT_RELIABLE)) {
		rig_hear(rig, side, n, said - n);
		rig_pass(rig, from, said, 1000);
		return;
	}
	while ((more = rig_recv(rig, side, messages, SHUNT_BURST, 200))) {
		shunt_release(rig->end[side].transport, messages, more);
		n += more;
	}
	stats = rig_stats(rig, side);
	if (!rig->row->silent)
		assert_in_range(said - n, 0, stats.no_memory + stats.rx_dropped);
	rig_pass(rig, from, 100000, 1000);
	if (rig->row->silent)
		assert_int_equal(rig_stats(rig, side).lost, said - n);
}

/* It ends with those that come, and goes on when they are given back. */
static void lent_out(struct rig *rig, enum net_side side)
{
	static struct shunt_message lent[LENT_MAX];
	uint32_t said = 0, n, i;

	rig_begin(rig, rig->row->small);
	rig->length = rig_equal;
	rig->base = 600;
	n = hoard(rig, side, lent, &said);
	assert_in_range(n, 8, LENT_MAX - 1);
	for (i = 0; i < 20 && rig_can(rig, SHUNT_TRANSPORT_DATAGRAMS); i++)
		said += rig_offer(rig, side == NEAR ? FAR : NEAR, said) == 1;
	rig_turn(rig);
	for (i = 0; i < n; i++)
		rig_check(rig, &lent[i], i);
	net_at(side);
	shunt_release(rig->end[side].transport, lent, n);
	take_the_rest(rig, side, n, said);
	rig_close(rig, NEAR);
	rig_close(rig, FAR);
}

static void all_lent_out(struct rig *rig)
{
	lent_out(rig, FAR);
	lent_out(rig, NEAR);
}

/* Messages of many datagrams give their buffers back as well; half ones, in the end. */
static void long_ones_come_back(struct rig *rig)
{
	struct baseline base;

	rig_begin(rig, "");
	if (shunt_transport_message_max(rig->end[NEAR].transport) < 20000)
		return;
	base = rest(rig);
	rig->length = rig_equal;
	rig->base = 20000;
	for (uint32_t number = 0; number < 100; number++) {
		rig_say(rig, NEAR, number, 1);
		rig_hear(rig, FAR, number, 1);
	}
	all_are_back(rig, &base);
}

const struct rig_test rig_tests_buffers[] = {
	{ "what is filled in place arrives", reserved_and_submitted },
	{ "what is reserved may be given back", reserved_and_released },
	{ "a lent message stays as it is", lent_stays },
	{ "with all buffers lent it stops, and goes on later", all_lent_out },
	{ "long messages give their buffers back", long_ones_come_back },
	{ NULL },
};
