// SPDX-License-Identifier: BSD-2-Clause
/* What reliable delivery is made of, each part beside a naive model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/model/random.h"
#include "user/transport/arrivals.h"
#include "user/transport/congestion.h"
#include "user/transport/intake.h"
#include "user/transport/backlog.h"
#include "user/transport/rtt.h"

#define STREAM 6000u /* bytes */

/* --- segments ---------------------------------------------------------------------------- */

static const uint8_t fixture[] = {
	0x0f, 0x01, 0x00, 0x05, 0x11, 0x22, 0x33, 0x44, 0x00,
	0x10, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, /* NUMBERED ACK WANT DATA, one range */
	0xaa, 0xbb, 0xcc, 0xdd, 0x00, 0x00, 0x02, 0x00, 0x00,
	0x00, 0x03, 0xe8, 0x00, 0x02, 0x00, 0x03,	/* ACK, and its range */
	0x00, 0x20, 0x00, 0x08, 0x00, 0x00, 0x01, 0x03, /* WANT */
	0x00, 0x00, 0x0b, 0xb8, 0x61, 0x62, 0x63,	/* DATA */
};

static void a_segment_lies_as_it_is_drawn(void **state)
{
	uint8_t bytes[sizeof(fixture)];
	struct shunt_segment s;

	(void)state;
	assert_true(shunt_segment_read(&s, fixture, sizeof(fixture)));
	assert_int_equal(s.flags, SHUNT_SEGMENT_FLAGS);
	assert_int_equal(s.back, 5);
	assert_int_equal(s.number, 0x11223344);
	assert_int_equal(s.credit_bytes, 0x100000);
	assert_int_equal(s.credit_messages, 0x102);
	assert_int_equal(s.before, 0xaabbccdd);
	assert_int_equal(s.received, 0x200);
	assert_int_equal(s.delay_us, 1000);
	assert_int_equal(s.ranges, 1);
	assert_int_equal(s.range[0].gap, 2);
	assert_int_equal(s.range[0].length, 3);
	assert_int_equal(s.want_bytes, 0x200008);
	assert_int_equal(s.want_messages, 0x103);
	assert_int_equal(s.offset, 3000);
	assert_int_equal(s.data_len, 3);
	assert_memory_equal(s.data, "abc", 3);
	assert_int_equal(shunt_segment_head(&s), sizeof(fixture) - 3);
	assert_int_equal(shunt_segment_write(&s, bytes), sizeof(fixture) - 3);
	assert_memory_equal(bytes, fixture, sizeof(fixture) - 3);
}

static void a_segment_that_is_cut_short_is_unsound(void **state)
{
	struct shunt_segment s;
	uint32_t n;

	(void)state;
	for (n = 0; n <= sizeof(fixture) - 3; n++) {
		/* of its own length, so that a sanitizer sees who reads on */
		uint8_t *cut = malloc(n ? n : 1);

		memcpy(cut, fixture, n);
		assert_false(shunt_segment_read(&s, cut, n));
		free(cut);
	}
}

static void counts_are_found_near_where_they_are_awaited(void **state)
{
	const uint64_t wrap = UINT64_C(1) << 32;

	(void)state;
	assert_int_equal(shunt_segment_whole(wrap - 1, 0), wrap);
	assert_int_equal(shunt_segment_whole(wrap, 0xffffffff), wrap - 1);
	assert_int_equal(shunt_segment_whole(5 * wrap + 7, 9), 5 * wrap + 9);
	assert_int_equal(shunt_segment_whole(5, 0x7fffffff), 0x7fffffff);
}

/* --- time and congestion ----------------------------------------------------------------- */

