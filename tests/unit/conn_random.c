/* SPDX-License-Identifier: BSD-2-Clause */
/* Two ends of a connection over a network that loses, doubles, delays and damages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/model/conn_world.h"

#define SECOND 1000000000ull

static struct conn_world world;

/* The world is what it should be, now. */
static void check(uint64_t seed, const char *when)
{
	if (conn_world_fault(&world))
		fail_msg("%s: %s (SHUNT_SEED=%llu)", when, conn_world_fault(&world),
			 (unsigned long long)seed);
}

static void connect_now(void)
{
	conn_world_open(&world, 7);
	conn_world_call(&world);
	conn_world_calm(&world, SECOND);
	assert_int_equal(world.caller.phase, SHUNT_CONN_PHASE_UP);
	assert_non_null(conn_world_other_end(&world));
	assert_int_equal(world.admitted, 1);
}

/* What is said now, arrives at the other end. */
static bool is_heard(bool from_caller)
{
	const uint32_t before = world.arrived;

	if (!conn_world_say(&world, from_caller))
		return false;
	conn_world_calm(&world, 1);
	return world.arrived == before + 1;
}

/* --- what happens to connections ------------------------------------------------------------- */

static void test_two_ends_meet_and_talk(void **state)
{
	(void)state;
	connect_now();
	assert_true(is_heard(true));
	assert_true(is_heard(false));
	assert_int_equal(conn_world_other_end(&world)->theirs.window_bytes,
			 world.rules.terms.window_bytes);
	/* a day of silence: it is kept alive, and keys change on the way */
	conn_world_calm(&world, 3600 * SECOND);
	assert_int_equal(world.ups, 2);
	assert_true(is_heard(true));
	assert_true(is_heard(false));
	check(7, "at the end");
	conn_world_close(&world);
}

static void test_another_key_is_answered_nothing(void **state)
{
	const uint8_t key[SHUNT_PSK_BYTES] = { 1 };

	(void)state;
	conn_world_open(&world, 7);
	assert_int_equal(shunt_psk_open(&world.caller_psk, key, NULL), 0);
	world.caller_rules.psk = world.caller_psk;
	conn_world_call(&world);
	assert_int_equal(world.packets, 1);
	conn_world_deliver(&world, 0, false);
	assert_int_equal(world.packets, 0);
	conn_world_calm(&world, 20 * SECOND);
	assert_int_equal(world.caller.phase, SHUNT_CONN_PHASE_ENDED);
	assert_int_equal(world.caller.reason, SHUNT_CONN_REASON_NO_ANSWER);
	assert_int_equal(world.admitted, 0);
	conn_world_close(&world);
}

/* A HELLO that was recorded costs the answerer nothing: neither from elsewhere, where its
 * cookie isn't good, nor from the same place, where it is remembered, nor later. */
static void test_a_recorded_hello_opens_nothing(void **state)
{
	struct conn_world_packet hello;
	unsigned int i;

	(void)state;
	conn_world_open(&world, 7);
	conn_world_call(&world);
	conn_world_deliver(&world, 0, false);
	conn_world_deliver(&world, 0, false);
	hello = world.packet[0];
	conn_world_calm(&world, SECOND);
	assert_int_equal(world.admitted, 1);
	conn_world_close_end(&world, true);
	conn_world_calm(&world, SECOND);
	for (i = 0; i < 300; i++) {
		world.caller_at = i % 3;
		conn_world_inject(&world, true, hello.data, hello.bytes);
		conn_world_calm(&world, SECOND / 10);
	}
	assert_int_equal(world.admitted, 1);
	assert_int_equal(world.caller.phase, SHUNT_CONN_PHASE_ENDED);
	conn_world_close(&world);
}

static void test_a_peer_that_restarts_is_found_again(void **state)
{
	(void)state;
	connect_now();
	conn_world_restart(&world);
	/* the first word to it is answered by GONE, and that has the caller ask */
	assert_true(conn_world_say(&world, true));
	conn_world_calm(&world, 2 * SECOND);
	assert_int_equal(world.downs, 1);
	assert_int_equal(world.caller.phase, SHUNT_CONN_PHASE_UP);
	assert_true(is_heard(true));
	assert_true(is_heard(false));
	conn_world_close(&world);
}

