/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring from one thread to another, beside a model that only counts. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/model/random.h"
#include "user/base/clock.h"
#include "user/rt/bell.h"
#include "user/rt/spsc.h"

#define DEADLINE_S 60 /* a ring that stands still ends the test */

/* Elements say their place in the order; odd sizes, too. */
struct small {
	uint32_t place;
};
struct odd {
	uint32_t place;
	uint32_t more[2];
};

static struct shunt_spsc *open_ring(uint32_t slots, uint32_t bytes, uint32_t start)
{
	struct shunt_slots_opts opts = {
		.sz = sizeof(opts), .slots = slots, .bytes = bytes, .start = start
	};
	struct shunt_spsc *ring;
	struct shunt_err err = { 0 };

	if (shunt_spsc_open(&ring, &opts, &err))
		fail_msg("%s", err.message);
	return ring;
}

/* What a bounded queue of places must do. */
struct model {
	uint64_t pushed, popped, refused;
	uint32_t size;
};

static uint32_t least(uint64_t a, uint64_t b)
{
	return (uint32_t)(a < b ? a : b);
}

static void push_some(struct shunt_spsc *ring, struct model *m, uint32_t n)
{
	struct odd elements[100];
	uint32_t i, fit = least(n, m->size - (m->pushed - m->popped));

	for (i = 0; i < n; i++)
		elements[i] = (struct odd){ .place = (uint32_t)(m->pushed + i),
					    .more = { i, ~i } };
	assert_int_equal(shunt_spsc_room(ring, n), fit);
	assert_int_equal(shunt_spsc_push(ring, elements, n), fit);
	m->pushed += fit;
	m->refused += n - fit;
}

static void pop_some(struct shunt_spsc *ring, struct model *m, uint32_t max)
{
	struct odd elements[101];
	uint32_t i, n = least(max, m->pushed - m->popped);

	elements[n].place = 77;
	assert_int_equal(shunt_spsc_pop(ring, elements, max), n);
	for (i = 0; i < n; i++)
		assert_int_equal(elements[i].place, (uint32_t)(m->popped + i));
	assert_int_equal(elements[n].place, 77);
	m->popped += n;
}

static void peek_some(struct shunt_spsc *ring, struct model *m, uint32_t max,
		      struct shunt_random *r)
{
	uint32_t i, n = max, there = least(max, m->pushed - m->popped);
	const struct odd *elements = shunt_spsc_peek(ring, &n);
	uint32_t dropped;

	/* Not beyond the end of the circle, but something if there is anything. */
	assert_true(n <= there && (n || !there));
	for (i = 0; i < n; i++)
		assert_int_equal(elements[i].place, (uint32_t)(m->popped + i));
	dropped = shunt_random_in(r, 0, n);
	shunt_spsc_drop(ring, dropped);
	m->popped += dropped;
}

static void it_does_what_the_model_does(void **state)
{
	struct shunt_random r = { shunt_random_seed(51) };
	uint64_t round, cases = shunt_random_cases(200), step;

	(void)state;
	for (round = 0; round < cases; round++) {
		struct model m = { .size = 1u << shunt_random_below(&r, 7) };
		struct shunt_spsc *ring =
			open_ring(m.size, sizeof(struct odd),
				  0u - shunt_random_below(&r, 2 * m.size));

		for (step = 0; step < 500; step++) {
			uint32_t n = shunt_random_below(&r, 101);

			switch (shunt_random_below(&r, 3)) {
			case 0:
				push_some(ring, &m, n);
				break;
			case 1:
				pop_some(ring, &m, n);
				break;
			default:
				peek_some(ring, &m, n, &r);
			}
			assert_int_equal(shunt_spsc_fill(ring), m.pushed - m.popped);
			assert_int_equal(shunt_spsc_refused(ring), m.refused);
		}
		shunt_spsc_close(ring);
	}
}

static void frames_are_what_it_carries_unless_told(void **state)
{
	struct shunt_frame in[3] = { { .token = 1, .len = 60 },
				     { .token = 2, .flags = SHUNT_FRAME_MORE },
				     { .token = 3, .len = 9000 } };
	struct shunt_frame out[4];
	struct shunt_spsc *ring;

	(void)state;
	assert_int_equal(shunt_spsc_open(&ring, NULL, NULL), 0);
	assert_int_equal(shunt_spsc_room(ring, UINT32_MAX), SHUNT_SLOTS);
	assert_int_equal(shunt_spsc_push(ring, in, 3), 3);
	assert_int_equal(shunt_spsc_pop(ring, out, 4), 3);
	assert_memory_equal(in, out, sizeof(in));
	shunt_spsc_close(ring);
}

