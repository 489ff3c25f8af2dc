/* SPDX-License-Identifier: BSD-2-Clause */
/* A transport under test, and what stands at the other end of the wire. */
#pragma once

/*
 *     FAR ── says ──▶ NEAR ── hears ──▶ the test, which knows every byte
 *     FAR ◀─ hears ── NEAR ◀─ says ───  the test
 *
 * A row describes a backend to the suite. Messages are numbered; the number says how long
 * a message is, its bytes, and its channel, so that one that is lost, doubled, cut or
 * swapped is seen.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/patience.h"
#include "tests/transport/suite/net.h"
#include "user/transport/backend.h"
#include "user/transport/transport.h"

#define NS_PER_MS UINT64_C(1000000)
#define RIG_PORT 7000u
#define RIG_WAIT_MS (10000 * (int)patience()) /* for what is sure to come */

struct rig;
struct rig_test;

/* A test that does not apply to a row, and why. */
struct rig_not {
	const char *test;
	const char *why;
};

struct rig_row {
	const char *name;    /* "epoll tcp" */
	const char *scheme;  /* of shunt_transport_backends[] */
	const char *options; /* behind the URI: "stream", or "" */
	const char *peer;    /* the far end's scheme; NULL: the same */
	const char *peer_options;
	uint32_t must;	     /* SHUNT_TRANSPORT_…: what it has to be able to do */
	uint32_t burst;	     /* messages under way that it must not lose */
	uint32_t holds;	     /* buffers that the carrier has for itself, now or then */
	const char *small;   /* options with which it has few buffers */
	const char *longest; /* with which the longest message comes in time; or NULL */
	const char *bad[8];  /* options that it refuses; NULL ends them */
	unsigned int mtu_max; /* of its interface; 0: any */
	bool slow;	      /* to open: it loads programs */
	bool forgets;	      /* a library under it leaks */
	bool shares;	      /* its ends are in one namespace: net_share() */
	bool silent;	      /* what finds no buffer is missed by its number alone */
	bool borrows;	      /* its wire is of a guest's NICs: only by its name */
	bool dies;	      /* of no more use once its interface went down */
	const struct rig_test *own;   /* what it alone promises; NULL: nothing */
	const char *guest;	      /* the suite of tests/vm that has what it takes */
	const struct rig_not *except; /* an entry without a test ends them */
};

struct rig_end {
	struct shunt_transport *transport;
	shunt_peer peer; /* the other end */
	bool may_fail;	 /* kick() may: the test looks after that */
};

struct rig {
	const struct rig_row *row;
	struct rig_end end[NET_SIDES];
	/* how long the message with a number is */
	uint32_t (*length)(const struct rig *rig, uint32_t number);
	uint32_t base;
};

extern const struct rig_row *const rig_rows[];

/* --- opening ------------------------------------------------------------------------------ */

#define RIG_URI 512

/* "SCHEME://ADDRESS:PORT?OPTIONS" of an end; options: more of them, "a=1&b=2" or "". */
const char *rig_uri(const struct rig *rig, enum net_side side, const char *address,
		    uint16_t port, const char *options, char text[RIG_URI]);

/* Opens an end at its address and RIG_PORT; must succeed. */
void rig_open(struct rig *rig, enum net_side side, const char *options);

/* At an address of its own. */
void rig_open_at(struct rig *rig, enum net_side side, const char *address,
		 uint16_t port, const char *options);
void rig_close(struct rig *rig, enum net_side side);

/* A URI that is refused with a sentence that has these words. */
void rig_refused(struct rig *rig, enum net_side side, const char *uri, int code,
		 const char *words);

/* NEAR opens FAR as its peer, and says hello, by which FAR knows NEAR. */
void rig_meet(struct rig *rig);

/* Both ends opened with options, and met. */
void rig_begin(struct rig *rig, const char *options);

shunt_peer rig_peer(struct rig *rig, enum net_side side, const char *address);

/* --- messages ----------------------------------------------------------------------------- */

#define RIG_LONGEST SHUNT_MESSAGE_MAX

/* Lengths by number: a mixture of up to datagram_max; base + number; base always. */
uint32_t rig_mixed(const struct rig *rig, uint32_t number);
uint32_t rig_rising(const struct rig *rig, uint32_t number);
uint32_t rig_equal(const struct rig *rig, uint32_t number);

void rig_fill(uint8_t *bytes, uint32_t len, uint32_t number);
uint16_t rig_channel(uint32_t number);

/* Is it the message with this number? */
void rig_check(struct rig *rig, const struct shunt_message *message, uint32_t number);

/* Which one of first to first + n - 1 it is; fails the test where it is none. */
uint32_t rig_number(struct rig *rig, const struct shunt_message *message,
		    uint32_t first, uint32_t n);

/* --- a test's steps ----------------------------------------------------------------------- */

/* Kicks both ends, then waits for a moment for either of them to have something. */
void rig_turn(struct rig *rig);

/* Borrows up to max messages, waited for up to a deadline; 0: the time is over. */
unsigned int rig_recv(struct rig *rig, enum net_side side,
		      struct shunt_message *messages, unsigned int max, int wait_ms);

/* Offers one message once: 1, 0, or -errno. */
int rig_offer(struct rig *rig, enum net_side side, uint32_t number);

/* Sends messages first to first + n - 1, however often that takes. */
void rig_say(struct rig *rig, enum net_side side, uint32_t first, uint32_t n);

/* The end receives exactly these, in their order, and gives them back. */
void rig_hear(struct rig *rig, enum net_side side, uint32_t first, uint32_t n);

/* Both, in bursts that the other end can take. */
void rig_pass(struct rig *rig, enum net_side from, uint32_t first, uint32_t n);

/* Nothing comes: for as long as a message needs that is sent the same way. */
void rig_silent(struct rig *rig, enum net_side side);

bool rig_can(const struct rig *rig, uint32_t caps);
struct shunt_transport_stats rig_stats(struct rig *rig, enum net_side side);

/* Turns until the condition holds; fails the test with these words after a deadline. */
#define RIG_UNTIL(rig, condition, what)                                                \
	do {                                                                           \
		uint64_t until_ = shunt_now_ns() + (uint64_t)RIG_WAIT_MS * NS_PER_MS;  \
		while (!(condition)) {                                                 \
			if (shunt_now_ns() > until_)                                   \
				rig_late(rig, what);                                   \
			rig_turn(rig);                                                 \
		}                                                                      \
	} while (0)
void rig_late(struct rig *rig, const char *what);

/* --- an end in a process of its own ------------------------------------------------------- */

/*
 * It sends back what it receives, until it is killed. The program is run anew with these
 * arguments, so that it shares nothing with the test: see rig_echo_main().
 */
#include <sys/types.h>

pid_t rig_echo_start(struct rig *rig, enum net_side side, uint16_t port);
void rig_echo_kill(pid_t pid);
/* peer: whom it calls; NULL: it waits to be called. */
int rig_echo_main(const char *uri, const char *namespace_fd, const char *peer);
