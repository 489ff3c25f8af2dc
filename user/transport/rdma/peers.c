/* SPDX-License-Identifier: BSD-2-Clause */
/* Peers: found by their queue pairs; how they come and go. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/transport/rdma/rdma.h"

#define LINGER_NS UINT64_C(50000000) /* for what was sent and is not yet acknowledged */

/* --- found by queue pair -------------------------------------------------------------- */

static struct shunt_rdma_peer **bucket_of(struct shunt_rdma *rdma, uint32_t pair)
{
	return &rdma->bucket[pair % SHUNT_RDMA_BUCKETS];
}

struct shunt_rdma_peer *shunt_rdma_find(const struct shunt_rdma *rdma, uint32_t pair,
					const union ibv_gid *gid)
{
	struct shunt_rdma_peer *peer = rdma->bucket[pair % SHUNT_RDMA_BUCKETS];

	while (peer && (peer->pair != pair ||
			(gid && memcmp(gid, &peer->gid, sizeof(*gid)) != 0)))
		peer = peer->next;
	return peer;
}

static void table_add(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer)
{
	struct shunt_rdma_peer **bucket = bucket_of(rdma, peer->pair);

	peer->next = *bucket;
	*bucket = peer;
}

static void table_take(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer)
{
	struct shunt_rdma_peer **at = bucket_of(rdma, peer->pair);

	while (*at && *at != peer)
		at = &(*at)->next;
	if (*at)
		*at = peer->next;
}

/* --- coming ------------------------------------------------------------------------------ */

/* The device asks again for a place after so long: 0.64 ms (InfiniBand, table 45). */
#define WAIT_FOR_PLACE 12

/* Who knows nothing of credits may find no place. */
static int take_plain(struct shunt_rdma_peer *peer, struct shunt_rdma_conn *conn)
{
	struct ibv_qp_attr attr = { .min_rnr_timer = WAIT_FOR_PLACE };

	peer->plain = true;
	peer->out = calloc(1, sizeof(*peer->out));
	if (!peer->out)
		return -ENOMEM;
	peer->out->qp = conn->id->qp;
	peer->pair = conn->id->qp->qp_num;
	return -ibv_modify_qp(conn->id->qp, &attr, IBV_QP_MIN_RNR_TIMER);
}

static int take_credits(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer,
			struct shunt_rdma_conn *conn)
{
	bool writes = rdma->options.mode == SHUNT_RDMA_WRITE;
	uint32_t told = (uint32_t)rdma->options.credits;
	uint32_t most = told ? told : SHUNT_RDMA_GRANTS;

	conn->ring =
		conn->places < conn->theirs.places ? conn->places : conn->theirs.places;
	if (writes && most > conn->ring)
		most = conn->ring;
	if (!shunt_rdma_credit_begin(&peer->credit, &rdma->places, told, most))
		return -ENOSPC;
	peer->out = calloc(1, sizeof(*peer->out));
	if (writes)
		peer->given = calloc(peer->credit.most, sizeof(*peer->given));
	if (!peer->out || (writes && !peer->given)) {
		shunt_rdma_credit_end(&peer->credit, &rdma->places);
		return -ENOMEM;
	}
	peer->out->qp = conn->id->qp;
	peer->pair = conn->id->qp->qp_num;
	shunt_rdma_owe(rdma, peer, 0);
	return 0;
}

int shunt_rdma_adopt(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer,
		     struct shunt_rdma_conn *conn, struct shunt_err *err)
{
	int ret;

	if (rdma->options.mode == SHUNT_RDMA_UD) {
		peer->pair = conn->theirs.pair;
		peer->out = &rdma->ud;
		ret = shunt_rdma_ud_aim(rdma, peer, err);
	} else {
		ret = conn->theirs.magic ? take_credits(rdma, peer, conn)
					 : take_plain(peer, conn);
		if (ret)
			ret = shunt_fail(err, ret,
					 "there is no room for another connection: "
					 "buffers=N makes more");
	}
	if (ret) {
		shunt_rdma_conn_free(&rdma->meet, conn);
		return ret;
	}
	peer->conn = conn;
	table_add(rdma, peer);
	return 0;
}

/* One that has called. */
static void welcome_one(struct shunt_rdma *rdma, struct shunt_rdma_conn *conn)
{
	struct shunt_transport *transport = &rdma->transport;
	struct shunt_peer_state *state =
		transport->host->peer(transport, &conn->remote, false);
	struct shunt_rdma_peer *peer = state ? shunt_rdma_peer_of(state) : NULL;

	if (peer && rdma->options.mode == SHUNT_RDMA_UD) {
		/* the same as ever, or another life of it */
		table_take(rdma, peer);
		if (peer->conn)
			shunt_rdma_conn_free(&rdma->meet, peer->conn);
		peer->pair = conn->theirs.pair;
		peer->conn = conn;
		table_add(rdma, peer);
		return;
	}
	/* one with the same address has ended without our noticing: who calls may do so again */
	if (peer)
		shunt_rdma_lose(rdma, peer);
	else
		state = transport->host->peer(transport, &conn->remote, true);
	if (peer || !state)
		shunt_rdma_conn_free(&rdma->meet, conn);
	else if (shunt_rdma_adopt(rdma, shunt_rdma_peer_of(state), conn, NULL))
		shunt_rdma_lose(rdma, shunt_rdma_peer_of(state));
}

