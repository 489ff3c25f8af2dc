/* SPDX-License-Identifier: BSD-2-Clause */
/* mode=ud: one queue pair for all, and the way to each peer. */
#include <errno.h>
#include <string.h>

#include "user/transport/rdma/rdma.h"

#define HOPS 64
#define GIDS_MAX 1024u

static union ibv_gid gid_at(const struct shunt_endpoint *endpoint)
{
	union ibv_gid gid = { 0 };

	if (endpoint->l3 == SHUNT_L3_IP6) {
		memcpy(gid.raw, endpoint->addr, 16);
		return gid;
	}
	gid.raw[10] = gid.raw[11] = 0xff;
	memcpy(gid.raw + 12, endpoint->addr, 4);
	return gid;
}

/* The place of our own address among the device's, for RoCE v2; -1: it has none such. */
static int own_place(const struct shunt_rdma *rdma)
{
	union ibv_gid own = gid_at(&rdma->transport.local);
	struct ibv_gid_entry entry;
	uint32_t i;

	for (i = 0; i < GIDS_MAX; i++) {
		if (ibv_query_gid_ex(rdma->device.verbs, rdma->device.port, i, &entry,
				     0))
			continue;
		if (entry.gid_type == IBV_GID_TYPE_ROCE_V2 &&
		    !memcmp(&entry.gid, &own, sizeof(own)))
			return (int)i;
	}
	return -1;
}

int shunt_rdma_ud_aim(struct shunt_rdma *rdma, struct shunt_rdma_peer *peer,
		      struct shunt_err *err)
{
	int place = own_place(rdma);
	struct ibv_ah_attr attr = {
		.is_global = 1,
		.port_num = rdma->device.port,
		.grh = { .dgid = gid_at(&peer->state.remote),
			 .sgid_index = (uint8_t)place,
			 .hop_limit = HOPS },
	};

	if (place < 0)
		return shunt_fail(err, -EADDRNOTAVAIL,
				  "the device has no RoCE v2 address like ours");
	peer->gid = attr.grh.dgid;
	peer->ah = ibv_create_ah(rdma->device.pd, &attr);
	return peer->ah ? 0 : shunt_fail_errno(err, -errno, "find the way to it");
}

static int move(struct ibv_qp *qp, const struct shunt_rdma_device *device)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT,
				    .port_num = device->port,
				    .qkey = RDMA_UDP_QKEY };
	int ret = ibv_modify_qp(qp, &attr,
				IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
					IBV_QP_QKEY);

	attr = (struct ibv_qp_attr){ .qp_state = IBV_QPS_RTR };
	ret = ret ?: ibv_modify_qp(qp, &attr, IBV_QP_STATE);
	attr = (struct ibv_qp_attr){ .qp_state = IBV_QPS_RTS };
	return ret ?: ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN);
}

bool shunt_rdma_ud_mend(struct shunt_rdma *rdma)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	if (rdma->ud.done != rdma->ud.posted ||
	    ibv_modify_qp(rdma->ud.qp, &attr, IBV_QP_STATE) ||
	    move(rdma->ud.qp, &rdma->device))
		return false;
	rdma->stuck = false;
	return true;
}

int shunt_rdma_ud_open(struct shunt_rdma *rdma, struct shunt_err *err)
{
	struct ibv_qp_init_attr attr =
		shunt_rdma_device_pair(&rdma->device, IBV_QPT_UD);
	int ret;

	if (!rdma->device.ethernet)
		return shunt_fail(
			err, -EOPNOTSUPP,
			"mode=ud knows addresses of RoCE alone; mode=rc works "
			"over InfiniBand, too");
	rdma->ud.qp = ibv_create_qp(rdma->device.pd, &attr);
	if (!rdma->ud.qp)
		return shunt_fail_errno(err, -errno, "make a queue pair for datagrams");
	ret = move(rdma->ud.qp, &rdma->device);
	rdma->meet.pair = rdma->ud.qp->qp_num;
	return ret ? shunt_fail_errno(err, -ret, "start a queue pair for datagrams")
		   : 0;
}
