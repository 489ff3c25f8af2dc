/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/rdma/device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "user/transport/rdma/credit.h"

#define FRAMES_ENOUGH (2 * SHUNT_RDMA_LEAST)
#define CAME_SPARE 64

const char *shunt_rdma_absent(char *room, size_t bytes)
{
	struct ibv_device **list;
	int n = 0;

	list = ibv_get_device_list(&n);
	if (list)
		ibv_free_device_list(list);
	if (n > 0)
		return NULL;
	snprintf(room, bytes,
		 "there is no RDMA device; where the kernel has rdma_rxe, `modprobe "
		 "rdma_rxe; rdma link add rxe0 type rxe netdev eth1` makes one of an "
		 "interface");
	return room;
}

int shunt_rdma_channel(struct rdma_event_channel **channel, struct shunt_err *err)
{
	*channel = rdma_create_event_channel();
	if (!*channel || fcntl((*channel)->fd, F_SETFL, O_NONBLOCK))
		return shunt_fail_errno(err, -errno, "make a channel for connections");
	return 0;
}

int shunt_rdma_listener(struct rdma_cm_id **id, struct rdma_event_channel *channel,
			const struct shunt_endpoint *local, enum rdma_port_space space,
			struct shunt_err *err)
{
	struct sockaddr_storage address;
	char text[SHUNT_ENDPOINT_TEXT];

	shunt_endpoint_text(local, text);
	shunt_endpoint_to_socket(local, &address);
	if (rdma_create_id(channel, id, NULL, space))
		return shunt_fail_errno(err, -errno, "make a listener");
	if (rdma_bind_addr(*id, (struct sockaddr *)&address))
		return shunt_fail_errno(err, -errno,
					"bind %s (it has to be an address of an "
					"interface that has an RDMA device)",
					text);
	if (!(*id)->verbs)
		return shunt_fail(err, -ENODEV, "no RDMA device has the address %s",
				  text);
	return 0;
}

/* --- queues -------------------------------------------------------------------------- */

static uint32_t least(uint64_t a, uint64_t b)
{
	return (uint32_t)(a < b ? a : b);
}

static int make_queues(struct shunt_rdma_device *device,
		       const struct ibv_device_attr *can, uint32_t frames,
		       bool datagrams, struct shunt_err *err)
{
	struct ibv_srq_init_attr srq = { .attr = { .max_sge = 1 } };

	/* a quarter is left for sending; half, where a long message is many datagrams */
	device->budget =
		least(frames - frames / (datagrams ? 2 : 4), (uint64_t)can->max_srq_wr);
	device->budget = least(device->budget, (uint64_t)can->max_cqe - CAME_SPARE);
	device->pairs =
		least(shunt_rdma_peers_most(device->budget), (uint64_t)can->max_qp / 2);
	device->pairs = least(device->pairs, (uint64_t)can->max_cqe / SHUNT_RDMA_SENDS);
	if (!device->pairs)
		return shunt_fail(err, -EINVAL, "buffers=%u are too few: %u are enough",
				  frames, FRAMES_ENOUGH);
	srq.attr.max_wr = device->budget;
	device->channel = ibv_create_comp_channel(device->verbs);
	if (!device->channel)
		return shunt_fail_errno(err, -errno, "make a completion channel");
	if (fcntl(device->channel->fd, F_SETFL, O_NONBLOCK))
		return shunt_fail_errno(err, -errno, "set up a completion channel");
	device->sent =
		ibv_create_cq(device->verbs, (int)(device->pairs * SHUNT_RDMA_SENDS),
			      NULL, device->channel, 0);
	device->came = ibv_create_cq(device->verbs, (int)device->budget + CAME_SPARE,
				     NULL, device->channel, 0);
	if (!device->sent || !device->came)
		return shunt_fail_errno(err, -errno, "make completion queues");
	device->srq = ibv_create_srq(device->pd, &srq);
	return device->srq ? 0
			   : shunt_fail_errno(err, -errno,
					      "make a receive queue of %u places",
					      device->budget);
}

