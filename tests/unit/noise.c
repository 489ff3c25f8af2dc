/* SPDX-License-Identifier: BSD-2-Clause */
/* The handshake beside its published vector, and what it must refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sodium.h>

#include "user/transport/noise.h"

#define ROOM 256u

static struct shunt_noise_bytes bytes_of(const void *at, size_t bytes)
{
	return (struct shunt_noise_bytes){ at, bytes };
}

static size_t from_hex(uint8_t *to, const char *hex)
{
	size_t bytes = 0;

	assert_int_equal(sodium_hex2bin(to, ROOM, hex, strlen(hex), NULL, &bytes, NULL),
			 0);
	return bytes;
}

/* The vector Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b of cacophony, by which other
 * implementations are checked as well. Payload and message of each step, in turn. */
static const char vector_prologue[] = "4a6f686e2047616c74";
static const char vector_psk[] =
	"54686973206973206d7920417573747269616e20706572737065637469766521";
static const char vector_caller[] =
	"893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
static const char vector_answerer[] =
	"bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
static const char vector_hash[] =
	"ed5e9692d0ab507b6c2beec3f584fd5b127817a9d20b26cd50aa72c507260fa3"
	"1aa7d88dd3723316338af37ce0b4cfb2923aeb848bbf2b934911306f01ffc963";
static const char *const vector_steps[][2] = {
	{ "4c756477696720766f6e204d69736573",
	  "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
	  "ed63df2f5a12aee1185ee9c50305f2ecf12421dcb53c047a63b784cf7c54a105" },
	{ "4d757272617920526f746862617264",
	  "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
	  "0e0fe7d5c0c9b92f7478716c8852f1b4f389edb75e3ebe546fafafd5b6f0f7" },
	{ "462e20412e20486179656b",
	  "0fe04b26dcfbb69f8a6a94c61f1a26ef88769218d32f5d17c068a6" },
	{ "4361726c204d656e676572",
	  "2239e0c540c01f09eb1f4cc5258fd5acfefff18a5a3773f21b7bfe" },
	{ "4a65616e2d426170746973746520536179",
	  "f216cb03d30fb8af1e561fe02a07552d09b416e27a75e62c77d193718b0bdaae9f" },
	{ "457567656e2042f6686d20766f6e2042617765726b",
	  "6e8baf98b944184dd7dc5ef14d8108cbeca626de118a5460f3308e294d61e17238bce29bd"
	  "9" },
};

struct pair {
	uint8_t psk[32], prologue[ROOM], caller_key[32], answerer_key[32];
	size_t prologue_bytes;
	struct shunt_noise caller, answerer;
	struct shunt_noise_keys calls, answers;
	uint8_t first[ROOM], second[ROOM];
	size_t first_bytes, second_bytes;
};

static struct pair pair_of_vector(void)
{
	struct pair p = { 0 };
	uint8_t room[ROOM];

	assert_int_equal(from_hex(room, vector_psk), 32);
	memcpy(p.psk, room, 32);
	assert_int_equal(from_hex(room, vector_caller), 32);
	memcpy(p.caller_key, room, 32);
	assert_int_equal(from_hex(room, vector_answerer), 32);
	memcpy(p.answerer_key, room, 32);
	p.prologue_bytes = from_hex(p.prologue, vector_prologue);
	return p;
}

static void call(struct pair *p, const void *payload, size_t bytes)
{
	shunt_noise_call(&p->caller, p->psk, bytes_of(p->prologue, p->prologue_bytes),
			 p->caller_key, bytes_of(payload, bytes), p->first);
	p->first_bytes = bytes + SHUNT_NOISE_OVERHEAD;
}

static bool called(struct pair *p, uint8_t *payload)
{
	return shunt_noise_called(&p->answerer, p->psk,
				  bytes_of(p->prologue, p->prologue_bytes),
				  bytes_of(p->first, p->first_bytes), payload);
}

