/* SPDX-License-Identifier: BSD-2-Clause */
/* Receiving: all that comes, as it came, and what does not is counted. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/io/suite/tests.h"

#define MANY 4096u
#define HELD 4096u /* frames that a test keeps at a time */
#define SILENT_MS 300
#define SILENCES (RIG_WAIT_MS / SILENT_MS)

static void bursts_arrive(struct rig *rig)
{
	struct shunt_port_stats stats;
	uint64_t bytes = 0;

	rig_exchange(rig, "", MANY);
	for (uint32_t i = 0; i < MANY; i++)
		bytes += rig->length(rig, i);
	stats = rig_stats(rig);
	assert_int_equal(stats.rx_packets, MANY);
	assert_int_equal(stats.rx_bytes, bytes);
	assert_int_equal(stats.rx_dropped + stats.rx_ring_full, 0);
}

static void every_length_arrives(struct rig *rig)
{
	rig->length = rig_rising;
	rig->base = rig->row->shortest;
	rig_exchange(rig, "", rig->row->longest - rig->row->shortest + 1);
}

static void jumbo_frames_arrive(struct rig *rig)
{
	rig->length = rig_rising;
	rig->base = rig->row->jumbo - 199;
	rig_exchange(rig, "", 200);
}

static void a_small_ring_comes_around(struct rig *rig)
{
	rig_exchange(rig, rig->row->small, MANY);
}

/* --- giving back ------------------------------------------------------------------------ */

/* Takes what is there until nothing comes. */
static uint32_t hoard(struct rig *rig, struct shunt_frame *frames, uint32_t max,
		      int wait_ms)
{
	uint32_t n = 0;

	while (n < max) {
		unsigned int got =
			rig_rx(rig, frames + n,
			       max - n < SHUNT_BURST ? max - n : SHUNT_BURST, wait_ms);

		if (!got)
			break;
		n += got;
	}
	return n;
}

static void check_all(struct rig *rig, const struct shunt_frame *frames, uint32_t n,
		      uint32_t first)
{
	for (uint32_t i = 0; i < n;)
		i += rig_check(rig, frames + i, n - i, first++);
}

static void shuffle(struct shunt_frame *frames, uint32_t n)
{
	for (uint32_t i = n; i > 1; i--) {
		uint32_t other = (uint32_t)rand() % i;
		struct shunt_frame kept = frames[i - 1];

		frames[i - 1] = frames[other];
		frames[other] = kept;
	}
}

struct giver {
	const struct shunt_frame *frames;
	uint32_t n;
};

static void *give(void *self)
{
	const struct giver *giver = self;

	for (uint32_t i = 0; i < giver->n; i++)
		shunt_frames_put(giver->frames + i, 1);
	return NULL;
}

/* Frames of several bursts go back at once, mixed up, from two threads. */
static void frames_go_back_in_any_order(struct rig *rig)
{
	static struct shunt_frame frames[HELD];
	uint32_t burst = rig->row->burst, rounds = rig->row->offer_first ? 1 : 20;

	for (uint32_t round = 0; round < rounds; round++) {
		uint32_t n;
		struct giver giver = { .frames = frames };
		pthread_t thread;

		if (rig->row->offer_first)
			rig_offer(rig, 0, burst);
		if (!rig->port)
			rig_open(rig, SHUNT_PORT_RX, "", NULL);
		if (!rig->row->offer_first)
			rig_offer(rig, round * burst, burst);
		n = hoard(rig, frames, burst, RIG_WAIT_MS);
		assert_int_equal(n, burst);
		check_all(rig, frames, n, round * burst);
		shuffle(frames, n);
		giver.n = n / 2;
		assert_int_equal(pthread_create(&thread, NULL, give, &giver), 0);
		for (uint32_t i = n / 2; i < n; i++)
			shunt_frames_put(frames + i, 1);
		pthread_join(thread, NULL);
	}
}

/* --- want of room ------------------------------------------------------------------------ */

static uint64_t lost(struct rig *rig)
{
	struct shunt_port_stats stats = rig_stats(rig);

	return stats.rx_dropped + stats.rx_ring_full;
}

/* The same, of `rest` frames that are to come or to be counted as lost: a wire may take its
 * time. 0: that was all. */
static uint32_t hoard_rest(struct rig *rig, struct shunt_frame *frames, uint32_t max,
			   uint64_t rest)
{
	uint32_t n;
	int i = 0;

	do /* once where nothing is to come, too: nothing does */
		n = hoard(rig, frames, max, SILENT_MS);
	while (!n && ++i < SILENCES && lost(rig) < rest);
	return n;
}

/* All that was offered was received, or is counted as lost. */
static void assert_balance(struct rig *rig, uint64_t offered, uint64_t received)
{
	assert_int_equal(rig_stats(rig).rx_packets, received);
	assert_int_equal(received + lost(rig), offered);
}