static void rtt_follows_rfc_9002(void **state)
{
	struct shunt_rtt rtt;

	(void)state;
	shunt_rtt_init(&rtt, 333000);
	assert_int_equal(shunt_rtt_timeout(&rtt, 1000, 25), 333000 + 4 * 166500 + 25);
	shunt_rtt_sample(&rtt, 80000, 9000); /* the first: without the delay */
	assert_int_equal(rtt.smoothed_ns, 80000);
	assert_int_equal(rtt.var_ns, 40000);
	shunt_rtt_sample(&rtt, 104000, 8000); /* 96000 of it is the way */
	assert_int_equal(rtt.var_ns, (3 * 40000 + 16000) / 4);
	assert_int_equal(rtt.smoothed_ns, (7 * 80000 + 96000) / 8);
	assert_int_equal(rtt.least_ns, 80000);
	/* a delay that would make it shorter than ever is not believed */
	shunt_rtt_sample(&rtt, 82000, 8000);
	assert_int_equal(rtt.smoothed_ns, 82000);
	assert_int_equal(shunt_rtt_reorder(&rtt, 1000), 82000 + 82000 / 8);
	assert_int_equal(shunt_rtt_reorder(&rtt, 100000), 100000);
}

static void newreno_follows_rfc_9002(void **state)
{
	struct shunt_congestion c;

	(void)state;
	shunt_congestion_init(&c, 1200, 0);
	assert_int_equal(c.window, 12000);
	shunt_congestion_acked(&c, 0, 1200, 12000);
	assert_int_equal(c.window, 13200);
	shunt_congestion_acked(&c, 1, 1200, 2400); /* it was not made use of */
	assert_int_equal(c.window, 13200);
	shunt_congestion_lost(&c, 5, 20);
	assert_int_equal(c.window, 6600);
	shunt_congestion_lost(&c, 19, 25); /* of the same event */
	shunt_congestion_acked(&c, 18, 1200, 6600);
	assert_int_equal(c.window, 6600);
	shunt_congestion_acked(&c, 20, 1200, 6600); /* avoidance: a packet a window */
	assert_int_equal(c.window, 6600 + 1200 * 1200 / 6600);
	shunt_congestion_lost(&c, 21, 30);
	shunt_congestion_lost(&c, 31, 40);
	assert_int_equal(c.window, 2400);
	assert_true(shunt_congestion_allows(&c, 1200));
	assert_false(shunt_congestion_allows(&c, 1201));
	shunt_congestion_init(&c, 9000, 0);
	assert_int_equal(c.window, 18000);
	shunt_congestion_init(&c, 9000, 5000);
	shunt_congestion_lost(&c, 0, 1);
	shunt_congestion_collapse(&c);
	assert_int_equal(c.window, 5000);
	assert_true(shunt_congestion_allows(&c, 0)); /* one always may */
}

/* --- arrivals ---------------------------------------------------------------------------- */

#define NUMBERS 9000u

struct heard {
	uint8_t came[NUMBERS]; /* 1: it came; 2: given up before it came */
	uint32_t before, top;
};

static void heard_enter(struct heard *heard, uint32_t number, uint32_t back)
{
	uint32_t i;

	for (i = heard->before; i < number - back; i++)
		heard->came[i] |= 2;
	heard->came[number] |= 1;
	if (number + 1 > heard->top)
		heard->top = number + 1;
	while (heard->before < NUMBERS && heard->came[heard->before])
		heard->before++;
	if (heard->before > heard->top)
		heard->top = heard->before;
}

/* The ranges tell just what came, or as much of it as there is room for. */
static void check_told(struct shunt_arrivals *arrivals, const struct heard *heard,
		       uint64_t start, uint32_t max)
{
	struct shunt_segment s;
	uint32_t i, j, at;

	shunt_arrivals_write(arrivals, 0, &s, max);
	assert_int_equal(s.before, (uint32_t)(start + heard->before));
	at = heard->before;
	for (i = 0; i < s.ranges; i++) {
		assert_true(s.range[i].gap && s.range[i].length);
		for (j = 0; j < s.range[i].gap; j++, at++)
			assert_true(heard->came[at] != 1 ||
				    (i == 0 && s.ranges == max));
		for (j = 0; j < s.range[i].length; j++, at++)
			assert_int_equal(heard->came[at], 1);
	}
	assert_true(at == heard->top || (!max && at == heard->before));
}

