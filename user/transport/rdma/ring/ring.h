/* SPDX-License-Identifier: BSD-2-Clause */
/* The plug-in behind ship: ports: rdma-core under user/io/ship_wire.h. */
#pragma once

/*
 *     verbs.c      the device: registered areas, queue, requests and what is done
 *     connect.c    librdmacm: who asks, who is up, who is gone
 *     plugin.c     the vtable
 *
 * There is no thread: librdmacm's channel does not block, and is read when the port looks.
 * The device is that of the address listened at, or of the way to the receiver; it is made
 * with the first connection and stays, with all that is registered, until another one is
 * found there.
 */
#include <rdma/rdma_cma.h>

#include "user/io/ship_wire.h"

struct shunt_ship_wire {
	struct shunt_ship_wire_opts opts;

	/* connect.c */
	struct rdma_event_channel *channel;
	struct rdma_cm_id *listener; /* NULL: it calls */
	struct rdma_cm_id *id;	     /* the connection, or what is to be one */
	struct rdma_cm_id *asker;    /* waits for an answer */
	uint8_t ask[SHUNT_SHIP_HELLO_MAX];
	size_t ask_bytes;

	/* verbs.c */
	struct ibv_context *verbs; /* librdmacm's */
	struct ibv_pd *pd;
	struct ibv_mr *mr[SHUNT_SHIP_AREAS];
	struct ibv_comp_channel *done;
	struct ibv_cq *cq;
	uint32_t key; /* the other side's */
	uint32_t mtu;
	uint32_t pieces;
	uint32_t inline_max;
	bool broken; /* a request has failed */
};

/* --- verbs.c --------------------------------------------------------------------------- */

/* Makes what the wire needs of this device, unless it has that already. */
SHUNT_MUST_CHECK int shunt_ship_device(struct shunt_ship_wire *wire,
				       struct ibv_context *verbs, uint8_t port,
				       struct shunt_err *err);
void shunt_ship_device_free(struct shunt_ship_wire *wire);

/* Of an id whose device it is, ready to be woken by bells. 0 or -errno. */
SHUNT_MUST_CHECK int shunt_ship_pair(struct shunt_ship_wire *wire,
				     struct rdma_cm_id *id);

/* Throws away what a queue pair that is gone has left. */
void shunt_ship_drain(struct shunt_ship_wire *wire);

int shunt_ship_post(struct shunt_ship_wire *wire, const struct shunt_ship_post *posts,
		    unsigned int n);
int shunt_ship_poll(struct shunt_ship_wire *wire, uint64_t *ids, unsigned int max);
unsigned int shunt_ship_wait(struct shunt_ship_wire *wire, struct pollfd *fds,
			     unsigned int max);

/* --- connect.c -------------------------------------------------------------------------- */

SHUNT_MUST_CHECK int shunt_ship_listen(struct shunt_ship_wire *wire,
				       struct shunt_err *err);
int shunt_ship_call(struct shunt_ship_wire *wire, const void *bytes, size_t len,
		    struct shunt_err *err);
int shunt_ship_answer(struct shunt_ship_wire *wire, bool yes, const void *bytes,
		      size_t len, struct shunt_err *err);
int shunt_ship_look(struct shunt_ship_wire *wire, struct shunt_ship_words *words,
		    struct shunt_err *err);
void shunt_ship_hang_up(struct shunt_ship_wire *wire);
/* All of librdmacm's that the wire has. */
void shunt_ship_leave(struct shunt_ship_wire *wire);
