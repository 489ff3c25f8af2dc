/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of peers, beside an array that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/model/random.h"
#include "user/transport/peers.h"

#define ADDRESSES 400u
#define PEERS_MAX 200u
#define STEPS 100000u

struct known {
	shunt_peer handle; /* 0: not there */
	shunt_peer stale;
	uint64_t found; /* the step in which it was found last */
	bool held;
};

struct rig {
	struct shunt_peers *peers;
	struct known known[ADDRESSES];
	uint32_t count;
	uint64_t step;
};

static struct shunt_endpoint address(uint32_t number)
{
	return (struct shunt_endpoint){ .l3 = SHUNT_L3_IP4,
					.port = (uint16_t)(number % 7),
					.addr = { number / 7 } };
}

static void find(struct rig *rig, uint32_t number)
{
	struct shunt_endpoint remote = address(number);
	struct shunt_peer_state *peer = shunt_peers_find(rig->peers, &remote);
	struct known *known = &rig->known[number];

	assert_int_equal(peer != NULL, known->handle != 0);
	if (!peer)
		return;
	assert_int_equal(peer->handle, known->handle);
	assert_true(shunt_endpoint_same(&peer->remote, &remote));
	known->found = rig->step;
}

static void add(struct rig *rig, uint32_t number)
{
	struct shunt_endpoint remote = address(number);
	struct shunt_peer_state *peer;

	if (rig->known[number].handle)
		return;
	peer = shunt_peers_add(rig->peers, &remote);
	assert_int_equal(peer != NULL, rig->count < PEERS_MAX);
	if (!peer)
		return;
	assert_int_not_equal(peer->handle, SHUNT_PEER_NONE);
	assert_int_not_equal(peer->handle, rig->known[number].stale);
	rig->known[number].handle = peer->handle;
	rig->known[number].found = rig->step;
	rig->count++;
}

static void drop(struct rig *rig, uint32_t number)
{
	struct known *known = &rig->known[number];
	struct shunt_peer_state *peer = shunt_peers_of(rig->peers, known->handle);

	if (!known->handle)
		return;
	assert_non_null(peer);
	shunt_peers_remove(rig->peers, peer);
	assert_true(peer->gone);
	known->stale = known->handle;
	known->handle = 0;
	known->held = false;
	rig->count--;
}

static void hold(struct rig *rig, uint32_t number)
{
	struct shunt_peer_state *peer =
		shunt_peers_of(rig->peers, rig->known[number].handle);

	if (!peer)
		return;
	shunt_peers_hold(rig->peers, peer);
	rig->known[number].held = true;
}

static void look_for_the_oldest(struct rig *rig)
{
	const struct shunt_peer_state *peer = shunt_peers_oldest(rig->peers);
	const struct known *oldest = NULL;
	uint32_t i;

	for (i = 0; i < ADDRESSES; i++)
		if (rig->known[i].handle && !rig->known[i].held &&
		    (!oldest || rig->known[i].found < oldest->found))
			oldest = &rig->known[i];
	assert_int_equal(peer ? peer->handle : 0, oldest ? oldest->handle : 0);
}

static void step(struct rig *rig, struct shunt_random *random)
{
	uint32_t number = shunt_random_below(random, ADDRESSES);

	rig->step++;
	switch (shunt_random_below(random, 16)) {
	case 0 ... 5:
		return find(rig, number);
	case 6 ... 10:
		return add(rig, number);
	case 11 ... 13:
		return drop(rig, number);
	case 14:
		return shunt_random_one_in(random, 8) ? hold(rig, number)
						      : look_for_the_oldest(rig);
	default:
		shunt_peers_bury(rig->peers);
		assert_null(shunt_peers_of(rig->peers, rig->known[number].stale));
	}
}

static void peers_are_those_of_a_naive_model(void **state)
{
	struct shunt_random random = { shunt_random_seed(4) };
	struct rig rig = { 0 };
	uint32_t i, at = 0, seen = 0;

	(void)state;
	assert_int_equal(shunt_peers_open(&rig.peers, PEERS_MAX,
					  sizeof(struct shunt_peer_state), NULL),
			 0);
	for (i = 0; i < STEPS; i++)
		step(&rig, &random);
	while (shunt_peers_each(rig.peers, &at))
		seen++;
	assert_int_equal(seen, rig.count);
	assert_int_equal(shunt_peers_count(rig.peers), rig.count);
	shunt_peers_close(rig.peers);
}

static void handles_that_never_were_are_nobodys(void **state)
{
	struct shunt_peers *peers;

	(void)state;
	assert_int_equal(
		shunt_peers_open(&peers, 10, sizeof(struct shunt_peer_state), NULL), 0);
	assert_null(shunt_peers_of(peers, SHUNT_PEER_NONE));
	assert_null(shunt_peers_of(peers, 1));
	assert_null(shunt_peers_of(peers, UINT32_MAX));
	assert_null(shunt_peers_oldest(peers));
	shunt_peers_close(peers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peers_are_those_of_a_naive_model),
		cmocka_unit_test(handles_that_never_were_are_nobodys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