static void arrivals_are_as_a_naive_list_has_them(void **state)
{
	struct shunt_random r = { shunt_random_seed(3) };
	uint32_t round, step;

	(void)state;
	for (round = 0; round < 60; round++) {
		uint64_t start = (UINT64_C(1) << 32) - shunt_random_below(&r, 9000);
		struct shunt_arrivals arrivals;
		struct heard heard = { .top = 0 };
		uint32_t spread = 1 + shunt_random_below(&r, 3000);

		shunt_arrivals_init(&arrivals, start);
		for (step = 0; step < 300; step++) {
			uint32_t number = heard.before + shunt_random_below(&r, spread);
			uint32_t back = shunt_random_below(&r, spread);
			bool is_new;

			if (shunt_random_one_in(&r, 8))
				number -= shunt_random_below(&r, number + 1);
			if (shunt_random_one_in(&r, 2))
				number = heard.top;
			if (number >= NUMBERS - 1)
				break;
			/* what lies behind it is not given up by one that is old */
			if (number < heard.top || back > number)
				back = number - heard.before < spread
					       ? number - heard.before
					       : number;
			if (number < heard.before)
				back = 0;
			is_new = number >= heard.before && !heard.came[number];
			assert_int_equal(shunt_arrivals_enter(&arrivals, start + number,
							      back, 0, 0),
					 is_new);
			assert_true(shunt_arrivals_wait(&arrivals));
			heard_enter(&heard, number,
				    number < heard.before ? number : back);
			if (shunt_random_one_in(&r, 3)) {
				check_told(&arrivals, &heard, start,
					   shunt_random_below(&r, 33));
				assert_false(shunt_arrivals_wait(&arrivals));
			}
		}
	}
}

static void acknowledgements_wait_for_a_second_packet_or_a_while(void **state)
{
	struct shunt_arrivals a;
	struct shunt_segment s;

	(void)state;
	shunt_arrivals_init(&a, 0);
	assert_true(shunt_arrivals_enter(&a, 0, 0, 100, 50));
	assert_false(shunt_arrivals_due(&a, 149));
	assert_true(shunt_arrivals_due(&a, 150));
	assert_true(shunt_arrivals_enter(&a, 1, 1, 110, 50));
	assert_true(shunt_arrivals_due(&a, 110));
	shunt_arrivals_write(&a, 3000, &s, 8);
	assert_int_equal(s.delay_us, 2);
	assert_false(shunt_arrivals_due(&a, 1000000));
	/* one that leaves a gap, one that fills it, and one that came before: at once */
	assert_true(shunt_arrivals_enter(&a, 3, 1, 120, 50));
	assert_true(shunt_arrivals_due(&a, 120));
	shunt_arrivals_write(&a, 120, &s, 8);
	assert_true(shunt_arrivals_enter(&a, 2, 1, 120, 50));
	assert_true(shunt_arrivals_due(&a, 120));
	shunt_arrivals_write(&a, 120, &s, 8);
	assert_false(shunt_arrivals_enter(&a, 3, 1, 120, 50));
	assert_true(shunt_arrivals_due(&a, 120));
}

/* --- backlog ------------------------------------------------------------------------------ */

struct sent {
	uint8_t stream[STREAM];
	uint8_t there[STREAM];
	uint32_t end, whole;
	struct shunt_backlog_range flight[64];
	uint32_t flights;
};

static void out_put(struct shunt_backlog *backlog, struct sent *sent,
		    struct shunt_random *r)
{
	uint8_t bytes[300], *at = sent->stream + sent->end;
	uint32_t length = shunt_random_below(r, sizeof(bytes)), i;
	uint32_t cost = shunt_segment_cost(length);

	if (cost > shunt_backlog_room(backlog) || sent->end + cost > STREAM)
		return;
	for (i = 0; i < length; i++)
		bytes[i] = shunt_random_next(r);
	memset(at, 0, cost);
	at[2] = length >> 8;
	at[3] = length;
	at[4] = 0xab;
	at[5] = 0xcd;
	memcpy(at + 8, bytes, length);
	shunt_backlog_put(backlog, 0xabcd, bytes, length);
	sent->end += cost;
}

static void out_take(struct shunt_backlog *backlog, struct sent *sent,
		     struct shunt_random *r, uint64_t start)
{
	struct shunt_backlog_range *range = &sent->flight[sent->flights];
	uint32_t max = 1 + shunt_random_below(r, 200);
	uint8_t bytes[200];

