/* SPDX-License-Identifier: BSD-2-Clause */
/* rdma://: the transport over queue pairs, its peers, and what waits between the two. */
#pragma once

/*
 *     tx ─▶ credit? ─▶ SEND or WRITE with a number ─▶ sent: frames back     send.c
 *     rx ◀─ arrivals ◀─ came ◀─ receive queue                               receive.c
 *                └─▶ places are free again ─▶ credits to the peer           grant.c
 *
 * A peer's credits (credit.h) are places of our receive queue (mode=rc), or frames of our
 * memory that it may write to (mode=write); it begins with none and is told of them. The
 * immediate number of a message tells what its sender grants (rc) or which frame it lies in
 * (write); with SHUNT_RDMA_NOTE it is no message but a note of credits alone: so many in all
 * (rc), or so many more (write), whose frames' numbers lie in conn->grants by then.
 *
 * A plain peer has said no hello, which goes with header=off in mode=rc: what is sent either
 * way is the bytes of a message alone, and the device makes senders wait for places.
 */
#include "user/transport/rdma/credit.h"
#include "user/transport/rdma/meet.h"

#define SHUNT_RDMA_CAME (UINT64_C(1) << 63) /* in wr_id: it was received */

/* What was posted to a send queue and is not known to be sent: a ring by number. */
struct shunt_rdma_out {
	struct ibv_qp *qp;
	uint32_t posted, done;
	struct shunt_frame frame[SHUNT_RDMA_SENDS]; /* data NULL: none to give back */
};

struct shunt_rdma_peer {
	struct shunt_peer_state state;
	struct shunt_rdma_conn *conn; /* NULL: there is none yet, or any more */
	struct shunt_rdma_peer *next; /* with the same hash */
	uint32_t pair; /* number of the queue pair: by what it is found */
	bool up, gone;
	bool plain;	  /* no Shunt: sent to without numbers, and without credits */
	uint32_t arrived; /* messages of it that wait for rx */

	struct shunt_rdma_out *out; /* ud: the transport's */
	struct shunt_rdma_credit credit;
	struct shunt_rdma_peer *next_owed;
	bool in_owed;
	struct shunt_frame
		*given; /* write: frames granted, by number modulo credit.most */

	struct ibv_ah *ah; /* ud */
	union ibv_gid gid;
};

struct shunt_rdma_arrival {
	struct shunt_frame frame;
	struct shunt_rdma_peer *peer;
};

#define SHUNT_RDMA_BUCKETS 1024u

struct shunt_rdma {
	struct shunt_transport transport;
	struct shunt_rdma_options options;
	struct shunt_rdma_device device;
	struct shunt_rdma_meet meet;
	bool opened;	    /* the device is */
	bool mourning;	    /* a peer is gone, and not yet dropped */
	bool short_of_room; /* tx has come short: what was sent ends a sleep, too */
	struct shunt_rdma_places places;
	uint32_t refused;	    /* connections, as counted already */
	uint64_t completions;	    /* of what was sent */
	struct shunt_frame *frames; /* by number of the buffer, where it is posted */
	struct shunt_rdma_arrival *arrivals; /* a ring of `budget` places */
	uint32_t first, arrived;
	struct shunt_rdma_peer *owed, *owed_last;
	struct shunt_rdma_out ud; /* all datagrams go by one queue pair */
	bool stuck;		  /* it has failed, and is to be mended */
	struct shunt_rdma_peer *bucket[SHUNT_RDMA_BUCKETS];
};

static inline struct shunt_rdma *shunt_rdma_of(struct shunt_transport *transport)
{
	return (struct shunt_rdma *)transport;
}

static inline struct shunt_rdma_peer *shunt_rdma_peer_of(struct shunt_peer_state *state)
{
	return (struct shunt_rdma_peer *)state;
}

/* What it still sent is handed on by rx before it is dropped. */
static inline void shunt_rdma_lose(struct shunt_rdma *rdma,
				   struct shunt_rdma_peer *peer)
{
	peer->gone = true;
	rdma->mourning = true;
}

/* Where an empty frame of the buffer with this number begins. */
static inline uint8_t *shunt_rdma_place(const struct shunt_rdma *rdma, uint32_t number)
{
	const struct shunt_memory *memory = rdma->transport.memory;

	return memory->area + (uint64_t)number * memory->frame_bytes +
	       memory->pool.headroom;
}

/* --- peers.c ------------------------------------------------------------------------------ */

/* The peer that this queue pair is of; gid: and that has this address (ud); NULL: any. */
struct shunt_rdma_peer *shunt_rdma_find(const struct shunt_rdma *rdma, uint32_t pair,
					const union ibv_gid *gid);

/* The connection becomes the peer's; where it can't, it is freed. 0 or -errno. */
SHUNT_MUST_CHECK int shunt_rdma_adopt(struct shunt_rdma *rdma,
				      struct shunt_rdma_peer *peer,
				      struct shunt_rdma_conn *conn,
				      struct shunt_err *err);

/* Those that have been accepted, told or not yet. */
void shunt_rdma_welcome(struct shunt_rdma *rdma);

/* What the thread has told: new ones, and those that are up or gone. */
void shunt_rdma_news(struct shunt_rdma *rdma);

/* Peers that are gone and have nothing left that rx has not handed on. */
void shunt_rdma_bury(struct shunt_rdma *rdma);

/* ops->peer_open, ops->peer_close */
int shunt_rdma_peer_open(struct shunt_transport *transport,
			 struct shunt_peer_state *state, uint64_t deadline_ns,
			 struct shunt_err *err);
void shunt_rdma_peer_close(struct shunt_transport *transport,
			   struct shunt_peer_state *state);

/* --- send.c ------------------------------------------------------------------------------- */

int shunt_rdma_tx(struct shunt_transport *transport, struct shunt_datagram *datagrams,
		  unsigned int n);

/* What was sent gives its frames back. */
void shunt_rdma_sent(struct shunt_rdma *rdma);

/* Everything of this queue goes back, sent or not; returns how many were not. */
uint32_t shunt_rdma_give_up(struct shunt_rdma_out *out);

/* A note of credits; false: there is no place in its send queue. */
bool shunt_rdma_note(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer);

/* --- receive.c ---------------------------------------------------------------------------- */

unsigned int shunt_rdma_rx(struct shunt_transport *transport,
			   struct shunt_datagram *datagrams, unsigned int max);

/* What has come is put in line, and notes are read. */
void shunt_rdma_came(struct shunt_rdma *rdma);

/* Fills the receive queue as far as there are frames. */
void shunt_rdma_fill(struct shunt_rdma *rdma);

/* Messages of a peer that rx has not handed on go back. */
void shunt_rdma_forget(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer);

/* Queue pair and address handles of mode=ud. */
SHUNT_MUST_CHECK int shunt_rdma_ud_open(struct shunt_rdma *rdma, struct shunt_err *err);
/* A queue pair that has failed starts anew, once it has given everything back. */
SHUNT_MUST_CHECK bool shunt_rdma_ud_mend(struct shunt_rdma *rdma);
SHUNT_MUST_CHECK int shunt_rdma_ud_aim(struct shunt_rdma *rdma,
				       struct shunt_rdma_peer *peer,
				       struct shunt_err *err);

/* --- grant.c ------------------------------------------------------------------------------ */

/* A message of it has been handed on: it is to have another credit. */
void shunt_rdma_owe(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer, uint32_t n);

/* Grants what is owed, as far as there are places, and tells of it where that is due. */
void shunt_rdma_grant(struct shunt_rdma *rdma);

/* A peer goes, with all that it was granted. */
void shunt_rdma_withdraw(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer);
