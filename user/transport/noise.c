/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/noise.h"

#include <string.h>

#include <sodium.h>

#define BLOCK 128u /* bytes of BLAKE2b's blocks, for HMAC (RFC 2104) */

static const char protocol_name[] = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b";

_Static_assert(sizeof(protocol_name) - 1 <= SHUNT_NOISE_HASH, "taken as it is");
_Static_assert(crypto_generichash_blake2b_BYTES_MAX == SHUNT_NOISE_HASH, "whole hash");
_Static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == SHUNT_NOISE_TAG, "tag");
_Static_assert(crypto_scalarmult_curve25519_BYTES == SHUNT_NOISE_KEY, "key");

static void hash(uint8_t out[SHUNT_NOISE_HASH], struct shunt_noise_bytes a,
		 struct shunt_noise_bytes b)
{
	crypto_generichash_blake2b_state state;

	crypto_generichash_blake2b_init(&state, NULL, 0, SHUNT_NOISE_HASH);
	crypto_generichash_blake2b_update(&state, a.at, a.bytes);
	crypto_generichash_blake2b_update(&state, b.at, b.bytes);
	crypto_generichash_blake2b_final(&state, out, SHUNT_NOISE_HASH);
	sodium_memzero(&state, sizeof(state));
}

/* HMAC of a || b. */
static void hmac(uint8_t out[SHUNT_NOISE_HASH], const uint8_t key[SHUNT_NOISE_HASH],
		 struct shunt_noise_bytes a, struct shunt_noise_bytes b)
{
	uint8_t inner[SHUNT_NOISE_HASH], pad[BLOCK];
	crypto_generichash_blake2b_state state;
	size_t i;

	memset(pad, 0x36, sizeof(pad));
	for (i = 0; i < SHUNT_NOISE_HASH; i++)
		pad[i] ^= key[i];
	crypto_generichash_blake2b_init(&state, NULL, 0, SHUNT_NOISE_HASH);
	crypto_generichash_blake2b_update(&state, pad, sizeof(pad));
	crypto_generichash_blake2b_update(&state, a.at, a.bytes);
	crypto_generichash_blake2b_update(&state, b.at, b.bytes);
	crypto_generichash_blake2b_final(&state, inner, SHUNT_NOISE_HASH);
	for (i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash(out, (struct shunt_noise_bytes){ pad, sizeof(pad) },
	     (struct shunt_noise_bytes){ inner, sizeof(inner) });
	sodium_memzero(&state, sizeof(state));
	sodium_memzero(inner, sizeof(inner));
	sodium_memzero(pad, sizeof(pad));
}

/* HKDF of section 4.3: n outputs, each of a hash. */
static void derive(const uint8_t chaining[SHUNT_NOISE_HASH],
		   struct shunt_noise_bytes material, unsigned int n,
		   uint8_t out[][SHUNT_NOISE_HASH])
{
	const struct shunt_noise_bytes none = { NULL, 0 };
	uint8_t temporary[SHUNT_NOISE_HASH];
	unsigned int i;

	hmac(temporary, chaining, material, none);
	for (i = 0; i < n; i++) {
		const uint8_t number = i + 1;
		struct shunt_noise_bytes before = none;

		if (i)
			before = (struct shunt_noise_bytes){ out[i - 1],
							     SHUNT_NOISE_HASH };
		hmac(out[i], temporary, before,
		     (struct shunt_noise_bytes){ &number, 1 });
	}
	sodium_memzero(temporary, sizeof(temporary));
}

static void mix_hash(struct shunt_noise *noise, struct shunt_noise_bytes bytes)
{
	hash(noise->hash, (struct shunt_noise_bytes){ noise->hash, SHUNT_NOISE_HASH },
	     bytes);
}

static void mix_key(struct shunt_noise *noise, const uint8_t material[SHUNT_NOISE_KEY])
{
	uint8_t out[2][SHUNT_NOISE_HASH];

	derive(noise->chaining, (struct shunt_noise_bytes){ material, SHUNT_NOISE_KEY },
	       2, out);
	memcpy(noise->chaining, out[0], SHUNT_NOISE_HASH);
	memcpy(noise->key, out[1], SHUNT_NOISE_KEY);
	sodium_memzero(out, sizeof(out));
}

/* Up to and with the token psk. */
static void begin(struct shunt_noise *noise, const uint8_t psk[SHUNT_NOISE_KEY],
		  struct shunt_noise_bytes prologue)
{
	uint8_t out[3][SHUNT_NOISE_HASH];

