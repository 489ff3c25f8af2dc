/* SPDX-License-Identifier: BSD-2-Clause */
/* The peers of a transport: by handle, by address, and by who was silent longest. */
#pragma once

/*
 * A handle is a place (low 20 bits, from 1 on) and the number of its user (12 bits), so
 * that one that outlives its peer is found out until 4,095 others have had the place.
 *
 * Addresses are found by a hash table with open addresses; where nothing is known of a
 * sender yet, its peer goes when room is needed: the one first that was found by its
 * address longest ago. A peer that somebody has opened stays until it is closed.
 */
#include "user/transport/backend.h"

struct shunt_peers;

/* Room for `max` peers of `bytes` each. */
SHUNT_MUST_CHECK int shunt_peers_open(struct shunt_peers **peers, uint32_t max,
				      size_t bytes, struct shunt_err *err);
/* All of them are closed before. NULL is fine. */
void shunt_peers_close(struct shunt_peers *peers);

/* NULL: there is none, or no more. */
struct shunt_peer_state *shunt_peers_of(const struct shunt_peers *peers,
					shunt_peer handle);
struct shunt_peer_state *shunt_peers_find(struct shunt_peers *peers,
					  const struct shunt_endpoint *remote);

/* A new one, zeroed but for its remote and handle; NULL: there is no room, or memory. */
struct shunt_peer_state *shunt_peers_add(struct shunt_peers *peers,
					 const struct shunt_endpoint *remote);
/* The one that may go to make room; NULL: all are held. */
struct shunt_peer_state *shunt_peers_oldest(struct shunt_peers *peers);

/* Somebody has opened it: it stays. */
void shunt_peers_hold(struct shunt_peers *peers, struct shunt_peer_state *peer);

/* It is gone, and found no more; its memory is gone with the next bury. */
void shunt_peers_remove(struct shunt_peers *peers, struct shunt_peer_state *peer);

/* Frees the removed ones. */
void shunt_peers_bury(struct shunt_peers *peers);

/* All of them, in no order: *at begins with 0. */
struct shunt_peer_state *shunt_peers_each(const struct shunt_peers *peers,
					  uint32_t *at);

uint32_t shunt_peers_count(const struct shunt_peers *peers);
