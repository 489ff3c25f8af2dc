/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/conn_state.h"

#include <string.h>

#include <sodium.h>

#define PROBES 3u /* pings without an answer that make a GONE true */
#define CLOSES 4u /* times that CLOSE is said */

const char *shunt_conn_reason_text(enum shunt_conn_reason reason)
{
#define SENTENCE(name, text) [SHUNT_CONN_REASON_##name] = (text),
	static const char *const texts[] = { SHUNT_CONN_REASONS(SENTENCE) };
#undef SENTENCE

	return texts[reason];
}

static struct shunt_conn_head head_of(enum shunt_conn_packet packet, uint32_t to)
{
	return (struct shunt_conn_head){
		.packet = packet,
		.version = SHUNT_CONN_VERSION,
		.to = shunt_be32(to),
	};
}

static void send_bytes(struct shunt_conn_step *step, const void *packet, uint32_t bytes)
{
	memcpy(step->send, packet, bytes);
	step->send_bytes = bytes;
}

/* Something between half and three halves of it, so that those who lost the same peer
 * don't all come back at once. */
static uint64_t around(uint64_t ns, const struct shunt_conn_now *now)
{
	uint32_t chance;

	now->random(now->self, &chance, sizeof(chance));
	return ns / 2 + (uint64_t)((unsigned __int128)ns * chance >> 32);
}

static uint64_t doubled(uint64_t ns, uint32_t times, uint64_t most)
{
	while (times-- && ns < most)
		ns *= 2;
	return ns < most ? ns : most;
}

static void wipe_keys(struct shunt_conn_state *state)
{
	shunt_noise_wipe(&state->noise);
	sodium_memzero(&state->out, sizeof(state->out));
	sodium_memzero(&state->in, sizeof(state->in));
}

static void enter(struct shunt_conn_state *state, enum shunt_conn_phase phase,
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
	enter(state, SHUNT_CONN_PHASE_ENDED, 0);
	state->reason = reason;
	step->turn = SHUNT_CONN_TURN_ENDED;
}

/* The caller will try again; who only answered waits for it to. */
static void lose(struct shunt_conn_state *state, const struct shunt_conn_now *now,
		 enum shunt_conn_reason reason, struct shunt_conn_step *step)
{
	const struct shunt_conn_rules *rules = state->rules;
	const bool was_up = state->phase == SHUNT_CONN_PHASE_UP;

	if (!state->caller || !state->proven) {
		shunt_conn_state_end(state, reason, step);
		return;
	}
	wipe_keys(state);
	enter(state, SHUNT_CONN_PHASE_DOWN, now->ns);
	state->reason = reason;
	state->remote = 0;
	state->next_ns = now->ns + around(doubled(rules->retry_ns, state->calls++,
						  rules->retry_max_ns),
					  now);
	if (was_up)
		step->turn = SHUNT_CONN_TURN_DOWN;
}

/* --- the handshake ----------------------------------------------------------------------- */

static void send_hello(struct shunt_conn_state *state, const struct shunt_conn_now *now,
		       struct shunt_conn_step *step)
{
	const struct shunt_conn_rules *rules = state->rules;

	send_bytes(step, &state->again.hello, sizeof(state->again.hello));
	state->next_ns = now->ns + around(doubled(rules->retry_ns, state->tries++,
						  rules->connect_ns),
					  now);
}

/* A HELLO with keys of its own, as often as its cookie changes. */
static void make_hello(struct shunt_conn_state *state, const struct shunt_conn_now *now)
{
	struct shunt_conn_hello_packet *hello = &state->again.hello;
	const struct shunt_psk *psk = state->rules->psk;
	uint8_t ephemeral[SHUNT_NOISE_KEY];
	struct shunt_conn_hello_text text;

	memcpy(text.handle, state->handle, sizeof(text.handle));
	shunt_terms_write(&state->rules->terms, text.terms);
	hello->head = head_of(SHUNT_CONN_PACKET_HELLO, state->local);
	now->random(now->self, ephemeral, sizeof(ephemeral));
	shunt_noise_call(&state->noise, psk->key,
			 (struct shunt_noise_bytes){ (uint8_t *)&hello->head,
						     sizeof(hello->head) },
			 ephemeral,
			 (struct shunt_noise_bytes){ (uint8_t *)&text, sizeof(text) },
			 hello->noise);
	sodium_memzero(ephemeral, sizeof(ephemeral));
	memcpy(hello->cookie, state->cookie, sizeof(hello->cookie));
	shunt_psk_mark(psk, hello, offsetof(struct shunt_conn_hello_packet, mark), NULL,
		       0, hello->mark);
}

