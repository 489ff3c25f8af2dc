/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports over RDMA: frames that are written into a ring in another machine's memory. */
#pragma once

/*
 *     ship:ADDRESS:PORT          tx ─▶ WRITE records, WRITE produced ─▶┐ memory of
 *     ship:ADDRESS:PORT,listen   rx ◀─ records, as they lie ◀──────────┘ the receiver
 *
 * The sender's side takes nothing of the receiver's processor: it writes by one-sided WRITE
 * and learns by one-sided READ how far the receiver is. user/io/ship_ring.h has the ring,
 * user/io/ship_hello.h the handshake, user/io/ship_wire.h what a plug-in does for it.
 *
 * Frames of the memory that the sender's port is opened on, or of its own, are sent from
 * where they lie: the head of a record is written in front of the frame, and the frame goes
 * back to its pool when the device has been told that it arrived. Others are copied first:
 * those of other memory, or without room for the head in front (24 bytes) or the filling
 * behind.
 *
 * What tx has taken is either known to have arrived or counted in tx_failed, once the
 * connection is lost: whether those arrived, nobody knows.
 */
#include "user/io/port.h"
#include "user/io/ship_wire.h"

enum shunt_ship_full { SHUNT_SHIP_WAIT, SHUNT_SHIP_DROP };
enum shunt_ship_lost { SHUNT_SHIP_AGAIN, SHUNT_SHIP_END };

#define SHUNT_SHIP_FROM 64

struct shunt_ship_options {
	unsigned int listen;
	unsigned int full; /* enum shunt_ship_full */
	unsigned int lost; /* enum shunt_ship_lost */
	char from[SHUNT_SHIP_FROM];
	uint64_t ring;	   /* listen: bytes */
	unsigned int once; /* listen */
	unsigned int spin; /* listen */
};

extern const struct shunt_spec_row shunt_ship_rows[];

#define SHUNT_SHIP_ROW                                                                 \
	.scheme = "ship",                                                              \
	.help = "RDMA: frames written into a ring in another machine's memory "        \
		"(docs/run-ship.md)",                                                  \
	.device = "ADDRESS:PORT", .options = shunt_ship_rows

/* Only what describes it, and open: a port that it opens has a table of its own. */
extern const struct shunt_port_ops shunt_ship_port_ops;

/* --- for the row, and for tests that bring a wire of their own ------------------------- */

struct shunt_ship_open {
	const struct shunt_spec *spec;
	struct shunt_ship_options options;
	struct shunt_endpoint at; /* to connect to, or to listen at */
	struct shunt_endpoint from;
	struct shunt_pool *pool; /* NULL: its own */
	const struct shunt_ship_wire_ops *wire;
};

/* Reads the options, and opens the port that they ask for. */
SHUNT_MUST_CHECK int shunt_ship_open_by(struct shunt_port **port,
					const struct shunt_spec *spec,
					const struct shunt_port_opts *opts,
					const struct shunt_ship_wire_ops *wire,
					struct shunt_err *err);

SHUNT_MUST_CHECK int shunt_ship_send_open(struct shunt_port **port,
					  const struct shunt_ship_open *open,
					  struct shunt_err *err);
SHUNT_MUST_CHECK int shunt_ship_receive_open(struct shunt_port **port,
					     const struct shunt_ship_open *open,
					     struct shunt_err *err);
