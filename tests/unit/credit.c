/* SPDX-License-Identifier: BSD-2-Clause */
/* Credits: never more under way than the limit, and none lost. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/model/random.h"
#include "user/rt/credit.h"

static void it_does_what_the_model_does(void **state)
{
	struct shunt_random r = { shunt_random_seed(53) };
	uint32_t round, step;

	(void)state;
	for (round = 0; round < 100; round++) {
		uint32_t limit = shunt_random_below(&r, 40), out = 0;
		struct shunt_credit credit;

		shunt_credit_init(&credit, limit, 0u - shunt_random_below(&r, 500));
		for (step = 0; step < 500; step++) {
			uint32_t n = shunt_random_below(&r, 20), want;

			if (shunt_random_one_in(&r, 2)) {
				want = n < limit - out ? n : limit - out;
				assert_int_equal(shunt_credit_take(&credit, n), want);
				out += want;
			} else {
				n = n < out ? n : out;
				shunt_credit_give(&credit, n);
				out -= n;
			}
			assert_int_equal(shunt_credit_out(&credit), out);
		}
	}
}

/* --- a sender with credits, and receivers that give them back ------------------------ */

#define LIMIT 32
#define SENT 200000u
#define GIVERS 3

struct wire {
	struct shunt_credit credit;
	_Atomic uint32_t under_way, given;
};

/* Takes what was sent from a common heap, and gives each credit back once. */
static void *give(void *arg)
{
	struct wire *wire = arg;

	while (wire->given < SENT) {
		uint32_t there = wire->under_way;

		if (!there || !atomic_compare_exchange_strong(&wire->under_way, &there,
							      there - 1)) {
			sched_yield();
			continue;
		}
		wire->given++;
		shunt_credit_give(&wire->credit, 1);
	}
	return NULL;
}

static void several_give_back_what_one_takes(void **state)
{
	struct wire wire = { 0 };
	pthread_t threads[GIVERS];
	struct shunt_random r = { 7 };
	uint32_t i, sent = 0, most = 0;

	(void)state;
	shunt_credit_init(&wire.credit, LIMIT, 0u - SENT / 2);
	alarm(60);
	for (i = 0; i < GIVERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, give, &wire), 0);
	while (sent < SENT) {
		uint32_t n = shunt_random_in(&r, 1, 2 * LIMIT), got, now;

		got = shunt_credit_take(&wire.credit,
					n < SENT - sent ? n : SENT - sent);
		now = atomic_fetch_add(&wire.under_way, got) + got;
		most = now > most ? now : most;
		sent += got;
		if (!got)
			sched_yield();
	}
	for (i = 0; i < GIVERS; i++)
		pthread_join(threads[i], NULL);
	alarm(0);
	assert_true(most <= LIMIT);
	assert_int_equal(wire.given, SENT);
	assert_int_equal(shunt_credit_out(&wire.credit), 0);
	assert_int_equal(shunt_credit_take(&wire.credit, UINT32_MAX), LIMIT);
}

/* --- what credits are for: places that are used again -------------------------------- */

struct places {
	struct shunt_credit credit;
	uint32_t place[LIMIT]; /* no atomics: credits say whose they are */
	_Atomic uint32_t sent;
};

static void *read_places(void *arg)
{
	struct places *places = arg;
	uint32_t i;

	for (i = 0; i < SENT; i++) {
		while (atomic_load_explicit(&places->sent, memory_order_acquire) == i)
			sched_yield();
		assert_int_equal(places->place[i % LIMIT], i);
		shunt_credit_give(&places->credit, 1);
	}
	return NULL;
}

static void a_place_is_used_again_once_its_credit_is_back(void **state)
{
	struct places places = { 0 };
	pthread_t thread;
	uint32_t i;

	(void)state;
	shunt_credit_init(&places.credit, LIMIT, 0u - SENT / 2);
	alarm(60);
	assert_int_equal(pthread_create(&thread, NULL, read_places, &places), 0);
	for (i = 0; i < SENT; i++) {
		while (!shunt_credit_take(&places.credit, 1))
			sched_yield();
		places.place[i % LIMIT] = i;
		atomic_store_explicit(&places.sent, i + 1, memory_order_release);
	}
	pthread_join(thread, NULL);
	alarm(0);
	assert_int_equal(shunt_credit_out(&places.credit), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_does_what_the_model_does),
		cmocka_unit_test(a_place_is_used_again_once_its_credit_is_back),
		cmocka_unit_test(several_give_back_what_one_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
