/* SPDX-License-Identifier: BSD-2-Clause */
/* Credits of rdma://: what is sent always finds a place, and who may send gets to know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "tests/model/random.h"
#include "user/transport/rdma/credit.h"

/*
 * The model: a hub with one receive queue for all of its links, and leaves with one each. What
 * is sent waits on the wire, comes into a place (of which there must be one then), waits there
 * to be polled, then for its reader, who keeps its frame for a while. Counts of the model
 * don't wrap.
 */
#define LINKS 6
#define WIRE 8192 /* more than can be under way */
#define HUB 0
#define LEAF 1

struct item {
	bool is_note;
	uint32_t word;
};

/* One way of a link: what was sent to an end. */
struct way {
	struct item item[WIRE];
	uint64_t sent, came, polled;
	uint64_t said, heard; /* messages among them */
	uint32_t unread;
};

struct link {
	bool is_up;
	uint32_t ring;
	struct shunt_rdma_credit credit[2]; /* each end's */
	struct way to[2];
};

struct end {
	struct shunt_rdma_places places;
	int64_t empty;	       /* filled places that nothing has come into */
	uint32_t frames, lent; /* where messages lie: there are, and readers have */
};

struct world {
	struct shunt_random random;
	bool writes;
	uint32_t told;
	struct end hub, leaf[LINKS];
	struct link link[LINKS];
};

static struct end *end_of(struct world *world, uint32_t link, int side)
{
	return side == HUB ? &world->hub : &world->leaf[link];
}

/* --- an end's steps -------------------------------------------------------------------- */

static void put(struct link *link, int to, bool is_note, uint32_t word)
{
	struct way *way = &link->to[to];

	assert_true(way->sent - way->polled < WIRE);
	way->item[way->sent++ % WIRE] = (struct item){ is_note, word };
	way->said += !is_note;
}

/* Frames that lie in no place and with no reader; where they are written to directly, each
 * that was granted is one. */
static uint32_t free_frames(struct world *world, uint32_t at, int side)
{
	struct end *end = end_of(world, at, side);
	uint32_t used = end->lent, i;

	for (i = 0; i < LINKS; i++)
		if (side == HUB || i == at)
			used += world->link[i].to[side].unread;
	used += world->writes ? end->places.promised : end->places.posted;
	assert_in_range(used, 0, end->frames);
	return end->frames - used;
}

/* Fills places, as far as there are frames. */
static void fill(struct world *world, uint32_t at, int side, uint32_t most)
{
	struct end *end = end_of(world, at, side);
	uint32_t room = end->places.budget - end->places.posted;

	assert_in_range(end->places.posted, 0, end->places.budget);
	if (!world->writes && room > free_frames(world, at, side))
		room = free_frames(world, at, side);
	if (room > most)
		room = most;
	end->places.posted += room;
	end->empty += room;
}

static void tell(struct link *link, int side, bool writes)
{
	struct shunt_rdma_credit *credit = &link->credit[side];
	uint32_t n = credit->granted - credit->told;
	uint32_t left = link->ring - credit->told % link->ring;

	if (!writes) {
		put(link, !side, true, SHUNT_RDMA_NOTE | credit->granted);
	} else {
		n = n < left ? n : left;
		put(link, !side, true, SHUNT_RDMA_NOTE | n);
	}
	credit->told += n;
}

static void grant(struct world *world, uint32_t at, int side)
{
	struct end *end = end_of(world, at, side);
	struct link *link = &world->link[at];
	struct shunt_rdma_credit *credit = &link->credit[side];

	while (shunt_rdma_credit_can(credit, &end->places) &&
	       (!world->writes || free_frames(world, at, side)))
		shunt_rdma_credit_grant(credit, &end->places);
	while (shunt_rdma_credit_due(credit))
		tell(link, side, world->writes);
}

static void say(struct world *world, uint32_t at, int side)
{
	struct link *link = &world->link[at];
	struct shunt_rdma_credit *credit = &link->credit[side];

	if (!shunt_rdma_credit_left(credit))
		return;
	credit->spent++;
	put(link, !side, false, credit->granted & ~SHUNT_RDMA_NOTE);
	if (!world->writes)
		credit->told = credit->granted;
}