/* Its end here is replaced as soon as the new one is proven: nobody waits for silence. */
static void test_a_caller_that_lost_us_replaces_its_connection(void **state)
{
	struct shunt_conn_state *old;
	uint32_t id;

	(void)state;
	connect_now();
	old = conn_world_other_end(&world);
	id = old->local;
	while (world.caller.phase != SHUNT_CONN_PHASE_DOWN) {
		world.packets = 0;
		/* the answerer hears no silence of its own: only the caller's clock runs */
		old->heard_ns = old->next_ns = conn_world_due(&world) + SECOND;
		conn_world_tick(&world, conn_world_due(&world));
	}
	world.packets = 0;
	conn_world_calm(&world, 2 * SECOND);
	assert_int_equal(world.caller.phase, SHUNT_CONN_PHASE_UP);
	assert_int_not_equal(conn_world_other_end(&world)->local, id);
	assert_int_equal(old->phase, SHUNT_CONN_PHASE_ENDED);
	assert_int_equal(old->reason, SHUNT_CONN_REASON_REPLACED);
	conn_world_close(&world);
}

static void test_a_forged_gone_costs_a_ping(void **state)
{
	struct shunt_conn_gone_packet gone;

	(void)state;
	connect_now();
	gone = (struct shunt_conn_gone_packet){
		.head = { .packet = SHUNT_CONN_PACKET_GONE,
			  .version = SHUNT_CONN_VERSION,
			  .to = shunt_be32(world.caller.local) },
		.from = shunt_be32(world.caller.remote),
	};
	conn_world_inject(&world, false, &gone, sizeof(gone));
	assert_int_equal(world.packets, 1);
	conn_world_inject(&world, false, &gone, sizeof(gone));
	assert_int_equal(world.packets, 1);
	conn_world_calm(&world, 10 * SECOND);
	assert_int_equal(world.downs, 0);
	assert_true(is_heard(true));
	conn_world_close(&world);
}

static void test_a_caller_that_moves_keeps_its_connection(void **state)
{
	struct shunt_conn_state *other;
	struct conn_world_packet old;

	(void)state;
	connect_now();
	other = conn_world_other_end(&world);
	assert_true(conn_world_say(&world, true));
	old = world.packet[0]; /* it is late */
	conn_world_drop(&world, 0);
	world.caller_at = 3;
	assert_true(is_heard(true));
	assert_int_equal(world.peer_at[other - world.place], 3);
	assert_int_equal(world.ups, 2);
	/* what was said before, and is not the newest any more, moves nothing */
	world.caller_at = 5;
	conn_world_inject(&world, true, old.data, old.bytes);
	assert_int_equal(world.peer_at[other - world.place], 3);
	check(7, "at the end");
	conn_world_close(&world);
}

static void test_either_end_closes(void **state)
{
	int caller;

	(void)state;
	for (caller = 0; caller < 2; caller++) {
		struct shunt_conn_state *other;

		connect_now();
		other = conn_world_other_end(&world);
		conn_world_close_end(&world, caller);
		conn_world_calm(&world, 1);
		assert_int_equal(world.caller.phase, SHUNT_CONN_PHASE_ENDED);
		assert_int_equal(other->phase, SHUNT_CONN_PHASE_ENDED);
		assert_int_equal(world.caller.reason,
				 caller ? SHUNT_CONN_REASON_OURS
					: SHUNT_CONN_REASON_THEIRS);
		/* nobody calls anew */
		conn_world_calm(&world, 60 * SECOND);
		assert_int_equal(world.ups, 2);
		conn_world_close(&world);
	}
}

/* --- chance ----------------------------------------------------------------------------------- */

struct odds {
	const char *what;
	uint32_t drop, twice, damage;	     /* once in so many deliveries; 0: never */
	uint32_t restart, close, call, move; /* once in so many steps */
};

static const struct odds all_odds[] = {
	{ "in any order", 0, 0, 0, 0, 0, 0, 0 },
	{ "a third is lost", 3, 0, 0, 0, 0, 0, 0 },
	{ "much comes twice", 0, 2, 0, 0, 0, 0, 50 },
	{ "much is damaged", 0, 4, 2, 0, 0, 0, 0 },
	{ "the answerer restarts", 10, 10, 20, 60, 0, 0, 50 },
	{ "both restart, and close", 10, 10, 20, 150, 100, 80, 50 },
};

