/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring from many threads to one, beside a model that only counts. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/model/random.h"
#include "user/rt/bell.h"
#include "user/rt/mpsc.h"

#define DEADLINE_S 60 /* a ring that stands still ends the test */
#define PRODUCERS 4
#define EACH 100000u
#define WHOLE 7u /* elements that are pushed together or not at all */

struct element {
	uint32_t producer;
	uint32_t place; /* in what its producer sent */
};

static struct shunt_mpsc *open_ring(uint32_t slots, uint32_t start)
{
	struct shunt_slots_opts opts = { .sz = sizeof(opts),
					 .slots = slots,
					 .bytes = sizeof(struct element),
					 .start = start };
	struct shunt_mpsc *ring;
	struct shunt_err err = { 0 };

	if (shunt_mpsc_open(&ring, &opts, &err))
		fail_msg("%s", err.message);
	return ring;
}

struct model {
	uint64_t pushed, popped, refused;
	uint32_t size;
};

static uint32_t least(uint64_t a, uint64_t b)
{
	return (uint32_t)(a < b ? a : b);
}

static void push_some(struct shunt_mpsc *ring, struct model *m, uint32_t n, bool all)
{
	struct element elements[100];
	uint32_t i, fit = least(n, m->size - (m->pushed - m->popped));

	for (i = 0; i < n; i++)
		elements[i] = (struct element){ .place = (uint32_t)(m->pushed + i) };
	if (all && fit < n)
		fit = 0;
	assert_int_equal(all ? shunt_mpsc_push_all(ring, elements, n)
			     : shunt_mpsc_push(ring, elements, n),
			 fit);
	m->pushed += fit;
	m->refused += n - fit;
}

static void pop_some(struct shunt_mpsc *ring, struct model *m, uint32_t max)
{
	struct element elements[100];
	uint32_t i, n = least(max, m->pushed - m->popped);

	assert_int_equal(shunt_mpsc_pop(ring, elements, max), n);
	for (i = 0; i < n; i++)
		assert_int_equal(elements[i].place, (uint32_t)(m->popped + i));
	m->popped += n;
}

static void peek_some(struct shunt_mpsc *ring, struct model *m, uint32_t max,
		      struct shunt_random *r)
{
	uint32_t i, n = max, there = least(max, m->pushed - m->popped), dropped;
	const struct element *elements = shunt_mpsc_peek(ring, &n);

	assert_true(n <= there && (n || !there));
	for (i = 0; i < n; i++)
		assert_int_equal(elements[i].place, (uint32_t)(m->popped + i));
	dropped = shunt_random_in(r, 0, n);
	shunt_mpsc_drop(ring, dropped);
	m->popped += dropped;
}

static void it_does_what_the_model_does(void **state)
{
	struct shunt_random r = { shunt_random_seed(52) };
	uint64_t round, cases = shunt_random_cases(200), step;

	(void)state;
	for (round = 0; round < cases; round++) {
		struct model m = { .size = 1u << shunt_random_below(&r, 7) };
		struct shunt_mpsc *ring =
			open_ring(m.size, 0u - shunt_random_below(&r, 2 * m.size));

		for (step = 0; step < 500; step++) {
			uint32_t n = shunt_random_below(&r, 101);

			switch (shunt_random_below(&r, 4)) {
			case 0:
				push_some(ring, &m, n, false);
				break;
			case 1:
				push_some(ring, &m, n, true);
				break;
			case 2:
				pop_some(ring, &m, n);
				break;
			default:
				peek_some(ring, &m, n, &r);
			}
			assert_int_equal(shunt_mpsc_refused(ring), m.refused);
		}
		shunt_mpsc_close(ring);
	}
}