static void call(struct shunt_conn_state *state, const struct shunt_conn_now *now,
		 struct shunt_conn_step *step)
{
	enter(state, SHUNT_CONN_PHASE_CALLING, now->ns);
	make_hello(state, now);
	send_hello(state, now, step);
}

void shunt_conn_state_call(struct shunt_conn_state *state,
			   const struct shunt_conn_rules *rules, uint32_t local,
			   const uint8_t handle[SHUNT_CONN_HANDLE],
			   const struct shunt_conn_now *now,
			   struct shunt_conn_step *step)
{
	*step = (struct shunt_conn_step){ 0 };
	*state = (struct shunt_conn_state){ .rules = rules,
					    .local = local,
					    .caller = true };
	memcpy(state->handle, handle, sizeof(state->handle));
	call(state, now, step);
}

static void become_up(struct shunt_conn_state *state, const struct shunt_conn_now *now,
		      struct shunt_conn_step *step)
{
	enter(state, SHUNT_CONN_PHASE_UP, now->ns);
	state->reason = SHUNT_CONN_REASON_NONE;
	state->proven = true;
	state->heard = !state->caller;
	state->heard_ns = now->ns;
	state->calls = 0;
	state->next_ns = now->ns + (state->heard ? state->rules->keepalive_ns
						 : state->rules->retry_ns);
	step->turn = SHUNT_CONN_TURN_UP;
}

enum shunt_conn_outcome shunt_conn_state_answer(
	struct shunt_conn_state *state, const struct shunt_conn_rules *rules,
	uint32_t local, const struct shunt_conn_hello_packet *hello,
	const struct shunt_conn_now *now, struct shunt_conn_step *step)
{
	struct shunt_conn_welcome_packet *welcome = &state->again.welcome;
	struct shunt_conn_welcome_text text = { .id = shunt_be32(local) };
	struct shunt_conn_hello_text asked;
	uint8_t ephemeral[SHUNT_NOISE_KEY];
	struct shunt_noise_keys keys;
	bool sound;

	*step = (struct shunt_conn_step){ 0 };
	*state = (struct shunt_conn_state){ .rules = rules, .local = local };
	if (!shunt_noise_called(
		    &state->noise, rules->psk->key,
		    (struct shunt_noise_bytes){ (const uint8_t *)&hello->head,
						sizeof(hello->head) },
		    (struct shunt_noise_bytes){ hello->noise, sizeof(hello->noise) },
		    (uint8_t *)&asked)) {
		*state = (struct shunt_conn_state){ 0 };
		return SHUNT_CONN_FORGED;
	}
	state->remote = shunt_be32(hello->head.to);
	memcpy(state->handle, asked.handle, sizeof(state->handle));
	shunt_terms_write(&rules->terms, text.terms);
	welcome->head = head_of(SHUNT_CONN_PACKET_WELCOME, state->remote);
	now->random(now->self, ephemeral, sizeof(ephemeral));
	sound = shunt_terms_read(&state->theirs, asked.terms) &&
		shunt_noise_answer(&state->noise, ephemeral,
				   (struct shunt_noise_bytes){ (uint8_t *)&text,
							       sizeof(text) },
				   welcome->noise, &keys);
	sodium_memzero(ephemeral, sizeof(ephemeral));
	if (!sound) {
		sodium_memzero(state, sizeof(*state));
		return SHUNT_CONN_UNSOUND;
	}
	shunt_seal_begin(&state->out, &state->in, &keys, now->ns);
	sodium_memzero(&keys, sizeof(keys));
	enter(state, SHUNT_CONN_PHASE_HALF, now->ns);
	send_bytes(step, welcome, sizeof(*welcome));
	return SHUNT_CONN_TAKEN;
}

enum shunt_conn_outcome shunt_conn_state_again(const struct shunt_conn_state *state,
					       struct shunt_conn_step *step)
{
	*step = (struct shunt_conn_step){ 0 };
	if (state->phase != SHUNT_CONN_PHASE_HALF)
		return SHUNT_CONN_UNEXPECTED;
	send_bytes(step, &state->again.welcome, sizeof(state->again.welcome));
	return SHUNT_CONN_TAKEN;
}

