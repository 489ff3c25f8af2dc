/* SPDX-License-Identifier: BSD-2-Clause */
/* What rdma:// promises beyond messages: few completions, copies, and no overrun. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/transport/suite/tests.h"

static double described(const struct rig *rig, enum net_side side, const char *what)
{
	cJSON *json = shunt_transport_describe(rig->end[side].transport);
	const cJSON *item = cJSON_GetObjectItem(json, what);
	double value;

	assert_true(cJSON_IsNumber(item));
	value = item->valuedouble;
	cJSON_Delete(json);
	return value;
}

static uint32_t free_frames(const struct rig *rig)
{
	return shunt_memory_free_frames(
		shunt_memory_of(rig->end[NEAR].transport->pool));
}

/* --- completions ------------------------------------------------------------------------ */

#define ROUNDS 100
#define RUN 16

/* A run of messages is known to be sent by its last one. */
static void completions_are_few(struct rig *rig)
{
	static uint8_t bytes[300];
	struct shunt_message run[RUN] = { 0 };
	double before, after;
	uint32_t round, i, rest;

	rig_begin(rig, "");
	rig_turn(rig);
	rest = free_frames(rig);
	rig->length = rig_equal;
	rig->base = sizeof(bytes);
	rig_fill(bytes, sizeof(bytes), 5);
	before = described(rig, NEAR, "completions");
	for (round = 0; round < ROUNDS; round++) {
		struct shunt_message came;

		for (i = 0; i < RUN; i++) {
			run[i].frame.data = bytes;
			run[i].frame.len = sizeof(bytes);
			run[i].peer = rig->end[NEAR].peer;
			run[i].channel = rig_channel(5);
		}
		/* with room for all of them: a part would be a run of its own */
		RIG_UNTIL(rig, free_frames(rig) == rest, "the last run to be sent");
		net_at(NEAR);
		assert_int_equal(shunt_send_batch(rig->end[NEAR].transport, run, RUN),
				 RUN);
		for (i = 0; i < RUN; i++) {
			assert_int_equal(rig_recv(rig, FAR, &came, 1, RIG_WAIT_MS), 1);
			rig_check(rig, &came, 5);
			shunt_release(rig->end[FAR].transport, &came, 1);
		}
	}
	after = described(rig, NEAR, "completions");
	/* two a run at most, and a few of notes */
	assert_in_range((uint64_t)(after - before), ROUNDS / 2, 3 * ROUNDS);
}

/* --- copies ------------------------------------------------------------------------------- */

/* How many frames are still out when a message of so many bytes has been sent just now. */
static uint32_t held(struct rig *rig, uint32_t bytes, uint32_t number, uint32_t rest)
{
	uint32_t now;

	RIG_UNTIL(rig, free_frames(rig) == rest, "all frames to be back");
	rig->base = bytes;
	assert_int_equal(rig_offer(rig, NEAR, number), 1);
	now = free_frames(rig);
	rig_hear(rig, FAR, number, 1);
	return rest - now;
}

static void short_ones_are_copied(struct rig *rig)
{
	uint32_t rest, number;

	rig_begin(rig, "inline=100");
	rig->length = rig_equal;
	assert_int_equal(described(rig, NEAR, "inline"), 100);
	rig_turn(rig);
	rest = free_frames(rig);
	for (number = 0; number < 40; number += 2) {
		assert_int_equal(held(rig, 100 - SHUNT_WIRE_BYTES, number, rest), 0);
		assert_int_equal(held(rig, 101 - SHUNT_WIRE_BYTES, number + 1, rest),
				 1);
	}
}

/* --- no overrun --------------------------------------------------------------------------- */

#define DEVICES 2

/* What a device of rxe has counted; read anew each time. */
static uint64_t counted(int device, const char *what)
{
	static const char *const name[DEVICES] = { "rxe-ta", "rxe-tb" };
	unsigned long long value = 0;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path),
		 "/sys/class/infiniband/%s/ports/1/hw_counters/lifespan", name[device]);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs("0", file) >= 0);
	assert_int_equal(fclose(file), 0);
	strcpy(strrchr(path, '/') + 1, what);
	file = fopen(path, "r");
	if (!file)
		fail_msg("%s: no such counter", path);
	assert_int_equal(fscanf(file, "%llu", &value), 1);
	fclose(file);
	return value;
}

/* Times that a receiver had no place for what came, as either side saw it. */
static uint64_t not_ready(void)
{
	uint64_t n = 0;
	int device;

	for (device = 0; device < DEVICES; device++)
		n += counted(device, "send_rnr_err") + counted(device, "rcvd_rnr_err");
	return n;
}