	if (sent->flights == 64 || !shunt_backlog_take(backlog, max, range))
		return;
	assert_in_range(range->length, 1, max);
	shunt_backlog_copy(backlog, range, bytes);
	assert_memory_equal(bytes, sent->stream + (range->offset - start),
			    range->length);
	sent->flights++;
}

/* One that is under way arrives, or is lost. */
static void out_land(struct shunt_backlog *backlog, struct sent *sent,
		     struct shunt_random *r, uint64_t start)
{
	uint32_t i = shunt_random_below(r, sent->flights);
	struct shunt_backlog_range range = sent->flight[i];

	sent->flight[i] = sent->flight[--sent->flights];
	if (shunt_random_one_in(r, 2)) {
		shunt_backlog_lose(backlog, &range);
		return;
	}
	memset(sent->there + (range.offset - start), 1, range.length);
	while (sent->whole < sent->end && sent->there[sent->whole])
		sent->whole++;
	/* an acknowledgement may be lost, or come late */
	if (shunt_random_one_in(r, 2))
		assert_true(shunt_backlog_received(backlog, start + sent->whole));
}

static void a_backlog_forgets_nothing_that_did_not_arrive(void **state)
{
	struct shunt_random r = { shunt_random_seed(17) };
	uint64_t collapsed = 0;
	uint32_t round;

	(void)state;
	for (round = 0; round < 600; round++) {
		uint64_t start = (UINT64_C(1) << 32) - 8 * shunt_random_below(&r, 700);
		struct shunt_backlog backlog;
		struct sent sent = { .end = 0 };

		assert_int_equal(shunt_backlog_open(&backlog, 1024,
						    1u << shunt_random_below(&r, 7),
						    start),
				 0);
		assert_false(shunt_backlog_received(&backlog, start + 1));
		while (sent.whole < sent.end || sent.end < STREAM - 320) {
			uint32_t what = shunt_random_below(&r, 3);

			if (what == 0)
				out_put(&backlog, &sent, &r);
			else if (what == 1)
				out_take(&backlog, &sent, &r, start);
			else if (sent.flights)
				out_land(&backlog, &sent, &r, start);
			else if (!shunt_backlog_waits(&backlog))
				assert_int_equal(sent.whole, sent.end);
			if (!sent.flights && !shunt_backlog_waits(&backlog))
				assert_true(shunt_backlog_received(&backlog,
								   start + sent.whole));
		}
		assert_true(shunt_backlog_received(&backlog, start + sent.end));
		assert_false(shunt_backlog_waits(&backlog));
		assert_int_equal(shunt_backlog_room(&backlog), 1024);
		collapsed += backlog.collapsed;
		shunt_backlog_close(&backlog);
	}
	assert_true(collapsed > 100);
}

/* --- intake ------------------------------------------------------------------------------- */

#define WINDOW 1024u
#define LONGEST 300u

struct heap {
	uint8_t stream[STREAM];
	uint8_t there[STREAM];
	uint32_t end, whole, covered;
	uint32_t refused;
};

static void in_fill(struct heap *heap, struct shunt_random *r)
{
	uint32_t length, i;

	memset(heap, 0, sizeof(*heap));
	while (heap->end < STREAM - 2 * LONGEST) {
		const struct shunt_segment_message message = {
			.length = length = shunt_random_below(r, LONGEST + 1),
			.channel = shunt_random_next(r),
		};

		shunt_segment_message_write(&message, heap->stream + heap->end);
		for (i = 0; i < length; i++)
			heap->stream[heap->end + 8 + i] = shunt_random_next(r);
		heap->end += shunt_segment_cost(length);
	}
}

/* The end of the last message that is covered wholly: a sender begins no other. */
static uint32_t covered(struct heap *heap, uint32_t most)
{
	struct shunt_segment_message message;

	while (heap->covered < heap->end) {
		assert_true(shunt_segment_message_read(&message,
						       heap->stream + heap->covered));
		if (heap->covered + shunt_segment_cost(message.length) > most)
			break;
		heap->covered += shunt_segment_cost(message.length);
	}
	return heap->covered;
}

