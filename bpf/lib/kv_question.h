/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bytes to a question: the same code in BPF and on the host. */
#pragma once

#include "bpf/lib/compiler.h"
#include "bpf/lib/wire.h"
#include "maps/kv.h"
#include "maps/message.h"

/* The verbs as they lie in the packet. */
#define SHUNT_KV_ECHO_VERB "echo"
#define SHUNT_KV_SAID_VERB "said"
#define SHUNT_KV_GET_VERB "get "
#define SHUNT_KV_NON_VERB "non "
#define SHUNT_KV_VAL_VERB "val "

enum shunt_kv_kind {
	SHUNT_KV_ASKS_NOTHING, /* that we know */
	SHUNT_KV_ASKS_ECHO,
	SHUNT_KV_ASKS_VALUE,
	SHUNT_KV_ASKS_ALL, /* an echo of whatever it is */
};

struct shunt_kv_question {
	__u32 kind;
	__u32 at; /* of the verb: the header, if there is one, is in front of it */
	struct shunt_kv_key key;
};

/* A verb as a word that can be compared with four bytes of a packet. */
SHUNT_INLINE __u32 shunt_kv_word(const char verb[SHUNT_KV_VERB_BYTES])
{
	__u32 word;

	__builtin_memcpy(&word, verb, sizeof(word));
	return word;
}

/* Behind a key: nothing, or what a terminal adds. */
SHUNT_INLINE int shunt_kv_is_blank(__u8 c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == 0;
}

/*
 * The key between `from` and `len`, or not: bytes above the blank, and then nothing but
 * blanks up to where the longest key could end.
 */
SHUNT_INLINE int shunt_kv_read_key(struct shunt_kv_key *key, const __u8 *bytes,
				   __u32 from, __u32 len)
{
	__u32 i, ended = 0;

	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_KV_KEY_MAX + 1; i++) {
		__u32 at = from + i;
		__u8 c = 0;

		if (at < len && at < SHUNT_KV_QUESTION_MAX)
			c = bytes[at & (SHUNT_KV_QUESTION_MAX - 1)];
		if (shunt_kv_is_blank(c)) {
			ended = 1;
			c = 0;
		} else if (ended || c < ' ' || c == 0x7f) {
			return 0;
		}
		if (i < SHUNT_KV_KEY_MAX)
			key->bytes[i] = c;
		else if (!ended)
			return 0;
	}
	return key->bytes[0] != 0;
}

/* Is it a message of one datagram with its header, and no answer? */
SHUNT_INLINE int shunt_kv_has_header(const __u8 *bytes, __u32 len)
{
	const struct shunt_wire_header *header = (const void *)bytes;

	return len >= SHUNT_WIRE_BYTES && header->magic == SHUNT_WIRE_MAGIC &&
	       !header->flags && !header->fragment &&
	       shunt_be32(header->length) == len - SHUNT_WIRE_BYTES;
}

/*
 * Reads a datagram of len bytes, at most SHUNT_KV_QUESTION_MAX, which lie in a room of
 * eight more. `modes` says what is answered.
 */
SHUNT_INLINE void shunt_kv_read(struct shunt_kv_question *question, const __u8 *bytes,
				__u32 len, __u32 modes)
{
	__u32 word;

	question->kind = SHUNT_KV_ASKS_NOTHING;
	question->at = 0;
	if (modes & SHUNT_KV_WITH_HEADER && bytes[0] == SHUNT_WIRE_MAGIC) {
		if (!shunt_kv_has_header(bytes, len))
			return;
		question->at = SHUNT_WIRE_BYTES;
	} else if (!(modes & SHUNT_KV_WITH_BARE)) {
		return;
	}
	if (modes & SHUNT_KV_WITH_ALL) {
		question->kind = SHUNT_KV_ASKS_ALL;
		return;
	}
	if (len < question->at + SHUNT_KV_VERB_BYTES)
		return;
	__builtin_memcpy(&word, bytes + question->at, sizeof(word));
	if (word == shunt_kv_word(SHUNT_KV_ECHO_VERB))
		question->kind = SHUNT_KV_ASKS_ECHO;
	else if (word == shunt_kv_word(SHUNT_KV_GET_VERB) &&
		 shunt_kv_read_key(&question->key, bytes,
				   question->at + SHUNT_KV_VERB_BYTES, len))
		question->kind = SHUNT_KV_ASKS_VALUE;
}
