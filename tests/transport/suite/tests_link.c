/* SPDX-License-Identifier: BSD-2-Clause */
/* The interface under a transport: its MTU, down and up, and gone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/transport/suite/tests.h"

#define SILENT_MS 20
#define SILENT_SHARED_MS                                                               \
	150 /* rxe sends from a queue of its own, in an emulated guest */

static void set_mtu(unsigned int near, unsigned int far)
{
	char line[64];

	snprintf(line, sizeof(line), "link set ta mtu %u", near);
	net_ip(NEAR, line);
	snprintf(line, sizeof(line), "link set tb mtu %u", far);
	net_ip(FAR, line);
}

/* Reads away what has come, whatever it is, until it is silent. */
static uint32_t drain(struct rig *rig, enum net_side side)
{
	bool reliable = rig_can(rig, SHUNT_TRANSPORT_RELIABLE);
	int silent_ms = rig->row->shares && !reliable ? SILENT_SHARED_MS : SILENT_MS;
	struct shunt_message messages[SHUNT_BURST];
	unsigned int got;
	uint32_t n = 0;

	while ((got = rig_recv(rig, side, messages, SHUNT_BURST, silent_ms))) {
		shunt_release(rig->end[side].transport, messages, got);
		n += got;
	}
	return n;
}

/* Each was taken or refused, and is heard, or counted. */
static void say_whatever(struct rig *rig, enum net_side side, uint32_t first,
			 uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		int taken = rig_offer(rig, side, first + i);

		if (taken < 0 && taken != -EMSGSIZE && taken != -ENETDOWN &&
		    taken != -ENETUNREACH && taken != -ENOTCONN)
			fail_msg("message of %u bytes: %s", rig->length(rig, first + i),
				 strerror(-taken));
		rig_turn(rig);
	}
}

/* Says messages until the last of them is heard. */
static void until_heard(struct rig *rig, enum net_side from)
{
	enum net_side to = from == NEAR ? FAR : NEAR;
	uint64_t deadline = shunt_now_ns() + (uint64_t)RIG_WAIT_MS * NS_PER_MS;

	while (!drain(rig, to)) {
		say_whatever(rig, from, 0, 1);
		if (shunt_now_ns() > deadline)
			rig_late(rig, "a message after the interface came up");
	}
	drain(rig, to);
}

/* What it may send is known to it after a moment. */
static void settle(struct rig *rig)
{
	rig->length = rig_equal;
	rig->base = shunt_transport_datagram_max(rig->end[NEAR].transport);
	until_heard(rig, NEAR);
	until_heard(rig, FAR);
	rig->length = rig_mixed;
}

static void mtu_changes(struct rig *rig)
{
	static const unsigned int mtu[] = { 1280, 3000, 1500, 9000, 1400, 1500 };
	bool reliable = rig_can(rig, SHUNT_TRANSPORT_RELIABLE);
	size_t i;

	rig_begin(rig, "");
	for (i = 0; i < sizeof(mtu) / sizeof(*mtu); i++) {
		if (rig->row->mtu_max && mtu[i] > rig->row->mtu_max)
			continue;
		set_mtu(mtu[i], mtu[i]);
		rig->length = rig_equal;
		rig->base = 1000;
		rig_pass(rig, NEAR, 0, 32);
		rig_pass(rig, FAR, 0, 32);
		if (reliable || mtu[i] >= NET_MTU) {
			settle(rig);
			rig_pass(rig, NEAR, 0, 64);
			rig_pass(rig, FAR, 0, 64);
			continue;
		}
		rig->length = rig_mixed;
		say_whatever(rig, NEAR, 0, 64);
		say_whatever(rig, FAR, 0, 64);
		drain(rig, NEAR);
		drain(rig, FAR);
	}
	rig->base = 4000;
	rig->length = rig_equal;
	rig_pass(rig, NEAR, 0, 16);
	rig_pass(rig, FAR, 0, 16);
}

