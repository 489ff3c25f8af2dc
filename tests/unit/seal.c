/* SPDX-License-Identifier: BSD-2-Clause */
/* Sealed packets beside a naive model: each opens once, keys change, nothing else opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sodium.h>

#include "tests/model/random.h"
#include "user/transport/seal.h"

#define EPOCH_PACKETS (1ull << SHUNT_SEAL_BITS)

struct pair {
	struct shunt_seal_out out, back;
	struct shunt_seal_in in, unused;
};

static struct pair begin(void)
{
	struct shunt_noise_keys ours = { .sent = { 1 }, .received = { 2 } };
	struct shunt_noise_keys theirs = { .sent = { 2 }, .received = { 1 } };
	struct pair p;

	shunt_seal_begin(&p.out, &p.unused, &ours, 0);
	shunt_seal_begin(&p.back, &p.in, &theirs, 0);
	return p;
}

struct packet {
	uint8_t bytes[SHUNT_CONN_OVERHEAD + 8];
	uint32_t len;
};

static struct packet make(struct pair *p, uint64_t number, uint64_t now_ns)
{
	struct packet packet;

	memcpy(packet.bytes + SHUNT_CONN_FRONT, &number, sizeof(number));
	packet.len = shunt_seal(&p->out, now_ns, 7, 9, SHUNT_CONN_KIND_DATAGRAM,
				packet.bytes, sizeof(number));
	return packet;
}

static enum shunt_seal_outcome open_copy(struct pair *p, struct packet packet,
					 bool *newest)
{
	return shunt_seal_open(&p->in, packet.bytes, packet.len, newest);
}

static uint64_t counter_of(const struct packet *packet)
{
	struct shunt_conn_data_packet head;

	memcpy(&head, packet->bytes, sizeof(head));
	return (uint64_t)shunt_be32(head.counter[0]) << 32 |
	       shunt_be32(head.counter[1]);
}

static void test_what_is_sealed_opens_once(void **state)
{
	struct pair p = begin();
	struct packet packet = make(&p, 42, 0);
	uint64_t number;
	bool newest;

	(void)state;
	assert_int_equal(packet.len, 8 + SHUNT_CONN_OVERHEAD);
	assert_int_equal(open_copy(&p, packet, &newest), SHUNT_SEAL_OPENED);
	assert_true(newest);
	assert_int_equal(open_copy(&p, packet, &newest), SHUNT_SEAL_REPLAYED);
	packet = make(&p, 43, 0);
	assert_int_equal(shunt_seal_open(&p.in, packet.bytes, packet.len, &newest),
			 SHUNT_SEAL_OPENED);
	assert_int_equal(packet.bytes[SHUNT_CONN_FRONT - 1], SHUNT_CONN_KIND_DATAGRAM);
	memcpy(&number, packet.bytes + SHUNT_CONN_FRONT, sizeof(number));
	assert_int_equal(number, 43);
}

/* The head is not secret, and cannot be changed either; and a forged packet takes nothing
 * from the true one. */
static void test_every_bit_counts(void **state)
{
	struct pair p = begin();
	const struct packet packet = make(&p, 42, 0);
	bool newest;
	uint32_t bit;

	(void)state;
	for (bit = 0; bit < packet.len * 8; bit++) {
		struct packet other = packet;

		other.bytes[bit / 8] ^= 1u << bit % 8;
		assert_int_not_equal(open_copy(&p, other, &newest), SHUNT_SEAL_OPENED);
	}
	assert_int_equal(open_copy(&p, packet, &newest), SHUNT_SEAL_OPENED);
}

static void test_keys_change_by_number(void **state)
{
	struct pair p = begin();
	struct packet before, after;
	bool newest;

	(void)state;
	p.out.next = EPOCH_PACKETS - 1;
	before = make(&p, 1, 0);
	after = make(&p, 2, 0);
	assert_int_equal(counter_of(&after), EPOCH_PACKETS);
	assert_memory_not_equal(p.out.key, p.in.key, SHUNT_NOISE_KEY);
	assert_int_equal(open_copy(&p, after, &newest), SHUNT_SEAL_OPENED);
	assert_memory_equal(p.out.key, p.in.key, SHUNT_NOISE_KEY);
	/* late, and of the key before */
	assert_int_equal(open_copy(&p, before, &newest), SHUNT_SEAL_OPENED);
	assert_false(newest);
	assert_int_equal(open_copy(&p, before, &newest), SHUNT_SEAL_REPLAYED);
}