/* The device puts what is on the wire into a place, whoever may be asleep. */
static void come(struct world *world, uint32_t at, int side)
{
	struct way *way = &world->link[at].to[side];

	if (way->came == way->sent)
		return;
	way->came++;
	assert_true(end_of(world, at, side)->empty-- > 0);
}

static void poll_one(struct world *world, uint32_t at, int side)
{
	struct end *end = end_of(world, at, side);
	struct link *link = &world->link[at];
	struct way *way = &link->to[side];
	struct item item;

	if (way->polled == way->came)
		return;
	item = way->item[way->polled++ % WIRE];
	end->places.posted--;
	if (!world->writes)
		assert_true(shunt_rdma_credit_hear(&link->credit[side], item.word));
	else if (item.is_note)
		assert_true(shunt_rdma_credit_allow(
			&link->credit[side], item.word & ~SHUNT_RDMA_NOTE, link->ring));
	if (item.is_note) {
		/* its place is filled again at once, with the same frame */
		end->places.posted++;
		end->empty++;
		return;
	}
	assert_true(shunt_rdma_credit_take(&link->credit[side], &end->places));
	way->heard++;
	way->unread++;
}

static void give_back(struct world *world, uint32_t at, int side, uint32_t n)
{
	struct end *end = end_of(world, at, side);

	end->lent -= n < end->lent ? n : end->lent;
}

static void hand_on(struct world *world, uint32_t at, int side)
{
	struct way *way = &world->link[at].to[side];

	if (!way->unread)
		return;
	way->unread--;
	end_of(world, at, side)->lent++;
	world->link[at].credit[side].owed++;
}

/* --- links ------------------------------------------------------------------------------ */

static void begin_end(struct world *world, struct end *end, uint32_t budget)
{
	memset(end, 0, sizeof(*end));
	end->places.budget = budget;
	end->places.peers_most = shunt_rdma_peers_most(budget);
	if (end->places.peers_most > LINKS || end == &world->hub)
		end->places.peers_most = LINKS;
	end->places.posted = budget;
	end->empty = budget;
	end->frames = budget + budget / 3;
}

static void link_up(struct world *world, uint32_t at)
{
	struct link *link = &world->link[at];
	uint32_t start = shunt_random_below(&world->random, 2) * 0x80000000u - 20;
	uint32_t most = world->told ? world->told : SHUNT_RDMA_GRANTS;
	int side;

	memset(link, 0, sizeof(*link));
	link->is_up = true;
	link->ring = shunt_random_in(&world->random, SHUNT_RDMA_CREDITS_MIN, 300);
	if (world->writes && most > link->ring)
		most = link->ring;
	begin_end(world, &world->leaf[at],
		  shunt_random_in(&world->random, SHUNT_RDMA_LEAST, 60));
	for (side = HUB; side <= LEAF; side++) {
		struct shunt_rdma_credit *credit = &link->credit[side];

		assert_true(shunt_rdma_credit_begin(
			credit, &end_of(world, at, side)->places, world->told, most));
		credit->granted = credit->told = credit->received = start;
		credit->allowed = credit->spent = start;
		assert_in_range(credit->most, SHUNT_RDMA_CREDITS_MIN, most);
		assert_in_range(world->hub.places.claimed, 0, world->hub.places.budget);
		grant(world, at, side);
	}
}

/* What is in a place is polled; what is on the wire is lost. */
static void link_down(struct world *world, uint32_t at)
{
	struct link *link = &world->link[at];
	struct way *way = &link->to[HUB];

	while (way->polled != way->came)
		poll_one(world, at, HUB);
	way->unread = 0;
	shunt_rdma_credit_end(&link->credit[HUB], &world->hub.places);
	link->is_up = false;
}

/* --- what always holds ------------------------------------------------------------------- */

