/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/conn_world.h"

#include <stdlib.h>
#include <string.h>

#define CALM_STEPS 10000u /* far more than a minute has any use for */

static void draw(void *self, void *to, size_t bytes)
{
	struct shunt_random *random = self;
	uint8_t *at = to;

	while (bytes--)
		*at++ = (uint8_t)(shunt_random_next(random) >> 56);
}

struct shunt_conn_now conn_world_now(struct conn_world *world)
{
	return (struct shunt_conn_now){ .ns = world->now_ns,
					.random = draw,
					.self = &world->random };
}

static void wrong(struct conn_world *world, const char *what)
{
	if (!world->fault)
		world->fault = what;
}

const char *conn_world_fault(const struct conn_world *world)
{
	return world->fault;
}

static void open_gate(struct conn_world *world)
{
	uint8_t secret[SHUNT_PSK_BYTES];

	draw(&world->random, secret, sizeof(secret));
	if (shunt_conn_gate_open(&world->gate, world->psk, secret, 64, NULL))
		abort();
}

void conn_world_open(struct conn_world *world, uint64_t seed)
{
	uint8_t key[SHUNT_PSK_BYTES];

	memset(world, 0, sizeof(*world));
	world->random.state = seed;
	draw(&world->random, key, sizeof(key));
	if (shunt_psk_open(&world->psk, key, NULL))
		abort();
	world->now_ns = 1000000000000;
	world->rules = (struct shunt_conn_rules){
		.psk = world->psk,
		.terms = { 65536, 256, 16384, 1000 },
		.keepalive_ns = 2000000000,
		.dead_ns = 7000000000,
		.connect_ns = 5000000000,
		.half_ns = 5000000000,
		.retry_ns = 200000000,
		.retry_max_ns = 3000000000,
	};
	world->caller_rules = world->rules;
	open_gate(world);
}

void conn_world_close(struct conn_world *world)
{
	shunt_conn_gate_close(&world->gate);
	shunt_psk_close(world->psk);
	shunt_psk_close(world->caller_psk);
}

/* The network is full: what is sent is lost. */
static void post(struct conn_world *world, bool to_answerer, const void *bytes,
		 uint32_t count)
{
	struct conn_world_packet *packet = &world->packet[world->packets];

	if (!count || world->packets == CONN_WORLD_PACKETS)
		return;
	packet->to_answerer = to_answerer;
	packet->from = world->caller_at;
	packet->bytes = count;
	memcpy(packet->data, bytes, count);
	world->packets++;
}

void conn_world_call(struct conn_world *world)
{
	struct shunt_conn_now now = conn_world_now(world);
	uint8_t handle[SHUNT_CONN_HANDLE];
	struct shunt_conn_step step;

	draw(&world->random, handle, sizeof(handle));
	shunt_conn_state_call(&world->caller, &world->caller_rules, ++world->ids,
			      handle, &now, &step);
	post(world, true, step.send, step.send_bytes);
}

void conn_world_restart(struct conn_world *world)
{
	memset(world->place, 0, sizeof(world->place));
	shunt_conn_gate_close(&world->gate);
	open_gate(world);
}

static bool say_from(struct conn_world *world, struct shunt_conn_state *from,
		     bool by_caller)
{
	uint8_t packet[CONN_WORLD_PACKET];
	uint32_t number = world->count, bytes;

	memcpy(packet + SHUNT_CONN_FRONT, &number, sizeof(number));
	bytes = shunt_conn_state_seal(from, world->now_ns, SHUNT_CONN_KIND_DATAGRAM,
				      packet, sizeof(number));
	if (!bytes)
		return false;
	if (number < CONN_WORLD_SAID) {
		world->said[number] = (struct conn_world_said){
			.from = from->local, .to = from->remote, .by_caller = by_caller
		};
		world->count++;
		post(world, by_caller, packet, bytes);
	}
	return true;
}

bool conn_world_say(struct conn_world *world, bool by_caller)
{
	bool said = false;
	unsigned int i;

	if (by_caller)
		return say_from(world, &world->caller, true);
	for (i = 0; i < CONN_WORLD_PLACES; i++)
		said |= say_from(world, &world->place[i], false);
	return said;
}

