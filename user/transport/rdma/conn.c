/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/rdma/meet_impl.h"

#include <errno.h>
#include <stdlib.h>

#define RETRIES 7 /* the most: about four seconds with librdmacm's timeout */

/* --- the handshake's words -------------------------------------------------------------- */

struct shunt_rdma_hello shunt_rdma_our_hello(const struct shunt_rdma_meet *meet,
					     const struct shunt_rdma_conn *conn)
{
	const struct shunt_memory *memory = meet->memory;

	const struct shunt_rdma_hello hello = {
		.magic = SHUNT_RDMA_MAGIC,
		.mode = (uint16_t)meet->mode,
		.port = meet->port,
		.area = (uint64_t)(uintptr_t)memory->area,
		.area_key = meet->device->mr->rkey,
		.grants = (uint64_t)(uintptr_t)conn->grants,
		.grants_key = conn->grants_mr ? conn->grants_mr->rkey : 0,
		.frames = memory->frames,
		.frame_bytes = memory->frame_bytes,
		.headroom = memory->pool.headroom,
		.room = memory->pool.room,
		.places = conn->places,
		.pair = meet->pair,
	};

	return shunt_rdma_hello_turn(&hello);
}

bool shunt_rdma_their_hello(struct shunt_rdma_hello *hello,
			    const struct shunt_rdma_meet *meet, const void *bytes,
			    size_t len)
{
	if (meet->plain && !shunt_rdma_hello_is(bytes, len)) {
		*hello = (struct shunt_rdma_hello){ 0 };
		return true;
	}
	return shunt_rdma_hello_read(hello, bytes, len, meet->mode, meet->longest);
}

/* --- a connection's life ----------------------------------------------------------------- */

struct shunt_rdma_conn *shunt_rdma_conn_make(struct shunt_rdma_meet *meet)
{
	struct shunt_rdma_conn *conn = calloc(1, sizeof(*conn));
	size_t bytes = 2ul * meet->places * sizeof(*conn->grants);

	if (!conn || meet->mode != SHUNT_RDMA_WRITE)
		return conn;
	conn->places = meet->places;
	conn->grants = calloc(1, bytes);
	if (conn->grants)
		conn->grants_mr =
			ibv_reg_mr(meet->device->pd, conn->grants, bytes,
				   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	if (conn->grants_mr)
		return conn;
	free(conn->grants);
	free(conn);
	return NULL;
}

void shunt_rdma_hang_up(struct shunt_rdma_conn *conn)
{
	if (!conn->id)
		return;
	rdma_disconnect(conn->id);
	if (conn->id->qp)
		rdma_destroy_qp(conn->id);
}

void shunt_rdma_conn_free(struct shunt_rdma_meet *meet, struct shunt_rdma_conn *conn)
{
	if (!conn)
		return;
	if (conn->id) {
		shunt_rdma_hang_up(conn);
		rdma_destroy_id(conn->id);
		atomic_fetch_sub_explicit(&meet->conns, 1, memory_order_relaxed);
	}
	if (conn->grants_mr)
		ibv_dereg_mr(conn->grants_mr);
	free(conn->grants);
	free(conn);
}

int shunt_rdma_conn_pair(const struct shunt_rdma_meet *meet, struct rdma_cm_id *id)
{
	struct ibv_qp_init_attr attr = shunt_rdma_device_pair(meet->device, IBV_QPT_RC);

	/* of another device than the listener's its memory would be out of reach */
	if (id->verbs != meet->device->verbs)
		return -EXDEV;
	return rdma_create_qp(id, meet->device->pd, &attr) ? -errno : 0;
}

struct rdma_conn_param shunt_rdma_conn_params(const struct shunt_rdma_meet *meet,
					      const struct shunt_rdma_hello *hello)
{
	return (struct rdma_conn_param){
		.private_data = hello,
		.private_data_len = sizeof(*hello),
		.responder_resources = 1,
		.initiator_depth = 1,
		.retry_count = RETRIES,
		/* credits see to it that there is a place; 7 waits for one for ever */
		.rnr_retry_count = 7,
		.qp_num = meet->pair,
	};
}

bool shunt_rdma_meet_room(struct shunt_rdma_meet *meet)
{
	uint32_t before =
		atomic_fetch_add_explicit(&meet->conns, 1, memory_order_relaxed);

	if (before < meet->device->pairs)
		return true;
	atomic_fetch_sub_explicit(&meet->conns, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&meet->refused, 1, memory_order_relaxed);
	return false;
}

enum rdma_port_space shunt_rdma_meet_space(const struct shunt_rdma_meet *meet)
{
	return meet->mode == SHUNT_RDMA_UD ? RDMA_PS_UDP : RDMA_PS_TCP;
}
