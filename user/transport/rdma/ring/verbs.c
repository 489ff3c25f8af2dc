/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/rdma/ring/ring.h"

#include <errno.h>
#include <fcntl.h>

#define BELLS 4u /* places for those of the other side: it rings once a nap */
#define POLLED 16u
#define POSTED 8u /* requests that are handed over together */

/* --- the device ------------------------------------------------------------------------ */

static int register_areas(struct shunt_ship_wire *wire, struct shunt_err *err)
{
	const int far = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	unsigned int i;

	for (i = 0; i < wire->opts.areas; i++) {
		const struct shunt_ship_area *area = &wire->opts.area[i];

		wire->mr[i] =
			ibv_reg_mr(wire->pd, area->at, area->bytes,
				   IBV_ACCESS_LOCAL_WRITE | (area->remote ? far : 0));
		if (!wire->mr[i])
			return shunt_fail_errno(err, -errno,
						"register %zu bytes (ulimit -l bounds "
						"them; a smaller ring or fewer frames "
						"take less)",
						area->bytes);
	}
	return 0;
}

static int make_queue(struct shunt_ship_wire *wire, struct shunt_err *err)
{
	wire->done = ibv_create_comp_channel(wire->verbs);
	if (!wire->done || fcntl(wire->done->fd, F_SETFL, O_NONBLOCK))
		return shunt_fail_errno(err, -errno, "make a completion channel");
	wire->cq = ibv_create_cq(wire->verbs, SHUNT_SHIP_POSTS + BELLS, NULL,
				 wire->done, 0);
	return wire->cq ? 0 : shunt_fail_errno(err, -errno, "make a completion queue");
}

static int ask(struct shunt_ship_wire *wire, uint8_t port, struct shunt_err *err)
{
	struct ibv_device_attr can;
	struct ibv_port_attr is;

	if (ibv_query_device(wire->verbs, &can) ||
	    ibv_query_port(wire->verbs, port, &is))
		return shunt_fail_errno(err, -errno, "ask %s what it can",
					ibv_get_device_name(wire->verbs->device));
	if (is.state != IBV_PORT_ACTIVE)
		return shunt_fail(err, -ENETDOWN,
				  "port %u of %s is %s: bring its interface up", port,
				  ibv_get_device_name(wire->verbs->device),
				  ibv_port_state_str(is.state));
	wire->mtu = 128u << is.active_mtu;
	wire->pieces = SHUNT_SHIP_PIECES;
	if (can.max_sge > 0 && wire->pieces > (unsigned int)can.max_sge)
		wire->pieces = (unsigned int)can.max_sge;
	wire->inline_max = SHUNT_SHIP_INLINE;
	return 0;
}

int shunt_ship_device(struct shunt_ship_wire *wire, struct ibv_context *verbs,
		      uint8_t port, struct shunt_err *err)
{
	int ret;

	if (wire->verbs == verbs)
		return 0;
	shunt_ship_device_free(wire);
	wire->verbs = verbs;
	ret = ask(wire, port, err);
	if (!ret) {
		wire->pd = ibv_alloc_pd(verbs);
		if (!wire->pd)
			ret = shunt_fail_errno(err, -errno, "make a protection domain");
	}
	if (!ret)
		ret = register_areas(wire, err);
	if (!ret)
		ret = make_queue(wire, err);
	if (ret)
		shunt_ship_device_free(wire);
	return ret;
}

void shunt_ship_device_free(struct shunt_ship_wire *wire)
{
	unsigned int i;

	if (wire->cq)
		ibv_destroy_cq(wire->cq);
	if (wire->done)
		ibv_destroy_comp_channel(wire->done);
	for (i = 0; i < SHUNT_SHIP_AREAS; i++) {
		if (wire->mr[i])
			ibv_dereg_mr(wire->mr[i]);
		wire->mr[i] = NULL;
	}
	if (wire->pd)
		ibv_dealloc_pd(wire->pd);
	wire->cq = NULL;
	wire->done = NULL;
	wire->pd = NULL;
	wire->verbs = NULL;
}

/* --- a queue pair ------------------------------------------------------------------------ */

static int await_bell(struct ibv_qp *qp)
{
	struct ibv_recv_wr wr = { 0 }, *bad;

	return -ibv_post_recv(qp, &wr, &bad);
}

