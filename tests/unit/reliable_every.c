// SPDX-License-Identifier: BSD-2-Clause
/* Every way that a short exchange can take, up to a depth: each ends well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "user/rt/check.h"
#include "user/transport/reliable.h"

/*
 * Three messages go one way and one the other, each fills a packet, and the window has room
 * for two of them. Before each step one of these happens, and after the last one the network
 * is calm. What can be done is tried by doing all of it again from the beginning: an end has
 * no copies.
 */
enum what {
	OLDEST,	  /* packet arrives */
	NEWEST,	  /* packet overtakes all others */
	TWICE,	  /* the oldest arrives, and will again */
	LOST,	  /* the oldest never does */
	LATER,	  /* time passes, to the next timer */
	RELEASED, /* the receiver gives one message back */
	WHATS
};

#define LENGTH 96u /* of a message; with all heads just a packet */
#define QUEUE 64u
#define DEPTH_MAX 12u
#define CALM 400u /* steps */

struct packet {
	uint32_t bytes;
	uint8_t at[SHUNT_RELIABLE_ROOM_MIN];
};

struct side {
	struct shunt_reliable *end;
	struct packet queue[QUEUE]; /* out of here */
	uint32_t queued;
	uint32_t say, said, got;
	struct shunt_reliable_message held[4];
	uint32_t holds;
};

struct world {
	struct side side[2];
	uint64_t now_ns;
	uint32_t steps;
};

/* A choice: what happens, and to packets of which side. */
struct choice {
	uint8_t what, side;
};

static uint64_t runs;

static void open_world(struct world *world)
{
	const struct shunt_terms terms = { 2 * shunt_segment_cost(LENGTH), 2, LENGTH,
					   1000 };
	const struct shunt_reliable_opts opts = {
		.sz = sizeof(opts),
		.ours = terms,
		.theirs = terms,
		.send_bytes = 512,
		.packets = 16,
		.packet_bytes = SHUNT_RELIABLE_ROOM_MIN,
		.rtt_ns = 1000000,
	};
	unsigned int i;

	world->now_ns = 1;
	world->steps = 0;
	for (i = 0; i < 2; i++) {
		struct side *side = &world->side[i];

		assert_int_equal(shunt_reliable_open(&side->end, &opts, NULL), 0);
		side->queued = side->said = side->got = side->holds = 0;
		side->say = i ? 1 : 3;
	}
}

static void close_world(struct world *world)
{
	shunt_reliable_close(world->side[0].end);
	shunt_reliable_close(world->side[1].end);
}

static void act(struct world *world, struct side *side)
{
	uint8_t message[LENGTH];
	uint32_t n, bytes;

	while (side->said < side->say) {
		memset(message, (int)side->said, LENGTH);
		if (!shunt_reliable_send(side->end, (uint16_t)side->said, message,
					 LENGTH))
			break;
		side->said++;
	}
	n = shunt_reliable_recv(side->end, side->held + side->holds, 4 - side->holds);
	for (; n; n--) {
		const struct shunt_reliable_message *got = &side->held[side->holds++];

		assert_int_equal(got->channel, side->got);
		assert_int_equal(got->length, LENGTH);
		assert_int_equal(got->data[0], side->got);
		assert_int_equal(got->data[LENGTH - 1], side->got);
		side->got++;
	}
	do {
		struct packet *packet = &side->queue[side->queued];

		assert_true(side->queued < QUEUE - 1);
		bytes = shunt_reliable_packet(side->end, world->now_ns, packet->at,
					      sizeof(packet->at));
		packet->bytes = bytes;
		side->queued += bytes > 0;
	} while (bytes);
}

static void act_both(struct world *world)
{
	act(world, &world->side[0]);
	act(world, &world->side[1]);
	world->steps++;
}

static void arrive(struct world *world, unsigned int from, uint32_t i)
{
	const struct packet *packet = &world->side[from].queue[i];

	assert_int_equal(shunt_reliable_input(world->side[!from].end, world->now_ns,
					      packet->at, packet->bytes),
			 0);
}

