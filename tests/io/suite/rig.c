/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/io/suite/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "user/base/clock.h"

#define NS_PER_MS UINT64_C(1000000)

/* --- frames ----------------------------------------------------------------------------- */

uint32_t rig_mixed(const struct rig *rig, uint32_t number)
{
	uint32_t span = rig->row->longest - rig->row->shortest + 1;

	return rig->row->shortest + number * 7919 % span;
}

uint32_t rig_rising(const struct rig *rig, uint32_t number)
{
	return rig->base + number;
}

uint32_t rig_equal(const struct rig *rig, uint32_t number)
{
	(void)number;
	return rig->base;
}

/* An ethertype for experiments (IEEE 802), so that nobody else answers. */
void rig_fill(const struct rig *rig, uint32_t number, uint8_t *bytes)
{
	static const uint8_t head[14] = {
		2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5
	};
	uint32_t len = rig->length(rig, number), at, state = number * 2654435761u + len;

	memcpy(bytes, head, sizeof(head));
	for (at = sizeof(head); at < len; at++) {
		state = state * 1664525 + 1013904223;
		bytes[at] = (uint8_t)(state >> 24);
	}
}

unsigned int rig_check(struct rig *rig, const struct shunt_frame *frames,
		       unsigned int n, uint32_t number)
{
	static uint8_t want[RIG_LONGEST], got[RIG_LONGEST];
	uint32_t bytes;
	unsigned int count = shunt_packet_frames(frames, n, &bytes);

	assert_in_range(count, 1, n);
	if (bytes != rig->length(rig, number))
		fail_msg("frame %u has %u bytes, not %u", number, bytes,
			 rig->length(rig, number));
	shunt_packet_copy(got, frames, count);
	rig_fill(rig, number, want);
	if (memcmp(got, want, bytes) != 0)
		fail_msg("frame %u of %u bytes has others", number, bytes);
	return count;
}

/* --- opening ------------------------------------------------------------------------------ */

/* LeakSanitizer is not to tell what a library under the port forgets. */
static void count_leaks(const struct rig *rig, bool on)
{
#ifdef __SANITIZE_ADDRESS__
	if (rig->row->forgets && on)
		__lsan_enable();
	else if (rig->row->forgets)
		__lsan_disable();
#else
	(void)rig;
	(void)on;
#endif
}

void rig_open(struct rig *rig, uint32_t way, const char *options,
	      struct shunt_pool *pool)
{
	const struct shunt_port_opts opts = { .sz = sizeof(opts), .pool = pool };
	struct shunt_err err = { "" };
	char text[512];

	rig->row->spec(rig, way, text, sizeof(text) - strlen(options));
	strcat(text, options);
	count_leaks(rig, false);
	if (shunt_port_open(&rig->port, text, &opts, &err))
		fail_msg("%s", err.message);
	count_leaks(rig, true);
	if (shunt_port_need(rig->port, way | (rig->row->can & SHUNT_PORT_ZERO_COPY),
			    &err))
		fail_msg("%s", err.message);
}

void rig_close(struct rig *rig)
{
	shunt_port_close(rig->port);
	rig->port = NULL;
}

void rig_kick(struct rig *rig)
{
	struct shunt_err err = { "" };

	if (shunt_port_kick(rig->port, &err))
		fail_msg("%s", err.message);
}

struct shunt_port_stats rig_stats(struct rig *rig)
{
	struct shunt_port_stats stats;
	struct shunt_err err = { "" };

	if (shunt_port_stats(rig->port, &stats, &err))
		fail_msg("%s", err.message);
	return stats;
}

/* How many frames the peers can hold: of long ones, fewer. */
static uint32_t burst_of(const struct rig *rig)
{
	return rig->mtu > WIRE_MTU ? rig->row->burst / 8 : rig->row->burst;
}