static void test_keys_change_by_age(void **state)
{
	struct pair p = begin();
	struct packet packet;
	uint64_t now_ns = 5;
	bool newest;
	unsigned int i;

	(void)state;
	for (i = 0; i < 100; i++, now_ns += SHUNT_SEAL_AGE_NS) {
		packet = make(&p, i, now_ns);
		assert_int_equal(counter_of(&packet), i * EPOCH_PACKETS);
		assert_int_equal(open_copy(&p, packet, &newest), SHUNT_SEAL_OPENED);
	}
}

/* All packets of so many keys may get lost, and of no more. */
static void test_lost_keys_are_made_up_for(void **state)
{
	unsigned int ahead;

	(void)state;
	for (ahead = 1; ahead <= SHUNT_SEAL_AHEAD + 1; ahead++) {
		struct pair p = begin();
		struct packet packet;
		bool newest;
		unsigned int i;

		for (i = 0; i <= ahead; i++)
			packet = make(&p, i, 1 + i * SHUNT_SEAL_AGE_NS);
		assert_int_equal(open_copy(&p, packet, &newest),
				 ahead <= SHUNT_SEAL_AHEAD ? SHUNT_SEAL_OPENED
							   : SHUNT_SEAL_FORGED);
	}
}

static void test_an_old_key_opens_nothing(void **state)
{
	struct pair p = begin();
	struct packet old = make(&p, 1, 0), packet;
	bool newest;

	(void)state;
	packet = make(&p, 2, SHUNT_SEAL_AGE_NS);
	assert_int_equal(open_copy(&p, packet, &newest), SHUNT_SEAL_OPENED);
	packet = make(&p, 3, 2 * SHUNT_SEAL_AGE_NS);
	assert_int_equal(open_copy(&p, packet, &newest), SHUNT_SEAL_OPENED);
	assert_int_equal(open_copy(&p, old, &newest), SHUNT_SEAL_REPLAYED);
}

static void test_the_counter_ends(void **state)
{
	struct pair p = begin();
	struct packet packet;

	(void)state;
	p.out.next = SHUNT_SEAL_COUNTERS - 1;
	packet = make(&p, 1, 0);
	assert_int_not_equal(packet.len, 0);
	packet = make(&p, 1, 0);
	assert_int_equal(packet.len, 0);
}

/* The window, beside a list of all that came. */
static void test_any_order_beside_a_model(void **state)
{
	enum { COUNT = 20000 };
	static struct packet packets[COUNT];
	static bool came[COUNT];
	struct shunt_random r = { .state = shunt_random_seed(3) };
	struct pair p = begin();
	uint32_t i, newest_yet = 0, opened = 0;

	(void)state;
	memset(came, 0, sizeof(came));
	/* across a change of keys */
	p.out.next = p.in.next = EPOCH_PACKETS - COUNT / 2;
	for (i = 0; i < COUNT; i++)
		packets[i] = make(&p, i, 0);
	for (i = 0; i < 3 * COUNT; i++) {
		/* around a place that moves on, and far back now and then */
		uint32_t at = i / 3 + shunt_random_below(&r, 100), back;
		enum shunt_seal_outcome want = SHUNT_SEAL_OPENED;
		bool newest = false, is_newest;

		if (shunt_random_one_in(&r, 20)) {
			back = shunt_random_below(&r, 2 * SHUNT_SEAL_WINDOW);
			at = at > back ? at - back : 0;
		}
		if (at >= COUNT)
			continue;
		is_newest = !opened || at > newest_yet;
		if (came[at] || (opened && newest_yet >= at + SHUNT_SEAL_WINDOW))
			want = SHUNT_SEAL_REPLAYED;
		assert_int_equal(open_copy(&p, packets[at], &newest), want);
		if (want != SHUNT_SEAL_OPENED)
			continue;
		assert_int_equal(newest, is_newest);
		came[at] = true;
		opened++;
		newest_yet = is_newest ? at : newest_yet;
	}
	assert_true(opened > COUNT / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_sealed_opens_once),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_keys_change_by_number),
		cmocka_unit_test(test_keys_change_by_age),
		cmocka_unit_test(test_lost_keys_are_made_up_for),
		cmocka_unit_test(test_an_old_key_opens_nothing),
		cmocka_unit_test(test_the_counter_ends),
		cmocka_unit_test(test_any_order_beside_a_model),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
