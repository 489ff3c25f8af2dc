// SPDX-License-Identifier: BSD-2-Clause
/* Two ends over a bad network: every message once, in order, and then silence. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/model/lossy.h"
#include "tests/model/random.h"
#include "user/transport/reliable.h"

#define MS UINT64_C(1000000)
#define MESSAGE_MAX (1u << 20)
#define HELD 32u

/* What messages are cut from: any place in it, so that none is like another. */
static uint8_t noise[MESSAGE_MAX + 65536];

struct side {
	struct shunt_reliable *end;
	struct shunt_lossy way; /* out of here */
	struct shunt_terms terms;
	struct shunt_random words; /* what it says; the other one has a copy */
	struct shunt_random heard;
	uint32_t say, said, got; /* messages */
	uint32_t largest;
	uint32_t room; /* what it believes of the MTU */
	uint64_t said_bytes, freed_bytes, freed;
	uint64_t awake_ns; /* its application does nothing before */
	uint64_t pause_ns; /* after it did something */
	struct shunt_reliable_message held[HELD];
	uint32_t holds;
	uint32_t hold; /* messages that it likes to keep */
};

struct world {
	struct shunt_random random;
	struct side side[2];
	uint64_t now_ns;
	uint64_t mtu_ns;   /* when the MTU changes */
	uint64_t learn_ns; /* when both ends know */
	uint32_t mtu;
	uint64_t packets, packets_max;
	bool lossless;
};

/* --- messages ---------------------------------------------------------------------------- */

struct words {
	const uint8_t *bytes;
	uint32_t length;
	uint16_t channel;
};

/* Mostly short ones, some of no bytes, and some as long as they may be. */
static struct words speak(struct shunt_random *r, uint32_t largest)
{
	struct words words = { .channel = shunt_random_next(r) };
	uint32_t kind = shunt_random_below(r, 16);

	if (kind == 0)
		words.length = 0;
	else if (kind == 1)
		words.length = largest;
	else if (kind == 2)
		words.length = shunt_random_in(r, 0, largest);
	else
		words.length = shunt_random_in(r, 0, largest < 3000 ? largest : 3000);
	words.bytes = noise + shunt_random_below(r, 65536);
	return words;
}

static void app_sends(struct side *side, const struct side *other)
{
	while (side->said < side->say) {
		struct shunt_random r = side->words;
		struct words words = speak(&r, side->largest);
		int taken = shunt_reliable_send(side->end, words.channel, words.bytes,
						words.length);

		assert_true(taken >= 0);
		if (!taken)
			return;
		side->words = r;
		side->said++;
		side->said_bytes += shunt_segment_cost(words.length);
		/* Never more than the other side has room for. */
		assert_true(side->said - other->freed <= other->terms.window_messages);
		assert_true(side->said_bytes - other->freed_bytes <=
			    other->terms.window_bytes);
	}
}

static void app_frees(struct world *world, struct side *side, uint32_t keep)
{
	while (side->holds > keep) {
		uint32_t i = shunt_random_below(&world->random, side->holds);

		/* Its bytes were left alone while it was held. */
		side->freed++;
		side->freed_bytes += shunt_segment_cost(side->held[i].length);
		shunt_reliable_release(side->end, &side->held[i], 1);
		side->held[i] = side->held[--side->holds];
	}
}

static void app_hears(struct world *world, struct side *side, struct side *other)
{
	uint32_t n = shunt_reliable_recv(side->end, side->held + side->holds,
					 HELD - side->holds);
	uint32_t i;

	for (i = 0; i < n; i++) {
		const struct shunt_reliable_message *got = &side->held[side->holds + i];
		struct words want = speak(&other->heard, other->largest);

		assert_true(side->got < other->said);
		assert_int_equal(got->length, want.length);
		assert_int_equal(got->channel, want.channel);
		assert_int_equal((uintptr_t)got->data % 8, 0);
		assert_false(memcmp(got->data, want.bytes, want.length));
		side->got++;
	}
	side->holds += n;
	app_frees(world, side, n ? side->hold : 0);
}

/* --- time -------------------------------------------------------------------------------- */

static void post(struct world *world, struct side *side)
{
	uint8_t *packet = malloc(side->room);
	uint32_t bytes;

	while ((bytes = shunt_reliable_packet(side->end, world->now_ns, packet,
					      side->room))) {
		assert_true(bytes <= side->room);
		assert_true(world->packets++ < world->packets_max);
		shunt_lossy_send(&side->way, world->now_ns, packet, bytes);
	}
	assert_true(shunt_reliable_due(side->end) > world->now_ns);
	free(packet);
}

