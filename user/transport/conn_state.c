/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/conn_state_impl.h"

#define PROBES 3u /* pings without an answer that make a GONE true */
#define CLOSES 4u /* times that CLOSE is said */

const char *shunt_conn_reason_text(enum shunt_conn_reason reason)
{
#define SENTENCE(name, text) [SHUNT_CONN_REASON_##name] = (text),
	static const char *const texts[] = { SHUNT_CONN_REASONS(SENTENCE) };
#undef SENTENCE

	return texts[reason];
}

uint64_t shunt_conn_pause(const struct shunt_conn_now *now, uint64_t ns, uint32_t times,
			  uint64_t most)
{
	uint32_t chance;

	while (times-- && ns < most)
		ns *= 2;
	ns = ns < most ? ns : most;
	now->random(now->self, &chance, sizeof(chance));
	return now->ns + ns / 2 + (uint64_t)((unsigned __int128)ns * chance >> 32);
}

static void wipe_keys(struct shunt_conn_state *state)
{
	shunt_noise_wipe(&state->noise);
	sodium_memzero(&state->out, sizeof(state->out));
	sodium_memzero(&state->in, sizeof(state->in));
}

void shunt_conn_enter(struct shunt_conn_state *state, enum shunt_conn_phase phase,
		      uint64_t now_ns)
{
	state->phase = phase;
	state->since_ns = now_ns;
	state->tries = 0;
	state->probes = 0;
}

void shunt_conn_state_end(struct shunt_conn_state *state, enum shunt_conn_reason reason,
			  struct shunt_conn_step *step)
{
	if (state->phase == SHUNT_CONN_PHASE_IDLE ||
	    state->phase == SHUNT_CONN_PHASE_ENDED)
		return;
	wipe_keys(state);
	shunt_conn_enter(state, SHUNT_CONN_PHASE_ENDED, 0);
	state->reason = reason;
	step->turn = SHUNT_CONN_TURN_ENDED;
}

void shunt_conn_lose(struct shunt_conn_state *state, const struct shunt_conn_now *now,
		     enum shunt_conn_reason reason, struct shunt_conn_step *step)
{
	const struct shunt_conn_rules *rules = state->rules;
	const bool was_up = state->phase == SHUNT_CONN_PHASE_UP;

	if (!state->caller || !state->proven) {
		shunt_conn_state_end(state, reason, step);
		return;
	}
	wipe_keys(state);
	shunt_conn_enter(state, SHUNT_CONN_PHASE_DOWN, now->ns);
	state->reason = reason;
	state->remote = 0;
	state->next_ns = shunt_conn_pause(now, rules->retry_ns, state->calls++,
					  rules->retry_max_ns);
	if (was_up)
		step->turn = SHUNT_CONN_TURN_DOWN;
}

/* --- sealed ------------------------------------------------------------------------------- */

uint32_t shunt_conn_state_seal(struct shunt_conn_state *state, uint64_t now_ns,
			       enum shunt_conn_kind kind, uint8_t *packet,
			       uint32_t bytes)
{
	if (state->phase != SHUNT_CONN_PHASE_UP)
		return 0;
	return shunt_seal(&state->out, now_ns, state->remote, state->local, kind,
			  packet, bytes);
}

static void say(struct shunt_conn_state *state, uint64_t now_ns,
		enum shunt_conn_kind kind, struct shunt_conn_step *step)
{
	step->send_bytes = shunt_seal(&state->out, now_ns, state->remote, state->local,
				      kind, step->send, 0);
}

static void note_heard(struct shunt_conn_state *state, uint64_t now_ns)
{
	state->heard = true;
	state->heard_ns = now_ns;
	state->probes = 0;
	if (state->phase == SHUNT_CONN_PHASE_UP)
		state->next_ns = now_ns + state->rules->keepalive_ns;
}

/* What was said to one that is up or closing; the latter listens for the end alone. */
static enum shunt_conn_outcome hear(struct shunt_conn_state *state,
				    const struct shunt_conn_now *now, uint8_t kind,
				    uint32_t bytes, struct shunt_conn_step *step)
{
	const bool up = state->phase == SHUNT_CONN_PHASE_UP;

	switch (kind) {
	case SHUNT_CONN_KIND_DATAGRAM:
	case SHUNT_CONN_KIND_RELIABLE:
		if (!up)
			return SHUNT_CONN_UNEXPECTED;
		step->kind = kind;
		step->bytes = bytes;
		return SHUNT_CONN_DELIVERED;
	case SHUNT_CONN_KIND_PING:
		if (!up)
			return SHUNT_CONN_UNEXPECTED;
		say(state, now->ns, SHUNT_CONN_KIND_PONG, step);
		return SHUNT_CONN_TAKEN;
	case SHUNT_CONN_KIND_PONG:
		return up ? SHUNT_CONN_TAKEN : SHUNT_CONN_UNEXPECTED;
	case SHUNT_CONN_KIND_CLOSE:
		say(state, now->ns, SHUNT_CONN_KIND_CLOSED, step);
		shunt_conn_state_end(
			state, up ? SHUNT_CONN_REASON_THEIRS : SHUNT_CONN_REASON_OURS,
			step);
		return SHUNT_CONN_TAKEN;
	case SHUNT_CONN_KIND_CLOSED:
		if (up)
			return SHUNT_CONN_UNEXPECTED;
		shunt_conn_state_end(state, SHUNT_CONN_REASON_OURS, step);
		return SHUNT_CONN_TAKEN;
	default:
		return SHUNT_CONN_UNSOUND;
	}
}