static void in_put(struct shunt_intake *intake, struct heap *heap,
		   struct shunt_random *r, uint64_t start, uint64_t told)
{
	uint32_t most = covered(heap, told - start);
	uint32_t from = heap->whole + shunt_random_below(r, 500), length;

	if (shunt_random_one_in(r, 2))
		from = heap->whole;
	from -= from < 20 ? 0 : shunt_random_below(r, 20);
	length = 1 + shunt_random_below(r, 200);
	if (from >= most)
		return;
	if (length > most - from)
		length = most - from;
	if (!shunt_intake_put(intake, start + from, heap->stream + from, length)) {
		assert_true(from > heap->whole); /* what comes next always fits */
		heap->refused++;
		return;
	}
	memset(heap->there + from, 1, length);
	while (heap->whole < heap->end && heap->there[heap->whole])
		heap->whole++;
	assert_int_equal(intake->received, start + heap->whole);
}

struct lent {
	uint64_t token[64];
	uint32_t n, at;
};

static void in_lend(struct shunt_intake *intake, const struct heap *heap,
		    struct lent *lent, uint64_t start)
{
	struct shunt_segment_message got, want;
	const uint8_t *data;
	uint64_t token;

	if (lent->n == 64 || !shunt_intake_lend(intake, &token, &got, &data))
		return;
	assert_true(shunt_segment_message_read(&want, heap->stream + lent->at));
	assert_int_equal(token, start + lent->at);
	assert_int_equal(got.length, want.length);
	assert_int_equal(got.channel, want.channel);
	assert_memory_equal(data, heap->stream + lent->at + 8, got.length);
	lent->at += shunt_segment_cost(got.length);
	assert_true(lent->at <= heap->whole);
	lent->token[lent->n++] = token;
}

static void an_intake_gives_what_came_in_order(void **state)
{
	const struct shunt_terms terms = { .window_bytes = WINDOW,
					   .window_messages = 500,
					   .message_max = LONGEST };
	struct shunt_random r = { shunt_random_seed(29) };
	uint32_t round, i, refused = 0;
	static struct heap heap;

	(void)state;
	for (round = 0; round < 300; round++) {
		uint64_t start = (UINT64_C(1) << 32) - 8 * shunt_random_below(&r, 700);
		struct lent lent = { .n = 0 };
		struct shunt_intake intake;
		struct shunt_grant grant;

		in_fill(&heap, &r);
		shunt_grant_init(&grant, &terms, &terms, start);
		assert_int_equal(shunt_intake_open(&intake, WINDOW, LONGEST,
						   1 + shunt_random_below(&r, 6),
						   start),
				 0);
		while (lent.at < heap.end || lent.n) {
			struct shunt_segment s = { .flags = 0 };
			uint32_t what = shunt_random_below(&r, 4);

			shunt_grant_tell(&grant, &s);
			assert_true(grant.told.bytes - intake.freed <= WINDOW);
			if (what < 2)
				in_put(&intake, &heap, &r, start, grant.told.bytes);
			assert_true(shunt_intake_parse(&intake, &grant) >= 0);
			if (what == 2)
				in_lend(&intake, &heap, &lent, start);
			if (what == 3 && lent.n) {
				i = shunt_random_below(&r, lent.n);
				shunt_intake_release(&intake, &grant, lent.token[i]);
				lent.token[i] = lent.token[--lent.n];
			}
		}
		assert_int_equal(intake.freed, start + heap.end);
		assert_int_equal(grant.consumed.bytes, start + heap.end);
		refused += heap.refused;
		shunt_intake_close(&intake);
	}
	assert_true(refused > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_lies_as_it_is_drawn),
		cmocka_unit_test(a_segment_that_is_cut_short_is_unsound),
		cmocka_unit_test(counts_are_found_near_where_they_are_awaited),
		cmocka_unit_test(rtt_follows_rfc_9002),
		cmocka_unit_test(newreno_follows_rfc_9002),
		cmocka_unit_test(arrivals_are_as_a_naive_list_has_them),
		cmocka_unit_test(acknowledgements_wait_for_a_second_packet_or_a_while),
		cmocka_unit_test(a_backlog_forgets_nothing_that_did_not_arrive),
		cmocka_unit_test(an_intake_gives_what_came_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
