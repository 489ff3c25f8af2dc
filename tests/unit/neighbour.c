/* SPDX-License-Identifier: BSD-2-Clause */
/* Neighbours: asked, known, doubted, given up; and the frames that ask and answer. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/model/random.h"
#include "tests/model/sums.h"
#include "user/net/answer.h"
#include "user/net/line.h"
#include "user/net/neighbour.h"

#define MAX 8u
#define S UINT64_C(1000000000)
#define ONE ((const uint32_t[4]){ 1 })
#define TWO ((const uint32_t[4]){ 2 })

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 }, other_mac[6] = { 2, 0, 0, 0, 0, 8 };

static int next(struct shunt_neighbours *all, uint64_t now)
{
	uint64_t due;

	return shunt_neighbours_next(all, now, &due);
}

/* --- the table ------------------------------------------------------------------------- */

static void three_questions_and_it_is_given_up(void **state)
{
	struct shunt_neighbours all;
	uint64_t due, t;
	int it;

	(void)state;
	shunt_neighbours_open(&all, MAX);
	it = shunt_neighbours_take(&all, SHUNT_L3_IP4, ONE, 100);
	for (t = 100; t < 100 + 3 * S; t += S) {
		assert_int_equal(shunt_neighbours_next(&all, t, &due), it);
		assert_int_equal(shunt_neighbours_next(&all, t, &due), -1);
		assert_int_equal(due, t + S);
	}
	assert_int_equal(all.at[it].state, SHUNT_NEIGHBOUR_ASKED);
	assert_int_equal(shunt_neighbours_next(&all, t, &due), -1);
	assert_int_equal(all.at[it].state, SHUNT_NEIGHBOUR_FAILED);
	assert_int_equal(due, UINT64_MAX);
	/* who wants to know again asks again */
	assert_int_equal(shunt_neighbours_take(&all, SHUNT_L3_IP4, ONE, t), it);
	assert_int_equal(next(&all, t), it);
	shunt_neighbours_close(&all);
}

static void what_is_known_is_looked_after(void **state)
{
	struct shunt_neighbours all;
	uint64_t due, t = 30 * S;
	int it, i;

	(void)state;
	shunt_neighbours_open(&all, MAX);
	it = shunt_neighbours_take(&all, SHUNT_L3_IP4, ONE, 0);
	assert_int_equal(shunt_neighbours_learn(&all, SHUNT_L3_IP4, ONE, mac, 0), it);
	assert_int_equal(shunt_neighbours_learn(&all, SHUNT_L3_IP4, ONE, mac, 0), -1);
	assert_int_equal(shunt_neighbours_next(&all, t - 1, &due), -1);
	assert_int_equal(due, t);
	/* asked soon at first, then seldom, and never given up */
	for (i = 0; i < 100; i++) {
		assert_int_equal(shunt_neighbours_next(&all, t, &due), it);
		assert_int_equal(all.at[it].state, SHUNT_NEIGHBOUR_DOUBTED);
		assert_memory_equal(all.at[it].mac, mac, 6);
		assert_int_equal(next(&all, t), -1);
		t = all.at[it].due_ns;
	}
	assert_true(t > 90 * 30 * S);
	assert_int_equal(shunt_neighbours_learn(&all, SHUNT_L3_IP4, ONE, other_mac, t),
			 it);
	assert_int_equal(all.at[it].state, SHUNT_NEIGHBOUR_KNOWN);
	shunt_neighbours_close(&all);
}

static void somebody_elses_failure_counts(void **state)
{
	struct shunt_neighbours all;
	int one, two;

	(void)state;
	shunt_neighbours_open(&all, MAX);
	one = shunt_neighbours_take(&all, SHUNT_L3_IP4, ONE, 0);
	two = shunt_neighbours_take(&all, SHUNT_L3_IP4, TWO, 0);
	shunt_neighbours_learn(&all, SHUNT_L3_IP4, TWO, mac, 0);
	shunt_neighbours_doubt(&all, SHUNT_L3_IP4, ONE, 0);
	shunt_neighbours_doubt(&all, SHUNT_L3_IP4, TWO, 5);
	assert_int_equal(all.at[one].state, SHUNT_NEIGHBOUR_FAILED);
	assert_int_equal(next(&all, 5), two);
	assert_int_equal(next(&all, 5), -1);
	shunt_neighbours_close(&all);
}