static void what_no_ring_can_be_is_refused(void **state)
{
	static const struct {
		uint32_t slots, bytes;
		const char *why;
	} rows[] = {
		{ 3, 4, "a ring of 3 slots: it takes a power of two, up to 16777216" },
		{ 1u << 25, 4,
		  "a ring of 33554432 slots: it takes a power of two, up to 16777216" },
		{ 8, 4096,
		  "a ring of elements of 4096 bytes: they may have 1024; let it carry "
		  "pointers or frames" },
	};
	struct shunt_spsc *ring;
	struct shunt_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_slots_opts opts = { .sz = sizeof(opts),
						 .slots = rows[i].slots,
						 .bytes = rows[i].bytes };

		assert_int_equal(shunt_spsc_open(&ring, &opts, &err), -EINVAL);
		assert_string_equal(err.message, rows[i].why);
		assert_null(ring);
	}
	shunt_spsc_close(NULL);
}

/* --- two threads ------------------------------------------------------------------- */

struct pair {
	struct shunt_spsc *ring;
	struct shunt_bell *bell;
	uint32_t count;
};

static void *produce(void *arg)
{
	struct pair *pair = arg;
	struct shunt_random r = { 5 };
	struct small burst[64];
	uint32_t i, sent = 0;

	while (sent < pair->count) {
		uint32_t n = shunt_random_in(&r, 1, 64), fit;

		n = least(n, pair->count - sent);
		for (i = 0; i < n; i++)
			burst[i].place = sent + i;
		fit = shunt_spsc_push(pair->ring, burst, n);
		if (pair->bell)
			shunt_bell_ring(pair->bell);
		sent += fit;
		/* Let the sleeping ones run dry again and again. */
		if (!fit || (pair->bell && shunt_random_one_in(&r, 4)))
			sched_yield();
	}
	return NULL;
}

static uint32_t consume(struct pair *pair, uint32_t expected)
{
	struct small burst[64];
	uint32_t i, n = shunt_spsc_pop(pair->ring, burst, 64);

	for (i = 0; i < n; i++)
		assert_int_equal(burst[i].place, expected + i);
	return n;
}

static void between_threads_all_arrive_in_order(void **state)
{
	struct pair pair = { .ring = open_ring(256, sizeof(struct small), 0u - 70000),
			     .count = 1000000 };
	pthread_t thread;
	uint32_t got = 0;

	(void)state;
	alarm(DEADLINE_S);
	assert_int_equal(pthread_create(&thread, NULL, produce, &pair), 0);
	while (got < pair.count) {
		uint32_t n = consume(&pair, got);

		got += n;
		if (!n)
			sched_yield();
	}
	pthread_join(thread, NULL);
	alarm(0);
	assert_int_equal(shunt_spsc_fill(pair.ring), 0);
	shunt_spsc_close(pair.ring);
}

static void a_sleeper_misses_nothing(void **state)
{
	struct shunt_bell bell;
	struct pair pair = { .ring = open_ring(64, sizeof(struct small), 0u - 1000),
			     .bell = &bell,
			     .count = 300000 };
	uint32_t got = 0, sleeps = 0;
	struct pollfd fd;
	pthread_t thread;

	(void)state;
	assert_int_equal(shunt_bell_open(&bell, NULL), 0);
	alarm(DEADLINE_S); /* a lost wake-up: poll() has no end */
	assert_int_equal(pthread_create(&thread, NULL, produce, &pair), 0);
	while (got < pair.count) {
		uint32_t n = consume(&pair, got);

		got += n;
		if (n)
			continue;
		assert_int_equal(shunt_bell_listen(&bell, &fd, 1), 1);
		n = consume(&pair, got);
		got += n;
		if (n)
			continue;
		sleeps++;
		assert_int_equal(poll(&fd, 1, -1), 1);
	}
	pthread_join(thread, NULL);
	alarm(0);
	/* It did sleep, and it was rung for that alone: at most once a time it listened. */
	assert_true(sleeps > 100);
	assert_true(shunt_metric_read(&bell.rung) <= pair.count);
	shunt_bell_close(&bell);
	shunt_spsc_close(pair.ring);
}