static enum shunt_conn_outcome take_data(struct shunt_conn_state *state,
					 const struct shunt_conn_now *now,
					 uint8_t *packet, uint32_t bytes,
					 struct shunt_conn_step *step)
{
	struct shunt_conn_data_packet data;

	if (bytes < SHUNT_CONN_OVERHEAD)
		return SHUNT_CONN_UNSOUND;
	if (state->phase != SHUNT_CONN_PHASE_HALF &&
	    state->phase != SHUNT_CONN_PHASE_UP &&
	    state->phase != SHUNT_CONN_PHASE_CLOSING) {
		/* of a session whose keys are gone: its other end should know */
		step->send_bytes = shunt_conn_gone(packet, bytes, step->send);
		return SHUNT_CONN_UNEXPECTED;
	}
	memcpy(&data, packet, sizeof(data));
	if (shunt_be32(data.from) != state->remote)
		return SHUNT_CONN_UNEXPECTED;
	switch (shunt_seal_open(&state->in, packet, bytes, &step->moved)) {
	case SHUNT_SEAL_OPENED:
		break;
	case SHUNT_SEAL_REPLAYED:
		return SHUNT_CONN_REPLAYED;
	case SHUNT_SEAL_FORGED:
		return SHUNT_CONN_FORGED;
	}
	if (state->phase == SHUNT_CONN_PHASE_HALF)
		shunt_conn_become_up(state, now, step);
	note_heard(state, now->ns);
	return hear(state, now, packet[SHUNT_CONN_FRONT - 1],
		    bytes - SHUNT_CONN_OVERHEAD, step);
}

uint32_t shunt_conn_gone(const uint8_t *packet, uint32_t bytes,
			 uint8_t answer[SHUNT_CONN_CONTROL])
{
	struct shunt_conn_data_packet data;
	struct shunt_conn_gone_packet gone;

	if (bytes < SHUNT_CONN_OVERHEAD)
		return 0;
	memcpy(&data, packet, sizeof(data));
	if (data.head.packet != SHUNT_CONN_PACKET_DATA ||
	    data.head.version != SHUNT_CONN_VERSION || data.head.reserved)
		return 0;
	gone.head = shunt_conn_head_of(SHUNT_CONN_PACKET_GONE, shunt_be32(data.from));
	gone.from = data.head.to;
	memcpy(answer, &gone, sizeof(gone));
	return sizeof(gone);
}

/* Anybody may have sent it. */
static enum shunt_conn_outcome take_gone(struct shunt_conn_state *state,
					 const struct shunt_conn_now *now,
					 const uint8_t *packet, uint32_t bytes,
					 struct shunt_conn_step *step)
{
	struct shunt_conn_gone_packet gone;

	if (bytes != sizeof(gone))
		return SHUNT_CONN_UNSOUND;
	memcpy(&gone, packet, sizeof(gone));
	if (!state->remote || shunt_be32(gone.from) != state->remote)
		return SHUNT_CONN_UNEXPECTED;
	if (state->phase == SHUNT_CONN_PHASE_CLOSING) {
		shunt_conn_state_end(state, SHUNT_CONN_REASON_OURS, step);
		return SHUNT_CONN_TAKEN;
	}
	if (state->phase != SHUNT_CONN_PHASE_UP || state->probes)
		return SHUNT_CONN_UNEXPECTED;
	shunt_conn_state_doubt(state, now, step);
	return SHUNT_CONN_TAKEN;
}

void shunt_conn_state_doubt(struct shunt_conn_state *state,
			    const struct shunt_conn_now *now,
			    struct shunt_conn_step *step)
{
	*step = (struct shunt_conn_step){ 0 };
	if (state->phase != SHUNT_CONN_PHASE_UP || state->probes)
		return;
	state->probes = 1;
	state->next_ns = now->ns + state->rules->retry_ns;
	say(state, now->ns, SHUNT_CONN_KIND_PING, step);
}

enum shunt_conn_outcome shunt_conn_state_packet(struct shunt_conn_state *state,
						const struct shunt_conn_now *now,
						uint8_t *packet, uint32_t bytes,
						struct shunt_conn_step *step)
{
	struct shunt_conn_head head;

