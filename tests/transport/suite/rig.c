/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/transport/suite/rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "user/base/cleanup.h"

/* --- messages ----------------------------------------------------------------------------- */

uint32_t rig_mixed(const struct rig *rig, uint32_t number)
{
	uint32_t span = shunt_transport_datagram_max(rig->end[NEAR].transport) + 1;

	return number * 7919 % (span < 4096 ? span : 4096);
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

/* The number first, so that a failure can say which one it is. */
void rig_fill(uint8_t *bytes, uint32_t len, uint32_t number)
{
	uint32_t at, state = number * 2654435761u + len;

	for (at = 0; at < len; at++) {
		state = state * 1664525 + 1013904223;
		bytes[at] = at < sizeof(number) ? (uint8_t)(number >> 8 * at)
						: (uint8_t)(state >> 24);
	}
}

uint16_t rig_channel(uint32_t number)
{
	return (uint16_t)(number * 40503u);
}

static bool is(struct rig *rig, const struct shunt_message *message, uint32_t number)
{
	static uint8_t want[RIG_LONGEST];
	uint32_t len = rig->length(rig, number);

	if (message->frame.len != len || message->channel != rig_channel(number))
		return false;
	rig_fill(want, len, number);
	return !len || !memcmp(message->frame.data, want, len);
}

static uint32_t told(const struct shunt_message *message)
{
	uint32_t number = 0;

	if (message->frame.len >= sizeof(number))
		memcpy(&number, message->frame.data, sizeof(number));
	return number;
}

void rig_check(struct rig *rig, const struct shunt_message *message, uint32_t number)
{
	if (!is(rig, message, number))
		fail_msg("message %u of %u bytes was expected: %u bytes came, channel "
			 "%u, "
			 "that begin as number %u does",
			 number, rig->length(rig, number), message->frame.len,
			 message->channel, told(message));
}

uint32_t rig_number(struct rig *rig, const struct shunt_message *message,
		    uint32_t first, uint32_t n)
{
	uint32_t number = told(message);

	assert_true(message->frame.len >= sizeof(number));
	if (number - first >= n || !is(rig, message, number))
		fail_msg(
			"a message of %u bytes that is none of %u to %u, and begins as "
			"number %u",
			message->frame.len, first, first + n - 1, number);
	return number;
}

/* --- opening ------------------------------------------------------------------------------ */

/* LeakSanitizer is not to tell what a library under the transport forgets. */
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

const char *rig_uri(const struct rig *rig, enum net_side side, const char *address,
		    uint16_t port, const char *options, char text[RIG_URI])
{
	const struct rig_row *row = rig->row;
	bool far = side == FAR && row->peer;
	const char *own = far ? row->peer_options : row->options;

	snprintf(text, RIG_URI, "%s://%s:%u%s%s%s%s", far ? row->peer : row->scheme,
		 address, port, *own || *options ? "?" : "", own,
		 *own && *options ? "&" : "", options);
	return text;
}

void rig_open_at(struct rig *rig, enum net_side side, const char *address,
		 uint16_t port, const char *options)
{
	struct shunt_err err = { "" };
	char uri[RIG_URI];

	rig_uri(rig, side, address, port, options, uri);
	net_at(side);
	count_leaks(rig, false);
	if (shunt_transport_open(&rig->end[side].transport, uri, &err))
		fail_msg("%s: %s", uri, err.message);
	count_leaks(rig, true);
	rig->end[side].peer = SHUNT_PEER_NONE;
	rig->end[side].may_fail = false;
}

void rig_open(struct rig *rig, enum net_side side, const char *options)
{
	rig_open_at(rig, side, net_address[side], RIG_PORT, options);
}

void rig_close(struct rig *rig, enum net_side side)
{
	net_at(side);
	shunt_transport_close(rig->end[side].transport);
	rig->end[side] = (struct rig_end){ 0 };
}

void rig_refused(struct rig *rig, enum net_side side, const char *uri, int code,
		 const char *words)
{
	struct shunt_transport *transport = NULL;
	struct shunt_err err = { "" };
	int ret;

	net_at(side);
	count_leaks(rig, false);
	ret = shunt_transport_open(&transport, uri, &err);
	count_leaks(rig, true);
	if (!ret)
		shunt_transport_close(transport);
	if (ret >= 0 || (code && ret != code))
		fail_msg("%s: %d, not %d: %s", uri, ret, code, err.message);
	if (!strstr(err.message, words))
		fail_msg("%s: \"%s\" has no \"%s\"", uri, err.message, words);
}

shunt_peer rig_peer(struct rig *rig, enum net_side side, const char *address)
{
	struct shunt_err err = { "" };
	shunt_peer peer = SHUNT_PEER_NONE;

	net_at(side);
	if (shunt_peer_open(rig->end[side].transport, &peer, address, &err))
		fail_msg("peer %s: %s", address, err.message);
	assert_int_not_equal(peer, SHUNT_PEER_NONE);
	return peer;
}

/* Who was not asked for messages while the other one was opened is taken for dead. */
static bool greet(struct rig *rig)
{
	struct shunt_message none;

	assert_int_equal(rig_recv(rig, FAR, &none, 1, 0), 0);
	net_at(NEAR);
	return shunt_send(rig->end[NEAR].transport, rig->end[NEAR].peer, 9, "hello",
			  5) == 1;
}

void rig_meet(struct rig *rig)
{
	struct shunt_message message;
	char address[SHUNT_ENDPOINT_TEXT];

	strcpy(address, shunt_transport_address(rig->end[FAR].transport));
	rig->end[NEAR].peer = rig_peer(rig, NEAR, address);
	RIG_UNTIL(rig, greet(rig), "room for the first message");
	if (!rig_recv(rig, FAR, &message, 1, RIG_WAIT_MS))
		rig_late(rig, "the first message");
	assert_int_equal(message.frame.len, 5);
	assert_memory_equal(message.frame.data, "hello", 5);
	rig->end[FAR].peer = message.peer;
	shunt_release(rig->end[FAR].transport, &message, 1);
}

void rig_begin(struct rig *rig, const char *options)
{
	rig_open(rig, FAR, options);
	rig_open(rig, NEAR, options);
	rig_meet(rig);
}

/* --- steps -------------------------------------------------------------------------------- */

bool rig_can(const struct rig *rig, uint32_t caps)
{
	return !(caps & ~rig->row->must);
}

struct shunt_transport_stats rig_stats(struct rig *rig, enum net_side side)
{
	struct shunt_transport_stats stats;
	struct shunt_err err = { "" };

	net_at(side);
	if (shunt_transport_stats(rig->end[side].transport, &stats, &err))
		fail_msg("%s", err.message);
	return stats;
}

static void show_description(struct shunt_transport *transport)
{
	_json_ cJSON *json = shunt_transport_describe(transport);
	_free_ char *text = json ? cJSON_PrintUnformatted(json) : NULL;

	print_error("\n    %s\n", text ? text : "");
}

/* What the ends themselves have counted, where a test is about to fail. */
static void show_stats(struct rig *rig)
{
	int side;

	for (side = 0; side < NET_SIDES; side++) {
		struct shunt_transport_stats stats;

		if (!rig->end[side].transport)
			continue;
		stats = rig_stats(rig, (enum net_side)side);
		print_error("  %s:", side == NEAR ? "near" : "far");
#define SHOW(name, help)                                                               \
	if (stats.name)                                                                \
		print_error(" " #name " %llu", (unsigned long long)stats.name);
		SHUNT_TRANSPORT_COUNTERS(SHOW)
		show_description(rig->end[side].transport);
	}
}

void rig_late(struct rig *rig, const char *what)
{
	show_stats(rig);
	fail_msg("not within %d ms: %s", RIG_WAIT_MS, what);
}

static unsigned int kick(struct rig *rig, enum net_side side, struct pollfd *fds)
{
	struct rig_end *end = &rig->end[side];
	struct shunt_err err = { "" };

	if (!end->transport)
		return 0;
	net_at(side);
	if (shunt_transport_kick(end->transport, &err) && !end->may_fail)
		fail_msg("kick: %s", err.message);
	return shunt_transport_wait(end->transport, fds, SHUNT_TRANSPORT_FDS);
}

void rig_turn(struct rig *rig)
{
	struct pollfd fds[NET_SIDES * SHUNT_TRANSPORT_FDS];
	unsigned int n = kick(rig, NEAR, fds);

	n += kick(rig, FAR, fds + n);
	poll(fds, n, 1);
}

unsigned int rig_recv(struct rig *rig, enum net_side side,
		      struct shunt_message *messages, unsigned int max, int wait_ms)
{
	uint64_t deadline = shunt_now_ns() + (uint64_t)wait_ms * NS_PER_MS;

	for (;;) {
		unsigned int n;

		net_at(side);
		n = shunt_recv(rig->end[side].transport, messages, max);
		if (n || shunt_now_ns() > deadline)
			return n;
		rig_turn(rig);
	}
}

int rig_offer(struct rig *rig, enum net_side side, uint32_t number)
{
	static uint8_t bytes[RIG_LONGEST];
	uint32_t len = rig->length(rig, number);

	rig_fill(bytes, len, number);
	net_at(side);
	return shunt_send(rig->end[side].transport, rig->end[side].peer,
			  rig_channel(number), bytes, len);
}

void rig_say(struct rig *rig, enum net_side side, uint32_t first, uint32_t n)
{
	uint64_t deadline = shunt_now_ns() + (uint64_t)RIG_WAIT_MS * NS_PER_MS;
	uint32_t number = first;

	while (number < first + n) {
		int taken = rig_offer(rig, side, number);

		if (taken < 0)
			fail_msg("message %u of %u bytes: %s", number,
				 rig->length(rig, number), strerror(-taken));
		number += (uint32_t)taken;
		if (!taken && shunt_now_ns() > deadline)
			rig_late(rig, "room for a message");
		if (!taken)
			rig_turn(rig);
	}
	rig_turn(rig);
}

void rig_hear(struct rig *rig, enum net_side side, uint32_t first, uint32_t n)
{
	struct shunt_message messages[SHUNT_BURST];
	uint32_t number = first;
	unsigned int got, i;

	while (number < first + n) {
		uint32_t left = first + n - number;

		got = rig_recv(rig, side, messages,
			       left < SHUNT_BURST ? left : SHUNT_BURST, RIG_WAIT_MS);
		if (!got) {
			show_stats(rig);
			fail_msg("message %u has not come", number);
		}
		for (i = 0; i < got; i++) {
			assert_int_equal(messages[i].peer, rig->end[side].peer);
			rig_check(rig, &messages[i], number++);
		}
		shunt_release(rig->end[side].transport, messages, got);
	}
}

void rig_pass(struct rig *rig, enum net_side from, uint32_t first, uint32_t n)
{
	uint32_t at, burst = rig->row->burst;

	for (at = 0; at < n; at += burst) {
		uint32_t count = n - at < burst ? n - at : burst;

		rig_say(rig, from, first + at, count);
		rig_hear(rig, from == NEAR ? FAR : NEAR, first + at, count);
	}
}

/* A message of the same way comes last, and alone. */
void rig_silent(struct rig *rig, enum net_side side)
{
	uint32_t (*length)(const struct rig *rig, uint32_t number) = rig->length;
	uint32_t base = rig->base;

	rig->length = rig_equal;
	rig->base = 77;
	rig_pass(rig, side == NEAR ? FAR : NEAR, 0x7fffffff, 1);
	rig->length = length;
	rig->base = base;
}