static bool deliver(struct world *world, struct side *from, struct side *to)
{
	uint32_t length, n = 0, burst = shunt_random_in(&world->random, 1, 8);
	uint8_t *packet;

	while (n < burst &&
	       (packet = shunt_lossy_recv(&from->way, world->now_ns, &length))) {
		assert_int_equal(shunt_reliable_input(to->end, world->now_ns, packet,
						      length),
				 0);
		free(packet);
		n++;
	}
	return n;
}

/* It looks in a while after something came, and goes on while it gets somewhere. */
static void app_acts(struct world *world, struct side *side, struct side *other)
{
	uint32_t said = side->said, got = side->got;

	app_sends(side, other);
	app_hears(world, side, other);
	side->awake_ns = UINT64_MAX;
	if (side->said != said || side->got != got || side->holds)
		side->awake_ns = world->now_ns + 1 +
				 shunt_random_in64(&world->random, 0, side->pause_ns);
}

static void step_side(struct world *world, struct side *side, struct side *other)
{
	if (deliver(world, other, side) && side->awake_ns == UINT64_MAX)
		side->awake_ns = world->now_ns +
				 shunt_random_in64(&world->random, 0, side->pause_ns);
	if (side->awake_ns <= world->now_ns)
		app_acts(world, side, other);
	post(world, side);
}

static bool is_done(const struct world *world)
{
	const struct side *a = &world->side[0], *b = &world->side[1];

	return a->said == a->say && b->said == b->say && a->got == b->say &&
	       b->got == a->say && !a->holds && !b->holds;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The next moment at which anything can happen; UINT64_MAX: nothing ever does. */
static uint64_t next_ns(const struct world *world)
{
	uint64_t next = UINT64_MAX;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		const struct side *side = &world->side[i];

		next = least(next, shunt_lossy_due(&side->way));
		next = least(next, shunt_reliable_due(side->end));
		next = least(next, side->awake_ns);
	}
	return next;
}

static void change_mtu(struct world *world)
{
	unsigned int i;

	if (world->now_ns >= world->mtu_ns) {
		world->mtu_ns = UINT64_MAX;
		world->mtu = shunt_random_in(&world->random, 128, 2000);
		for (i = 0; i < 2; i++)
			world->side[i].way.mtu = world->mtu;
	}
	if (world->now_ns >= world->learn_ns) {
		world->learn_ns = UINT64_MAX;
		for (i = 0; i < 2; i++)
			world->side[i].room = world->mtu;
	}
}

/* --- worlds ------------------------------------------------------------------------------ */

static const uint64_t delays[] = { 0, 5000, 50000, MS, 20 * MS, 300 * MS };

static void make_way(struct world *world, struct side *side)
{
	struct shunt_random *r = &world->random;
	struct shunt_lossy *way = &side->way;

	way->random.state = shunt_random_next(r);
	way->mtu = world->mtu;
	way->delay_ns = shunt_random_of(r, delays);
	if (world->lossless)
		return;
	if (shunt_random_one_in(r, 2))
		way->lose = shunt_random_in(r, 0, 300);
	if (shunt_random_one_in(r, 2))
		way->twice = shunt_random_in(r, 0, 200);
	if (shunt_random_one_in(r, 2))
		way->late = shunt_random_in(r, 0, 1000);
	way->late_ns = shunt_random_of(r, delays);
	if (shunt_random_one_in(r, 4)) {
		way->dark_ns = shunt_random_in64(r, 0, 1000 * MS);
		way->light_ns = way->dark_ns + shunt_random_in64(r, 0, 9000 * MS);
	}
}

static void make_side(struct world *world, struct side *side)
{
	struct shunt_random *r = &world->random;
	static const uint32_t largest[] = { 0, 1, 100, 2000, 10000, 30000 };
	static const uint64_t pauses[] = { 0, 0, 1000, MS, 50 * MS };

	side->words.state = side->heard.state = shunt_random_next(r);
	side->largest =
		shunt_random_one_in(r, 300) ? MESSAGE_MAX : shunt_random_of(r, largest);
	side->say = shunt_random_below(r, 5) ? shunt_random_below(r, 40) : 0;
	side->room = world->mtu;
	side->pause_ns = shunt_random_of(r, pauses);
	side->hold = shunt_random_below(r, 4);
	make_way(world, side);
}

