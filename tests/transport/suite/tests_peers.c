/* SPDX-License-Identifier: BSD-2-Clause */
/* Peers: handles, many of them, those that die, begin anew, or move. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/model/random.h"
#include "tests/transport/suite/plain.h"
#include "tests/transport/suite/tests.h"

#define ECHO_PORT 7200u
#define SILENT_MS 50

/* --- handles ------------------------------------------------------------------------------ */

static void stale_handles(struct rig *rig)
{
	struct shunt_random random = { shunt_now_ns() };
	struct shunt_transport *near;
	struct shunt_message message;
	char address[SHUNT_ENDPOINT_TEXT];
	shunt_peer before, now;
	int i;

	rig_begin(rig, "");
	near = rig->end[NEAR].transport;
	before = rig->end[NEAR].peer;
	strcpy(address, shunt_transport_address(rig->end[FAR].transport));
	assert_string_equal(shunt_peer_address(near, before), address);
	assert_int_equal(rig_peer(rig, NEAR, address), before);
	shunt_peer_close(near, before);
	shunt_peer_close(near, before);
	shunt_peer_close(near, SHUNT_PEER_NONE);
	assert_null(shunt_peer_address(near, before));
	assert_int_equal(shunt_send(near, before, 0, "x", 1), -ENOTCONN);
	assert_int_equal(shunt_send(near, SHUNT_PEER_NONE, 0, "x", 1), -ENOTCONN);
	for (i = 0; i < 1000; i++) {
		shunt_peer any = (shunt_peer)shunt_random_next(&random);

		assert_int_equal(shunt_send(near, any, 0, "x", 1), -ENOTCONN);
		shunt_peer_close(near, any);
	}
	now = rig_peer(rig, NEAR, address);
	assert_int_not_equal(now, before);
	assert_int_equal(shunt_send(near, before, 0, "x", 1), -ENOTCONN);
	rig->end[NEAR].peer = now;
	rig_say(rig, NEAR, 100, 1);
	if (!rig_recv(rig, FAR, &message, 1, RIG_WAIT_MS))
		rig_late(rig, "the next message");
	rig_check(rig, &message, 100);
	shunt_release(rig->end[FAR].transport, &message, 1);
}

/* Nobody could be there. */
static void impossible_peers(struct rig *rig)
{
	static const char *const address[] = { "192.0.2.2:0",	  "192.0.2.2",
					       "192.0.2.2:70000", "[2001:db8::2]:7000",
					       "0.0.0.0:7000",	  "no such thing" };
	struct shunt_err err;
	shunt_peer peer;
	size_t i;

	rig_open(rig, NEAR, "connect=300");
	for (i = 0; i < sizeof(address) / sizeof(*address); i++) {
		err.message[0] = '\0';
		peer = 1;
		assert_true(shunt_peer_open(rig->end[NEAR].transport, &peer, address[i],
					    &err) < 0);
		assert_int_equal(peer, SHUNT_PEER_NONE);
		if (!strstr(err.message, address[i]))
			fail_msg("\"%s\" does not name %s", err.message, address[i]);
	}
}

/* --- an end that is killed ------------------------------------------------------------------ */

/* Sends small messages until an answer has come; how many were sent. */
static uint32_t until_answered(struct rig *rig)
{
	uint64_t deadline = shunt_now_ns() + (uint64_t)RIG_WAIT_MS * NS_PER_MS;
	struct shunt_message message;
	uint32_t n = 0;

	for (;;) {
		int taken = rig_offer(rig, NEAR, n);

		if (taken < 0 && taken != -ENOTCONN)
			fail_msg("send: %s", strerror(-taken));
		n += taken > 0;
		if (rig_recv(rig, NEAR, &message, 1, SILENT_MS))
			break;
		if (shunt_now_ns() > deadline)
			rig_late(rig, "an answer");
	}
	shunt_release(rig->end[NEAR].transport, &message, 1);
	return n;
}