static void an_interrupted_producer_holds_up_no_other(void **state)
{
	struct shunt_mpsc *ring = open_ring(8, 0u - 3);
	struct element two[2] = { { 1, 0 }, { 1, 1 } }, late[3] = { { 2, 0 } }, out[8];
	uint64_t head;

	(void)state;
	/* The first half of a push, and what others do meanwhile. */
	assert_int_equal(shunt_mpsc_reserve(ring, &head, 1, 3), 3);
	assert_int_equal(shunt_mpsc_push(ring, two, 2), 2);
	assert_int_equal(shunt_mpsc_push(ring, two, 2), 2);
	assert_int_equal(shunt_mpsc_push(ring, two, 2), 1);
	assert_int_equal(shunt_mpsc_pop(ring, out, 8), 0);

	shunt_slots_write(&ring->slots, head, late, 3, sizeof(*late));
	atomic_store_explicit(&ring->marks[head & ring->slots.mask], head + 3,
			      memory_order_release);
	assert_int_equal(shunt_mpsc_pop(ring, out, 8), 8);
	assert_int_equal(out[0].producer, 2);
	assert_int_equal(out[3].producer, 1);
	assert_int_equal(out[7].place, 0);
	shunt_mpsc_close(ring);
}

/* --- threads ------------------------------------------------------------------------ */

struct producer {
	struct shunt_mpsc *ring;
	struct shunt_bell *bell;
	uint32_t number;
	bool whole;
	pthread_t thread;
};

static void *produce(void *arg)
{
	struct producer *p = arg;
	struct shunt_random r = { p->number };
	struct element burst[64];
	uint32_t sent = 0, i;

	while (sent < EACH) {
		uint32_t n = p->whole ? WHOLE : shunt_random_in(&r, 1, 64), fit;

		n = least(n, EACH - sent);
		for (i = 0; i < n; i++)
			burst[i] = (struct element){ p->number, sent + i };
		fit = p->whole ? shunt_mpsc_push_all(p->ring, burst, n)
			       : shunt_mpsc_push(p->ring, burst, n);
		shunt_bell_ring(p->bell);
		sent += fit;
		if (!fit || shunt_random_one_in(&r, 4))
			sched_yield();
	}
	return NULL;
}

struct arrived {
	uint32_t of[PRODUCERS]; /* how many of each producer */
	uint32_t sum;
	uint32_t in_whole; /* elements of the last one's run so far */
	uint32_t last;
};

static uint32_t consume(struct shunt_mpsc *ring, struct arrived *arrived, bool whole)
{
	struct element burst[64];
	uint32_t i, n = shunt_mpsc_pop(ring, burst, 64);

	for (i = 0; i < n; i++) {
		uint32_t from = burst[i].producer;

		assert_true(from < PRODUCERS);
		assert_int_equal(burst[i].place, arrived->of[from]);
		if (whole && arrived->of[from] % WHOLE)
			assert_int_equal(from, arrived->last);
		arrived->last = from;
		arrived->of[from]++;
		arrived->sum++;
	}
	return n;
}

static void run_threads(bool whole)
{
	struct shunt_mpsc *ring = open_ring(128, 0u - 50000);
	struct producer producers[PRODUCERS];
	struct arrived arrived = { 0 };
	struct shunt_bell bell;
	struct pollfd fd;
	uint32_t i;

	assert_int_equal(shunt_bell_open(&bell, NULL), 0);
	alarm(DEADLINE_S);
	for (i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){
			.ring = ring, .bell = &bell, .number = i, .whole = whole
		};
		assert_int_equal(pthread_create(&producers[i].thread, NULL, produce,
						&producers[i]),
				 0);
	}
	while (arrived.sum < PRODUCERS * EACH) {
		if (consume(ring, &arrived, whole))
			continue;
		assert_int_equal(shunt_bell_listen(&bell, &fd, 1), 1);
		if (!consume(ring, &arrived, whole))
			assert_int_equal(poll(&fd, 1, -1), 1);
	}
	for (i = 0; i < PRODUCERS; i++)
		pthread_join(producers[i].thread, NULL);
	alarm(0);
	for (i = 0; i < PRODUCERS; i++)
		assert_int_equal(arrived.of[i], EACH);
	assert_int_equal(consume(ring, &arrived, whole), 0);
	shunt_bell_close(&bell);
	shunt_mpsc_close(ring);
}

static void each_producer_is_heard_in_order(void **state)
{
	(void)state;
	run_threads(false);
}

static void what_is_pushed_whole_arrives_in_a_row(void **state)
{
	(void)state;
	run_threads(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_does_what_the_model_does),
		cmocka_unit_test(an_interrupted_producer_holds_up_no_other),
		cmocka_unit_test(each_producer_is_heard_in_order),
		cmocka_unit_test(what_is_pushed_whole_arrives_in_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
