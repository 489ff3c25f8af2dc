/* SPDX-License-Identifier: BSD-2-Clause */
/* Transmitting: all that is taken leaves once, and what is not taken stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/io/suite/tests.h"
#include "user/base/clock.h"

#define MANY 4096u
#define DEADLINE_NS UINT64_C(5000000000)

static void bursts_leave(struct rig *rig)
{
	struct shunt_port_stats stats;
	uint64_t bytes = 0;

	rig_open(rig, SHUNT_PORT_TX, "", NULL);
	rig_pass(rig, rig->port->pool, MANY);
	for (uint32_t i = 0; i < MANY; i++)
		bytes += rig->length(rig, i);
	stats = rig_stats(rig);
	assert_int_equal(stats.tx_packets, MANY);
	assert_int_equal(stats.tx_bytes, bytes);
	assert_int_equal(stats.tx_refused + stats.tx_failed, 0);
	if (rig->port->caps & SHUNT_PORT_SHARE)
		assert_int_equal(stats.tx_copied, 0);
}

static void every_length_leaves(struct rig *rig)
{
	rig->length = rig_rising;
	rig->base = rig->row->shortest;
	rig_open(rig, SHUNT_PORT_TX, "", NULL);
	rig_pass(rig, rig->port->pool, rig->row->longest - rig->row->shortest + 1);
}

static void jumbo_frames_leave(struct rig *rig)
{
	rig->length = rig_rising;
	rig->base = rig->row->jumbo - 199;
	rig_open(rig, SHUNT_PORT_TX, "", NULL);
	assert_in_range(rig->port->frame_max, rig->row->jumbo, UINT32_MAX);
	rig_pass(rig, &rig->memory->pool, 200);
}

static void a_small_ring_comes_around(struct rig *rig)
{
	rig_open(rig, SHUNT_PORT_TX, rig->row->small, NULL);
	rig_pass(rig, rig->port->pool, MANY);
}

static void foreign_frames_are_copied(struct rig *rig)
{
	uint32_t free_frames = shunt_memory_free_frames(rig->memory);

	rig_open(rig, SHUNT_PORT_TX, "", NULL);
	rig_pass(rig, &rig->memory->pool, MANY);
	assert_int_equal(rig_stats(rig).tx_copied, MANY);
	assert_int_equal(shunt_memory_free_frames(rig->memory), free_frames);
}

/* One pool for both: no copy is made, and all the frames come back. */
static void a_given_pool_gets_its_frames_back(struct rig *rig)
{
	const struct shunt_memory_opts opts = { .sz = sizeof(opts), .frames = 2048 };
	uint64_t deadline = shunt_now_ns() + DEADLINE_NS;
	struct shunt_memory *memory;

	assert_int_equal(shunt_memory_open(&memory, &opts, NULL), 0);
	rig_open(rig, SHUNT_PORT_TX, "", &memory->pool);
	rig_pass(rig, &memory->pool, MANY);
	if (rig->port->pool == &memory->pool && rig->port->caps & SHUNT_PORT_SHARE)
		assert_int_equal(rig_stats(rig).tx_copied, 0);
	while (shunt_memory_free_frames(memory) < 2048 && shunt_now_ns() < deadline)
		rig_kick(rig);
	assert_int_equal(shunt_memory_free_frames(memory), 2048);
	rig_close(rig);
	shunt_memory_close(memory);
}

/* Not kicked, the port takes what it has room for, from the front; the rest stays. */
static void a_full_port_takes_from_the_front(struct rig *rig)
{
	static struct shunt_frame frames[MANY];
	uint32_t made = 0, done = 0, collected = 0, taken;

	rig->length = rig_equal;
	rig->base = 100;
	rig_open(rig, SHUNT_PORT_TX, rig->row->small, NULL);
	while (made < MANY && rig_make(rig, &rig->memory->pool, made, frames + made, 1))
		made++;
	assert_in_range(made, 1024, MANY);
	while ((taken = shunt_port_tx(rig->port, frames + done, made - done)))
		done += taken;
	assert_in_range(done, 1, made - 1);
	assert_int_equal(rig_stats(rig).tx_packets, done);
	while (collected < made) {
		rig_collect(rig, collected, done - collected);
		collected = done;
		done += shunt_port_tx(rig->port, frames + done, made - done);
	}
	assert_int_equal(rig_stats(rig).tx_packets, made);
}