/* The reader keeps everything: then the port is full, not broken, and goes on later. */
static void what_is_kept_is_missing(struct rig *rig)
{
	static struct shunt_frame frames[HELD];
	uint32_t offered = HELD, n;

	rig->length = rig_equal;
	rig->base = rig->row->longest;
	if (rig->row->offer_first)
		rig_offer(rig, 0, offered);
	rig_open(rig, SHUNT_PORT_RX, rig->row->small, NULL);
	if (!rig->row->offer_first)
		rig_offer(rig, 0, offered);
	n = hoard(rig, frames, HELD, SILENT_MS);
	assert_in_range(n, 1, HELD - 1);
	check_all(rig, frames, n, 0);
	assert_int_equal(shunt_port_rx(rig->port, frames + n, 1), 0);
	shunt_frames_put(frames, n);
	while ((n = hoard(rig, frames, HELD, SILENT_MS)))
		shunt_frames_put(frames, n);
	if (rig->row->offer_first)
		return;
	rig_offer(rig, 0, rig->row->burst / 4);
	n = hoard(rig, frames, HELD, SILENT_MS);
	assert_int_equal(n, rig->row->burst / 4);
	check_all(rig, frames, n, 0);
	shunt_frames_put(frames, n);
	offered += n;
	assert_balance(rig, offered, rig_stats(rig).rx_packets);
}

/* A pool of few frames, all of which the reader keeps. */
static void an_empty_pool_is_waited_for(struct rig *rig)
{
	const struct shunt_memory_opts opts = { .sz = sizeof(opts), .frames = 64 };
	static struct shunt_frame frames[HELD];
	uint32_t offered = rig->row->burst, n, at = 0;
	struct shunt_memory *memory;

	assert_int_equal(shunt_memory_open(&memory, &opts, NULL), 0);
	if (rig->row->offer_first)
		rig_offer(rig, 0, offered);
	rig_open(rig, SHUNT_PORT_RX, "", &memory->pool);
	if (!rig->row->offer_first)
		rig_offer(rig, 0, offered);
	while ((n = hoard_rest(rig, frames, 64, offered - at))) {
		check_all(rig, frames, n, at);
		at += n;
		assert_in_range(shunt_memory_free_frames(memory), 0, 64 - n);
		shunt_frames_put(frames, n);
	}
	assert_balance(rig, offered, at);
	rig_close(rig);
	assert_int_equal(shunt_memory_free_frames(memory), 64);
	shunt_memory_close(memory);
}

static void a_flood_is_received_or_counted(struct rig *rig)
{
	static struct shunt_frame frames[HELD];
	uint32_t offered = 4 * HELD, received = 0, n;

	rig->length = rig_equal;
	rig->base = 60;
	rig_open(rig, SHUNT_PORT_RX, rig->row->small, NULL);
	rig_offer(rig, 0, offered);
	while ((n = hoard_rest(rig, frames, SHUNT_BURST, offered - received))) {
		received += n;
		shunt_frames_put(frames, n);
	}
	assert_in_range(received, 1, offered - 1);
	assert_balance(rig, offered, received);
}

/* --- waiting ------------------------------------------------------------------------------ */

static unsigned int ready(struct rig *rig, int wait_ms)
{
	struct pollfd fds[SHUNT_PORT_FDS];
	unsigned int n = rig->port->ops->wait(rig->port, fds, SHUNT_PORT_FDS);
	int ret;

	assert_in_range(n, 1, SHUNT_PORT_FDS);
	ret = poll(fds, n, wait_ms);
	assert_true(ret >= 0);
	return (unsigned int)ret;
}

static void poll_is_silent_until_frames_come(struct rig *rig)
{
	rig_open(rig, SHUNT_PORT_RX, "", NULL);
	for (uint32_t round = 0; round < 20; round++) {
		assert_int_equal(ready(rig, 0), 0);
		rig_offer(rig, round, 1);
		assert_int_equal(ready(rig, RIG_WAIT_MS), 1);
		rig_receive(rig, round, 1);
	}
	assert_int_equal(ready(rig, 0), 0);
}

static void poll_is_ready_while_frames_wait(struct rig *rig)
{
	struct shunt_frame frame;

	if (rig->row->offer_first)
		rig_offer(rig, 0, 64);
	rig_open(rig, SHUNT_PORT_RX, "", NULL);
	if (!rig->row->offer_first)
		rig_offer(rig, 0, 64);
	for (uint32_t i = 0; i < 64; i++) {
		assert_int_equal(ready(rig, RIG_WAIT_MS), 1);
		assert_int_equal(rig_rx(rig, &frame, 1, RIG_WAIT_MS), 1);
		rig_check(rig, &frame, 1, i);
		shunt_frames_put(&frame, 1);
	}
}

const struct rig_test rig_tests_rx[] = {
	{ "bursts arrive whole and in order", bursts_arrive, SHUNT_PORT_RX },
	{ "frames of every length arrive", every_length_arrives, SHUNT_PORT_RX },
	{ "jumbo frames arrive", jumbo_frames_arrive, SHUNT_PORT_RX, true },
	{ "a small ring comes around", a_small_ring_comes_around, SHUNT_PORT_RX },
	{ "frames go back in any order from any thread", frames_go_back_in_any_order,
	  SHUNT_PORT_RX },
	{ "what the reader keeps is missing, and counted", what_is_kept_is_missing,
	  SHUNT_PORT_RX },
	{ "an empty pool is waited for", an_empty_pool_is_waited_for, SHUNT_PORT_RX },
	{ "a flood is received or counted", a_flood_is_received_or_counted,
	  SHUNT_PORT_RX },
	{ "poll is silent until frames come", poll_is_silent_until_frames_come,
	  SHUNT_PORT_RX | SHUNT_PORT_WAIT },
	{ "poll is ready while frames wait", poll_is_ready_while_frames_wait,
	  SHUNT_PORT_RX | SHUNT_PORT_WAIT },
	{ NULL },
};
