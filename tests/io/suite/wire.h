/* SPDX-License-Identifier: BSD-2-Clause */
/* A wire in a network namespace of the test's own, and a raw socket at its end. */
#pragma once

/*
 *     port under test ── io0 ═════ io1 ── raw socket: sends, and sees what arrives
 *
 * It is a pair of veths, or of NICs that a guest has. Nothing else speaks on it: it has no
 * addresses, and IPv6 is off.
 */
#include <stdbool.h>
#include <stdint.h>

#define WIRE_NEAR "io0" /* for the port */
#define WIRE_FAR "io1"

#define WIRE_MTU 1500u
#define WIRE_JUMBO 9000u

struct wire {
	int fd; /* raw, on the far end */
	unsigned int mtu;
};

/* Moves the process to a namespace of its own; once. */
void wire_enter(void);

/*
 * The same, and takes two NICs along that a wire joins already, instead of making veths:
 * those of tests/vm/nics. false: there are none. Whoever has borrowed them returns them.
 */
bool wire_borrow(void);
void wire_return(void);

/* Makes the pair, or takes the one that was borrowed, both ends up; fails the test where
 * it can't. */
void wire_open(struct wire *wire, unsigned int mtu);

/* Fine on one that is closed, or whose pair is gone. */
void wire_close(struct wire *wire);

void wire_set_up(const char *interface, int up);
void wire_delete(const char *interface);

/* One frame into the far end. */
void wire_send(const struct wire *wire, const uint8_t *bytes, uint32_t len);

/* The next frame out of the far end: its bytes; 0: none came within the time. */
uint32_t wire_receive(const struct wire *wire, uint8_t *bytes, uint32_t room,
		      int wait_ms);
