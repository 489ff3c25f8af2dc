/* SPDX-License-Identifier: BSD-2-Clause */
/* Two ends of a connection under an attacker's hand: each input is what he does. */
#include <stdlib.h>
#include <string.h>

#include "tests/model/conn_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * A byte says what happens, the ones behind it how. Besides what a network does (deliver,
 * drop, double, damage, let time pass) there are packets out of nothing, and packets with
 * sound seals and marks around bytes of the input: a peer that knows the key is no friend.
 */
enum act {
	DELIVER,
	DELIVER_TWICE,
	DROP,
	DAMAGE,
	CUT,
	TICK,
	PASS,
	SAY,
	CALL,
	CLOSE,
	RESTART,
	MOVE,
	INJECT,
	FORGE_DATA,
	FORGE_HELLO,
	FORGE_COOKIE,
	ACTS
};

struct input {
	const uint8_t *at;
	size_t left;
};

static struct conn_world world;

static uint8_t take(struct input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->at++;
}

static uint32_t take_bytes(struct input *input, uint8_t *to, uint32_t most)
{
	uint32_t n = take(input), i;

	n = n < most ? n : most;
	for (i = 0; i < n; i++)
		to[i] = take(input);
	return n;
}

static unsigned int pick(struct input *input)
{
	return take(input) % world.packets;
}

static void damage(struct input *input)
{
	struct conn_world_packet *packet = &world.packet[pick(input)];

	packet->data[take(input) % packet->bytes] ^= (uint8_t)(1 + take(input));
}

static void inject(struct input *input)
{
	uint8_t bytes[CONN_WORLD_PACKET];
	const bool to_answerer = take(input) & 1;

	conn_world_inject(&world, to_answerer, bytes,
			  take_bytes(input, bytes, sizeof(bytes)));
}

/* What an end that is up might seal, had it another program. */
static void forge_data(struct input *input)
{
	struct shunt_conn_state *from = &world.caller;
	uint8_t packet[CONN_WORLD_PACKET];
	const bool by_caller = take(input) & 1;
	const uint8_t kind = take(input) % 8;
	uint32_t bytes;

	if (!by_caller)
		from = &world.place[take(input) % CONN_WORLD_PLACES];
	bytes = take_bytes(input, packet + SHUNT_CONN_FRONT, 64);
	/* what is said as a datagram or as reliable is what the world has said itself */
	if (kind == SHUNT_CONN_KIND_DATAGRAM || !from->out.next)
		return;
	bytes = shunt_seal(&from->out, world.now_ns, from->remote, from->local, kind,
			   packet, bytes);
	conn_world_inject(&world, by_caller, packet, bytes);
}

static void forge_hello(struct input *input)
{
	struct shunt_conn_hello_packet hello = {
		.head = { .packet = SHUNT_CONN_PACKET_HELLO,
			  .version = SHUNT_CONN_VERSION,
			  .to = shunt_be32(take(input)) },
	};
	struct shunt_conn_hello_text text = { .terms = { 0 } };
	uint8_t ephemeral[SHUNT_NOISE_KEY] = { take(input), 1 };
	struct shunt_noise noise;

	take_bytes(input, (uint8_t *)&text, sizeof(text));
	shunt_noise_call(&noise, world.psk->key,
			 (struct shunt_noise_bytes){ (uint8_t *)&hello.head,
						     sizeof(hello.head) },
			 ephemeral,
			 (struct shunt_noise_bytes){ (uint8_t *)&text, sizeof(text) },
			 hello.noise);
	memcpy(hello.cookie, world.caller.cookie, sizeof(hello.cookie));
	shunt_psk_mark(world.psk, &hello,
		       offsetof(struct shunt_conn_hello_packet, mark), NULL, 0,
		       hello.mark);
	conn_world_inject(&world, true, &hello, sizeof(hello));
}

static void forge_cookie(struct input *input)
{
	struct shunt_conn_cookie_packet cookie = {
		.head = { .packet = SHUNT_CONN_PACKET_COOKIE,
			  .version = SHUNT_CONN_VERSION,
			  .to = shunt_be32(world.caller.local) },
		.cookie = { take(input) },
	};

	shunt_psk_mark(world.psk, &cookie,
		       offsetof(struct shunt_conn_cookie_packet, mark),
		       world.caller.again.hello.mark, SHUNT_PSK_MARK, cookie.mark);
	conn_world_inject(&world, false, &cookie, sizeof(cookie));
}

static void act_on_packets(struct input *input, enum act act)
{
	if (!world.packets)
		return;
	switch (act) {
	case DELIVER:
		conn_world_deliver(&world, pick(input), false);
		break;
	case DELIVER_TWICE:
		conn_world_deliver(&world, pick(input), true);
		break;
	case DROP:
		conn_world_drop(&world, pick(input));
		break;
	case DAMAGE:
		damage(input);
		break;
	default:
		world.packet[pick(input)].bytes = 1 + take(input) % 120;
	}
}

static void act(struct input *input)
{
	const enum act what = take(input) % ACTS;

	switch (what) {
	case TICK:
		if (conn_world_due(&world) != UINT64_MAX)
			conn_world_tick(&world, conn_world_due(&world));
		break;
	case PASS:
		conn_world_tick(&world, world.now_ns + ((uint64_t)take(input) << 28));
		break;
	case SAY:
		(void)conn_world_say(&world, take(input) & 1);
		break;
	case CALL:
		if (world.caller.phase == SHUNT_CONN_PHASE_ENDED)
			conn_world_call(&world);
		break;
	case CLOSE:
		conn_world_close_end(&world, take(input) & 1);
		break;
	case RESTART:
		conn_world_restart(&world);
		break;
	case MOVE:
		world.caller_at++;
		break;
	case INJECT:
		inject(input);
		break;
	case FORGE_DATA:
		forge_data(input);
		break;
	case FORGE_HELLO:
		forge_hello(input);
		break;
	case FORGE_COOKIE:
		forge_cookie(input);
		break;
	default:
		act_on_packets(input, what);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };

	conn_world_open(&world, 1);
	conn_world_call(&world);
	/* half of them begin where the two have met */
	if (take(&input) & 1)
		conn_world_calm(&world, 1000000);
	while (input.left && world.count < CONN_WORLD_SAID - CONN_WORLD_PLACES) {
		act(&input);
		if (conn_world_fault(&world))
			abort();
	}
	/* and whatever he did: they find each other once he has gone */
	conn_world_calm(&world, 60000000000);
	if (world.caller.phase == SHUNT_CONN_PHASE_ENDED)
		conn_world_call(&world);
	conn_world_calm(&world, 30000000000);
	if (conn_world_fault(&world) || world.caller.phase != SHUNT_CONN_PHASE_UP ||
	    !conn_world_other_end(&world))
		abort();
	conn_world_close(&world);
	return 0;
}
