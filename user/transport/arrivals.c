// SPDX-License-Identifier: BSD-2-Clause
#include "user/transport/arrivals.h"

void shunt_arrivals_init(struct shunt_arrivals *arrivals, uint64_t start)
{
	*arrivals = (struct shunt_arrivals){ .before = start, .top = start };
}

static uint64_t *word_of(struct shunt_arrivals *arrivals, uint64_t number)
{
	return &arrivals->bits[number % SHUNT_ARRIVALS / 64];
}

static uint64_t bit_of(uint64_t number)
{
	return UINT64_C(1) << number % 64;
}

/* Moves on over what came, and forgets it. */
static void move_before(struct shunt_arrivals *arrivals, uint64_t least)
{
	if (least > arrivals->top) {
		/* None of those is set; skips what may be a very long way. */
		for (; arrivals->before != arrivals->top; arrivals->before++)
			*word_of(arrivals, arrivals->before) &=
				~bit_of(arrivals->before);
		arrivals->before = arrivals->top = least;
	}
	while (arrivals->before < least ||
	       *word_of(arrivals, arrivals->before) & bit_of(arrivals->before)) {
		*word_of(arrivals, arrivals->before) &= ~bit_of(arrivals->before);
		arrivals->before++;
	}
}

bool shunt_arrivals_enter(struct shunt_arrivals *arrivals, uint64_t number,
			  uint16_t back, uint64_t now_ns, uint64_t delay_ns)
{
	uint64_t top = arrivals->top;

	if (number - back > arrivals->before)
		move_before(arrivals, number - back);
	if (number < arrivals->before || *word_of(arrivals, number) & bit_of(number)) {
		/* Its acknowledgement was lost, it seems. */
		arrivals->at_once = true;
		return false;
	}
	if (number == arrivals->before)
		arrivals->before++;
	else
		*word_of(arrivals, number) |= bit_of(number);
	if (number >= arrivals->top) {
		arrivals->top = number + 1;
		arrivals->newest_ns = now_ns;
	}
	move_before(arrivals, arrivals->before);
	if (number != top)
		arrivals->at_once = true;
	if (!arrivals->pending++)
		arrivals->due_ns = now_ns + delay_ns;
	return true;
}

/* How many numbers below `at` have come (or have not), down to `before`. */
static uint32_t run_below(struct shunt_arrivals *arrivals, uint64_t at, bool came)
{
	uint64_t from = at;

	while (at > arrivals->before) {
		uint64_t word = *word_of(arrivals, at - 1), other;
		uint32_t low = (at - 1) % 64; /* of the word, the bits up to here */

		other = (came ? ~word : word) << (63 - low);
		if (other) {
			at -= __builtin_clzll(other);
			break;
		}
		at -= low + 1;
	}
	if (at < arrivals->before)
		at = arrivals->before;
	return from - at;
}

void shunt_arrivals_write(struct shunt_arrivals *arrivals, uint64_t now_ns,
			  struct shunt_segment *segment, uint32_t ranges_max)
{
	struct shunt_segment_range range[SHUNT_SEGMENT_RANGES];
	uint64_t at = arrivals->top, wait_ns = now_ns - arrivals->newest_ns;
	uint32_t n = 0, i;

	segment->before = arrivals->before;
	segment->delay_us = wait_ns / 1000 < UINT32_MAX ? wait_ns / 1000 : UINT32_MAX;
	/* From the top downwards; the lowest gap takes in all that is not told of. */
	while (at > arrivals->before && n < ranges_max) {
		range[n].length = run_below(arrivals, at, true);
		at -= range[n].length;
		range[n].gap = run_below(arrivals, at, false);
		at -= range[n++].gap;
	}
	if (n)
		range[n - 1].gap += at - arrivals->before;
	segment->ranges = n;
	for (i = 0; i < n; i++)
		segment->range[i] = range[n - 1 - i];
	arrivals->pending = 0;
	arrivals->at_once = false;
}
