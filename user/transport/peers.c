/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PLACE_BITS 20u
#define PLACE_MASK ((1u << PLACE_BITS) - 1)
#define USER_MASK 0xfffu
#define FIRST_PLACES 16u

_Static_assert(SHUNT_TRANSPORT_PEERS_MAX <= PLACE_MASK + 1, "places start with 1");

/* Place 0 is nobody's: the ends of the list of those that may go. */
struct place {
	struct shunt_peer_state *peer; /* NULL: free */
	uint32_t user;		       /* counts those who had it */
	uint32_t next, before; /* free: the next free one; else neighbours in the list,
				  themselves where it is held */
};

struct shunt_peers {
	struct place *place;
	uint32_t *table; /* places by hash; 0: none */
	uint32_t places; /* with place 0 */
	uint32_t mask;	 /* of the table */
	uint32_t free;	 /* first free place */
	uint32_t count, max;
	size_t bytes;
	struct shunt_peer_state *last; /* found last: most often the next one, too */
	struct shunt_peer_state *dead; /* removed, not buried */
};

/* --- the list of those that may go --------------------------------------------------- */

static void list_take(struct shunt_peers *peers, uint32_t at)
{
	struct place *place = peers->place;

	place[place[at].before].next = place[at].next;
	place[place[at].next].before = place[at].before;
	place[at].next = place[at].before = at;
}

static void list_append(struct shunt_peers *peers, uint32_t at)
{
	struct place *place = peers->place;

	place[at].next = 0;
	place[at].before = place[0].before;
	place[place[0].before].next = at;
	place[0].before = at;
}

static uint32_t place_of(const struct shunt_peer_state *peer)
{
	return peer->handle & PLACE_MASK;
}

static bool is_held(const struct shunt_peers *peers, uint32_t at)
{
	return peers->place[at].next == at;
}

/* --- the table of addresses -------------------------------------------------------------- */

static uint32_t hash_of(const struct shunt_endpoint *remote)
{
	return (uint32_t)XXH3_64bits(remote, sizeof(*remote));
}

static void table_add(struct shunt_peers *peers, uint32_t at)
{
	uint32_t i = hash_of(&peers->place[at].peer->remote) & peers->mask;

	while (peers->table[i])
		i = (i + 1) & peers->mask;
	peers->table[i] = at;
}

/* What stands behind the gap moves up, as far as it may (Knuth, TAOCP 6.4, R). */
static void table_take(struct shunt_peers *peers, uint32_t at)
{
	uint32_t gap = hash_of(&peers->place[at].peer->remote) & peers->mask, i, home;

	while (peers->table[gap] != at)
		gap = (gap + 1) & peers->mask;
	peers->table[gap] = 0;
	for (i = (gap + 1) & peers->mask; peers->table[i]; i = (i + 1) & peers->mask) {
		home = hash_of(&peers->place[peers->table[i]].peer->remote) &
		       peers->mask;
		if (((i - home) & peers->mask) < ((i - gap) & peers->mask))
			continue;
		peers->table[gap] = peers->table[i];
		peers->table[i] = 0;
		gap = i;
	}
}

/* --- room ------------------------------------------------------------------------------- */

/* Twice as many places, and a table that they fill by half. */
static bool grow(struct shunt_peers *peers)
{
	uint32_t was = peers->places, places = was ? was * 2 : FIRST_PLACES, at;
	struct place *place = realloc(peers->place, places * sizeof(*place));
	uint32_t *table;

	if (!place)
		return false;
	peers->place = place;
	table = calloc(2ul * places, sizeof(*table));
	if (!table)
		return false;
	memset(place + was, 0, (places - was) * sizeof(*place));
	for (at = places - 1; at >= (was ? was : 1); at--) {
		place[at].next = peers->free;
		peers->free = at;
	}
	free(peers->table);
	peers->table = table;
	peers->places = places;
	peers->mask = 2 * places - 1;
	for (at = 1; at < was; at++)
		if (place[at].peer)
			table_add(peers, at);
	return true;
}