static void forget(struct side *side, uint32_t i)
{
	memmove(&side->queue[i], &side->queue[i + 1],
		(side->queued - i - 1) * sizeof(*side->queue));
	side->queued--;
}

static bool pass_time(struct world *world)
{
	uint64_t due = shunt_reliable_due(world->side[0].end);
	uint64_t other = shunt_reliable_due(world->side[1].end);

	due = due < other ? due : other;
	if (due == UINT64_MAX)
		return false;
	assert_true(due > world->now_ns);
	world->now_ns = due;
	return true;
}

/* False: there is nothing that this could happen to. */
static bool happen(struct world *world, struct choice choice)
{
	struct side *side = &world->side[choice.side];
	uint32_t newest = side->queued - 1;

	if (choice.what == LATER)
		return !choice.side && pass_time(world);
	if (choice.what == RELEASED) {
		if (!side->holds)
			return false;
		shunt_reliable_release(side->end, &side->held[0], 1);
		memmove(side->held, side->held + 1,
			--side->holds * sizeof(*side->held));
		return true;
	}
	if (!side->queued || (choice.what == NEWEST && !newest))
		return false;
	if (choice.what != LOST)
		arrive(world, choice.side, choice.what == NEWEST ? newest : 0);
	if (choice.what != TWICE)
		forget(side, choice.what == NEWEST ? newest : 0);
	return true;
}

/* From here on all arrives in order: it comes to its end, and then there is silence. */
static void calm_down(struct world *world)
{
	const uint32_t most = world->steps + CALM;
	bool any = true;

	while (any) {
		unsigned int i;

		assert_true(world->steps < most);
		any = false;
		for (i = 0; i < 2; i++) {
			any |= happen(world, (struct choice){ OLDEST, (uint8_t)i });
			any |= happen(world, (struct choice){ RELEASED, (uint8_t)i });
		}
		any = any || pass_time(world);
		act_both(world);
		any = any || world->side[0].queued || world->side[1].queued;
	}
	assert_int_equal(world->side[1].got, 3);
	assert_int_equal(world->side[0].got, 1);
	assert_true(shunt_reliable_idle(world->side[0].end));
	assert_true(shunt_reliable_idle(world->side[1].end));
}

static void say_which(const struct choice *path, uint32_t n)
{
	static const char *const names[] = { "oldest", "newest", "twice",
					     "lost",   "later",	 "released" };
	uint32_t i;

	for (i = 0; i < n; i++)
		fprintf(stderr, "%s of %u, ", names[path[i].what], path[i].side);
	fputs("then calm\n", stderr);
}

/* False: the last step of this path cannot be taken. */
static bool try_path(const struct choice *path, uint32_t n)
{
	static struct world world;
	bool taken = true;
	uint32_t i;

	if (getenv("SHUNT_TRACE"))
		say_which(path, n);
	open_world(&world);
	act_both(&world);
	for (i = 0; i < n && taken; i++) {
		taken = happen(&world, path[i]);
		act_both(&world);
	}
	if (taken) {
		calm_down(&world);
		runs++;
	}
	close_world(&world);
	return taken;
}

static void try_all(struct choice *path, uint32_t n, uint32_t depth)
{
	unsigned int what, side;

	if (n == depth)
		return;
	for (what = 0; what < WHATS; what++)
		for (side = 0; side < 2; side++) {
			path[n] = (struct choice){ (uint8_t)what, (uint8_t)side };
			if (try_path(path, n + 1))
				try_all(path, n + 1, depth);
		}
}

/* SHUNT_DEPTH of the environment: steps; each one more takes eight times as long, and
 * sanitizers take their time as well. */
static void each_way_ends_well(void **state)
{
	const char *told = getenv("SHUNT_DEPTH");
	uint32_t depth = told ? (uint32_t)atoi(told) : SHUNT_CHECK ? 5 : 6;
	struct choice path[DEPTH_MAX];

	(void)state;
	assert_in_range(depth, 1, DEPTH_MAX);
	try_all(path, 0, depth);
	assert_true(depth < 6 || runs > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_way_ends_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