static struct shunt_rdma_conn *take_list(struct shunt_rdma_meet *meet)
{
	struct shunt_rdma_conn *conn, *next, *first = NULL;

	pthread_mutex_lock(&meet->lock);
	conn = meet->arrived;
	meet->arrived = NULL;
	pthread_mutex_unlock(&meet->lock);
	for (; conn; conn = next) {
		next = conn->next;
		conn->next = first;
		first = conn;
	}
	return first;
}

void shunt_rdma_welcome(struct shunt_rdma *rdma)
{
	struct shunt_rdma_conn *conn = take_list(&rdma->meet), *next;

	for (; conn; conn = next) {
		next = conn->next;
		welcome_one(rdma, conn);
	}
}

void shunt_rdma_news(struct shunt_rdma *rdma)
{
	struct shunt_transport *transport = &rdma->transport;
	struct shunt_peer_state *state;
	uint32_t at = 0, refused;

	if (!atomic_load_explicit(&rdma->meet.news, memory_order_relaxed) ||
	    !atomic_exchange_explicit(&rdma->meet.news, 0, memory_order_acquire))
		return;
	shunt_rdma_welcome(rdma);
	while ((state = transport->host->each(transport, &at))) {
		struct shunt_rdma_peer *peer = shunt_rdma_peer_of(state);
		uint32_t now = peer->conn ? atomic_load_explicit(&peer->conn->state,
								 memory_order_acquire)
					  : SHUNT_RDMA_COMING;

		peer->up |= now == SHUNT_RDMA_UP;
		if (now == SHUNT_RDMA_GONE)
			shunt_rdma_lose(rdma, peer);
	}
	refused = atomic_load_explicit(&rdma->meet.refused, memory_order_relaxed);
	transport->count.no_peer += refused - rdma->refused;
	rdma->refused = refused;
}

int shunt_rdma_peer_open(struct shunt_transport *transport,
			 struct shunt_peer_state *state, uint64_t deadline_ns,
			 struct shunt_err *err)
{
	struct shunt_rdma *rdma = shunt_rdma_of(transport);
	struct shunt_rdma_peer *peer = shunt_rdma_peer_of(state);
	struct shunt_rdma_conn *conn;
	int ret = shunt_rdma_call(&rdma->meet, &transport->local, &state->remote,
				  deadline_ns, &conn, err);

	if (!ret)
		ret = shunt_rdma_adopt(rdma, peer, conn, err);
	if (ret)
		return ret;
	peer->up = true;
	shunt_rdma_fill(rdma);
	shunt_rdma_grant(rdma);
	return 0;
}

/* --- going ----------------------------------------------------------------------------------- */

void shunt_rdma_bury(struct shunt_rdma *rdma)
{
	struct shunt_transport *transport = &rdma->transport;
	struct shunt_peer_state *state;
	uint32_t at = 0;

	if (!rdma->mourning)
		return;
	/* what it sent before it went is in the queue by now */
	shunt_rdma_came(rdma);
	rdma->mourning = false;
	while ((state = transport->host->each(transport, &at))) {
		struct shunt_rdma_peer *peer = shunt_rdma_peer_of(state);

		if (!peer->gone)
			continue;
		if (peer->arrived)
			rdma->mourning = true;
		else
			transport->host->drop(transport, state);
	}
}

/* What was taken is on its way; a connection that ends at once would cut it off. */
static void linger(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer)
{
	uint64_t until_ns = shunt_now_ns() + LINGER_NS;

	while (!peer->gone && peer->out->done != peer->out->posted &&
	       shunt_now_ns() < until_ns) {
		shunt_rdma_sent(rdma);
		shunt_rdma_news(rdma);
	}
}

static void end_conn(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer)
{
	shunt_rdma_hang_up(peer->conn);
	/* what its queue pair has left in the queues is still known to be its own */
	shunt_rdma_sent(rdma);
	shunt_rdma_came(rdma);
	table_take(rdma, peer);
	rdma->transport.count.tx_failed += shunt_rdma_give_up(peer->out);
	shunt_rdma_withdraw(rdma, peer);
}

void shunt_rdma_peer_close(struct shunt_transport *transport,
			   struct shunt_peer_state *state)
{
	struct shunt_rdma *rdma = shunt_rdma_of(transport);
	struct shunt_rdma_peer *peer = shunt_rdma_peer_of(state);

	if (peer->conn)
		linger(rdma, peer);
	if (peer->conn && rdma->options.mode != SHUNT_RDMA_UD)
		end_conn(rdma, peer);
	else if (peer->conn)
		table_take(rdma, peer);
	shunt_rdma_forget(rdma, peer);
	if (peer->ah)
		ibv_destroy_ah(peer->ah);
	peer->ah = NULL;
	shunt_rdma_conn_free(&rdma->meet, peer->conn);
	peer->conn = NULL;
	if (rdma->options.mode != SHUNT_RDMA_UD)
		free(peer->out);
	peer->out = NULL;
	free(peer->given);
	peer->given = NULL;
}
