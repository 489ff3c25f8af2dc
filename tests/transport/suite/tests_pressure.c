/* SPDX-License-Identifier: BSD-2-Clause */
/* A receiver that does not read: full is short, and nothing grows. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/transport/suite/tests.h"

#define BYTES 1000
#define MOST 40000	   /* messages, of which the end may take all: it loses some */
#define MOST_SLOW 10000	   /* more than there are buffers, still */
#define GROWTH (24u << 20) /* bytes, of the process; its sockets are the kernel's */
#define SHORT_TURNS 100

static uint64_t resident(void)
{
	unsigned long long size, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%llu %llu", &size, &pages), 2);
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* AddressSanitizer keeps what was freed for a while. */
static void did_not_grow(uint64_t before)
{
#ifdef __SANITIZE_ADDRESS__
	before += 16 * (uint64_t)GROWTH;
#endif
	assert_in_range(resident(), 0, before + GROWTH);
}

/* Kicks the sender alone. */
static void kick_near(struct rig *rig)
{
	struct shunt_err err = { "" };

	net_at(NEAR);
	if (shunt_transport_kick(rig->end[NEAR].transport, &err))
		fail_msg("%s", err.message);
}

/* Sends until nothing was taken for a while, or so many were; returns how many. */
static uint32_t until_short(struct rig *rig, uint32_t most)
{
	uint32_t taken = 0, refusals = 0;

	while (taken < most && refusals < SHORT_TURNS) {
		int ret = rig_offer(rig, NEAR, taken);

		assert_in_range(ret, 0, 1);
		taken += (uint32_t)ret;
		refusals = ret ? 0 : refusals + 1;
		if (!ret || taken % 64 == 0)
			kick_near(rig);
		if (!ret)
			poll(NULL, 0, 1);
	}
	return taken;
}

static void nothing_is_lost(struct rig *rig)
{
	uint64_t before;
	uint32_t taken;

	rig->length = rig_equal;
	rig->base = BYTES;
	rig_begin(rig, "");
	rig_pass(rig, NEAR, 0, 1000);
	before = resident();
	taken = until_short(rig, MOST);
	assert_in_range(taken, 1, MOST - 1);
	assert_in_range(rig_stats(rig, NEAR).tx_full, 1, UINT32_MAX);
	did_not_grow(before);
	rig_hear(rig, FAR, 0, taken);
	rig_pass(rig, NEAR, taken, 1000);
	rig_pass(rig, FAR, 0, 1000);
	assert_int_equal(rig_stats(rig, FAR).rx_messages, 1 + 1000 + taken + 1000);
}

/* Numbers tell what went missing, once others have come behind it. */
static void all_is_accounted_for(struct rig *rig)
{
	struct shunt_message messages[SHUNT_BURST];
	struct shunt_transport_stats near, far;
	uint64_t before;
	uint32_t taken, got;

	rig->length = rig_equal;
	rig->base = BYTES;
	rig_begin(rig, "");
	rig_pass(rig, NEAR, 0, 1000);
	before = resident();
	taken = until_short(rig, rig->row->slow ? MOST_SLOW : MOST);
	assert_in_range(taken, 16, MOST);
	did_not_grow(before);
	while ((got = rig_recv(rig, FAR, messages, SHUNT_BURST, 100))) {
		for (uint32_t i = 0; i < got; i++)
			rig_number(rig, &messages[i], 0, taken);
		shunt_release(rig->end[FAR].transport, messages, got);
	}
	rig_pass(rig, NEAR, MOST, 2 * SHUNT_WIRE_WINDOW);
	near = rig_stats(rig, NEAR);
	far = rig_stats(rig, FAR);
	assert_int_equal(near.tx_messages, 1 + 1000 + taken + 2 * SHUNT_WIRE_WINDOW);
	assert_int_equal(far.rx_messages + far.lost + near.tx_failed, near.tx_messages);
	assert_int_equal(far.duplicates, 0);
}

/* One that does not read keeps nobody else from being heard. */
static void others_go_on(struct rig *rig)
{
	struct shunt_message message;
	shunt_peer client;
	int fd;

	rig->length = rig_equal;
	rig->base = BYTES;
	rig_begin(rig, "");
	client = rig->end[NEAR].peer;
	until_short(rig, MOST);
	/* from the same end, over another connection */
	fd = net_tcp(FAR, NEAR, RIG_PORT);
	{
		uint8_t bytes[SHUNT_WIRE_BYTES + 3];
		const struct shunt_wire_piece piece = {
			.length = 3, .bytes = 3, .channel = 5, .epoch = 1
		};

		shunt_wire_write(bytes, &piece);
		memcpy(bytes + SHUNT_WIRE_BYTES, "abc", 3);
		assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	}
	do {
		kick_near(rig);
	} while (!shunt_recv(rig->end[NEAR].transport, &message, 1));
	assert_int_equal(message.frame.len, 3);
	assert_int_equal(message.channel, 5);
	assert_int_not_equal(message.peer, client);
	RIG_UNTIL(rig, shunt_submit(rig->end[NEAR].transport, &message, 1) == 1,
		  "an answer to be taken");
	kick_near(rig);
	assert_int_equal(net_receive(fd, (uint8_t[64]){ 0 }, 64, RIG_WAIT_MS),
			 SHUNT_WIRE_BYTES + 3);
}

const struct rig_test rig_tests_pressure[] = {
	{ "against a receiver that does not read, full is short and nothing is lost",
	  nothing_is_lost, SHUNT_TRANSPORT_RELIABLE },
	{ "against a receiver that does not read, what is lost is counted",
	  all_is_accounted_for, 0, SHUNT_TRANSPORT_RELIABLE },
	{ "a peer that does not read holds up nobody else", others_go_on,
	  SHUNT_TRANSPORT_STREAM },
	{ NULL },
};