static void check_link(struct world *world, uint32_t at)
{
	struct link *link = &world->link[at];
	int side;

	for (side = HUB; side <= LEAF; side++) {
		const struct shunt_rdma_credit *credit = &link->credit[side];
		const struct shunt_rdma_credit *other = &link->credit[!side];
		const struct way *way = &link->to[side];
		uint64_t notes = way->sent - way->polled - (way->said - way->heard);

		assert_in_range(notes, 0, SHUNT_RDMA_NOTES);
		assert_in_range(credit->granted - credit->received, 0, credit->most);
		assert_int_equal(other->spent - credit->received,
				 way->said - way->heard);
		/* nobody knows of more than was told, nor has spent more than it knows */
		assert_in_range(credit->told - other->allowed, 0, credit->most);
		assert_in_range(other->allowed - other->spent, 0, credit->most);
	}
}

static void check(struct world *world)
{
	uint32_t promised = 0, claimed = 0, i;

	for (i = 0; i < LINKS; i++) {
		const struct shunt_rdma_credit *credit = &world->link[i].credit[HUB];

		if (!world->link[i].is_up)
			continue;
		check_link(world, i);
		promised += credit->granted - credit->received;
		claimed += credit->most;
	}
	assert_int_equal(world->hub.places.promised, promised);
	assert_int_equal(world->hub.places.claimed, claimed);
}

/* Everything comes, is read, and its places filled: then everybody may send again. */
static void come_to_rest(struct world *world)
{
	uint32_t round, i;
	int side;

	for (round = 0; round < 4 * WIRE; round++)
		for (i = 0; i < LINKS; i++)
			for (side = HUB; world->link[i].is_up && side <= LEAF; side++) {
				come(world, i, side);
				poll_one(world, i, side);
				hand_on(world, i, side);
				give_back(world, i, side, UINT32_MAX);
				fill(world, i, side, UINT32_MAX);
				grant(world, i, side);
			}
	check(world);
	for (i = 0; i < LINKS; i++)
		for (side = HUB; world->link[i].is_up && side <= LEAF; side++) {
			assert_int_equal(world->link[i].to[side].heard,
					 world->link[i].to[side].said);
			assert_true(
				shunt_rdma_credit_left(&world->link[i].credit[side]));
			assert_int_equal(world->link[i].credit[side].owed, 0);
		}
}

static void one_step(struct world *world)
{
	uint32_t at = shunt_random_below(&world->random, LINKS);
	uint32_t n = shunt_random_in(&world->random, 1, 12);
	int side = (int)shunt_random_below(&world->random, 2);
	uint32_t what = shunt_random_below(&world->random, 12);

	if (!world->link[at].is_up) {
		link_up(world, at);
		return;
	}
	if (shunt_random_one_in(&world->random, 300)) {
		link_down(world, at);
		return;
	}
	if (what == 0) {
		give_back(world, at, side,
			  shunt_random_one_in(&world->random, 9) ? UINT32_MAX : n / 4);
		fill(world, at, side, n);
	} else if (what == 1)
		grant(world, at, side);
	for (; what > 1 && n; n--) {
		if (what < 6)
			say(world, at, side);
		else if (what < 8)
			come(world, at, side);
		else if (what < 10)
			poll_one(world, at, side);
		else
			hand_on(world, at, side);
	}
}

static void run(bool writes)
{
	static struct world world;
	uint32_t round, step;

	for (round = 0; round < 12; round++) {
		memset(&world, 0, sizeof(world));
		world.random.state = shunt_random_seed(71) + round;
		world.writes = writes;
		world.told = round & 1 ? shunt_random_in(&world.random,
							 SHUNT_RDMA_CREDITS_MIN, 64)
				       : 0;
		begin_end(&world, &world.hub,
			  shunt_random_in(&world.random, LINKS * SHUNT_RDMA_LEAST,
					  400));
		for (step = 0; step < 6000; step++) {
			one_step(&world);
			check(&world);
		}
		come_to_rest(&world);
	}
}

static void messages_tell_of_credits(void **state)
{
	(void)state;
	run(false);
}

static void notes_alone_tell_of_credits(void **state)
{
	(void)state;
	run(true);
}

/* --- what a peer may not do ---------------------------------------------------------------- */

