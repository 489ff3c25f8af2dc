/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections: what those who accept and those who ask have in common. */
#pragma once

#include "user/transport/rdma/meet.h"

/* RDMA_PS_TCP, or RDMA_PS_UDP for datagrams. */
enum rdma_port_space shunt_rdma_meet_space(const struct shunt_rdma_meet *meet);

/* A place for one more, which conn_free gives back once it has an id: each needs a few of the
 * receive queue. */
SHUNT_MUST_CHECK bool shunt_rdma_meet_room(struct shunt_rdma_meet *meet);

/* One without an id; NULL: there is no memory for it. */
struct shunt_rdma_conn *shunt_rdma_conn_make(struct shunt_rdma_meet *meet);

/* The queue pair of an id: 0 or -errno. */
SHUNT_MUST_CHECK int shunt_rdma_conn_pair(const struct shunt_rdma_meet *meet,
					  struct rdma_cm_id *id);

/* What we say, in network order. */
struct shunt_rdma_hello shunt_rdma_our_hello(const struct shunt_rdma_meet *meet,
					     const struct shunt_rdma_conn *conn);

/* What the other side has said; false: it does not fit. */
SHUNT_MUST_CHECK bool shunt_rdma_their_hello(struct shunt_rdma_hello *hello,
					     const struct shunt_rdma_meet *meet,
					     const void *bytes, size_t len);

/* How a connection is asked for or accepted; points to hello. */
struct rdma_conn_param shunt_rdma_conn_params(const struct shunt_rdma_meet *meet,
					      const struct shunt_rdma_hello *hello);
