/* SPDX-License-Identifier: BSD-2-Clause */
/* One end of a connection, as a state machine: its handshake, its life and its end. */
#pragma once

/*
 *              call()                          answer()
 *                │                                │
 *    COOKIE ┌─▶ CALLING ── WELCOME ─▶ UP ◀─ DATA ─ HALF ── too late ─▶ ENDED
 *           └───┘   ▲ │               │ │
 *                   │ │ no answer     │ └─ close() ─▶ CLOSING ── CLOSED, GONE ─▶ ENDED
 *        backoff    │ ▼               │
 *        is over    DOWN ◀── silence ─┤ (caller)
 *                                     └─ CLOSE; silence (answerer) ─▶ ENDED
 *
 * It has neither sockets nor a clock nor randomness: whoever drives it hands in packets,
 * says what time it is, lends a source of random bytes, and sends what a step tells it
 * to. Each step takes bounded time and sends at most one packet, which is no longer than
 * the one it answers.
 *
 * Up means proven: the caller has opened a WELCOME that only who knows the key can make
 * for its HELLO; the answerer has opened DATA sealed with keys that only this caller can
 * know. Nothing is sealed for or delivered from a connection that isn't up.
 *
 * Silence. Who has heard nothing for keepalive_ns pings; who has heard nothing for dead_ns
 * gives the connection up. A GONE (anybody can forge one) only hurries that: three pings
 * that nothing answers, and the peer counts as gone.
 */
#include <stdbool.h>
#include <stdint.h>

#include "user/transport/conn_wire.h"
#include "user/transport/seal.h"

/* X(NAME, name, help) */
#define SHUNT_CONN_PHASES(X)                                                           \
	X(IDLE, "idle", "zeroed, or wiped")                                            \
	X(CALLING, "calling", "a HELLO is out")                                        \
	X(HALF, "half", "a WELCOME is out, and the caller isn't proven")               \
	X(UP, "up", "both ends are proven")                                            \
	X(CLOSING, "closing", "we have said CLOSE")                                    \
	X(DOWN, "down", "lost; it calls anew when the backoff is over")                \
	X(ENDED, "ended", "over; its keys are wiped")

#define SHUNT_CONN_PHASE(name, text, help) SHUNT_CONN_PHASE_##name,
enum shunt_conn_phase { SHUNT_CONN_PHASES(SHUNT_CONN_PHASE) };

/* What became of a packet. X(NAME, name, help) */
#define SHUNT_CONN_OUTCOMES(X)                                                         \
	X(TAKEN, "taken", "it was for the connection itself")                          \
	X(DELIVERED, "delivered", "its bytes are for who is above")                    \
	X(UNSOUND, "unsound", "too short, of another version, or of no known kind")    \
	X(FORGED, "forged", "its tag or mark is wrong")                                \
	X(REPLAYED, "replayed", "it came before, or is far too old")                   \
	X(UNEXPECTED, "unexpected", "this phase has no use for it")

#define SHUNT_CONN_OUTCOME(name, text, help) SHUNT_CONN_##name,
enum shunt_conn_outcome { SHUNT_CONN_OUTCOMES(SHUNT_CONN_OUTCOME) };

/* What its owner should know. UP may come again after DOWN; ENDED is the last. */
enum shunt_conn_turn {
	SHUNT_CONN_TURN_NONE,
	SHUNT_CONN_TURN_UP,
	SHUNT_CONN_TURN_DOWN,
	SHUNT_CONN_TURN_ENDED,
};

/* Why it is down or ended. X(NAME, sentence) */
#define SHUNT_CONN_REASONS(X)                                                          \
	X(NONE, "it is not over")                                                      \
	X(OURS, "it was closed here")                                                  \
	X(THEIRS, "the peer has closed it")                                            \
	X(SILENCE, "nothing was heard of the peer any more")                           \
	X(NO_ANSWER, "nobody answers there, or not with the same key")                 \
	X(REPLACED, "its caller has called anew")                                      \
	X(UNPROVEN, "its caller hasn't proven itself in time")                         \
	X(PROTOCOL, "the peer has said what no sound peer says")                       \
	X(SPENT, "it has sealed all the packets that it may")                          \
	X(UNREAD, "what it received was read too late, or there is no memory")

#define SHUNT_CONN_REASON(name, text) SHUNT_CONN_REASON_##name,
enum shunt_conn_reason { SHUNT_CONN_REASONS(SHUNT_CONN_REASON) };

const char *shunt_conn_reason_text(enum shunt_conn_reason reason);

/* What all connections of an endpoint have in common. None of the times is 0. */
struct shunt_conn_rules {
	const struct shunt_psk *psk;
	struct shunt_terms terms; /* ours */
	uint64_t keepalive_ns;
	uint64_t dead_ns;
	uint64_t connect_ns;   /* a call without an answer is given up */
	uint64_t half_ns;      /* and so is an answer without proof */
	uint64_t retry_ns;     /* HELLO, PING, CLOSE again; doubled for HELLO */
	uint64_t retry_max_ns; /* between two calls of a connection that was lost */
};