static bool answer(struct pair *p, const void *payload, size_t bytes)
{
	p->second_bytes = bytes + SHUNT_NOISE_OVERHEAD;
	return shunt_noise_answer(&p->answerer, p->answerer_key,
				  bytes_of(payload, bytes), p->second, &p->answers);
}

static bool answered(struct pair *p, uint8_t *payload)
{
	return shunt_noise_answered(&p->caller, bytes_of(p->second, p->second_bytes),
				    payload, &p->calls);
}

static bool is_zero(const void *at, size_t bytes)
{
	return sodium_is_zero(at, bytes);
}

static void test_vector(void **state)
{
	struct pair p = pair_of_vector();
	uint8_t text[ROOM], want[ROOM], got[ROOM];
	size_t i, bytes;

	(void)state;
	bytes = from_hex(text, vector_steps[0][0]);
	call(&p, text, bytes);
	assert_int_equal(from_hex(want, vector_steps[0][1]), p.first_bytes);
	assert_memory_equal(p.first, want, p.first_bytes);
	assert_true(called(&p, got));
	assert_memory_equal(got, text, bytes);

	bytes = from_hex(text, vector_steps[1][0]);
	assert_true(answer(&p, text, bytes));
	assert_int_equal(from_hex(want, vector_steps[1][1]), p.second_bytes);
	assert_memory_equal(p.second, want, p.second_bytes);
	assert_true(answered(&p, got));
	assert_memory_equal(got, text, bytes);

	from_hex(want, vector_hash);
	assert_memory_equal(p.calls.hash, want, SHUNT_NOISE_HASH);
	assert_memory_equal(p.answers.hash, want, SHUNT_NOISE_HASH);

	for (i = 2; i < sizeof(vector_steps) / sizeof(*vector_steps); i++) {
		const struct shunt_noise_keys *from = i % 2 ? &p.answers : &p.calls;
		const struct shunt_noise_keys *to = i % 2 ? &p.calls : &p.answers;
		const uint64_t counter = (i - 2) / 2;

		bytes = from_hex(text, vector_steps[i][0]);
		shunt_noise_encrypt(from->sent, counter, bytes_of(NULL, 0),
				    bytes_of(text, bytes), got);
		assert_int_equal(from_hex(want, vector_steps[i][1]),
				 bytes + SHUNT_NOISE_TAG);
		assert_memory_equal(got, want, bytes + SHUNT_NOISE_TAG);
		assert_true(shunt_noise_decrypt(
			to->received, counter, bytes_of(NULL, 0),
			bytes_of(want, bytes + SHUNT_NOISE_TAG), want));
		assert_memory_equal(want, text, bytes);
	}
}

static void test_secrets_are_wiped(void **state)
{
	struct pair p = pair_of_vector();
	uint8_t got[ROOM];

	(void)state;
	call(&p, "hello", 5);
	assert_true(called(&p, got));
	assert_true(answer(&p, "", 0));
	assert_true(is_zero(&p.answerer, sizeof(p.answerer)));
	assert_true(answered(&p, got));
	assert_true(is_zero(&p.caller, sizeof(p.caller)));
	assert_memory_equal(p.calls.sent, p.answers.received, 32);
	assert_memory_equal(p.calls.received, p.answers.sent, 32);
	assert_memory_not_equal(p.calls.sent, p.calls.received, 32);
}

static void test_another_key_or_prologue_is_refused(void **state)
{
	struct pair p = pair_of_vector();
	uint8_t got[ROOM];

	(void)state;
	call(&p, "hello", 5);
	p.psk[31] ^= 1;
	assert_false(called(&p, got));
	assert_true(is_zero(&p.answerer, sizeof(p.answerer)));
	p.psk[31] ^= 1;
	p.prologue[0] ^= 1;
	assert_false(called(&p, got));
	p.prologue[0] ^= 1;
	assert_true(called(&p, got));
}