static void open_echo(struct rig *rig)
{
	char address[SHUNT_ENDPOINT_TEXT];

	snprintf(address, sizeof(address), "%s:%u", net_address[FAR], ECHO_PORT);
	rig->end[NEAR].peer = rig_peer(rig, NEAR, address);
}

static void begin_with_echo(struct rig *rig, pid_t *pid)
{
	rig->length = rig_equal;
	rig->base = 64;
	*pid = rig_echo_start(rig, FAR, ECHO_PORT);
	rig_open(rig, NEAR, "");
	open_echo(rig);
	until_answered(rig);
}

/* What is sent to nobody is no error, and does no harm to others. */
static void a_killed_datagram_peer(struct rig *rig)
{
	struct shunt_message message;
	shunt_peer peer;
	pid_t pid;
	int i;

	begin_with_echo(rig, &pid);
	peer = rig->end[NEAR].peer;
	rig_echo_kill(pid);
	for (i = 0; i < 200; i++) {
		assert_int_equal(rig_offer(rig, NEAR, 0), 1);
		rig_turn(rig);
	}
	while (rig_recv(rig, NEAR, &message, 1, SILENT_MS))
		shunt_release(rig->end[NEAR].transport, &message, 1);
	assert_non_null(shunt_peer_address(rig->end[NEAR].transport, peer));
	/* and when it is there again, it is heard, and known to be another life */
	pid = rig_echo_start(rig, FAR, ECHO_PORT);
	until_answered(rig);
	assert_int_equal(rig_stats(rig, NEAR).restarts, 1);
	for (i = 0; i < 100; i++)
		until_answered(rig);
	assert_int_equal(rig->end[NEAR].peer, peer);
	rig_echo_kill(pid);
	/* the next one there finds what a kill has left in the kernel, and takes it along */
	rig_open_at(rig, FAR, net_address[FAR], ECHO_PORT, "");
}

/* A connection that broke is told, and another one can be made. */
static void a_killed_stream_peer(struct rig *rig)
{
	struct shunt_transport *near;
	struct shunt_err err;
	shunt_peer peer;
	pid_t pid;
	int i;

	begin_with_echo(rig, &pid);
	near = rig->end[NEAR].transport;
	peer = rig->end[NEAR].peer;
	rig_echo_kill(pid);
	RIG_UNTIL(rig,
		  !shunt_recv(near, &(struct shunt_message){ 0 }, 1) &&
			  rig_offer(rig, NEAR, 0) == -ENOTCONN,
		  "the loss of the peer to be told");
	assert_null(shunt_peer_address(near, peer));
	net_at(NEAR);
	err.message[0] = '\0';
	assert_true(shunt_peer_open(near, &peer, "192.0.2.2:7200", &err) < 0);
	assert_non_null(strstr(err.message, "192.0.2.2:7200"));
	pid = rig_echo_start(rig, FAR, ECHO_PORT);
	open_echo(rig);
	for (i = 0; i < 100; i++)
		until_answered(rig);
	rig_echo_kill(pid);
	rig_open_at(rig, FAR, net_address[FAR], ECHO_PORT, "");
}

/* --- an end that moves ---------------------------------------------------------------------- */

/* Who is called at another address is another peer; the old one stays what it was. */
static void another_address(struct rig *rig)
{
	shunt_peer before;

	rig_begin(rig, "");
	rig_pass(rig, NEAR, 0, 100);
	before = rig->end[NEAR].peer;
	rig_close(rig, FAR);
	net_ip(FAR, "addr add 192.0.2.22/24 dev tb");
	rig_open_at(rig, FAR, "192.0.2.22", RIG_PORT, "");
	rig_meet(rig);
	assert_int_not_equal(rig->end[NEAR].peer, before);
	rig_pass(rig, NEAR, 0, 100);
	rig_pass(rig, FAR, 0, 100);
	shunt_peer_close(rig->end[NEAR].transport, before);
	rig_pass(rig, NEAR, 0, 100);
}

