/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two halves of the state machine share; nobody else includes it. */
#pragma once

#include <string.h>

#include <sodium.h>

#include "user/transport/conn_state.h"

static inline struct shunt_conn_head shunt_conn_head_of(enum shunt_conn_packet packet,
							uint32_t to)
{
	return (struct shunt_conn_head){
		.packet = packet,
		.version = SHUNT_CONN_VERSION,
		.to = shunt_be32(to),
	};
}

static inline void shunt_conn_step_send(struct shunt_conn_step *step,
					const void *packet, uint32_t bytes)
{
	memcpy(step->send, packet, bytes);
	step->send_bytes = bytes;
}

/* A time after this moment: `ns`, doubled so many times and up to `most`, give or take
 * half of it, so that those who lost the same peer don't all come back at once. */
uint64_t shunt_conn_pause(const struct shunt_conn_now *now, uint64_t ns, uint32_t times,
			  uint64_t most);

void shunt_conn_enter(struct shunt_conn_state *state, enum shunt_conn_phase phase,
		      uint64_t now_ns);

/* The caller will try again; who only answered waits for it to. */
void shunt_conn_lose(struct shunt_conn_state *state, const struct shunt_conn_now *now,
		     enum shunt_conn_reason reason, struct shunt_conn_step *step);

/* --- conn_shake.c ------------------------------------------------------------------------ */

/* Begins a call of a state that has its rules, id and handle. */
void shunt_conn_call_out(struct shunt_conn_state *state,
			 const struct shunt_conn_now *now,
			 struct shunt_conn_step *step);
/* The HELLO that is out, once more. */
void shunt_conn_send_hello(struct shunt_conn_state *state,
			   const struct shunt_conn_now *now,
			   struct shunt_conn_step *step);
void shunt_conn_become_up(struct shunt_conn_state *state,
			  const struct shunt_conn_now *now,
			  struct shunt_conn_step *step);
enum shunt_conn_outcome shunt_conn_take_cookie(struct shunt_conn_state *state,
					       const struct shunt_conn_now *now,
					       const uint8_t *packet, uint32_t bytes,
					       struct shunt_conn_step *step);
enum shunt_conn_outcome shunt_conn_take_welcome(struct shunt_conn_state *state,
						const struct shunt_conn_now *now,
						const uint8_t *packet, uint32_t bytes,
						struct shunt_conn_step *step);