/* One end has a larger MTU than the other. */
static void mtus_differ(struct rig *rig)
{
	/* TCP may join messages to segments that do not fit, and has to find out why none comes */
	net_set(NEAR, "ipv4/tcp_mtu_probing", "1");
	rig_begin(rig, "");
	set_mtu(1500, 1300);
	rig->length = rig_equal;
	rig->base = 1000;
	rig_pass(rig, NEAR, 0, 64);
	rig_pass(rig, FAR, 0, 64);
	rig->base = 1450;
	say_whatever(rig, NEAR, 0, 32);
	drain(rig, FAR);
	set_mtu(1500, 1500);
	settle(rig);
	rig->length = rig_equal;
	rig_pass(rig, NEAR, 100, 64);
	rig_pass(rig, FAR, 100, 64);
}

#define REST_MS 200

/* What kick says once the interface has been up for a moment. */
static int state_of(struct rig *rig, enum net_side side, struct shunt_err *err)
{
	uint64_t until = shunt_now_ns() + REST_MS * UINT64_C(1000000);
	int ret;

	do {
		rig_turn(rig);
		net_at(side);
		ret = shunt_transport_kick(rig->end[side].transport, err);
	} while (shunt_now_ns() < until);
	return ret;
}

/* A transport that is of no more use has said so, and can be opened anew. */
static void look_after(struct rig *rig, enum net_side side)
{
	struct shunt_err err = { "" };
	int ret = state_of(rig, side, &err);

	if (!ret)
		return;
	assert_true(rig->row->dies);
	assert_true(ret == -ENETDOWN || ret == -ENODEV);
	assert_non_null(strstr(err.message, net_interface[side]));
	rig_close(rig, side);
	rig_open(rig, side, "");
	rig->end[side].peer =
		rig_peer(rig, side, side == FAR ? "192.0.2.1:7000" : "192.0.2.2:7000");
}

static void down_and_up(struct rig *rig, enum net_side side)
{
	enum net_side other = side == NEAR ? FAR : NEAR;
	char line[64];

	rig->length = rig_equal;
	rig->base = 200;
	rig_begin(rig, "");
	rig_pass(rig, NEAR, 0, 100);
	rig->end[side].may_fail = rig->row->dies;
	snprintf(line, sizeof(line), "link set %s down", net_interface[side]);
	net_ip(side, line);
	say_whatever(rig, side, 0, 50);
	say_whatever(rig, other, 0, 50);
	snprintf(line, sizeof(line), "link set %s up", net_interface[side]);
	net_ip(side, line);
	look_after(rig, side);
	rig->end[side].may_fail = false;
	until_heard(rig, NEAR);
	until_heard(rig, FAR);
	rig_pass(rig, NEAR, 1000, 200);
	rig_pass(rig, FAR, 1000, 200);
}

static void own_down_and_up(struct rig *rig)
{
	down_and_up(rig, NEAR);
}

static void other_down_and_up(struct rig *rig)
{
	down_and_up(rig, FAR);
}

/* The same address may be on another interface one day; meanwhile it is no way. */
static void gone(struct rig *rig)
{
	struct shunt_err err = { "" };
	int i;

	rig->length = rig_equal;
	rig->base = 100;
	rig_begin(rig, "");
	rig_pass(rig, NEAR, 0, 50);
	rig->end[NEAR].may_fail = rig->end[FAR].may_fail = true;
	net_ip(NEAR, "link del ta");
	for (i = 0; i < 100; i++) {
		say_whatever(rig, NEAR, 0, 1);
		drain(rig, FAR);
	}
	net_at(NEAR);
	if (shunt_transport_kick(rig->end[NEAR].transport, &err))
		assert_true(strlen(err.message) > 10);
}

const struct rig_test rig_tests_link[] = {
	{ "its interface's MTU changes", mtu_changes },
	{ "the other end's MTU is smaller", mtus_differ },
	{ "its interface goes down and comes up", own_down_and_up },
	{ "the other end's interface goes down and comes up", other_down_and_up },
	{ "its interface is deleted", gone },
	{ NULL },
};