static void test_every_changed_bit_is_noticed(void **state)
{
	struct pair p = pair_of_vector();
	uint8_t got[ROOM];
	size_t bit;

	(void)state;
	call(&p, "hello", 5);
	for (bit = 0; bit < p.first_bytes * 8; bit++) {
		p.first[bit / 8] ^= 1 << bit % 8;
		assert_false(called(&p, got));
		p.first[bit / 8] ^= 1 << bit % 8;
	}
	assert_true(called(&p, got));
	assert_true(answer(&p, "welcome", 7));
	for (bit = 0; bit < p.second_bytes * 8; bit++) {
		p.second[bit / 8] ^= 1 << bit % 8;
		assert_false(answered(&p, got));
		p.second[bit / 8] ^= 1 << bit % 8;
	}
	/* none of them has kept the true one out */
	assert_true(answered(&p, got));
	assert_memory_equal(got, "welcome", 7);
}

static void test_every_shorter_message_is_refused(void **state)
{
	struct pair p = pair_of_vector();
	uint8_t got[ROOM];
	size_t whole;

	(void)state;
	call(&p, "hello", 5);
	whole = p.first_bytes;
	for (p.first_bytes = 0; p.first_bytes < whole; p.first_bytes++)
		assert_false(called(&p, got));
	assert_true(called(&p, got));
	assert_true(answer(&p, "welcome", 7));
	whole = p.second_bytes;
	for (p.second_bytes = 0; p.second_bytes < whole; p.second_bytes++)
		assert_false(answered(&p, got));
	assert_true(answered(&p, got));
}

/* RFC 7748 section 6: the secret is all zeros, whatever our key is. */
static void test_a_point_of_small_order_is_refused(void **state)
{
	static const uint8_t points[][32] = {
		{ 0 },
		{ 1 },
		{ 0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
		  0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
		  0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00 },
	};
	struct pair p = pair_of_vector();
	uint8_t got[ROOM];
	size_t i;

	(void)state;
	call(&p, "hello", 5);
	for (i = 0; i < sizeof(points) / sizeof(*points); i++) {
		assert_true(called(&p, got));
		memcpy(p.answerer.theirs, points[i], 32);
		assert_false(answer(&p, "", 0));
		assert_true(is_zero(&p.answerer, sizeof(p.answerer)));
	}
	for (i = 0; i < sizeof(points) / sizeof(*points); i++) {
		memcpy(p.second, points[i], 32);
		p.second_bytes = SHUNT_NOISE_OVERHEAD;
		assert_false(answered(&p, got));
	}
}

/* Nobody can use by mistake what a wrong tag covers. */
static void test_what_does_not_open_is_zeroed(void **state)
{
	const uint8_t key[32] = { 7 };
	uint8_t packet[64];

	(void)state;
	randombytes_buf(packet, sizeof(packet));
	assert_false(shunt_noise_decrypt(key, 1, bytes_of("head", 4),
					 bytes_of(packet, sizeof(packet)), packet));
	assert_true(is_zero(packet, sizeof(packet) - SHUNT_NOISE_TAG));
}

/* Section 4.2 in other words: the first 32 bytes of ENCRYPT(k, 2^64 - 1, "", zeros). */
static void test_rekey(void **state)
{
	uint8_t key[32] = { 1, 2, 3 }, stream[96] = { 0 }, nonce[12];

	(void)state;
	memset(nonce, 0, 4);
	memset(nonce + 4, 0xff, 8);
	/* the cipher's block 0 is Poly1305's key: the text begins with block 1 */
	crypto_stream_chacha20_ietf_xor_ic(stream, stream, 32, nonce, 1, key);
	shunt_noise_rekey(key);
	assert_memory_equal(key, stream, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector),
		cmocka_unit_test(test_secrets_are_wiped),
		cmocka_unit_test(test_another_key_or_prologue_is_refused),
		cmocka_unit_test(test_every_changed_bit_is_noticed),
		cmocka_unit_test(test_every_shorter_message_is_refused),
		cmocka_unit_test(test_a_point_of_small_order_is_refused),
		cmocka_unit_test(test_what_does_not_open_is_zeroed),
		cmocka_unit_test(test_rekey),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