/* The moment of a step. */
struct shunt_conn_now {
	uint64_t ns;
	void (*random)(void *self, void *to, size_t bytes);
	void *self;
};

/* What a step is followed by. */
struct shunt_conn_step {
	enum shunt_conn_turn turn;
	bool moved; /* sealed, and newer than all: where it came from is the peer's place */
	uint8_t kind;	     /* DELIVERED: enum shunt_conn_kind, DATAGRAM or RELIABLE */
	uint32_t bytes;	     /* DELIVERED: so many from packet + SHUNT_CONN_FRONT on */
	uint32_t send_bytes; /* to be sent back; 0: nothing is */
	uint8_t send[SHUNT_CONN_CONTROL];
};

struct shunt_conn_state {
	const struct shunt_conn_rules *rules;
	enum shunt_conn_phase phase;
	enum shunt_conn_reason reason;
	uint32_t local, remote; /* ids; remote is 0 until it is known */
	uint8_t handle[SHUNT_CONN_HANDLE];
	uint8_t cookie[SHUNT_CONN_COOKIE];
	struct shunt_terms theirs; /* once it is up */
	bool caller;
	bool proven;	   /* it was up once */
	bool heard;	   /* since it is up */
	uint8_t probes;	   /* pings in a row after a GONE */
	uint32_t tries;	   /* of HELLO in this call; of CLOSE */
	uint32_t calls;	   /* in a row that came to nothing */
	uint64_t since_ns; /* of the phase */
	uint64_t heard_ns;
	uint64_t next_ns; /* HELLO, PING or CLOSE again, or the end of the backoff */
	struct shunt_noise noise;
	union {
		struct shunt_conn_hello_packet hello;	  /* CALLING */
		struct shunt_conn_welcome_packet welcome; /* HALF */
	} again;
	struct shunt_seal_out out;
	struct shunt_seal_in in;
};

/* Begins to call; step has the HELLO. `local` is the id by which the peer will name us. */
void shunt_conn_state_call(struct shunt_conn_state *state,
			   const struct shunt_conn_rules *rules, uint32_t local,
			   const uint8_t handle[SHUNT_CONN_HANDLE],
			   const struct shunt_conn_now *now,
			   struct shunt_conn_step *step);

/* Answers a HELLO that the gate has admitted; step has the WELCOME. FORGED: it was made
 * with another key; UNSOUND: its terms or its key are. Both leave the state IDLE. */
enum shunt_conn_outcome shunt_conn_state_answer(
	struct shunt_conn_state *state, const struct shunt_conn_rules *rules,
	uint32_t local, const struct shunt_conn_hello_packet *hello,
	const struct shunt_conn_now *now, struct shunt_conn_step *step);

/* The HELLO that it has answered came again. */
enum shunt_conn_outcome shunt_conn_state_again(const struct shunt_conn_state *state,
					       struct shunt_conn_step *step);

/* Any packet but HELLO whose head names this connection; DATA is opened in place. */
enum shunt_conn_outcome shunt_conn_state_packet(struct shunt_conn_state *state,
						const struct shunt_conn_now *now,
						uint8_t *packet, uint32_t bytes,
						struct shunt_conn_step *step);

/* When it wants tick() if nothing comes; UINT64_MAX: never. */
uint64_t shunt_conn_state_due(const struct shunt_conn_state *state);
void shunt_conn_state_tick(struct shunt_conn_state *state,
			   const struct shunt_conn_now *now,
			   struct shunt_conn_step *step);

/* Seals what lies at packet + SHUNT_CONN_FRONT: bytes to send; 0: it isn't up. */
uint32_t shunt_conn_state_seal(struct shunt_conn_state *state, uint64_t now_ns,
			       enum shunt_conn_kind kind, uint8_t *packet,
			       uint32_t bytes);

/* Somebody says that the peer is gone: three pings decide, unless they are out already. */
void shunt_conn_state_doubt(struct shunt_conn_state *state,
			    const struct shunt_conn_now *now,
			    struct shunt_conn_step *step);

/* Says CLOSE where it is up, and ends where it is not. */
void shunt_conn_state_close(struct shunt_conn_state *state,
			    const struct shunt_conn_now *now,
			    struct shunt_conn_step *step);

/* Ends it at once, without a word to the peer. */
void shunt_conn_state_end(struct shunt_conn_state *state, enum shunt_conn_reason reason,
			  struct shunt_conn_step *step);

/* Says GONE to DATA that nobody here has keys for; the packet's length, 0: it is not
 * worth an answer. */
uint32_t shunt_conn_gone(const uint8_t *packet, uint32_t bytes,
			 uint8_t answer[SHUNT_CONN_CONTROL]);
