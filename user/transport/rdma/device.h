/* SPDX-License-Identifier: BSD-2-Clause */
/* The RDMA device of an address, and what all its peers share. */
#pragma once

/*
 * One protection domain; the transport's memory, registered once; a completion queue for
 * what was sent and one for what came, both on one channel that a sleeper waits for; a
 * shared receive queue. One thread works on it, but for queue pairs, which the thread of
 * user/transport/rdma/meet.h makes too.
 */
#include <infiniband/verbs.h>
#include <poll.h>
#include <rdma/rdma_cma.h>

#include "user/transport/backend.h"
#include "user/transport/rdma/options.h"

#define SHUNT_RDMA_SENDS 64u /* places of a send queue */
#define SHUNT_RDMA_GRH 40u   /* bytes in front of a datagram that came */

struct shunt_rdma_device {
	struct ibv_context *verbs; /* librdmacm's */
	struct ibv_pd *pd;
	struct ibv_mr *mr; /* of the transport's memory */
	struct ibv_comp_channel *channel;
	struct ibv_cq *sent, *came;
	struct ibv_srq *srq;
	uint8_t port;
	uint32_t budget; /* places of the receive queue */
	uint32_t pairs;	 /* queue pairs that `sent` has room for */
	uint32_t inline_max;
	uint32_t mtu; /* bytes of a packet, and so of a datagram */
	bool ethernet;
};

/* Why this machine has none; NULL: it has. */
const char *shunt_rdma_absent(char *room, size_t bytes);

/* For events of connections. To read one never waits: what poll() has told of goes with its id,
 * where that is freed first. The caller destroys *channel if it is not NULL, on failure too. */
SHUNT_MUST_CHECK int shunt_rdma_channel(struct rdma_event_channel **channel,
					struct shunt_err *err);

/* An id that is bound to `local`, and to the device that has that address. The caller
 * destroys *id if it is not NULL any more, on failure too. */
SHUNT_MUST_CHECK int shunt_rdma_listener(struct rdma_cm_id **id,
					 struct rdma_event_channel *channel,
					 const struct shunt_endpoint *local,
					 enum rdma_port_space space,
					 struct shunt_err *err);

/* `device` is zeroed but for verbs and port. What it leaves open on failure, close deals
 * with. */
SHUNT_MUST_CHECK int shunt_rdma_device_open(struct shunt_rdma_device *device,
					    const struct shunt_memory *memory,
					    const struct shunt_rdma_options *options,
					    struct shunt_err *err);

/* Every queue pair is gone. */
void shunt_rdma_device_close(struct shunt_rdma_device *device);

/* What a queue pair is made with. */
struct ibv_qp_init_attr shunt_rdma_device_pair(const struct shunt_rdma_device *device,
					       enum ibv_qp_type type);

/* A message is to end the next sleep (and room for sending, too); the caller looks for
 * what has come before it sleeps. */
void shunt_rdma_device_arm(const struct shunt_rdma_device *device, bool sent);
