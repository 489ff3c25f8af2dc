/* SPDX-License-Identifier: BSD-2-Clause */
/* The handshake of a connection: calls, cookies, answers. */
#include "user/transport/conn_state_impl.h"

void shunt_conn_send_hello(struct shunt_conn_state *state,
			   const struct shunt_conn_now *now,
			   struct shunt_conn_step *step)
{
	const struct shunt_conn_rules *rules = state->rules;

	state->asked_ns = state->fresh ? now->ns : 0;
	state->fresh = false;
	shunt_conn_step_send(step, &state->again.hello, sizeof(state->again.hello));
	state->next_ns = shunt_conn_pause(now, rules->retry_ns, state->tries++,
					  rules->connect_ns);
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
	hello->head = shunt_conn_head_of(SHUNT_CONN_PACKET_HELLO, state->local);
	now->random(now->self, ephemeral, sizeof(ephemeral));
	shunt_noise_call(&state->noise, psk->key,
			 (struct shunt_noise_bytes){ (uint8_t *)&hello->head,
						     sizeof(hello->head) },
			 ephemeral,
			 (struct shunt_noise_bytes){ (uint8_t *)&text, sizeof(text) },
			 hello->noise);
	sodium_memzero(ephemeral, sizeof(ephemeral));
	state->fresh = true;
	memcpy(hello->cookie, state->cookie, sizeof(hello->cookie));
	shunt_psk_mark(psk, hello, offsetof(struct shunt_conn_hello_packet, mark), NULL,
		       0, hello->mark);
}

void shunt_conn_call_out(struct shunt_conn_state *state,
			 const struct shunt_conn_now *now, struct shunt_conn_step *step)
{
	shunt_conn_enter(state, SHUNT_CONN_PHASE_CALLING, now->ns);
	make_hello(state, now);
	shunt_conn_send_hello(state, now, step);
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
	shunt_conn_call_out(state, now, step);
}

void shunt_conn_become_up(struct shunt_conn_state *state,
			  const struct shunt_conn_now *now,
			  struct shunt_conn_step *step)
{
	shunt_conn_enter(state, SHUNT_CONN_PHASE_UP, now->ns);
	state->reason = SHUNT_CONN_REASON_NONE;
	state->proven = true;
	state->heard = !state->caller;
	state->heard_ns = now->ns;
	state->rtt_ns = state->asked_ns ? now->ns - state->asked_ns : 0;
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
	welcome->head = shunt_conn_head_of(SHUNT_CONN_PACKET_WELCOME, state->remote);
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
	shunt_conn_enter(state, SHUNT_CONN_PHASE_HALF, now->ns);
	state->asked_ns = now->ns;
	shunt_conn_step_send(step, welcome, sizeof(*welcome));
	return SHUNT_CONN_TAKEN;
}

enum shunt_conn_outcome shunt_conn_state_again(struct shunt_conn_state *state,
					       struct shunt_conn_step *step)
{
	*step = (struct shunt_conn_step){ 0 };
	if (state->phase != SHUNT_CONN_PHASE_HALF)
		return SHUNT_CONN_UNEXPECTED;
	state->asked_ns = 0;
	shunt_conn_step_send(step, &state->again.welcome, sizeof(state->again.welcome));
	return SHUNT_CONN_TAKEN;
}

enum shunt_conn_outcome shunt_conn_take_cookie(struct shunt_conn_state *state,
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
	shunt_conn_send_hello(state, now, step);
	return SHUNT_CONN_TAKEN;
}

/* The answerer is proven, and learns by a ping that we are. */
enum shunt_conn_outcome shunt_conn_take_welcome(struct shunt_conn_state *state,
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
		shunt_conn_lose(state, now, SHUNT_CONN_REASON_PROTOCOL, step);
		return SHUNT_CONN_UNSOUND;
	}
	shunt_conn_become_up(state, now, step);
	step->moved = true;
	step->send_bytes = shunt_conn_state_seal(state, now->ns, SHUNT_CONN_KIND_PING,
						 step->send, 0);
	return SHUNT_CONN_TAKEN;
}