int shunt_ship_pair(struct shunt_ship_wire *wire, struct rdma_cm_id *id)
{
	struct ibv_qp_init_attr attr = {
		.send_cq = wire->cq,
		.recv_cq = wire->cq,
		.cap = { .max_send_wr = SHUNT_SHIP_POSTS,
			 .max_recv_wr = BELLS,
			 .max_send_sge = wire->pieces,
			 .max_recv_sge = 1,
			 .max_inline_data = wire->inline_max },
		.qp_type = IBV_QPT_RC,
	};
	unsigned int i;
	int ret = 0;

	if (rdma_create_qp(id, wire->pd, &attr)) {
		/* not every device copies what is posted */
		wire->inline_max = attr.cap.max_inline_data = 0;
		if (rdma_create_qp(id, wire->pd, &attr))
			return -errno;
	}
	for (i = 0; i < BELLS && !ret; i++)
		ret = await_bell(id->qp);
	wire->broken = false;
	return ret;
}

void shunt_ship_drain(struct shunt_ship_wire *wire)
{
	struct ibv_wc wc[POLLED];

	while (wire->cq && ibv_poll_cq(wire->cq, POLLED, wc) > 0)
		;
}

/* --- requests ----------------------------------------------------------------------------- */

static enum ibv_wr_opcode opcode_of(enum shunt_ship_request request)
{
	switch (request) {
	case SHUNT_SHIP_READ:
		return IBV_WR_RDMA_READ;
	case SHUNT_SHIP_BELL:
		return IBV_WR_SEND;
	default:
		return IBV_WR_RDMA_WRITE;
	}
}

static void fill_in(const struct shunt_ship_wire *wire,
		    const struct shunt_ship_post *post, struct ibv_send_wr *wr,
		    struct ibv_sge *sge)
{
	uint32_t bytes = 0;
	unsigned int i;

	for (i = 0; i < post->pieces; i++) {
		const struct shunt_ship_piece *piece = &post->piece[i];

		sge[i] = (struct ibv_sge){ .addr = (uint64_t)(uintptr_t)piece->at,
					   .length = piece->bytes,
					   .lkey = wire->mr[piece->area]->lkey };
		bytes += piece->bytes;
	}
	*wr = (struct ibv_send_wr){ .wr_id = post->id,
				    .sg_list = sge,
				    .num_sge = (int)post->pieces,
				    .opcode = opcode_of(post->request) };
	if (post->id)
		wr->send_flags |= IBV_SEND_SIGNALED;
	if (wr->opcode == IBV_WR_RDMA_WRITE && bytes && bytes <= wire->inline_max)
		wr->send_flags |= IBV_SEND_INLINE;
	if (wr->opcode != IBV_WR_SEND) {
		wr->wr.rdma.remote_addr = post->remote;
		wr->wr.rdma.rkey = wire->key;
	}
}

int shunt_ship_post(struct shunt_ship_wire *wire, const struct shunt_ship_post *posts,
		    unsigned int n)
{
	struct ibv_sge sge[POSTED][SHUNT_SHIP_PIECES];
	struct ibv_send_wr wr[POSTED], *bad;
	unsigned int i, now;

	if (!wire->id || !wire->id->qp || wire->broken)
		return -ENOTCONN;
	for (; n; n -= now, posts += now) {
		now = n < POSTED ? n : POSTED;
		for (i = 0; i < now; i++) {
			fill_in(wire, &posts[i], &wr[i], sge[i]);
			if (i)
				wr[i - 1].next = &wr[i];
		}
		if (ibv_post_send(wire->id->qp, wr, &bad))
			return -EIO;
	}
	return 0;
}

/* Bells are answered by a place for the next one; nobody else wants to know of them. */
int shunt_ship_poll(struct shunt_ship_wire *wire, uint64_t *ids, unsigned int max)
{
	struct ibv_wc wc[POLLED];
	unsigned int done = 0;
	int i, n;

	if (!wire->cq || !wire->id || !wire->id->qp)
		return 0;
	if (wire->broken)
		return -EIO;
	n = ibv_poll_cq(wire->cq, max < POLLED ? (int)max : (int)POLLED, wc);
	for (i = 0; i < n && !wire->broken; i++) {
		if (wc[i].status != IBV_WC_SUCCESS)
			wire->broken = true;
		else if (wc[i].opcode & IBV_WC_RECV)
			wire->broken = await_bell(wire->id->qp);
		else
			ids[done++] = wc[i].wr_id;
	}
	if (n < 0)
		wire->broken = true;
	return wire->broken && !done ? -EIO : (int)done;
}

unsigned int shunt_ship_wait(struct shunt_ship_wire *wire, struct pollfd *fds,
			     unsigned int max)
{
	unsigned int n = 0;
	struct ibv_cq *cq;
	void *context;

	if (n < max)
		fds[n++] = (struct pollfd){ .fd = wire->channel->fd, .events = POLLIN };
	if (!wire->cq || n == max)
		return n;
	while (!ibv_get_cq_event(wire->done, &cq, &context))
		ibv_ack_cq_events(cq, 1);
	ibv_req_notify_cq(wire->cq, 0);
	fds[n++] = (struct pollfd){ .fd = wire->done->fd, .events = POLLIN };
	return n;
}
