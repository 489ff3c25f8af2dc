/* SPDX-License-Identifier: BSD-2-Clause */
/* Neighbours: the MAC addresses that next hops have, found out and kept fresh. */
#pragma once

/*
 *                 answer                 KNOWN_NS over               answer
 *     ASKED ─────────────────▶ KNOWN ─────────────────▶ DOUBTED ─────────────▶ KNOWN
 *       │ TRIES without one      ▲                          │ keeps its MAC address, and
 *       ▼                        │ answer                   ▼ is asked now and then
 *     FAILED ────────────────────┘                       DOUBTED
 *
 * As in RFC 4861 section 7.3, but that a neighbour that was known once is never given up
 * while somebody uses it. The table does not ask by itself: it says whom to ask next, and
 * its owner asks the kernel (user/net/route.h), or sends the frame that is made here. It
 * is told of every answer, also of those that nobody asked for.
 */
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/net/udp.h"

#define SHUNT_NEIGHBOUR_TRIES 3u
#define SHUNT_NEIGHBOUR_RETRY_NS UINT64_C(1000000000)  /* RETRANS_TIMER */
#define SHUNT_NEIGHBOUR_KNOWN_NS UINT64_C(30000000000) /* REACHABLE_TIME */

enum shunt_neighbour_state {
	SHUNT_NEIGHBOUR_NONE, /* a free place */
	SHUNT_NEIGHBOUR_ASKED,
	SHUNT_NEIGHBOUR_KNOWN,
	SHUNT_NEIGHBOUR_DOUBTED,
	SHUNT_NEIGHBOUR_FAILED,
};

struct shunt_neighbour {
	uint32_t addr[4]; /* network order; IPv4 in the first word */
	uint64_t due_ns;  /* when to ask; with FAILED: never */
	uint32_t users;
	uint8_t mac[6];
	uint8_t l3;    /* enum shunt_l3 */
	uint8_t state; /* enum shunt_neighbour_state */
	uint8_t tries; /* since it was asked first */
};

struct shunt_neighbours {
	struct shunt_neighbour *at; /* places by number, some of them free */
	uint32_t count, room,
		max; /* places that were in use, are there, may be there */
};

/* A table of at most so many; it grows as it is filled. Nothing to close before take. */
static inline void shunt_neighbours_open(struct shunt_neighbours *self, uint32_t max)
{
	*self = (struct shunt_neighbours){ .max = max };
}

/* Fine on a zeroed one. */
void shunt_neighbours_close(struct shunt_neighbours *self);

/*
 * The number of this neighbour, for one user more; a new one is due at once. -ENOSPC,
 * -ENOMEM.
 */
int shunt_neighbours_take(struct shunt_neighbours *self, uint32_t l3,
			  const uint32_t addr[4], uint64_t now_ns);

/* One user less; with the last one it is forgotten. */
void shunt_neighbours_leave(struct shunt_neighbours *self, uint32_t number);

/* This host has this MAC address: its number where that is new; -1: it is not, or nobody
 * uses it. */
int shunt_neighbours_learn(struct shunt_neighbours *self, uint32_t l3,
			   const uint32_t addr[4], const uint8_t mac[6],
			   uint64_t now_ns);

/* Somebody has asked for it in vain, or has forgotten it. */
void shunt_neighbours_doubt(struct shunt_neighbours *self, uint32_t l3,
			    const uint32_t addr[4], uint64_t now_ns);

/*
 * The number of one that is to be asked now, and is counted as asked; -1: none, and
 * *due_ns is when to come again.
 */
int shunt_neighbours_next(struct shunt_neighbours *self, uint64_t now_ns,
			  uint64_t *due_ns);

/* --- ARP (RFC 826) and neighbour discovery (RFC 4861) ---------------------------------- */

#define SHUNT_NEIGHBOUR_FRAME 86u /* bytes of the longest question */

/* Writes a question for all to hear; returns its bytes. */
uint32_t shunt_neighbour_ask(uint8_t frame[SHUNT_NEIGHBOUR_FRAME],
			     const struct shunt_udp_host *host, uint32_t l3,
			     const uint32_t addr[4]);

/* What a frame tells of its sender. */
struct shunt_neighbour_word {
	uint32_t l3;
	uint32_t addr[4];
	uint8_t mac[6];
};

/*
 * Reads an ARP request or reply, a solicitation or an advertisement: false where it is
 * none, is unsound, or does not say who it is from.
 */
bool shunt_neighbour_hear(struct shunt_neighbour_word *word, const uint8_t *frame,
			  uint32_t len);