/* What arrives was said by the other end of this very connection, and comes once. */
static void check_heard(struct conn_world *world, const struct shunt_conn_state *at,
			const uint8_t *packet, const struct shunt_conn_step *step)
{
	struct conn_world_said *said;
	uint32_t number;

	if (at->phase != SHUNT_CONN_PHASE_UP)
		wrong(world, "something was delivered where no connection is up");
	if (step->kind == SHUNT_CONN_KIND_RELIABLE)
		return;
	memcpy(&number, packet + SHUNT_CONN_FRONT, sizeof(number));
	if (step->bytes != sizeof(number) || number >= world->count) {
		wrong(world, "what was delivered has never been said");
		return;
	}
	said = &world->said[number];
	if (said->by_caller == (at == &world->caller))
		wrong(world, "an end has heard itself");
	if (said->from != at->remote || said->to != at->local)
		wrong(world, "what was said to one connection came to another one");
	if (said->arrived)
		wrong(world, "what was said once has come twice");
	said->arrived = true;
	world->arrived++;
}

static void check_step(struct conn_world *world, const struct shunt_conn_state *at,
		       const struct shunt_conn_step *step)
{
	if (step->send_bytes > sizeof(step->send))
		wrong(world, "a step sends more than it has room for");
	world->ups += step->turn == SHUNT_CONN_TURN_UP;
	world->downs += step->turn == SHUNT_CONN_TURN_DOWN;
	if (step->turn == SHUNT_CONN_TURN_ENDED && at->phase != SHUNT_CONN_PHASE_ENDED)
		wrong(world, "it ended, and lives");
	if ((at->phase == SHUNT_CONN_PHASE_DOWN ||
	     at->phase == SHUNT_CONN_PHASE_ENDED) &&
	    (at->out.next || at->in.next || at->noise.ephemeral[0]))
		wrong(world, "it is over, and its keys are still there");
}

static struct shunt_conn_state *free_place(struct conn_world *world)
{
	unsigned int i;

	for (i = 0; i < CONN_WORLD_PLACES; i++) {
		const enum shunt_conn_phase phase = world->place[i].phase;

		if (phase == SHUNT_CONN_PHASE_IDLE || phase == SHUNT_CONN_PHASE_ENDED)
			return &world->place[i];
	}
	return NULL;
}

static struct shunt_conn_state *place_of(struct conn_world *world, uint32_t id)
{
	unsigned int i;

	for (i = 0; i < CONN_WORLD_PLACES; i++)
		if (id && world->place[i].local == id &&
		    world->place[i].phase != SHUNT_CONN_PHASE_IDLE)
			return &world->place[i];
	return NULL;
}

static void admit(struct conn_world *world, const struct conn_world_packet *packet)
{
	struct shunt_conn_now now = conn_world_now(world);
	struct shunt_conn_state *place = free_place(world);
	struct shunt_conn_hello_packet hello;
	struct shunt_conn_step step;

	memcpy(&hello, packet->data, sizeof(hello));
	if (!place ||
	    !shunt_conn_gate_enter(&world->gate, world->now_ns, &hello, world->ids + 1))
		return;
	world->ids++;
	if (shunt_conn_state_answer(place, &world->rules, world->ids, &hello, &now,
				    &step) != SHUNT_CONN_TAKEN)
		return;
	world->admitted++;
	world->peer_at[place - world->place] = packet->from;
	check_step(world, place, &step);
	post(world, false, step.send, step.send_bytes);
}

static void answer(struct conn_world *world, const struct conn_world_packet *packet)
{
	struct shunt_conn_cookie_packet cookie;
	struct shunt_conn_state *place;
	struct shunt_conn_step step;
	uint32_t id = 0;

	switch (shunt_conn_gate_judge(
		&world->gate, world->now_ns,
		(struct shunt_noise_bytes){ &packet->from, sizeof(packet->from) },
		(struct shunt_noise_bytes){ packet->data, packet->bytes }, &cookie,
		&id)) {
	case SHUNT_CONN_COOKIED:
		if (sizeof(cookie) > packet->bytes)
			wrong(world, "a cookie is longer than what asks for it");
		post(world, false, &cookie, sizeof(cookie));
		break;
	case SHUNT_CONN_AGAIN:
		place = place_of(world, id);
		if (place && shunt_conn_state_again(place, &step) == SHUNT_CONN_TAKEN)
			post(world, false, step.send, step.send_bytes);
		break;
	case SHUNT_CONN_ADMITTED:
		admit(world, packet);
		break;
	case SHUNT_CONN_MALFORMED:
	case SHUNT_CONN_STRANGER:
		break;
	}
}

/* Who calls anew has no other connection of this handle. */
static void replace(struct conn_world *world, const struct shunt_conn_state *by)
{
	struct shunt_conn_step step;
	unsigned int i;

	for (i = 0; i < CONN_WORLD_PLACES; i++) {
		struct shunt_conn_state *place = &world->place[i];

		if (place != by && place->phase == SHUNT_CONN_PHASE_UP &&
		    !memcmp(place->handle, by->handle, sizeof(by->handle)))
			shunt_conn_state_end(place, SHUNT_CONN_REASON_REPLACED, &step);
	}
}