/* Windows from one message to plenty. */
static void make_terms(struct world *world, struct side *side, const struct side *other)
{
	struct shunt_random *r = &world->random;
	uint32_t one = shunt_segment_cost(other->largest);

	side->terms.message_max = other->largest ? other->largest : 1;
	side->terms.window_bytes = shunt_segment_cost(side->terms.message_max);
	if (!shunt_random_one_in(r, 4))
		side->terms.window_bytes += shunt_random_below(r, 4 * one + 20000);
	side->terms.window_messages = side->hold + 1 + shunt_random_below(r, 20);
	/* What it holds and what is to come have room in its window. */
	side->terms.window_bytes += side->hold * one;
	side->terms.ack_delay_us = shunt_random_in(r, 1, 30000);
	assert_true(shunt_terms_sound(&side->terms));
}

static void open_side(struct world *world, struct side *side, const struct side *other,
		      uint64_t start)
{
	struct shunt_random *r = &world->random;
	struct shunt_reliable_opts opts = {
		.sz = sizeof(opts),
		.ours = side->terms,
		.theirs = other->terms,
		.send_bytes = shunt_segment_cost(side->largest) +
			      shunt_random_below(r, 40000),
		.packets = 16u << shunt_random_below(r, 9),
		.packet_bytes = world->mtu,
		.congestion = shunt_random_below(r, 2),
		.congestion_bytes = shunt_random_in(r, 1000, 200000),
		.rtt_ns =
			shunt_random_one_in(r, 2) ? 0 : 1 + shunt_random_of(r, delays),
		.probe_max_ns = shunt_random_one_in(r, 2) ? 0 : 100 * MS,
		.lossless = world->lossless,
		.start = start,
	};
	struct shunt_err err;

	assert_int_equal(shunt_reliable_open(&side->end, &opts, &err), 0);
}

static void make(struct world *world, uint64_t seed)
{
	struct side *a = &world->side[0], *b = &world->side[1];
	struct shunt_random *r = &world->random;
	uint64_t start = 0;

	*world = (struct world){ .random = { seed } };
	world->mtu = shunt_random_in(r, 128, shunt_random_one_in(r, 2) ? 2000 : 9000);
	world->mtu_ns = world->learn_ns = UINT64_MAX;
	world->lossless = shunt_random_one_in(r, 8);
	if (!world->lossless && shunt_random_one_in(r, 3)) {
		world->mtu_ns = shunt_random_in64(r, 0, 2000 * MS);
		world->learn_ns = world->mtu_ns + shunt_random_in64(r, 0, 2000 * MS);
	}
	world->now_ns = shunt_random_in64(r, 0, MS);
	make_side(world, a);
	make_side(world, b);
	make_terms(world, a, b);
	make_terms(world, b, a);
	if (shunt_random_one_in(r, 2)) /* where what travels is about to wrap */
		start = (UINT64_C(1) << 32) - 8 * shunt_random_below(r, 4000);
	open_side(world, a, b, start);
	open_side(world, b, a, start);
	world->packets_max = 200000;
}

static void finish(struct world *world)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		shunt_reliable_close(world->side[i].end);
		shunt_lossy_close(&world->side[i].way);
	}
}

static void run(struct world *world)
{
	uint64_t next;

	while ((next = next_ns(world)) != UINT64_MAX) {
		assert_true(next < 3600 * 1000 * MS);
		world->now_ns = next > world->now_ns ? next : world->now_ns;
		change_mtu(world);
		step_side(world, &world->side[0], &world->side[1]);
		step_side(world, &world->side[1], &world->side[0]);
	}
	assert_true(is_done(world));
	assert_true(shunt_reliable_idle(world->side[0].end));
	assert_true(shunt_reliable_idle(world->side[1].end));
}

static void everything_arrives_once_and_in_order(void **state)
{
	uint64_t seed = shunt_random_seed(1), cases = shunt_random_cases(3000), i;
	static struct world world;

	(void)state;
	for (i = 0; i < cases; i++) {
		if (getenv("SHUNT_TRACE"))
			fprintf(stderr, "seed %llu\n", (unsigned long long)(seed + i));
		make(&world, seed + i);
		run(&world);
		finish(&world);
	}
}

static int fill_noise(void **state)
{
	struct shunt_random r = { 11 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(noise); i++)
		noise[i] = shunt_random_next(&r);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_arrives_once_and_in_order),
	};

	return cmocka_run_group_tests(tests, fill_noise, NULL);
}