/* Take and leave at random, beside a list of users that knows nothing of places. */
static void places_are_used_again_and_bounded(void **state)
{
	struct shunt_random r = { shunt_random_seed(5) };
	uint32_t users[2 * MAX] = { 0 }, there = 0;
	int number[2 * MAX], i, it;
	struct shunt_neighbours all;

	(void)state;
	shunt_neighbours_open(&all, MAX);
	for (i = 0; i < 20000; i++) {
		uint32_t who = shunt_random_below(&r, 2 * MAX);
		const uint32_t addr[4] = { 1000 + who };

		if (shunt_random_one_in(&r, 2)) {
			it = shunt_neighbours_take(&all, SHUNT_L3_IP4, addr, 0);
			if (!users[who] && there == MAX) {
				assert_int_equal(it, -ENOSPC);
				continue;
			}
			there += !users[who];
			assert_true(it >= 0 && it < (int)MAX);
			assert_true(!users[who] || number[who] == it);
			users[who]++;
			number[who] = it;
		} else if (users[who]) {
			shunt_neighbours_leave(&all, (uint32_t)number[who]);
			users[who]--;
			there -= !users[who];
		}
		it = shunt_neighbours_learn(&all, SHUNT_L3_IP4, addr,
					    i % 2 ? mac : other_mac, 0);
		assert_true(users[who] ? it == -1 || it == number[who] : it == -1);
	}
	shunt_neighbours_close(&all);
}

/* --- frames ---------------------------------------------------------------------------- */

/* Whoever answers for the address understands the question, and we understand the answer. */
static void check_question(const char *local, const char *remote, const char *bare)
{
	uint8_t frame[SHUNT_NEIGHBOUR_FRAME + 8];
	struct shunt_answerer self = { .mac = { 2, 0, 0, 0, 0, 7 } };
	struct shunt_udp_host host = { .mac = { 2, 0, 0, 0, 0, 9 } };
	struct iovec part = { .iov_base = frame };
	struct shunt_neighbour_word word;
	struct shunt_endpoint to;
	struct shunt_pkt pkt = { 0 };

	assert_int_equal(shunt_endpoint_parse(&host.local, local, NULL), 0);
	assert_int_equal(shunt_endpoint_parse(&to, remote, NULL), 0);
	assert_int_equal(shunt_answerer_address(&self, bare, NULL), 0);
	part.iov_len = shunt_neighbour_ask(frame, &host, to.l3, to.addr);
	assert_int_equal(shunt_frame_parse(frame, (uint32_t)part.iov_len, &pkt), -1);
	assert_null(shunt_sums_fault(frame, part.iov_len));
	assert_true(shunt_neighbour_hear(&word, frame, (uint32_t)part.iov_len));
	assert_memory_equal(word.addr, host.local.addr, 16);
	assert_memory_equal(word.mac, host.mac, 6);
	assert_true(shunt_answer(&self, &part, 1, sizeof(frame)) < SHUNT_ANSWER_NONE);
	assert_true(shunt_neighbour_hear(&word, frame, (uint32_t)part.iov_len));
	assert_int_equal(word.l3, to.l3);
	assert_memory_equal(word.addr, to.addr, 16);
	assert_memory_equal(word.mac, self.mac, 6);
	/* not a byte of it may be missing */
	while (part.iov_len--)
		assert_false(
			shunt_neighbour_hear(&word, frame, (uint32_t)part.iov_len));
}

static void a_question_is_answered(void **state)
{
	(void)state;
	check_question("192.0.2.9:1", "192.0.2.7:1", "192.0.2.7");
	check_question("[2001:db8::9]:1", "[2001:db8::12:3456]:1", "2001:db8::12:3456");
}

static void a_spoiled_advertisement_is_not_heard(void **state)
{
	struct shunt_udp_host host = { .mac = { 2, 0, 0, 0, 0, 9 } };
	uint8_t frame[SHUNT_NEIGHBOUR_FRAME];
	struct shunt_neighbour_word word;
	struct shunt_endpoint to;
	uint32_t len, at;

	(void)state;
	assert_int_equal(shunt_endpoint_parse(&host.local, "[2001:db8::9]:1", NULL), 0);
	assert_int_equal(shunt_endpoint_parse(&to, "[2001:db8::7]:1", NULL), 0);
	len = shunt_neighbour_ask(frame, &host, to.l3, to.addr);
	for (at = 14 + 7; at < len; at++) { /* from the hop limit on */
		frame[at] ^= 1;
		assert_false(shunt_neighbour_hear(&word, frame, len));
		frame[at] ^= 1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_questions_and_it_is_given_up),
		cmocka_unit_test(what_is_known_is_looked_after),
		cmocka_unit_test(somebody_elses_failure_counts),
		cmocka_unit_test(places_are_used_again_and_bounded),
		cmocka_unit_test(a_question_is_answered),
		cmocka_unit_test(a_spoiled_advertisement_is_not_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
