/* SPDX-License-Identifier: BSD-2-Clause */
/* A port under test, and what stands at the other end of it. */
#pragma once

/*
 *     peer ── offer ──▶ port ── rx ──▶ the test, which knows every byte
 *     peer ◀─ collect ─ port ◀─ tx ──  the test
 *
 * A row describes a backend to the suite. Frames are numbered; number and length say what
 * bytes a frame has, so that one that is lost, doubled, cut or swapped is seen.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/io/suite/wire.h"
#include "user/io/port.h"

#define RIG_LONGEST 70000u
#define RIG_WAIT_MS 5000 /* for what has to come */

struct rig;

/* A test that does not apply to a row, and why. */
struct rig_not {
	const char *test;
	const char *why;
};

struct rig_row {
	const char *name;
	uint32_t can; /* SHUNT_PORT_…: what it must be able to do, as opened for it */
	uint32_t shortest;  /* bytes of a frame */
	uint32_t longest;   /* with WIRE_MTU */
	uint32_t jumbo;	    /* with the largest MTU */
	bool offer_first;   /* what it receives is there before it is opened */
	bool borrows;	    /* its wire is of a guest's NICs: only by its name */
	uint32_t burst;	    /* frames that the peer may offer before the port is read */
	const char *small;  /* options with which it has little room: ",blocks=2" */
	const char *bad[8]; /* options that it refuses; NULL ends them */
	uint32_t forgets;   /* bytes that a library under it leaks for each open */
	const struct rig_not *except; /* an entry without a test ends them */

	/* Makes the peer; false: this machine cannot, and rig->why says why. */
	bool (*begin)(struct rig *rig);
	void (*end)(struct rig *rig);
	/* What the port is called, for receiving (RX), transmitting (TX), or both. */
	void (*spec)(const struct rig *rig, uint32_t way, char *text, size_t room);
	void (*offer)(struct rig *rig, const uint8_t *bytes, uint32_t len);
	/* The next frame that the port has sent; 0: none within the time. */
	uint32_t (*collect)(struct rig *rig, uint8_t *bytes, uint32_t room,
			    int wait_ms);
};

struct rig {
	const struct rig_row *row;
	unsigned int mtu;
	struct shunt_port *port;
	struct shunt_memory *memory; /* of nobody's port: foreign to all */
	struct wire wire;
	void *self; /* the row's */
	char why[256];

	/* how long the frame with a number is */
	uint32_t (*length)(const struct rig *rig, uint32_t number);
	uint32_t base;
};

extern const struct rig_row *const rig_rows[];

/* --- frames ----------------------------------------------------------------------------- */

/* Lengths by number: a mixture; base + number; base always. */
uint32_t rig_mixed(const struct rig *rig, uint32_t number);
uint32_t rig_rising(const struct rig *rig, uint32_t number);
uint32_t rig_equal(const struct rig *rig, uint32_t number);

void rig_fill(const struct rig *rig, uint32_t number, uint8_t *bytes);

/* --- a test's steps ----------------------------------------------------------------------- */

/* Opens the port with options behind its spec (",ring=64", or ""); must succeed. */
void rig_open(struct rig *rig, uint32_t way, const char *options,
	      struct shunt_pool *pool);
void rig_close(struct rig *rig);

/* Offers frames first to first + n - 1. */
void rig_offer(struct rig *rig, uint32_t first, uint32_t n);

/* Offers n frames, in bursts, and receives each of them; the port is opened at its time. */
void rig_exchange(struct rig *rig, const char *options, uint32_t n);

/* A burst, waited for up to a deadline; 0: the time is over. */
unsigned int rig_rx(struct rig *rig, struct shunt_frame *frames, unsigned int max,
		    int wait_ms);

/* Is the packet at frames[0] the one with this number? Returns its frames. */
unsigned int rig_check(struct rig *rig, const struct shunt_frame *frames,
		       unsigned int n, uint32_t number);

/* Receives frames first to first + n - 1, and gives them back. */
void rig_receive(struct rig *rig, uint32_t first, uint32_t n);

/* Makes the packet with a number of frames of a pool; returns how many. */
unsigned int rig_make(struct rig *rig, struct shunt_pool *pool, uint32_t number,
		      struct shunt_frame *frames, unsigned int max);

/* Transmits numbers first to first + n - 1, made in a pool. */
void rig_transmit(struct rig *rig, struct shunt_pool *pool, uint32_t first, uint32_t n);

/* The peer gets exactly these. */
void rig_collect(struct rig *rig, uint32_t first, uint32_t n);

/* Both, in bursts that the peer can take. */
void rig_pass(struct rig *rig, struct shunt_pool *pool, uint32_t n);

/* kick() that must succeed. */
void rig_kick(struct rig *rig);

struct shunt_port_stats rig_stats(struct rig *rig);