static void hand_over(struct conn_world *world, struct conn_world_packet *packet)
{
	struct shunt_conn_now now = conn_world_now(world);
	struct shunt_conn_state *at = &world->caller;
	struct shunt_conn_head head = { 0 };
	struct shunt_conn_step step;
	uint8_t gone[SHUNT_CONN_CONTROL];

	if (packet->bytes >= sizeof(head))
		memcpy(&head, packet->data, sizeof(head));
	if (packet->to_answerer && head.packet == SHUNT_CONN_PACKET_HELLO) {
		answer(world, packet);
		return;
	}
	if (packet->to_answerer)
		at = place_of(world, shunt_be32(head.to));
	if (!at) {
		post(world, false, gone,
		     shunt_conn_gone(packet->data, packet->bytes, gone));
		return;
	}
	if (shunt_conn_state_packet(at, &now, packet->data, packet->bytes, &step) ==
	    SHUNT_CONN_DELIVERED)
		check_heard(world, at, packet->data, &step);
	check_step(world, at, &step);
	if (step.turn == SHUNT_CONN_TURN_UP && packet->to_answerer)
		replace(world, at);
	if (step.moved && packet->to_answerer)
		world->peer_at[at - world->place] = packet->from;
	post(world, !packet->to_answerer, step.send, step.send_bytes);
}

void conn_world_drop(struct conn_world *world, unsigned int at)
{
	memmove(&world->packet[at], &world->packet[at + 1],
		(--world->packets - at) * sizeof(*world->packet));
}

void conn_world_deliver(struct conn_world *world, unsigned int at, bool stays)
{
	struct conn_world_packet packet = world->packet[at];

	if (!stays)
		conn_world_drop(world, at);
	hand_over(world, &packet);
}

void conn_world_inject(struct conn_world *world, bool to_answerer, const void *bytes,
		       uint32_t count)
{
	struct conn_world_packet packet = { .to_answerer = to_answerer,
					    .from = world->caller_at,
					    .bytes = count };

	if (count > sizeof(packet.data))
		return;
	memcpy(packet.data, bytes, count);
	hand_over(world, &packet);
}

void conn_world_close_end(struct conn_world *world, bool caller)
{
	struct shunt_conn_now now = conn_world_now(world);
	struct shunt_conn_step step;
	unsigned int i;

	if (caller) {
		shunt_conn_state_close(&world->caller, &now, &step);
		check_step(world, &world->caller, &step);
		post(world, true, step.send, step.send_bytes);
		return;
	}
	for (i = 0; i < CONN_WORLD_PLACES; i++) {
		shunt_conn_state_close(&world->place[i], &now, &step);
		check_step(world, &world->place[i], &step);
		post(world, false, step.send, step.send_bytes);
	}
}

uint64_t conn_world_due(const struct conn_world *world)
{
	uint64_t due = shunt_conn_state_due(&world->caller);
	unsigned int i;

	for (i = 0; i < CONN_WORLD_PLACES; i++) {
		const uint64_t at = shunt_conn_state_due(&world->place[i]);

		due = at < due ? at : due;
	}
	return due;
}

void conn_world_tick(struct conn_world *world, uint64_t now_ns)
{
	struct shunt_conn_now now;
	struct shunt_conn_step step;
	unsigned int i;

	world->now_ns = now_ns > world->now_ns ? now_ns : world->now_ns;
	now = conn_world_now(world);
	shunt_conn_state_tick(&world->caller, &now, &step);
	check_step(world, &world->caller, &step);
	post(world, true, step.send, step.send_bytes);
	for (i = 0; i < CONN_WORLD_PLACES; i++) {
		shunt_conn_state_tick(&world->place[i], &now, &step);
		check_step(world, &world->place[i], &step);
		post(world, false, step.send, step.send_bytes);
	}
}

void conn_world_calm(struct conn_world *world, uint64_t ns)
{
	const uint64_t until = world->now_ns + ns;
	unsigned int steps = 0;

	for (;;) {
		uint64_t due;

		while (world->packets && steps++ < CALM_STEPS)
			conn_world_deliver(world, 0, false);
		due = conn_world_due(world);
		if (due > until || steps++ >= CALM_STEPS)
			break;
		conn_world_tick(world, due);
	}
	if (steps >= CALM_STEPS)
		wrong(world, "they talk without an end");
	world->now_ns = until;
}

struct shunt_conn_state *conn_world_other_end(struct conn_world *world)
{
	struct shunt_conn_state *place = place_of(world, world->caller.remote);

	return place && place->remote == world->caller.local ? place : NULL;
}
