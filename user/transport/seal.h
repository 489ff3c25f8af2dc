/* SPDX-License-Identifier: BSD-2-Clause */
/* Sealed packets: what one end makes, and the other opens once. */
#pragma once

/*
 * Each direction has a key and counts its packets by 64 bits. The counter's upper bits
 * number the keys: 2^20 packets after the last one, or when a key is two minutes old, the
 * next key follows from it (Noise's REKEY) and the one before is wiped, so that who takes
 * the memory of a machine learns little of what was said before. A new key by age leaves
 * out the rest of the old one's numbers. The receiver finds the key by the counter, keeps
 * the one before for what is late, and looks ahead no more than SHUNT_SEAL_AHEAD keys, so
 * that a forged number costs little.
 *
 * The window of the receiver is that of RFC 6479: the last SHUNT_SEAL_WINDOW counters as
 * a bitmap. What is older, or has come already, is refused; a packet enters it only after
 * its tag was right.
 */
#include <stdbool.h>
#include <stdint.h>

#include "user/transport/conn_wire.h"

#define SHUNT_SEAL_BITS 20u		  /* of the counter: packets by one key */
#define SHUNT_SEAL_AGE_NS 120000000000ull /* of a key at most */
#define SHUNT_SEAL_AHEAD 16u		  /* keys */
#define SHUNT_SEAL_WINDOW 2048u		  /* packets; a power of two, 64 and more */
#define SHUNT_SEAL_COUNTERS (1ull << 62)  /* a direction's life; nobody gets there */

/* X(NAME, name, help) */
#define SHUNT_SEAL_OUTCOMES(X)                                                         \
	X(OPENED, "opened", "it is sound, and new")                                    \
	X(FORGED, "forged", "its tag is wrong")                                        \
	X(REPLAYED, "replayed", "it came before, or is older than the window")

#define SHUNT_SEAL_OUTCOME(name, text, help) SHUNT_SEAL_##name,
enum shunt_seal_outcome { SHUNT_SEAL_OUTCOMES(SHUNT_SEAL_OUTCOME) };

struct shunt_seal_out {
	uint8_t key[SHUNT_NOISE_KEY];
	uint64_t next;	   /* counter */
	uint64_t since_ns; /* the key's first packet */
};

struct shunt_seal_in {
	uint8_t key[SHUNT_NOISE_KEY];
	uint8_t before[SHUNT_NOISE_KEY]; /* the key before it */
	uint64_t epoch;			 /* the key's number */
	uint64_t next; /* the newest counter, plus one; 0: none came */
	uint64_t seen[SHUNT_SEAL_WINDOW / 64];
};

void shunt_seal_begin(struct shunt_seal_out *out, struct shunt_seal_in *in,
		      const struct shunt_noise_keys *keys, uint64_t now_ns);

/*
 * Makes DATA of `bytes` that lie at packet + SHUNT_CONN_FRONT already. Returns the
 * packet's length, bytes + SHUNT_CONN_OVERHEAD; 0: the counter has come to its end.
 */
uint32_t shunt_seal(struct shunt_seal_out *out, uint64_t now_ns, uint32_t to,
		    uint32_t from, enum shunt_conn_kind kind, uint8_t *packet,
		    uint32_t bytes);

/*
 * Opens DATA in place; it has SHUNT_CONN_OVERHEAD bytes at least. Its kind is then at
 * packet + SHUNT_CONN_FRONT - 1, what was said behind it. *newest: no later one came yet.
 */
enum shunt_seal_outcome shunt_seal_open(struct shunt_seal_in *in, uint8_t *packet,
					uint32_t bytes, bool *newest);