/* Both ways at a time, to readers that are slower and keep what they have read. */
static void nobody_is_overrun(struct rig *rig)
{
	static struct shunt_message lent[NET_SIDES][64];
	uint32_t said[NET_SIDES] = { 0 }, heard[NET_SIDES] = { 0 }, step, i;
	uint64_t before, packets;
	int side;

	rig_begin(rig, rig->row->small);
	before = not_ready();
	packets = counted(0, "sent_pkts");
	rig->length = rig_equal;
	rig->base = 700;
	for (step = 0; step < 300; step++)
		for (side = NEAR; side < NET_SIDES; side++) {
			struct rig_end *end = &rig->end[side];
			unsigned int got;

			while (rig_offer(rig, (enum net_side)side, said[side]) == 1)
				said[side]++;
			if (step % 3)
				continue;
			net_at((enum net_side)side);
			got = shunt_recv(end->transport, lent[side], 5);
			for (i = 0; i < got; i++)
				rig_check(rig, &lent[side][i], heard[side]++);
			shunt_release(end->transport, lent[side], got);
			rig_turn(rig);
		}
	rig_hear(rig, FAR, heard[FAR], said[NEAR] - heard[FAR]);
	rig_hear(rig, NEAR, heard[NEAR], said[FAR] - heard[NEAR]);
	assert_in_range(said[NEAR], 100, UINT32_MAX);
	assert_in_range(counted(0, "sent_pkts") - packets, said[NEAR], UINT32_MAX);
	assert_int_equal(not_ready(), before);
}

/* --- room ends a sleep ----------------------------------------------------------------------- */

/* Receives at the far end alone: the near one does nothing meanwhile. */
static void far_hears(struct rig *rig, uint32_t n)
{
	uint64_t until = shunt_now_ns() + (uint64_t)RIG_WAIT_MS * NS_PER_MS;
	struct shunt_message message;
	uint32_t number = 0;

	net_at(FAR);
	while (number < n) {
		assert_int_equal(shunt_transport_kick(rig->end[FAR].transport, NULL),
				 0);
		if (shunt_recv(rig->end[FAR].transport, &message, 1)) {
			rig_check(rig, &message, number++);
			shunt_release(rig->end[FAR].transport, &message, 1);
		}
		assert_true(shunt_now_ns() < until);
	}
	assert_int_equal(shunt_transport_kick(rig->end[FAR].transport, NULL), 0);
}

/* Credits that came before it asked what to wait for are not slept over. */
static void room_ends_a_sleep(struct rig *rig)
{
	struct pollfd fds[SHUNT_TRANSPORT_FDS];
	uint32_t said = 0, round;
	unsigned int n;

	rig_begin(rig, rig->row->small);
	rig->length = rig_equal;
	rig->base = 100;
	for (round = 0; round < 10; round++) {
		for (said = 0; rig_offer(rig, NEAR, said) == 1; said++)
			;
		assert_in_range(said, 1, 4096);
		far_hears(rig, said);
		net_at(NEAR);
		n = shunt_transport_wait(rig->end[NEAR].transport, fds,
					 SHUNT_TRANSPORT_FDS);
		assert_int_equal(poll(fds, n, RIG_WAIT_MS) > 0, 1);
		rig_pass(rig, NEAR, 0, 1);
	}
}

/* --- an event goes with its connection ------------------------------------------------------ */

#define NAP_US 500000

static _Atomic bool drowsy;
static _Atomic uint32_t napping;

/*
 * libc's, which this one takes the place of, in plug-ins as well: threads of a transport fall
 * asleep between being told that something is there and looking for it.
 */
SHUNT_API int poll(struct pollfd *fds, nfds_t n, int wait_ms)
{
	const struct timespec wait = { .tv_sec = wait_ms / 1000,
				       .tv_nsec = wait_ms % 1000 * 1000000L };
	int ret = ppoll(fds, n, wait_ms < 0 ? NULL : &wait, NULL);

	if (ret > 0 && atomic_load(&drowsy) && gettid() != getpid()) {
		atomic_fetch_add(&napping, 1);
		usleep(NAP_US);
	}
	return ret;
}

/* The other end's goodbye is not read before the connection that it is of is gone. */
static void a_late_goodbye_holds_nobody_up(struct rig *rig)
{
	uint32_t before;

	rig_begin(rig, "");
	rig_turn(rig);
	before = atomic_load(&napping);
	atomic_store(&drowsy, true);
	net_at(FAR);
	shunt_peer_close(rig->end[FAR].transport, rig->end[FAR].peer);
	RIG_UNTIL(rig, atomic_load(&napping) != before, "the goodbye to come");
	rig_close(rig, NEAR);
	rig_close(rig, FAR);
	atomic_store(&drowsy, false);
}

const struct rig_test rig_tests_rdma[] = {
	{ "a run of messages needs few completions", completions_are_few },
	{ "short messages are copied, and their buffers are back at once",
	  short_ones_are_copied },
	{ "no receiver is overrun", nobody_is_overrun, SHUNT_TRANSPORT_RELIABLE },
	{ "room for another message ends a sleep", room_ends_a_sleep,
	  SHUNT_TRANSPORT_RELIABLE },
	{ "a goodbye that is read late holds nobody up", a_late_goodbye_holds_nobody_up,
	  SHUNT_TRANSPORT_RELIABLE },
	{ NULL },
};
