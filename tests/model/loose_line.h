/* SPDX-License-Identifier: BSD-2-Clause */
/* A carrier within a test: datagrams that get lost, double and overtake each other. */
#pragma once

/*
 * A test that wants transports over it has a table of backends of its own, with
 * shunt_loose_ops in it, and opens "loose://ADDRESS:PORT": each a host of the one line
 * that there is.
 */
#include "tests/model/random.h"
#include "user/transport/backend.h"

#define LOOSE_MTU 1472u

struct loose_line {
	struct shunt_random random;
	uint32_t drop, twice, late; /* once in so many datagrams; 0: never */
	bool cut;		    /* nothing gets through */
	uint64_t sent, dropped, doubled;
};

extern struct loose_line loose_line;
extern const struct shunt_transport_ops shunt_loose_ops;

/* Forgets what is under way, and all odds. */
void loose_line_clear(void);

/* Another address, as a host gets that moves: "192.0.2.7:9". */
void loose_line_move(struct shunt_transport *transport, const char *address);