/* Both sides come to the bell at the same time, again and again. */
#define ROUNDS 60000u
#define ROUNDS_NS 2000000000u /* no longer than that, where others have the cores */

struct meeting {
	struct shunt_spsc *ring;
	struct shunt_bell bell;
	_Atomic uint32_t begun, rung; /* rounds */
	_Atomic bool over;
};

/* False: there are no more. */
static bool wait_for_round(struct meeting *meeting, _Atomic uint32_t *round,
			   uint32_t number)
{
	uint32_t looks = 0;

	while (atomic_load_explicit(round, memory_order_acquire) != number) {
		if (meeting->over)
			return false;
		if (++looks % 1000)
			shunt_core_relax();
		else
			sched_yield();
	}
	return true;
}

static void dawdle(struct shunt_random *r, uint32_t most)
{
	uint32_t i;

	for (i = shunt_random_below(r, most); i; i--)
		__asm__ volatile("" ::: "memory");
}

static void *ring_each_round(void *arg)
{
	struct meeting *meeting = arg;
	struct shunt_random r = { 6 };
	struct small one = { 0 };

	while (wait_for_round(meeting, &meeting->begun, one.place + 1)) {
		dawdle(&r, 1500); /* as long as listening takes */
		shunt_spsc_push(meeting->ring, &one, 1);
		shunt_bell_ring(&meeting->bell);
		one.place++;
		atomic_store_explicit(&meeting->rung, one.place, memory_order_release);
	}
	return NULL;
}

static void who_looked_in_vain_is_rung_for(void **state)
{
	struct meeting meeting = { .ring = open_ring(64, sizeof(struct small), 0) };
	uint64_t end = shunt_now_ns() + ROUNDS_NS;
	struct small one;
	struct pollfd fd;
	pthread_t thread;
	uint32_t i, seen;

	(void)state;
	assert_int_equal(shunt_bell_open(&meeting.bell, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, ring_each_round, &meeting), 0);
	for (i = 0; i < ROUNDS && shunt_now_ns() < end; i++) {
		atomic_store_explicit(&meeting.begun, i + 1, memory_order_release);
		shunt_bell_listen(&meeting.bell, &fd, 1);
		seen = shunt_spsc_pop(meeting.ring, &one, 1);
		wait_for_round(&meeting, &meeting.rung, i + 1);
		if (seen)
			continue;
		assert_int_equal(poll(&fd, 1, 0), 1);
		assert_int_equal(shunt_spsc_pop(meeting.ring, &one, 1), 1);
	}
	meeting.over = true;
	pthread_join(thread, NULL);
	shunt_bell_close(&meeting.bell);
	shunt_spsc_close(meeting.ring);
}

static void the_bell_is_silent_for_who_is_awake(void **state)
{
	struct shunt_bell bell;
	struct pollfd fd;

	(void)state;
	assert_int_equal(shunt_bell_open(&bell, NULL), 0);
	shunt_bell_ring(&bell);
	assert_int_equal(shunt_metric_read(&bell.rung), 0);
	assert_int_equal(shunt_bell_listen(&bell, &fd, 0), 0);
	shunt_bell_ring(&bell);
	assert_int_equal(shunt_metric_read(&bell.rung), 0);

	assert_int_equal(shunt_bell_listen(&bell, &fd, 1), 1);
	assert_int_equal(poll(&fd, 1, 0), 0);
	shunt_bell_ring(&bell);
	shunt_bell_ring(&bell);
	assert_int_equal(shunt_metric_read(&bell.rung), 1);
	assert_int_equal(poll(&fd, 1, 0), 1);

	/* Listening anew forgets what was rung before. */
	assert_int_equal(shunt_bell_listen(&bell, &fd, 1), 1);
	assert_int_equal(poll(&fd, 1, 0), 0);
	shunt_bell_close(&bell);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_does_what_the_model_does),
		cmocka_unit_test(frames_are_what_it_carries_unless_told),
		cmocka_unit_test(what_no_ring_can_be_is_refused),
		cmocka_unit_test(between_threads_all_arrive_in_order),
		cmocka_unit_test(a_sleeper_misses_nothing),
		cmocka_unit_test(who_looked_in_vain_is_rung_for),
		cmocka_unit_test(the_bell_is_silent_for_who_is_awake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
