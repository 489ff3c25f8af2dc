// SPDX-License-Identifier: BSD-2-Clause
/* An end of a connection, and a peer whose packets are lost, doubled, and forged. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/transport/reliable.h"

#define ROOM 300u
#define KEPT 4u	       /* packets of the peer, to be used again */
#define BURST_MAX 400u /* packets that one event can set free */
#define LENT 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct shunt_terms terms = { 4096, 8, 1000, 1000 };

struct feed {
	const uint8_t *at;
	size_t left;
};

struct world {
	struct shunt_reliable *end, *peer;
	uint64_t now_ns;
	uint8_t kept[KEPT][ROOM];
	uint32_t kept_bytes[KEPT], keep;
	struct shunt_reliable_message lent[LENT];
	unsigned int lends;
	bool over;
};

static void check(bool sound)
{
	if (!sound)
		abort();
}

static uint8_t next(struct feed *feed)
{
	if (!feed->left)
		return 0;
	feed->left--;
	return *feed->at++;
}

/* A packet in memory of its own length, so that who reads on is seen. */
static void input(struct world *world, const uint8_t *bytes, uint32_t length)
{
	uint8_t *packet = malloc(length ? length : 1);

	memcpy(packet, bytes, length);
	if (shunt_reliable_input(world->end, world->now_ns, packet, length) == -EPROTO)
		world->over = true;
	free(packet);
}

/* What we send reaches the peer, or is lost. */
static void pump(struct world *world, bool lose)
{
	uint8_t packet[ROOM];
	const uint32_t room = SHUNT_RELIABLE_ROOM_MIN;
	uint32_t bytes, n = 0;

	while ((bytes = shunt_reliable_packet(world->end, world->now_ns, packet,
					      room))) {
		check(bytes <= room && n++ < BURST_MAX);
		if (!lose && shunt_reliable_input(world->peer, world->now_ns, packet,
						  bytes) == -EPROTO)
			world->over = true; /* it was led astray by a forged packet */
	}
	check(shunt_reliable_due(world->end) > world->now_ns);
}

static void peer_speaks(struct world *world, bool lose)
{
	uint8_t *packet = world->kept[world->keep % KEPT];
	uint32_t bytes =
		shunt_reliable_packet(world->peer, world->now_ns, packet, ROOM);

	world->kept_bytes[world->keep % KEPT] = bytes;
	world->keep++;
	if (bytes && !lose)
		input(world, packet, bytes);
}

/* One of the peer's packets again, with a few bytes changed. */
static void forge(struct world *world, struct feed *feed)
{
	uint32_t which = next(feed) % KEPT, bytes = world->kept_bytes[which];
	uint8_t packet[ROOM];
	unsigned int changes = next(feed) % 4;

	if (!bytes)
		return;
	memcpy(packet, world->kept[which], bytes);
	while (changes--) {
		uint8_t at = next(feed);

		packet[at % bytes] = next(feed);
	}
	input(world, packet, bytes - next(feed) % 2);
}

static void raw(struct world *world, struct feed *feed)
{
	uint32_t length = next(feed);

	if (length > feed->left)
		length = feed->left;
	input(world, feed->at, length);
	feed->at += length;
	feed->left -= length;
}

/* Its bytes are read, so that a sanitizer sees those that are not there. */
static void read_message(const struct shunt_reliable_message *message)
{
	volatile uint8_t sum = 0;
	uint32_t i;

	check(message->length <= terms.message_max);
	for (i = 0; i < message->length; i++)
		sum = (uint8_t)(sum + message->data[i]);
}

static void take(struct world *world, struct feed *feed)
{
	uint8_t what = next(feed);
	unsigned int i;

	if (what & 1) {
		world->lends +=
			shunt_reliable_recv(world->end, world->lent + world->lends,
					    LENT - world->lends);
		for (i = 0; i < world->lends; i++)
			read_message(&world->lent[i]);
	} else if (world->lends) {
		i = what / 2 % world->lends;
		shunt_reliable_release(world->end, &world->lent[i], 1);
		world->lent[i] = world->lent[--world->lends];
	}
}

static void say(struct world *world, struct feed *feed)
{
	static const uint8_t bytes[1000];
	struct shunt_reliable *who = next(feed) & 1 ? world->end : world->peer;
	int taken = shunt_reliable_send(who, 1, bytes, 4u * next(feed) % 1001);

	check(taken <= 1);
}

static void event(struct world *world, struct feed *feed)
{
	uint8_t what = next(feed);

	switch (what & 7) {
	case 0:
		world->now_ns += (uint64_t)next(feed) << (what >> 3);
		break;
	case 1:
		say(world, feed);
		break;
	case 2:
	case 3:
		peer_speaks(world, what & 64);
		break;
	case 4:
		forge(world, feed);
		break;
	case 5:
		raw(world, feed);
		break;
	default:
		take(world, feed);
	}
	pump(world, what & 128);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed feed = { data, size };
	struct world world = { .now_ns = 1 };
	uint8_t how = next(&feed);
	const struct shunt_reliable_opts opts = {
		.sz = sizeof(opts),
		.ours = terms,
		.theirs = terms,
		.send_bytes = 4096,
		.packets = 16u << (how & 3),
		.lossless = how >> 7,
		.start = how & 64 ? (UINT64_C(1) << 32) - 64 : 0,
	};

	check(!shunt_reliable_open(&world.end, &opts, NULL));
	check(!shunt_reliable_open(&world.peer, &opts, NULL));
	while (feed.left && !world.over)
		event(&world, &feed);
	shunt_reliable_close(world.end);
	shunt_reliable_close(world.peer);
	return 0;
}