static bool happens(struct shunt_random *r, uint32_t one_in)
{
	return one_in && shunt_random_one_in(r, one_in);
}

static void hand_over_some(struct shunt_random *r, const struct odds *odds)
{
	unsigned int at = shunt_random_below(r, world.packets);
	struct conn_world_packet *packet = &world.packet[at];

	if (happens(r, odds->drop)) {
		conn_world_drop(&world, at);
		return;
	}
	if (happens(r, odds->damage))
		packet->data[shunt_random_below(r, packet->bytes)] ^=
			1u << shunt_random_below(r, 8);
	conn_world_deliver(&world, at, happens(r, odds->twice));
}

static void step(struct shunt_random *r, const struct odds *odds)
{
	if (happens(r, odds->restart))
		conn_world_restart(&world);
	if (happens(r, odds->close))
		conn_world_close_end(&world, shunt_random_one_in(r, 2));
	if (happens(r, odds->call) && world.caller.phase == SHUNT_CONN_PHASE_ENDED)
		conn_world_call(&world);
	if (happens(r, odds->move))
		world.caller_at++;
	switch (shunt_random_below(r, 4)) {
	case 0:
		(void)conn_world_say(&world, shunt_random_one_in(r, 2));
		break;
	case 1:
		if (conn_world_due(&world) != UINT64_MAX && shunt_random_one_in(r, 3))
			conn_world_tick(&world, conn_world_due(&world));
		else
			conn_world_tick(&world, world.now_ns + SECOND / 1000);
		break;
	default:
		if (world.packets)
			hand_over_some(r, odds);
	}
}

/* However it went: once the network is sound, the two find each other, and each hears the
 * other once. */
static void settle(uint64_t seed, const char *what)
{
	conn_world_calm(&world, 20 * SECOND);
	check(seed, what);
	if (world.caller.phase == SHUNT_CONN_PHASE_ENDED) {
		conn_world_call(&world);
		conn_world_calm(&world, 10 * SECOND);
	}
	if (world.caller.phase != SHUNT_CONN_PHASE_UP || !conn_world_other_end(&world))
		fail_msg("%s: the two don't meet (SHUNT_SEED=%llu)", what,
			 (unsigned long long)seed);
	if (!is_heard(true) || !is_heard(false))
		fail_msg("%s: they met, and don't hear each other (SHUNT_SEED=%llu)",
			 what, (unsigned long long)seed);
	check(seed, what);
}

static void test_chance(void **state)
{
	const uint64_t cases = shunt_random_cases(3000);
	uint64_t seed = shunt_random_seed(1), i, arrived = 0;

	(void)state;
	for (i = 0; i < cases && !shunt_random_is_late(); i++, seed++) {
		const struct odds *odds = &all_odds[seed % 6];
		struct shunt_random r = { .state = seed };
		unsigned int steps = shunt_random_in(&r, 10, 600);

		conn_world_open(&world, seed);
		conn_world_call(&world);
		while (steps-- && world.count < CONN_WORLD_SAID - 2) {
			step(&r, odds);
			check(seed, odds->what);
		}
		settle(seed, odds->what);
		arrived += world.arrived;
		conn_world_close(&world);
	}
	print_message("%llu cases, %llu datagrams arrived\n", (unsigned long long)i,
		      (unsigned long long)arrived);
	assert_true(arrived > i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_ends_meet_and_talk),
		cmocka_unit_test(test_another_key_is_answered_nothing),
		cmocka_unit_test(test_a_recorded_hello_opens_nothing),
		cmocka_unit_test(test_a_peer_that_restarts_is_found_again),
		cmocka_unit_test(test_a_caller_that_lost_us_replaces_its_connection),
		cmocka_unit_test(test_a_forged_gone_costs_a_ping),
		cmocka_unit_test(test_a_caller_that_moves_keeps_its_connection),
		cmocka_unit_test(test_either_end_closes),
		cmocka_unit_test(test_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
