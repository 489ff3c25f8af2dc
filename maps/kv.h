/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys and values that an XDP program answers with (bpf/kv.bpf.c). */
#pragma once

/*
 *     question         answer
 *     echo…            said…                       the rest as it came
 *     get KEY          val KEY VERSION VALUE       VERSION: decimal, counts the key's values
 *                      non KEY                     where misses are answered
 *
 * Questions and answers are the bytes of a UDP datagram, or of a message with its header
 * (maps/message.h); the answer has the header of the question then, with the flag ANSWER
 * and its own length. An answer is never a question, so that two servers cannot keep one
 * another busy. Behind a KEY, spaces, ends of lines and zeros are nothing: a terminal's, or
 * room for the answer where a driver gives none to grow (result ROOM).
 *
 * A value is kept as the answer that it makes, with its sum, so that the program has but to
 * copy it. Keys have neither spaces, nor control characters.
 */
#include "maps/type.h"

#define SHUNT_KV_KEY_MAX 64u	 /* bytes */
#define SHUNT_KV_VALUE_MAX 512u	 /* bytes */
#define SHUNT_KV_ANSWER_MAX 608u /* "val ", key, blank, 20 digits, blank, value */
#define SHUNT_KV_KEYS_MAX (1u << 20)
#define SHUNT_KV_QUESTION_MAX                                                          \
	2048u /* bytes of a datagram; longer ones are not answered */

#define SHUNT_KV_VERB_BYTES 4u /* "echo", "get ", and their answers */

struct shunt_kv_key {
	__u8 bytes[SHUNT_KV_KEY_MAX]; /* filled up with zeros */
};

struct shunt_kv_answer {
	__u32 len; /* bytes */
	__u32 sum; /* of bytes, filled up with a zero: words as they lie (bpf/lib/csum.h) */
	__u8 bytes[SHUNT_KV_ANSWER_MAX];
};

_Static_assert(SHUNT_KV_ANSWER_MAX >=
		       SHUNT_KV_VERB_BYTES + SHUNT_KV_KEY_MAX + 22 + SHUNT_KV_VALUE_MAX,
	       "the longest answer");
_Static_assert(sizeof(struct shunt_kv_answer) == 616, "no holes");

/*
 * What became of a packet: exactly one of them each.
 *
 *     X(ENUM, value, name, up, help)      up: it is left to user space, or to the kernel
 */
#define SHUNT_KV_RESULTS(X)                                                            \
	X(OTHER, 0, "other", 0, "not for the server: passed to the kernel")            \
	X(ECHO, 1, "echo", 0, "answered: sent back")                                   \
	X(HIT, 2, "hit", 0, "answered with a value")                                   \
	X(MISS, 3, "miss", 0, "answered: there is no such key")                        \
	X(ABSENT, 4, "absent", 1,                                                      \
	  "there is no such key, and misses are left to others")                       \
	X(UNKNOWN, 5, "unknown", 1,                                                    \
	  "no question that is known: a write, or another message")                    \
	X(LONG, 6, "long", 1, "longer than what is answered")                          \
	X(FRAGMENT, 7, "fragment", 1, "a fragment")                                    \
	X(OPTIONS, 8, "options", 1, "with IP options or extension headers")            \
	X(CHECKSUM, 9, "checksum", 1, "with a wrong checksum")                         \
	X(ROOM, 10, "no-room", 1, "the driver has no room for the longer answer")      \
	X(SELF, 11, "self", 1, "from where no question comes: a group, or itself")     \
	X(MALFORMED, 12, "malformed", 0, "unsound: passed to the kernel")              \
	X(LOST, 13, "lost", 0,                                                         \
	  "for user space, whose ring was full, or not to be written: dropped")

enum shunt_kv_result {
#define X(id, value, name, up, help) SHUNT_KV_##id = value,
	SHUNT_KV_RESULTS(X)
#undef X
};

#define SHUNT_KV_RESULT_MAX 16 /* exclusive bound of the values above */

/* 1: it is left to user space, or to the kernel. */
static inline int shunt_kv_is_up(unsigned int result)
{
#define X(id, value, name, up, help) | (unsigned int)up << value
	return result < SHUNT_KV_RESULT_MAX && ((0u SHUNT_KV_RESULTS(X)) >> result & 1);
#undef X
}

/* What the program is to do; set before it is loaded. */
#define SHUNT_KV_WITH_HEADER (1u << 0) /* answer messages with a header */
#define SHUNT_KV_WITH_BARE (1u << 1)   /* answer bare datagrams */
#define SHUNT_KV_WITH_ALL (1u << 2)    /* echo everything, as it is */
#define SHUNT_KV_WITH_MISS (1u << 3)   /* answer misses */
#define SHUNT_KV_WITH_INBOX                                                            \
	(1u << 4) /* what is left to user space goes into the inbox */
#define SHUNT_KV_WITH_REDIRECT                                                         \
	(1u << 5) /* answer by a redirect: veths want no XDP program for
				       that at the peer, as they do for XDP_TX */

struct shunt_kv_plan {
	__u32 modes;
};

#ifdef __bpf__
/*
 * Written by user space, also while the program runs; read by the program. Not
 * preallocated: an element that is replaced is freed once nobody reads it any more, so that
 * no answer is half the old one.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct shunt_kv_key);
	__type(value, struct shunt_kv_answer);
} shunt_kv_map SEC(".maps");

/* Packets by enum shunt_kv_result. Written by the program, summed up by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SHUNT_KV_RESULT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} shunt_kv_count SEC(".maps");

#endif