static enum shunt_conn_outcome take_cookie(struct shunt_conn_state *state,
					   const struct shunt_conn_now *now,
					   const uint8_t *packet, uint32_t bytes,
					   struct shunt_conn_step *step)
{
	const struct shunt_conn_hello_packet *hello = &state->again.hello;
	struct shunt_conn_cookie_packet cookie;
	uint8_t mark[SHUNT_PSK_MARK];

	if (bytes != sizeof(cookie))
		return SHUNT_CONN_UNSOUND;
	if (state->phase != SHUNT_CONN_PHASE_CALLING)
		return SHUNT_CONN_UNEXPECTED;
	memcpy(&cookie, packet, sizeof(cookie));
	shunt_psk_mark(state->rules->psk, &cookie,
		       offsetof(struct shunt_conn_cookie_packet, mark), hello->mark,
		       sizeof(hello->mark), mark);
	if (sodium_memcmp(mark, cookie.mark, sizeof(mark)))
		return SHUNT_CONN_FORGED;
	memcpy(state->cookie, cookie.cookie, sizeof(state->cookie));
	make_hello(state, now);
	send_hello(state, now, step);
	return SHUNT_CONN_TAKEN;
}

/* The answerer is proven, and learns by a ping that we are. */
static enum shunt_conn_outcome take_welcome(struct shunt_conn_state *state,
					    const struct shunt_conn_now *now,
					    const uint8_t *packet, uint32_t bytes,
					    struct shunt_conn_step *step)
{
	struct shunt_conn_welcome_packet welcome;
	struct shunt_conn_welcome_text text;
	struct shunt_noise_keys keys;

	if (bytes != sizeof(welcome))
		return SHUNT_CONN_UNSOUND;
	if (state->phase != SHUNT_CONN_PHASE_CALLING)
		return SHUNT_CONN_UNEXPECTED;
	memcpy(&welcome, packet, sizeof(welcome));
	if (!shunt_noise_answered(&state->noise,
				  (struct shunt_noise_bytes){ welcome.noise,
							      sizeof(welcome.noise) },
				  (uint8_t *)&text, &keys))
		return SHUNT_CONN_FORGED;
	state->remote = shunt_be32(text.id);
	shunt_seal_begin(&state->out, &state->in, &keys, now->ns);
	sodium_memzero(&keys, sizeof(keys));
	if (!state->remote || !shunt_terms_read(&state->theirs, text.terms)) {
		lose(state, now, SHUNT_CONN_REASON_PROTOCOL, step);
		return SHUNT_CONN_UNSOUND;
	}
	become_up(state, now, step);
	step->moved = true;
	step->send_bytes = shunt_conn_state_seal(state, now->ns, SHUNT_CONN_KIND_PING,
						 step->send, 0);
	return SHUNT_CONN_TAKEN;
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
		become_up(state, now, step);
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
	gone.head = head_of(SHUNT_CONN_PACKET_GONE, shunt_be32(data.from));
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
		return take_cookie(state, now, packet, bytes, step);
	case SHUNT_CONN_PACKET_WELCOME:
		return take_welcome(state, now, packet, bytes, step);
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
		lose(state, now, SHUNT_CONN_REASON_SILENCE, step);
		return;
	}
	state->probes += state->probes > 0;
	/* While the peer may not know yet that we are proven, or is said to be gone, it
	 * is asked more often. */
	state->next_ns = now->ns + (state->heard && !state->probes ? rules->keepalive_ns
								   : rules->retry_ns);
	say(state, now->ns, SHUNT_CONN_KIND_PING, step);
	if (!step->send_bytes)
		lose(state, now, SHUNT_CONN_REASON_SPENT, step);
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
			lose(state, now, SHUNT_CONN_REASON_NO_ANSWER, step);
		else
			send_hello(state, now, step);
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
		call(state, now, step);
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
		enter(state, SHUNT_CONN_PHASE_CLOSING, now->ns);
		say_close(state, now, step);
	} else if (state->phase != SHUNT_CONN_PHASE_CLOSING) {
		shunt_conn_state_end(state, SHUNT_CONN_REASON_OURS, step);
	}
}