	memset(noise, 0, sizeof(*noise));
	memcpy(noise->hash, protocol_name, sizeof(protocol_name) - 1);
	memcpy(noise->chaining, noise->hash, SHUNT_NOISE_HASH);
	mix_hash(noise, prologue);
	derive(noise->chaining, (struct shunt_noise_bytes){ psk, SHUNT_NOISE_KEY }, 3,
	       out);
	memcpy(noise->chaining, out[0], SHUNT_NOISE_HASH);
	mix_hash(noise, (struct shunt_noise_bytes){ out[1], SHUNT_NOISE_HASH });
	memcpy(noise->key, out[2], SHUNT_NOISE_KEY);
	sodium_memzero(out, sizeof(out));
}

/* The token e, as it is where there is a psk: into the hash and into the key. */
static void mix_ephemeral(struct shunt_noise *noise,
			  const uint8_t public[SHUNT_NOISE_KEY])
{
	mix_hash(noise, (struct shunt_noise_bytes){ public, SHUNT_NOISE_KEY });
	mix_key(noise, public);
}

/* The token ee. */
static bool mix_secret(struct shunt_noise *noise, const uint8_t ours[SHUNT_NOISE_KEY],
		       const uint8_t theirs[SHUNT_NOISE_KEY])
{
	uint8_t secret[SHUNT_NOISE_KEY];
	bool sound = !crypto_scalarmult_curve25519(secret, ours, theirs);

	if (sound)
		mix_key(noise, secret);
	sodium_memzero(secret, sizeof(secret));
	return sound;
}

/* Each key seals one payload, so that its counter is always 0. */
static void write_payload(struct shunt_noise *noise, struct shunt_noise_bytes payload,
			  uint8_t *to)
{
	shunt_noise_encrypt(noise->key, 0,
			    (struct shunt_noise_bytes){ noise->hash, SHUNT_NOISE_HASH },
			    payload, to);
	mix_hash(noise,
		 (struct shunt_noise_bytes){ to, payload.bytes + SHUNT_NOISE_TAG });
}

static bool read_payload(struct shunt_noise *noise, struct shunt_noise_bytes sealed,
			 uint8_t *payload)
{
	if (!shunt_noise_decrypt(noise->key, 0,
				 (struct shunt_noise_bytes){ noise->hash,
							     SHUNT_NOISE_HASH },
				 sealed, payload))
		return false;
	mix_hash(noise, sealed);
	return true;
}

static void split(struct shunt_noise *noise, bool caller, struct shunt_noise_keys *keys)
{
	uint8_t out[2][SHUNT_NOISE_HASH];

	derive(noise->chaining, (struct shunt_noise_bytes){ NULL, 0 }, 2, out);
	memcpy(keys->sent, out[caller ? 0 : 1], SHUNT_NOISE_KEY);
	memcpy(keys->received, out[caller ? 1 : 0], SHUNT_NOISE_KEY);
	memcpy(keys->hash, noise->hash, SHUNT_NOISE_HASH);
	sodium_memzero(out, sizeof(out));
	shunt_noise_wipe(noise);
}

void shunt_noise_call(struct shunt_noise *noise, const uint8_t psk[SHUNT_NOISE_KEY],
		      struct shunt_noise_bytes prologue,
		      const uint8_t ephemeral[SHUNT_NOISE_KEY],
		      struct shunt_noise_bytes payload, uint8_t *message)
{
	begin(noise, psk, prologue);
	memcpy(noise->ephemeral, ephemeral, SHUNT_NOISE_KEY);
	crypto_scalarmult_curve25519_base(message, ephemeral);
	mix_ephemeral(noise, message);
	write_payload(noise, payload, message + SHUNT_NOISE_KEY);
}

bool shunt_noise_called(struct shunt_noise *noise, const uint8_t psk[SHUNT_NOISE_KEY],
			struct shunt_noise_bytes prologue,
			struct shunt_noise_bytes message, uint8_t *payload)
{
	bool sound = message.bytes >= SHUNT_NOISE_OVERHEAD;

