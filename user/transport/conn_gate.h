/* SPDX-License-Identifier: BSD-2-Clause */
/* The gate of an answerer: who gets past it costs memory, and nobody else does. */
#pragma once

/*
 * A HELLO is judged in three steps, each dearer than the one before:
 *   1. its mark: whoever doesn't know the key is answered nothing, for one hash;
 *   2. its cookie: it proves that the caller can be reached where it seems to be, and was
 *      a moment ago. Else it is told one, which needs no memory: a cookie is a hash of
 *      the address, the time and a secret of this end;
 *   3. is it new? What has been let in is remembered for as long as its cookie is good, so
 *      that a HELLO that was recorded on the way opens nothing a second time.
 *
 * No clock and no randomness of its own. The memory is of one size.
 */
#include <stdbool.h>

#include "user/transport/conn_wire.h"

#define SHUNT_CONN_COOKIE_NS                                                           \
	10000000000ull /* a cookie is good for one to two of these */

enum shunt_conn_admission {
	SHUNT_CONN_MALFORMED, /* no HELLO of this version */
	SHUNT_CONN_STRANGER,  /* its mark is wrong */
	SHUNT_CONN_COOKIED,   /* it is answered by a cookie */
	SHUNT_CONN_AGAIN,     /* it was let in before */
	SHUNT_CONN_ADMITTED,
};

struct shunt_conn_seen {
	uint64_t ephemeral; /* the first bytes of the caller's; 0: free */
	uint32_t id;	    /* of the connection that it opened */
};

struct shunt_conn_gate {
	const struct shunt_psk *psk;
	uint8_t secret[SHUNT_PSK_BYTES];
	uint64_t period;		 /* what `seen[period % 2]` is of */
	struct shunt_conn_seen *seen[2]; /* open addressing; half full at most */
	uint32_t slots;			 /* of each: a power of two */
	uint32_t used[2];
};

/* `hellos` let in within SHUNT_CONN_COOKIE_NS at most; the secret is random bytes. The psk
 * must outlive the gate. */
SHUNT_MUST_CHECK int shunt_conn_gate_open(struct shunt_conn_gate *gate,
					  const struct shunt_psk *psk,
					  const uint8_t secret[SHUNT_PSK_BYTES],
					  uint32_t hellos, struct shunt_err *err);
/* Fine on one that is zeroed. */
void shunt_conn_gate_close(struct shunt_conn_gate *gate);

/*
 * Judges a packet that came from this address (any bytes that name it). COOKIED: the
 * cookie is to be sent there; AGAIN: *id is the connection that it opened, which may be
 * gone.
 */
enum shunt_conn_admission shunt_conn_gate_judge(struct shunt_conn_gate *gate,
						uint64_t now_ns,
						struct shunt_noise_bytes from,
						struct shunt_noise_bytes packet,
						struct shunt_conn_cookie_packet *cookie,
						uint32_t *id);

/* Notes that an admitted HELLO has opened a connection; false: too many did lately, and
 * this one must not. */
SHUNT_MUST_CHECK bool shunt_conn_gate_enter(struct shunt_conn_gate *gate,
					    uint64_t now_ns,
					    const struct shunt_conn_hello_packet *hello,
					    uint32_t id);