/* The same address is on another station, which says so, as after a fail-over. */
static void another_mac(struct rig *rig)
{
	struct shunt_message message;

	rig->length = rig_equal;
	rig->base = 64;
	rig_begin(rig, "");
	rig_pass(rig, NEAR, 0, 100);
	rig_pass(rig, FAR, 0, 100);
	rig_close(rig, FAR);
	net_set(FAR, "ipv4/conf/tb/arp_notify", "1");
	net_ip(FAR, "link set tb down\nlink set tb address 02:00:00:00:00:77\n"
		    "link set tb up");
	rig_open(rig, FAR, "");
	/* who is its own host hears of it as it receives */
	RIG_UNTIL(rig,
		  rig_offer(rig, NEAR, 0) >= 0 &&
			  !rig_recv(rig, NEAR, &message, 1, 0) &&
			  rig_recv(rig, FAR, &message, 1, 1),
		  "messages to find the way");
	shunt_release(rig->end[FAR].transport, &message, 1);
}

/* --- many ------------------------------------------------------------------------------------ */

#define MANY 10000u
#define FIRST_PORT 10000u
#define UDP_HEAD 8u

struct crowd {
	int fd;
	shunt_peer peer[MANY];
	uint8_t heard[MANY];
};

static void crowd_open(struct crowd *crowd)
{
	memset(crowd->heard, 0, sizeof(crowd->heard));
	crowd->fd = net_raw(FAR);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* From a port that no socket has; a checksum of 0 says that there is none (RFC 768). */
static void crowd_say(struct crowd *crowd, uint32_t who, uint32_t sequence)
{
	uint8_t packet[UDP_HEAD + SHUNT_WIRE_BYTES + sizeof(who)] = { 0 };
	const struct shunt_wire_piece piece = { .sequence = sequence,
						.length = sizeof(who),
						.bytes = sizeof(who),
						.epoch = 3 };

	put16(packet, FIRST_PORT + who);
	put16(packet + 2, RIG_PORT);
	put16(packet + 4, sizeof(packet));
	shunt_wire_write(packet + UDP_HEAD, &piece);
	memcpy(packet + UDP_HEAD + SHUNT_WIRE_BYTES, &who, sizeof(who));
	net_send(crowd->fd, packet, sizeof(packet), NEAR, 0);
}

/* The answers so far; each is at the right port. */
static uint32_t crowd_hear(struct crowd *crowd)
{
	uint8_t packet[2048];
	uint32_t n = 0, who, port;
	int32_t len;

	while ((len = net_receive(crowd->fd, packet, sizeof(packet), 0)) > 0) {
		const uint8_t *udp = packet + 4u * (packet[0] & 15);

		port = (uint32_t)udp[2] << 8 | udp[3];
		if (port - FIRST_PORT >= MANY)
			continue;
		memcpy(&who, udp + UDP_HEAD + SHUNT_WIRE_BYTES, sizeof(who));
		assert_int_equal(who, port - FIRST_PORT);
		crowd->heard[who]++;
		n++;
	}
	return n;
}

/* The server answers what has come, and remembers who it was. */
static void serve(struct rig *rig, struct crowd *crowd, bool known)
{
	struct shunt_message messages[SHUNT_BURST];
	unsigned int n, i, done = 0;
	uint32_t who;

	net_at(NEAR);
	n = shunt_recv(rig->end[NEAR].transport, messages, SHUNT_BURST);
	for (i = 0; i < n; i++) {
		assert_int_equal(messages[i].frame.len, sizeof(who));
		memcpy(&who, messages[i].frame.data, sizeof(who));
		assert_in_range(who, 0, MANY - 1);
		if (known)
			assert_int_equal(crowd->peer[who], messages[i].peer);
		crowd->peer[who] = messages[i].peer;
	}
	while (done < n) {
		int taken = shunt_submit(rig->end[NEAR].transport, messages + done,
					 n - done);

		assert_in_range(taken, 0, n - done);
		done += (unsigned int)taken;
		rig_turn(rig);
	}
}

static void speak(struct rig *rig, struct crowd *crowd, bool known)
{
	uint32_t said = 0, answered = 0;

	while (said < MANY) {
		while (said < MANY && said < answered + rig->row->burst / 2)
			crowd_say(crowd, said++, known);
		RIG_UNTIL(rig,
			  (serve(rig, crowd, known), answered += crowd_hear(crowd)) ==
				  said,
			  "an answer to everybody");
	}
}

static void ten_thousand(struct rig *rig)
{
	static struct crowd crowd;
	uint32_t i;

	rig_open(rig, NEAR, "");
	crowd_open(&crowd);
	speak(rig, &crowd, false);
	speak(rig, &crowd, true);
	for (i = 0; i < MANY; i++)
		assert_int_equal(crowd.heard[i], 2);
	assert_int_equal(rig_stats(rig, NEAR).rx_messages, 2 * MANY);
	assert_int_equal(rig_stats(rig, NEAR).no_peer, 0);
	assert_int_equal(rig_stats(rig, NEAR).lost, 0);
}

/* Who was silent longest makes room; all are answered all the same. */
static void more_than_there_is_room_for(struct rig *rig)
{
	static struct crowd crowd;

	rig_open(rig, NEAR, "peers=100");
	crowd_open(&crowd);
	speak(rig, &crowd, false);
	assert_int_equal(rig_stats(rig, NEAR).no_peer, 0);
}

#define STREAMS 200
#define STREAMS_SLOW 40

/* Each with a connection of its own. */
static void many_streams(struct rig *rig)
{
	static struct shunt_transport *client[STREAMS];
	struct shunt_message message;
	struct shunt_err err = { "" };
	char uri[RIG_URI];
	shunt_peer peer;
	int i, round, streams = rig->row->slow ? STREAMS_SLOW : STREAMS;

	rig_open(rig, NEAR, "");
	rig_uri(rig, FAR, net_address[FAR], 0, "buffers=16", uri);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < streams; i++) {
			net_at(FAR);
			if (shunt_transport_open(&client[i], uri, &err) ||
			    shunt_peer_open(client[i], &peer, "192.0.2.1:7000", &err))
				fail_msg("%s", err.message);
			RIG_UNTIL(rig,
				  shunt_send(client[i], peer, 1, &i, sizeof(i)) == 1,
				  "room");
			assert_int_equal(shunt_transport_kick(client[i], NULL), 0);
		}
		for (i = 0; i < streams; i++) {
			assert_int_equal(rig_recv(rig, NEAR, &message, 1, RIG_WAIT_MS),
					 1);
			RIG_UNTIL(rig,
				  shunt_submit(rig->end[NEAR].transport, &message, 1) ==
					  1,
				  "room");
		}
		for (i = 0; i < streams; i++) {
			RIG_UNTIL(rig, shunt_recv(client[i], &message, 1) == 1,
				  "an echo");
			assert_memory_equal(message.frame.data, &i, sizeof(i));
			shunt_release(client[i], &message, 1);
			shunt_transport_close(client[i]);
		}
	}
}

#define D SHUNT_TRANSPORT_DATAGRAMS
#define R SHUNT_TRANSPORT_RELIABLE

const struct rig_test rig_tests_peers[] = {
	{ "handles of peers that are gone are found out", stale_handles },
	{ "who cannot be reached is refused with a sentence", impossible_peers },
	{ "a peer that is killed does no harm, and is heard again",
	  a_killed_datagram_peer, D },
	{ "a peer that is killed is lost, and can be opened again",
	  a_killed_stream_peer, R },
	{ "a peer that moves to another address is another peer", another_address },
	{ "a peer whose station changes is found again", another_mac, D },
	{ "a server has 10,000 peers", ten_thousand, D },
	{ "with more peers than there is room for, all are answered",
	  more_than_there_is_room_for, D },
	{ "a server has many connections", many_streams, R },
	{ NULL },
};
