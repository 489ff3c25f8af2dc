/* SPDX-License-Identifier: BSD-2-Clause */
/* The handshake Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b, by libsodium. */
#pragma once

/*
 *     caller                                                  answerer
 *     shunt_noise_call()    ── psk, e, payload ──▶   shunt_noise_called()
 *     shunt_noise_answered() ◀── e, ee, payload ──   shunt_noise_answer()
 *     keys                                                        keys
 *
 * The Noise Protocol Framework, revision 34. Both sides know the same 32 bytes and have
 * no other name. The first message proves that its maker knew them, but may be a replay;
 * the second one proves the answerer; the caller is proven by the first packet that is
 * sealed with its key. Ephemeral keys make what was said unreadable to whoever learns the
 * 32 bytes later.
 *
 * No clock, no I/O and no randomness of its own. What is secret is wiped by
 * shunt_noise_wipe() and whenever a function here is done with it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"

#define SHUNT_NOISE_KEY 32u  /* bytes of a key, private or public, and of the psk */
#define SHUNT_NOISE_TAG 16u  /* bytes that sealing adds */
#define SHUNT_NOISE_HASH 64u /* bytes of a BLAKE2b hash */

/* Bytes of either message around its payload. */
#define SHUNT_NOISE_OVERHEAD (SHUNT_NOISE_KEY + SHUNT_NOISE_TAG)

/* What either side remembers between the two messages. */
struct shunt_noise {
	uint8_t chaining[SHUNT_NOISE_HASH];
	uint8_t hash[SHUNT_NOISE_HASH];
	uint8_t key[SHUNT_NOISE_KEY];
	uint8_t ephemeral[SHUNT_NOISE_KEY]; /* our private one; the caller's only */
	uint8_t theirs[SHUNT_NOISE_KEY];    /* their public one; the answerer's only */
};

/* What the handshake is for: a key for each direction. */
struct shunt_noise_keys {
	uint8_t sent[SHUNT_NOISE_KEY];
	uint8_t received[SHUNT_NOISE_KEY];
	uint8_t hash[SHUNT_NOISE_HASH]; /* the same at both ends, and nowhere else */
};

/* Bytes that are only read. */
struct shunt_noise_bytes {
	const uint8_t *at;
	size_t bytes;
};

/*
 * Writes the first message: payload.bytes + SHUNT_NOISE_OVERHEAD. `prologue` is what both
 * ends must have seen alike though it isn't sent here; `ephemeral` are 32 random bytes.
 */
void shunt_noise_call(struct shunt_noise *noise, const uint8_t psk[SHUNT_NOISE_KEY],
		      struct shunt_noise_bytes prologue,
		      const uint8_t ephemeral[SHUNT_NOISE_KEY],
		      struct shunt_noise_bytes payload, uint8_t *message);

/* Reads it; payload has room for message.bytes - SHUNT_NOISE_OVERHEAD. False: too short,
 * of another psk or prologue, or changed on its way; noise is wiped then. */
SHUNT_MUST_CHECK bool shunt_noise_called(struct shunt_noise *noise,
					 const uint8_t psk[SHUNT_NOISE_KEY],
					 struct shunt_noise_bytes prologue,
					 struct shunt_noise_bytes message,
					 uint8_t *payload);

/* Writes the second message and ends the handshake: noise is wiped. False: the caller's
 * public key is one that gives a secret everybody knows. */
SHUNT_MUST_CHECK bool shunt_noise_answer(struct shunt_noise *noise,
					 const uint8_t ephemeral[SHUNT_NOISE_KEY],
					 struct shunt_noise_bytes payload,
					 uint8_t *message,
					 struct shunt_noise_keys *keys);

/* Reads it. True ends the handshake: noise is wiped. False leaves noise as it was, so that
 * a forged answer does not keep the true one out. */
SHUNT_MUST_CHECK bool shunt_noise_answered(struct shunt_noise *noise,
					   struct shunt_noise_bytes message,
					   uint8_t *payload,
					   struct shunt_noise_keys *keys);

void shunt_noise_wipe(struct shunt_noise *noise);

/* --- what sealing needs ------------------------------------------------------------------ */

/* Puts a tag behind the text; `to` has room for text.bytes + SHUNT_NOISE_TAG and may be
 * text.at. A key never sees the same counter twice. */
void shunt_noise_encrypt(const uint8_t key[SHUNT_NOISE_KEY], uint64_t counter,
			 struct shunt_noise_bytes with, struct shunt_noise_bytes text,
			 uint8_t *to);

/* The way back, also in place; false: where the text should be are zeros. */
SHUNT_MUST_CHECK bool shunt_noise_decrypt(const uint8_t key[SHUNT_NOISE_KEY],
					  uint64_t counter,
					  struct shunt_noise_bytes with,
					  struct shunt_noise_bytes sealed, uint8_t *to);

/* REKEY of section 4.2: the key that follows a key. */
void shunt_noise_rekey(uint8_t key[SHUNT_NOISE_KEY]);
