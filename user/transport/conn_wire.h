/* SPDX-License-Identifier: BSD-2-Clause */
/* The packets of connections, as they travel on SHUNT_CONN_CHANNEL of a transport. */
#pragma once

/*
 *     caller                                 answerer
 *       HELLO  (no cookie)         ──▶        keeps nothing
 *              ◀──                 COOKIE     for this address, for a moment
 *       HELLO  (with the cookie)   ──▶        half open: keys, and WELCOME to be repeated
 *              ◀──                 WELCOME
 *       DATA   (a ping)            ──▶        proven
 *
 * HELLO     head, Noise's first message {handle, terms}, cookie, mark
 * COOKIE    head, cookie, mark
 * WELCOME   head, Noise's second message {answerer's id, terms}
 * DATA      head, sender's id, counter, sealed {kind, bytes}
 * GONE      head, sender's id: as DATA's, the other way round
 *
 * A head is the kind of packet, the version, 16 zero bits and the receiver's id (in HELLO
 * the caller's own); numbers are in network order. Terms are those of grant.h. No answer is longer than what it answers, and only who knows the key gets more
 * than a GONE. A mark covers all in front of it (COOKIE's also the mark of the HELLO that
 * it answers). Ids are of a connection at one end, never 0.
 *
 * The handle names a caller's connection for as long as the user holds it; when it calls
 * anew, what the answerer has of the same handle is replaced.
 */
#include <stdint.h>

#include "bpf/lib/wire.h"
#include "user/transport/grant.h"
#include "user/transport/noise.h"
#include "user/transport/psk.h"

#define SHUNT_CONN_VERSION 1u
#define SHUNT_CONN_HANDLE 16u /* bytes */
#define SHUNT_CONN_COOKIE 16u

/* X(NAME, number, name) */
#define SHUNT_CONN_PACKETS(X)                                                          \
	X(HELLO, 1, "hello")                                                           \
	X(COOKIE, 2, "cookie")                                                         \
	X(WELCOME, 3, "welcome")                                                       \
	X(DATA, 4, "data")                                                             \
	X(GONE, 5, "gone")

#define SHUNT_CONN_PACKET(name, number, text) SHUNT_CONN_PACKET_##name = (number),
enum shunt_conn_packet { SHUNT_CONN_PACKETS(SHUNT_CONN_PACKET) };

/* What DATA is: its first sealed byte. X(NAME, number, name) */
#define SHUNT_CONN_KINDS(X)                                                            \
	X(DATAGRAM, 1, "datagram") /* the user's, once or never */                     \
	X(RELIABLE, 2, "reliable") /* of user/transport/reliable.h */                  \
	X(PING, 3, "ping")	   /* wants a pong */                                  \
	X(PONG, 4, "pong")                                                             \
	X(CLOSE, 5, "close") /* no more will come; wants a closed */                   \
	X(CLOSED, 6, "closed")

#define SHUNT_CONN_KIND(name, number, text) SHUNT_CONN_KIND_##name = (number),
enum shunt_conn_kind { SHUNT_CONN_KINDS(SHUNT_CONN_KIND) };

struct shunt_conn_head {
	uint8_t packet; /* enum shunt_conn_packet */
	uint8_t version;
	__be16 reserved;
	__be32 to; /* the receiver's id; in HELLO the caller's own */
};

/* What is sealed in HELLO and in WELCOME. */
struct shunt_conn_hello_text {
	uint8_t handle[SHUNT_CONN_HANDLE];
	uint8_t terms[SHUNT_TERMS_BYTES];
};

struct shunt_conn_welcome_text {
	__be32 id;
	uint8_t terms[SHUNT_TERMS_BYTES];
};

struct shunt_conn_hello_packet {
	struct shunt_conn_head head; /* Noise's prologue */
	uint8_t noise[SHUNT_NOISE_OVERHEAD + sizeof(struct shunt_conn_hello_text)];
	uint8_t cookie[SHUNT_CONN_COOKIE];
	uint8_t mark[SHUNT_PSK_MARK];
};

struct shunt_conn_cookie_packet {
	struct shunt_conn_head head;
	uint8_t cookie[SHUNT_CONN_COOKIE];
	uint8_t mark[SHUNT_PSK_MARK];
};

struct shunt_conn_welcome_packet {
	struct shunt_conn_head head;
	uint8_t noise[SHUNT_NOISE_OVERHEAD + sizeof(struct shunt_conn_welcome_text)];
};

struct shunt_conn_data_packet {
	struct shunt_conn_head head;
	__be32 from;
	__be32 counter[2]; /* the upper half first */
	uint8_t sealed[];
};

struct shunt_conn_gone_packet {
	struct shunt_conn_head head;
	__be32 from;
};

_Static_assert(sizeof(struct shunt_conn_hello_packet) == 120, "as it travels");
_Static_assert(sizeof(struct shunt_conn_cookie_packet) == 40, "as it travels");
_Static_assert(sizeof(struct shunt_conn_welcome_packet) == 76, "as it travels");
_Static_assert(sizeof(struct shunt_conn_data_packet) == 20, "as it travels");
_Static_assert(sizeof(struct shunt_conn_gone_packet) == 12, "as it travels");

/* What sealing adds to the user's bytes: in front of them, and in all. */
#define SHUNT_CONN_FRONT (sizeof(struct shunt_conn_data_packet) + 1)
#define SHUNT_CONN_OVERHEAD (SHUNT_CONN_FRONT + SHUNT_NOISE_TAG)

/* Room for any packet that isn't the user's. */
#define SHUNT_CONN_CONTROL sizeof(struct shunt_conn_hello_packet)

_Static_assert(SHUNT_CONN_OVERHEAD <= SHUNT_CONN_CONTROL, "a ping");
_Static_assert(sizeof(struct shunt_conn_gone_packet) <= SHUNT_CONN_OVERHEAD,
	       "an answer is not longer than what it answers");