	*step = (struct shunt_conn_step){ 0 };
	if (bytes < sizeof(head))
		return SHUNT_CONN_UNSOUND;
	memcpy(&head, packet, sizeof(head));
	if (head.version != SHUNT_CONN_VERSION || head.reserved)
		return SHUNT_CONN_UNSOUND;
	if (shunt_be32(head.to) != state->local)
		return SHUNT_CONN_UNEXPECTED;
	switch (head.packet) {
	case SHUNT_CONN_PACKET_COOKIE:
		return shunt_conn_take_cookie(state, now, packet, bytes, step);
	case SHUNT_CONN_PACKET_WELCOME:
		return shunt_conn_take_welcome(state, now, packet, bytes, step);
	case SHUNT_CONN_PACKET_DATA:
		return take_data(state, now, packet, bytes, step);
	case SHUNT_CONN_PACKET_GONE:
		return take_gone(state, now, packet, bytes, step);
	default:
		return SHUNT_CONN_UNSOUND;
	}
}

/* --- time ----------------------------------------------------------------------------------- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t shunt_conn_state_due(const struct shunt_conn_state *state)
{
	switch (state->phase) {
	case SHUNT_CONN_PHASE_CALLING:
		return sooner(state->next_ns,
			      state->since_ns + state->rules->connect_ns);
	case SHUNT_CONN_PHASE_HALF:
		return state->since_ns + state->rules->half_ns;
	case SHUNT_CONN_PHASE_UP:
		return sooner(state->next_ns, state->heard_ns + state->rules->dead_ns);
	case SHUNT_CONN_PHASE_CLOSING:
	case SHUNT_CONN_PHASE_DOWN:
		return state->next_ns;
	case SHUNT_CONN_PHASE_IDLE:
	case SHUNT_CONN_PHASE_ENDED:
		break;
	}
	return UINT64_MAX;
}

static void tick_up(struct shunt_conn_state *state, const struct shunt_conn_now *now,
		    struct shunt_conn_step *step)
{
	const struct shunt_conn_rules *rules = state->rules;

	if (now->ns >= state->heard_ns + rules->dead_ns || state->probes >= PROBES) {
		shunt_conn_lose(state, now, SHUNT_CONN_REASON_SILENCE, step);
		return;
	}
	state->probes += state->probes > 0;
	/* While the peer may not know yet that we are proven, or is said to be gone, it
	 * is asked more often. */
	state->next_ns = now->ns + (state->heard && !state->probes ? rules->keepalive_ns
								   : rules->retry_ns);
	say(state, now->ns, SHUNT_CONN_KIND_PING, step);
	if (!step->send_bytes)
		shunt_conn_lose(state, now, SHUNT_CONN_REASON_SPENT, step);
}

static void say_close(struct shunt_conn_state *state, const struct shunt_conn_now *now,
		      struct shunt_conn_step *step)
{
	state->tries++;
	state->next_ns = now->ns + state->rules->retry_ns;
	say(state, now->ns, SHUNT_CONN_KIND_CLOSE, step);
}

void shunt_conn_state_tick(struct shunt_conn_state *state,
			   const struct shunt_conn_now *now,
			   struct shunt_conn_step *step)
{
	*step = (struct shunt_conn_step){ 0 };
	if (now->ns < shunt_conn_state_due(state))
		return;
	switch (state->phase) {
	case SHUNT_CONN_PHASE_CALLING:
		if (now->ns >= state->since_ns + state->rules->connect_ns)
			shunt_conn_lose(state, now, SHUNT_CONN_REASON_NO_ANSWER, step);
		else
			shunt_conn_send_hello(state, now, step);
		break;
	case SHUNT_CONN_PHASE_HALF:
		shunt_conn_state_end(state, SHUNT_CONN_REASON_UNPROVEN, step);
		break;
	case SHUNT_CONN_PHASE_UP:
		tick_up(state, now, step);
		break;
	case SHUNT_CONN_PHASE_CLOSING:
		if (state->tries >= CLOSES)
			shunt_conn_state_end(state, SHUNT_CONN_REASON_OURS, step);
		else
			say_close(state, now, step);
		break;
	case SHUNT_CONN_PHASE_DOWN:
		shunt_conn_call_out(state, now, step);
		break;
	case SHUNT_CONN_PHASE_IDLE:
	case SHUNT_CONN_PHASE_ENDED:
		break;
	}
}

void shunt_conn_state_close(struct shunt_conn_state *state,
			    const struct shunt_conn_now *now,
			    struct shunt_conn_step *step)
{
	*step = (struct shunt_conn_step){ 0 };
	if (state->phase == SHUNT_CONN_PHASE_UP) {
		shunt_conn_enter(state, SHUNT_CONN_PHASE_CLOSING, now->ns);
		say_close(state, now, step);
	} else if (state->phase != SHUNT_CONN_PHASE_CLOSING) {
		shunt_conn_state_end(state, SHUNT_CONN_REASON_OURS, step);
	}
}