	if (sound) {
		begin(noise, psk, prologue);
		memcpy(noise->theirs, message.at, SHUNT_NOISE_KEY);
		mix_ephemeral(noise, noise->theirs);
		sound = read_payload(noise,
				     (struct shunt_noise_bytes){
					     message.at + SHUNT_NOISE_KEY,
					     message.bytes - SHUNT_NOISE_KEY },
				     payload);
	}
	if (!sound)
		shunt_noise_wipe(noise);
	return sound;
}

bool shunt_noise_answer(struct shunt_noise *noise,
			const uint8_t ephemeral[SHUNT_NOISE_KEY],
			struct shunt_noise_bytes payload, uint8_t *message,
			struct shunt_noise_keys *keys)
{
	crypto_scalarmult_curve25519_base(message, ephemeral);
	mix_ephemeral(noise, message);
	if (!mix_secret(noise, ephemeral, noise->theirs)) {
		shunt_noise_wipe(noise);
		return false;
	}
	write_payload(noise, payload, message + SHUNT_NOISE_KEY);
	split(noise, false, keys);
	return true;
}

bool shunt_noise_answered(struct shunt_noise *noise, struct shunt_noise_bytes message,
			  uint8_t *payload, struct shunt_noise_keys *keys)
{
	struct shunt_noise trial = *noise;
	bool sound = message.bytes >= SHUNT_NOISE_OVERHEAD;

	if (sound) {
		mix_ephemeral(&trial, message.at);
		sound = mix_secret(&trial, trial.ephemeral, message.at) &&
			read_payload(&trial,
				     (struct shunt_noise_bytes){
					     message.at + SHUNT_NOISE_KEY,
					     message.bytes - SHUNT_NOISE_KEY },
				     payload);
	}
	if (sound) {
		split(&trial, true, keys);
		shunt_noise_wipe(noise);
	}
	shunt_noise_wipe(&trial);
	return sound;
}

void shunt_noise_wipe(struct shunt_noise *noise)
{
	sodium_memzero(noise, sizeof(*noise));
}

/* Section 12.3: 32 bits of zeros, then the counter, least byte first. */
static void make_nonce(uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES],
		       uint64_t counter)
{
	unsigned int i;

	memset(nonce, 0, 4);
	for (i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(counter >> 8 * i);
}

void shunt_noise_encrypt(const uint8_t key[SHUNT_NOISE_KEY], uint64_t counter,
			 struct shunt_noise_bytes with, struct shunt_noise_bytes text,
			 uint8_t *to)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

	make_nonce(nonce, counter);
	crypto_aead_chacha20poly1305_ietf_encrypt(
		to, NULL, text.at, text.bytes, with.at, with.bytes, NULL, nonce, key);
}

bool shunt_noise_decrypt(const uint8_t key[SHUNT_NOISE_KEY], uint64_t counter,
			 struct shunt_noise_bytes with, struct shunt_noise_bytes sealed,
			 uint8_t *to)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
	size_t bytes;

	if (sealed.bytes < SHUNT_NOISE_TAG)
		return false;
	bytes = sealed.bytes - SHUNT_NOISE_TAG;
	make_nonce(nonce, counter);
	return !crypto_aead_chacha20poly1305_ietf_decrypt_detached(
		to, NULL, sealed.at, bytes, sealed.at + bytes, with.at, with.bytes,
		nonce, key);
}

void shunt_noise_rekey(uint8_t key[SHUNT_NOISE_KEY])
{
	static const uint8_t zeros[SHUNT_NOISE_KEY];
	uint8_t next[SHUNT_NOISE_KEY + SHUNT_NOISE_TAG];

	shunt_noise_encrypt(key, UINT64_MAX, (struct shunt_noise_bytes){ NULL, 0 },
			    (struct shunt_noise_bytes){ zeros, sizeof(zeros) }, next);
	memcpy(key, next, SHUNT_NOISE_KEY);
	sodium_memzero(next, sizeof(next));
}