/* What will never fit is not tried for ever. */
static void too_long_is_refused(struct rig *rig)
{
	const struct shunt_memory_opts opts = { .sz = sizeof(opts),
						.frames = 16,
						.frame_bytes = 1 << 19 };
	struct shunt_frame frames[2];
	struct shunt_memory *memory;

	assert_int_equal(shunt_memory_open(&memory, &opts, NULL), 0);
	rig_open(rig, SHUNT_PORT_TX, "", NULL);
	rig->length = rig_equal;
	rig->base = 60;
	assert_int_equal(shunt_pool_get(&memory->pool, frames, 1), 1);
	memset(frames[0].data, 0, rig->port->frame_max + 1);
	frames[0].len = rig->port->frame_max + 1;
	assert_int_equal(rig_make(rig, &memory->pool, 0, frames + 1, 1), 1);
	assert_int_equal(shunt_port_tx(rig->port, frames, 2), 2);
	rig_collect(rig, 0, 1);
	assert_int_equal(rig_stats(rig).tx_refused, 1);
	assert_int_equal(rig_stats(rig).tx_packets, 1);
	assert_int_equal(shunt_memory_free_frames(memory), 16);
	rig_close(rig);
	shunt_memory_close(memory);
}

static void the_longest_leaves(struct rig *rig)
{
	rig_open(rig, SHUNT_PORT_TX, "", NULL);
	rig->length = rig_equal;
	rig->base =
		rig->port->frame_max < RIG_LONGEST ? rig->port->frame_max : RIG_LONGEST;
	rig_pass(rig, &rig->memory->pool, 4);
	assert_int_equal(rig_stats(rig).tx_refused, 0);
}

/* A packet in several frames leaves as one, and half a packet does not. */
static void packets_of_several_frames_leave(struct rig *rig)
{
	struct shunt_frame frames[3];

	rig_open(rig, SHUNT_PORT_TX, "", NULL);
	rig->length = rig_equal;
	rig->base = 600;
	assert_int_equal(rig_make(rig, &rig->memory->pool, 0, frames, 1), 1);
	assert_int_equal(shunt_pool_get(&rig->memory->pool, frames + 1, 2), 2);
	memcpy(frames[1].data, frames[0].data + 100, 400);
	memcpy(frames[2].data, frames[0].data + 500, 100);
	frames[0].len = 100;
	frames[1].len = 400;
	frames[2].len = 100;
	frames[0].flags = frames[1].flags = SHUNT_FRAME_MORE;
	assert_int_equal(shunt_port_tx(rig->port, frames, 2), 0);
	assert_int_equal(shunt_port_tx(rig->port, frames, 3), 3);
	rig_collect(rig, 0, 1);
	assert_int_equal(rig_stats(rig).tx_packets, 1);
}

const struct rig_test rig_tests_tx[] = {
	{ "bursts leave whole and in order", bursts_leave, SHUNT_PORT_TX },
	{ "frames of every length leave", every_length_leaves, SHUNT_PORT_TX },
	{ "jumbo frames leave", jumbo_frames_leave, SHUNT_PORT_TX, true },
	{ "a small ring comes around, sending", a_small_ring_comes_around,
	  SHUNT_PORT_TX },
	{ "foreign frames are copied", foreign_frames_are_copied, SHUNT_PORT_TX },
	{ "a given pool gets its frames back", a_given_pool_gets_its_frames_back,
	  SHUNT_PORT_TX },
	{ "a full port takes from the front", a_full_port_takes_from_the_front,
	  SHUNT_PORT_TX },
	{ "too long is refused and counted", too_long_is_refused, SHUNT_PORT_TX },
	{ "the longest frame leaves", the_longest_leaves, SHUNT_PORT_TX },
	{ "packets of several frames leave as one", packets_of_several_frames_leave,
	  SHUNT_PORT_TX | SHUNT_PORT_MULTI, true },
	{ NULL },
};