/* What the port itself has counted, where a test is about to fail. */
static void show_stats(struct rig *rig)
{
	struct shunt_port_stats stats = rig_stats(rig);

#define SHOW(name, help)                                                               \
	if (stats.name)                                                                \
		print_error("  " #name " %llu\n", (unsigned long long)stats.name);
	SHUNT_PORT_COUNTERS(SHOW)
}

/* --- receiving ---------------------------------------------------------------------------- */

unsigned int rig_rx(struct rig *rig, struct shunt_frame *frames, unsigned int max,
		    int wait_ms)
{
	uint64_t deadline = shunt_now_ns() + (uint64_t)wait_ms * NS_PER_MS, now;

	for (;;) {
		unsigned int n = shunt_port_rx(rig->port, frames, max);

		if (n || rig->port->ended)
			return n;
		rig_kick(rig);
		now = shunt_now_ns();
		if (now >= deadline)
			return 0;
		if (rig->port->caps & SHUNT_PORT_WAIT)
			assert_int_equal(
				shunt_port_sleep(&rig->port, 1, deadline - now), 0);
	}
}

void rig_offer(struct rig *rig, uint32_t first, uint32_t n)
{
	static uint8_t bytes[RIG_LONGEST];

	for (uint32_t i = first; i < first + n; i++) {
		rig_fill(rig, i, bytes);
		rig->row->offer(rig, bytes, rig->length(rig, i));
	}
}

void rig_receive(struct rig *rig, uint32_t first, uint32_t n)
{
	struct shunt_frame frames[SHUNT_BURST];
	uint32_t number = first;

	while (number < first + n) {
		unsigned int got = rig_rx(rig, frames, SHUNT_BURST, RIG_WAIT_MS), i = 0;

		if (!got) {
			show_stats(rig);
			fail_msg("frame %u has not come", number);
		}
		while (i < got)
			i += rig_check(rig, frames + i, got - i, number++);
		shunt_frames_put(frames, got);
	}
	assert_int_equal(number, first + n);
}

void rig_exchange(struct rig *rig, const char *options, uint32_t n)
{
	uint32_t burst = rig->row->offer_first ? n : burst_of(rig), first;

	for (first = 0; first < n; first += burst) {
		uint32_t count = n - first < burst ? n - first : burst;

		if (rig->row->offer_first)
			rig_offer(rig, first, count);
		if (!rig->port)
			rig_open(rig, SHUNT_PORT_RX, options, NULL);
		if (!rig->row->offer_first)
			rig_offer(rig, first, count);
		rig_receive(rig, first, count);
	}
}

/* --- transmitting ------------------------------------------------------------------------- */

unsigned int rig_make(struct rig *rig, struct shunt_pool *pool, uint32_t number,
		      struct shunt_frame *frames, unsigned int max)
{
	static uint8_t bytes[RIG_LONGEST];

	rig_fill(rig, number, bytes);
	return shunt_packet_fill(pool, bytes, rig->length(rig, number), frames, max);
}

/* All of them, however often that takes. */
static void send_all(struct rig *rig, struct shunt_frame *frames, unsigned int n)
{
	uint64_t deadline = shunt_now_ns() + RIG_WAIT_MS * NS_PER_MS;
	unsigned int done = 0;

	while (done < n) {
		done += shunt_port_tx(rig->port, frames + done, n - done);
		rig_kick(rig);
		if (shunt_now_ns() > deadline)
			fail_msg("tx takes no more than %u of %u frames", done, n);
	}
}

void rig_transmit(struct rig *rig, struct shunt_pool *pool, uint32_t first, uint32_t n)
{
	struct shunt_frame frames[SHUNT_BURST];
	uint64_t deadline = shunt_now_ns() + RIG_WAIT_MS * NS_PER_MS;
	uint32_t number = first;

	while (number < first + n) {
		unsigned int used = 0, got;

		while (number < first + n &&
		       (got = rig_make(rig, pool, number, frames + used,
				       SHUNT_BURST - used))) {
			used += got;
			number++;
		}
		send_all(rig, frames, used);
		if (!used && shunt_now_ns() > deadline)
			fail_msg("the pool has no frame for packet %u", number);
	}
	rig_kick(rig);
}

void rig_collect(struct rig *rig, uint32_t first, uint32_t n)
{
	static uint8_t got[RIG_LONGEST], want[RIG_LONGEST];

	for (uint32_t i = first; i < first + n; i++) {
		uint64_t deadline = shunt_now_ns() + RIG_WAIT_MS * NS_PER_MS;
		uint32_t bytes;

		do {
			rig_kick(rig);
			bytes = rig->row->collect(rig, got, sizeof(got), 10);
		} while (!bytes && shunt_now_ns() < deadline);
		if (!bytes)
			show_stats(rig);
		if (bytes != rig->length(rig, i))
			fail_msg("frame %u arrived with %u bytes, not %u", i, bytes,
				 rig->length(rig, i));
		rig_fill(rig, i, want);
		if (memcmp(got, want, bytes) != 0)
			fail_msg("frame %u of %u bytes arrived with others", i, bytes);
	}
}

void rig_pass(struct rig *rig, struct shunt_pool *pool, uint32_t n)
{
	uint32_t burst = burst_of(rig), first;

	for (first = 0; first < n; first += burst) {
		uint32_t count = n - first < burst ? n - first : burst;

		rig_transmit(rig, pool, first, count);
		rig_collect(rig, first, count);
	}
}