struct ibv_qp_init_attr shunt_rdma_device_pair(const struct shunt_rdma_device *device,
					       enum ibv_qp_type type)
{
	return (struct ibv_qp_init_attr){
		.send_cq = device->sent,
		.recv_cq = device->came,
		.srq = device->srq,
		.cap = { .max_send_wr = SHUNT_RDMA_SENDS,
			 .max_send_sge = 1,
			 .max_inline_data = device->inline_max },
		.qp_type = type,
	};
}

/* What was asked for, or less, as far as the device goes along. */
static int find_inline(struct shunt_rdma_device *device, uint32_t want,
		       struct shunt_err *err)
{
	for (device->inline_max = want;; device->inline_max /= 2) {
		struct ibv_qp_init_attr attr =
			shunt_rdma_device_pair(device, IBV_QPT_RC);
		struct ibv_qp *qp = ibv_create_qp(device->pd, &attr);

		if (qp) {
			ibv_destroy_qp(qp);
			return 0;
		}
		if (!device->inline_max)
			return shunt_fail_errno(err, -errno, "make a queue pair");
	}
}

/* --- open and close -------------------------------------------------------------------- */

static int ask(struct shunt_rdma_device *device, struct ibv_device_attr *can,
	       struct shunt_err *err)
{
	struct ibv_port_attr port;

	if (ibv_query_device(device->verbs, can) ||
	    ibv_query_port(device->verbs, device->port, &port))
		return shunt_fail_errno(err, -errno, "ask %s what it can",
					ibv_get_device_name(device->verbs->device));
	if (port.state != IBV_PORT_ACTIVE)
		return shunt_fail(err, -ENETDOWN,
				  "port %u of %s is %s: bring its interface up",
				  device->port,
				  ibv_get_device_name(device->verbs->device),
				  ibv_port_state_str(port.state));
	device->mtu = 128u << port.active_mtu;
	device->ethernet = port.link_layer == IBV_LINK_LAYER_ETHERNET;
	return 0;
}

int shunt_rdma_device_open(struct shunt_rdma_device *device,
			   const struct shunt_memory *memory,
			   const struct shunt_rdma_options *options,
			   struct shunt_err *err)
{
	const int access =
		IBV_ACCESS_LOCAL_WRITE |
		(options->mode == SHUNT_RDMA_WRITE ? IBV_ACCESS_REMOTE_WRITE : 0);
	struct ibv_device_attr can;
	int ret = ask(device, &can, err);

	if (ret)
		return ret;
	device->pd = ibv_alloc_pd(device->verbs);
	if (!device->pd)
		return shunt_fail_errno(err, -errno, "make a protection domain");
	device->mr = ibv_reg_mr(device->pd, memory->area, memory->bytes, access);
	if (!device->mr)
		return shunt_fail_errno(err, -errno,
					"register %zu bytes (ulimit -l bounds them; "
					"buffers=N makes them fewer)",
					memory->bytes);
	ret = make_queues(device, &can, memory->frames, options->mode == SHUNT_RDMA_UD,
			  err);
	return ret ? ret : find_inline(device, (uint32_t)options->inline_max, err);
}

void shunt_rdma_device_close(struct shunt_rdma_device *device)
{
	if (device->srq)
		ibv_destroy_srq(device->srq);
	if (device->sent)
		ibv_destroy_cq(device->sent);
	if (device->came)
		ibv_destroy_cq(device->came);
	if (device->channel)
		ibv_destroy_comp_channel(device->channel);
	if (device->mr)
		ibv_dereg_mr(device->mr);
	if (device->pd)
		ibv_dealloc_pd(device->pd);
}

void shunt_rdma_device_arm(const struct shunt_rdma_device *device, bool sent)
{
	struct ibv_cq *cq;
	void *context;

	while (!ibv_get_cq_event(device->channel, &cq, &context))
		ibv_ack_cq_events(cq, 1);
	ibv_req_notify_cq(device->came, 0);
	if (sent)
		ibv_req_notify_cq(device->sent, 0);
}
