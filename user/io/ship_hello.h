/* SPDX-License-Identifier: BSD-2-Clause */
/* The handshake of a ring of frames: what either side says before anything is written. */
#pragma once

/*
 *     sender ── ask ──▶ receiver           with the request for a connection
 *     sender ◀─ offer ─ receiver           with its yes: where the ring lies, and its key
 *     sender ◀─ refusal ─ receiver         with its no
 *
 * All of it is in network order. A connection manager may add zeros behind it, so what comes
 * may be longer than what was sent. A newer version may add fields at the end, too; one that
 * changes the meaning of the ring has another number, and is refused.
 */
#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"

#define SHUNT_SHIP_MAGIC 0x73687370u /* "shsp" */
#define SHUNT_SHIP_VERSION 1u

/* Bytes of a ring: a power of two. */
#define SHUNT_SHIP_RING_MIN (UINT64_C(64) << 10)
#define SHUNT_SHIP_RING_MAX (UINT64_C(1) << 32)
#define SHUNT_SHIP_RING (UINT64_C(8) << 20)

#define SHUNT_SHIP_FRAME_MAX 65535u

/* What the longest of them takes: private data of a connection request has 56 bytes. */
#define SHUNT_SHIP_HELLO_MAX 56u
#define SHUNT_SHIP_ASK_BYTES 8u
#define SHUNT_SHIP_OFFER_BYTES 48u
#define SHUNT_SHIP_REFUSAL_BYTES 8u

#define SHUNT_SHIP_SLEEPS 1u /* offer: the receiver may sleep, and wants a bell then */

struct shunt_ship_offer {
	uint64_t session; /* what the ring calls this connection */
	uint64_t base;	  /* where the header lies, in the receiver's memory */
	uint64_t ring;	  /* where the ring begins, which is mapped twice in a row */
	uint64_t bytes;	  /* of the ring */
	uint32_t key;	  /* of all of that */
	uint32_t frame_max;
	uint16_t flags;
};

enum shunt_ship_refusal {
	SHUNT_SHIP_FINE,
	SHUNT_SHIP_OTHER_VERSION,
	SHUNT_SHIP_BUSY, /* it has a sender */
	SHUNT_SHIP_NO_ASK,
};

/* Each returns how many bytes of `to`, which has SHUNT_SHIP_HELLO_MAX, are to be sent. */
size_t shunt_ship_put_ask(uint8_t *to);
size_t shunt_ship_put_offer(uint8_t *to, const struct shunt_ship_offer *offer);
size_t shunt_ship_put_refusal(uint8_t *to, enum shunt_ship_refusal why);

/* May the sender that said this be accepted? */
enum shunt_ship_refusal shunt_ship_read_ask(const uint8_t *bytes, size_t len);

/* -EPROTO: it is no offer, or one that cannot be true. */
SHUNT_MUST_CHECK int shunt_ship_read_offer(struct shunt_ship_offer *offer,
					   const uint8_t *bytes, size_t len,
					   struct shunt_err *err);

/* Puts why into err: -ECONNREFUSED, -EBUSY, or -EPROTO. */
SHUNT_MUST_CHECK int shunt_ship_read_refusal(const uint8_t *bytes, size_t len,
					     struct shunt_err *err);