static void what_was_not_granted_is_not_taken(void **state)
{
	struct shunt_rdma_places places = { .budget = 100, .peers_most = 1 };
	struct shunt_rdma_credit credit = { 0 };

	(void)state;
	assert_true(shunt_rdma_credit_begin(&credit, &places, 5, 300));
	places.posted = 100;
	assert_int_equal(credit.most, 5);
	assert_false(shunt_rdma_credit_take(&credit, &places));
	shunt_rdma_credit_grant(&credit, &places);
	assert_true(shunt_rdma_credit_take(&credit, &places));
	assert_false(shunt_rdma_credit_take(&credit, &places));
}

static void nobody_grants_more_than_there_can_be(void **state)
{
	struct shunt_rdma_credit credit = { .allowed = 7, .spent = 7 };

	(void)state;
	assert_false(shunt_rdma_credit_hear(&credit, 6)); /* fewer than before */
	assert_false(shunt_rdma_credit_hear(&credit, 8 + SHUNT_RDMA_CREDITS_MAX));
	assert_false(shunt_rdma_credit_allow(&credit, 11, 10));
	assert_false(shunt_rdma_credit_allow(&credit, 0x7fffffff, 10));
	assert_true(shunt_rdma_credit_allow(&credit, 6, 10));
	assert_false(shunt_rdma_credit_allow(&credit, 5, 10));
	assert_int_equal(credit.allowed, 13);
}

/* A reader that keeps almost all frames goes on with the few that there are. */
static void who_has_none_left_hears_of_a_single_one(void **state)
{
	struct shunt_rdma_places places = { .budget = 100, .peers_most = 1 };
	struct shunt_rdma_credit credit = { 0 };
	uint32_t i;

	(void)state;
	assert_true(shunt_rdma_credit_begin(&credit, &places, 10, 300));
	places.posted = 10 + SHUNT_RDMA_NOTES;
	for (i = 0; i < 10; i++)
		shunt_rdma_credit_grant(&credit, &places);
	assert_false(shunt_rdma_credit_can(&credit, &places));
	credit.told = credit.granted;
	for (i = 0; i < 10; i++, places.posted--) {
		assert_false(shunt_rdma_credit_due(&credit));
		assert_true(shunt_rdma_credit_take(&credit, &places));
	}
	credit.owed = 10;
	assert_false(shunt_rdma_credit_can(&credit, &places));
	places.posted++;
	assert_true(shunt_rdma_credit_can(&credit, &places));
	shunt_rdma_credit_grant(&credit, &places);
	assert_false(shunt_rdma_credit_can(&credit, &places));
	assert_true(shunt_rdma_credit_due(&credit));
}

/* As many as there is room for, and all of them get the least at least. */
static void there_is_room_for_the_last_one(void **state)
{
	static struct shunt_rdma_credit credit[4096];
	uint32_t budget, i;

	(void)state;
	assert_int_equal(shunt_rdma_peers_most(SHUNT_RDMA_LEAST - 1), 0);
	for (budget = SHUNT_RDMA_LEAST; budget < 49152; budget += 1 + budget / 7) {
		struct shunt_rdma_places places = { .budget = budget };

		memset(credit, 0, sizeof(credit));
		places.peers_most = shunt_rdma_peers_most(budget);
		assert_in_range(places.peers_most, 1, 4096);
		for (i = 0; i < places.peers_most; i++) {
			assert_true(shunt_rdma_credit_begin(&credit[i], &places, 0,
							    SHUNT_RDMA_GRANTS));
			assert_in_range(credit[i].most, SHUNT_RDMA_CREDITS_MIN,
					SHUNT_RDMA_GRANTS);
		}
		assert_in_range(places.claimed, 0,
				budget - places.peers * SHUNT_RDMA_NOTES);
		assert_false(shunt_rdma_credit_begin(&credit[0], &places, 0,
						     SHUNT_RDMA_GRANTS));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_tell_of_credits),
		cmocka_unit_test(notes_alone_tell_of_credits),
		cmocka_unit_test(what_was_not_granted_is_not_taken),
		cmocka_unit_test(nobody_grants_more_than_there_can_be),
		cmocka_unit_test(who_has_none_left_hears_of_a_single_one),
		cmocka_unit_test(there_is_room_for_the_last_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