int shunt_peers_open(struct shunt_peers **out, uint32_t max, size_t bytes,
		     struct shunt_err *err)
{
	struct shunt_peers *peers = calloc(1, sizeof(*peers));

	*out = NULL;
	if (!peers)
		return shunt_fail_errno(err, -ENOMEM, "make room for peers");
	peers->max = max;
	peers->bytes = bytes;
	if (!grow(peers)) {
		shunt_peers_close(peers);
		return shunt_fail_errno(err, -ENOMEM, "make room for peers");
	}
	*out = peers;
	return 0;
}

void shunt_peers_close(struct shunt_peers *peers)
{
	uint32_t at;

	if (!peers)
		return;
	for (at = 1; at < peers->places; at++)
		free(peers->place[at].peer);
	shunt_peers_bury(peers);
	free(peers->place);
	free(peers->table);
	free(peers);
}

/* --- peers -------------------------------------------------------------------------------- */

struct shunt_peer_state *shunt_peers_of(const struct shunt_peers *peers,
					shunt_peer handle)
{
	uint32_t at = handle & PLACE_MASK;
	struct shunt_peer_state *peer;

	if (at >= peers->places)
		return NULL;
	peer = peers->place[at].peer;
	return peer && peer->handle == handle ? peer : NULL;
}

struct shunt_peer_state *shunt_peers_find(struct shunt_peers *peers,
					  const struct shunt_endpoint *remote)
{
	struct shunt_peer_state *peer = peers->last;
	uint32_t i, at;

	if (peer && shunt_endpoint_same(&peer->remote, remote))
		return peer;
	for (i = hash_of(remote) & peers->mask; (at = peers->table[i]);
	     i = (i + 1) & peers->mask) {
		peer = peers->place[at].peer;
		if (!shunt_endpoint_same(&peer->remote, remote))
			continue;
		if (!is_held(peers, at)) {
			list_take(peers, at);
			list_append(peers, at);
		}
		return peers->last = peer;
	}
	return NULL;
}

struct shunt_peer_state *shunt_peers_add(struct shunt_peers *peers,
					 const struct shunt_endpoint *remote)
{
	struct shunt_peer_state *peer;
	uint32_t at;

	if (peers->count == peers->max || (!peers->free && !grow(peers)))
		return NULL;
	peer = calloc(1, peers->bytes);
	if (!peer)
		return NULL;
	at = peers->free;
	peers->free = peers->place[at].next;
	peers->place[at].user = (peers->place[at].user + 1) & USER_MASK;
	peers->place[at].peer = peer;
	peer->remote = *remote;
	peer->handle = at | peers->place[at].user << PLACE_BITS;
	table_add(peers, at);
	list_append(peers, at);
	peers->count++;
	return peer;
}

struct shunt_peer_state *shunt_peers_oldest(struct shunt_peers *peers)
{
	return peers->place[peers->place[0].next].peer;
}

void shunt_peers_hold(struct shunt_peers *peers, struct shunt_peer_state *peer)
{
	if (!is_held(peers, place_of(peer)))
		list_take(peers, place_of(peer));
}

void shunt_peers_remove(struct shunt_peers *peers, struct shunt_peer_state *peer)
{
	uint32_t at = place_of(peer);

	if (!is_held(peers, at))
		list_take(peers, at);
	table_take(peers, at);
	peers->place[at].peer = NULL;
	peers->place[at].next = peers->free;
	peers->free = at;
	peers->count--;
	if (peers->last == peer)
		peers->last = NULL;
	peer->gone = true;
	peer->next_dead = peers->dead;
	peers->dead = peer;
}

void shunt_peers_bury(struct shunt_peers *peers)
{
	struct shunt_peer_state *peer;

	while ((peer = peers->dead)) {
		peers->dead = peer->next_dead;
		free(peer);
	}
}

struct shunt_peer_state *shunt_peers_each(const struct shunt_peers *peers, uint32_t *at)
{
	while (++*at < peers->places)
		if (peers->place[*at].peer)
			return peers->place[*at].peer;
	return NULL;
}

uint32_t shunt_peers_count(const struct shunt_peers *peers)
{
	return peers->count;
}
