/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections: how they are asked for, accepted and told to be gone. */
#pragma once

/*
 *     thread ── accepts; says who came, is up, is gone ─▶ list, news ─▶ the transport
 *     shunt_rdma_call() ── connects, in the caller's thread ─▶ a connection that is up
 *
 * Accepting takes no help of the transport's user, as with a kernel's listener: a thread
 * answers. It hands a connection over before it answers, so that whatever comes by it finds
 * it known. A connection is the transport's from then on, and the thread writes nothing but
 * its state.
 *
 * Either side says hello in the handshake. In mode=ud there is no connection: an exchange
 * tells which queue pair is behind an address, and an entry without id stands for it.
 */
#include <pthread.h>
#include <rdma/rdma_cma.h>
#include <stdatomic.h>

#include "user/transport/rdma/device.h"
#include "user/transport/rdma/hello.h"

enum shunt_rdma_state { SHUNT_RDMA_COMING, SHUNT_RDMA_UP, SHUNT_RDMA_GONE };

struct shunt_rdma_conn {
	struct rdma_cm_id *id; /* NULL: mode=ud */
	struct shunt_endpoint remote;
	struct shunt_rdma_hello theirs; /* in host order */
	uint32_t *grants; /* theirs to us, then ours to them: `places` of each */
	struct ibv_mr *grants_mr;
	uint32_t places;
	uint32_t ring; /* places that both sides use: the smaller number */
	_Atomic uint32_t
		state; /* enum shunt_rdma_state; released by the thread, acquired
				   by the transport */
	struct shunt_rdma_conn *next;
};

struct shunt_rdma_meet {
	const struct shunt_rdma_device *device;
	const struct shunt_memory *memory;
	unsigned int mode;
	bool plain; /* who says no hello is welcome, too: its `theirs` is zeroed */
	uint32_t places;
	uint32_t longest; /* bytes that are sent at once: a peer's room must do */
	uint16_t port;
	uint32_t pair;
	struct rdma_event_channel *channel;
	struct rdma_cm_id *listener;
	int wake, stop; /* eventfds: for the transport, for the thread */
	bool runs;
	pthread_t thread;
	pthread_mutex_t lock;		 /* held while one is accepted, and of: */
	struct shunt_rdma_conn *arrived; /* newest first */
	_Atomic uint32_t news;	  /* there are some: released by the thread, acquired by
				  the transport */
	_Atomic uint32_t conns;	  /* there are */
	_Atomic uint32_t refused; /* for want of room */
	_Atomic uint32_t lost;	  /* the device is gone: as news */
};

/* Binds the address: sets listener, whose verbs are the device. */
SHUNT_MUST_CHECK int shunt_rdma_meet_bind(struct shunt_rdma_meet *meet,
					  struct shunt_endpoint *local,
					  struct shunt_err *err);

/* Listens, with the device open. */
SHUNT_MUST_CHECK int shunt_rdma_meet_start(struct shunt_rdma_meet *meet,
					   struct shunt_err *err);

/* No more are accepted; those on the list are ended. The listener goes with unbind, after
 * the device was closed. */
void shunt_rdma_meet_stop(struct shunt_rdma_meet *meet);
void shunt_rdma_meet_unbind(struct shunt_rdma_meet *meet);

/* Connects to remote. */
SHUNT_MUST_CHECK int shunt_rdma_call(struct shunt_rdma_meet *meet,
				     const struct shunt_endpoint *local,
				     const struct shunt_endpoint *remote,
				     uint64_t deadline_ns,
				     struct shunt_rdma_conn **conn,
				     struct shunt_err *err);

/* Ends it: nothing is sent by it any more. Its memory stays until free. */
void shunt_rdma_hang_up(struct shunt_rdma_conn *conn);
void shunt_rdma_conn_free(struct shunt_rdma_meet *meet, struct shunt_rdma_conn *conn);
