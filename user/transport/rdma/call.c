/* SPDX-License-Identifier: BSD-2-Clause */
/* Asking for a connection, in the caller's thread. */
#include <errno.h>
#include <poll.h>

#include "user/transport/rdma/meet_impl.h"

#define NS_PER_MS UINT64_C(1000000)

/* Waits for one event of a call; *event is to be acknowledged. */
static int expect(struct rdma_event_channel *channel, enum rdma_cm_event_type want,
		  uint64_t deadline_ns, struct rdma_cm_event **event,
		  struct shunt_err *err)
{
	struct pollfd fd = { .fd = channel->fd, .events = POLLIN };
	enum rdma_cm_event_type got;
	uint64_t now_ns = shunt_now_ns();
	int status;

	if (now_ns >= deadline_ns ||
	    poll(&fd, 1, (int)((deadline_ns - now_ns) / NS_PER_MS) + 1) <= 0)
		return shunt_fail(
			err, -ETIMEDOUT,
			"nobody has answered in time: is it listening there?");
	if (rdma_get_cm_event(channel, event))
		return shunt_fail_errno(err, -errno, "read an event");
	got = (*event)->event;
	if (got == want)
		return 0;
	status = (*event)->status;
	rdma_ack_cm_event(*event);
	*event = NULL;
	if (got == RDMA_CM_EVENT_REJECTED)
		return shunt_fail(err, -ECONNREFUSED,
				  "it has refused: nobody listens there, or it is of "
				  "another mode or mtu, or has no room (%s, %d)",
				  rdma_event_str(got), status);
	return shunt_fail(err, -EHOSTUNREACH, "%s (%d)", rdma_event_str(got), status);
}

static int find_route(struct rdma_cm_id *id, const struct shunt_endpoint *local,
		      const struct shunt_endpoint *remote, uint64_t deadline_ns,
		      struct shunt_err *err)
{
	struct shunt_endpoint any_port = *local;
	struct sockaddr_storage from, to;
	struct rdma_cm_event *event = NULL;
	uint64_t now_ns = shunt_now_ns();
	int wait_ms = now_ns < deadline_ns
			      ? (int)((deadline_ns - now_ns) / NS_PER_MS) + 1
			      : 1;
	int ret;

	any_port.port = 0;
	shunt_endpoint_to_socket(&any_port, &from);
	shunt_endpoint_to_socket(remote, &to);
	if (rdma_resolve_addr(id, (struct sockaddr *)&from, (struct sockaddr *)&to,
			      wait_ms))
		return shunt_fail_errno(err, -errno, "find its address");
	ret = expect(id->channel, RDMA_CM_EVENT_ADDR_RESOLVED, deadline_ns, &event,
		     err);
	if (!event)
		return ret;
	rdma_ack_cm_event(event);
	if (rdma_resolve_route(id, wait_ms))
		return shunt_fail_errno(err, -errno, "find the way");
	event = NULL;
	ret = expect(id->channel, RDMA_CM_EVENT_ROUTE_RESOLVED, deadline_ns, &event,
		     err);
	if (event)
		rdma_ack_cm_event(event);
	return ret;
}

/* What the other side has said with its yes. */
static int read_answer(struct shunt_rdma_meet *meet, struct shunt_rdma_conn *conn,
		       struct rdma_cm_event *event, struct shunt_err *err)
{
	bool is_ud = meet->mode == SHUNT_RDMA_UD;
	bool fine = shunt_rdma_their_hello(&conn->theirs, meet,
					   is_ud ? event->param.ud.private_data
						 : event->param.conn.private_data,
					   is_ud ? event->param.ud.private_data_len
						 : event->param.conn.private_data_len);

	if (is_ud)
		conn->theirs.pair = event->param.ud.qp_num;
	rdma_ack_cm_event(event);
	return fine ? 0
		    : shunt_fail(err, -EPROTO,
				 "who answers there is no Shunt of the same mode and "
				 "mtu");
}

static int talk(struct shunt_rdma_meet *meet, struct rdma_cm_id *id,
		struct shunt_rdma_conn *conn, const struct shunt_endpoint *local,
		uint64_t deadline_ns, struct shunt_err *err)
{
	struct shunt_rdma_hello ours;
	struct rdma_conn_param param;
	struct rdma_cm_event *event = NULL;
	int ret = find_route(id, local, &conn->remote, deadline_ns, err);

	if (!ret && meet->mode != SHUNT_RDMA_UD) {
		ret = shunt_rdma_conn_pair(meet, id);
		if (ret)
			return shunt_fail_errno(err, ret, "make a queue pair");
	}
	if (ret)
		return ret;
	ours = shunt_rdma_our_hello(meet, conn);
	param = shunt_rdma_conn_params(meet, &ours);
	if (rdma_connect(id, &param))
		return shunt_fail_errno(err, -errno, "connect");
	ret = expect(id->channel, RDMA_CM_EVENT_ESTABLISHED, deadline_ns, &event, err);
	return event ? read_answer(meet, conn, event, err) : ret;
}

/* The id moves to the thread's channel, which tells when the connection is gone. */
static int keep(struct shunt_rdma_meet *meet, struct shunt_rdma_conn *conn,
		struct rdma_cm_id *id, struct shunt_err *err)
{
	atomic_store_explicit(&conn->state, SHUNT_RDMA_UP, memory_order_relaxed);
	if (meet->mode == SHUNT_RDMA_UD) {
		rdma_destroy_id(id);
		return 0;
	}
	conn->id = id;
	id->context = conn;
	return rdma_migrate_id(id, meet->channel)
		       ? shunt_fail_errno(err, -errno, "watch a connection")
		       : 0;
}

static void end_call(struct rdma_cm_id *id)
{
	if (id->qp)
		rdma_destroy_qp(id);
	rdma_destroy_id(id);
}

int shunt_rdma_call(struct shunt_rdma_meet *meet, const struct shunt_endpoint *local,
		    const struct shunt_endpoint *remote, uint64_t deadline_ns,
		    struct shunt_rdma_conn **out, struct shunt_err *err)
{
	bool counted = meet->mode != SHUNT_RDMA_UD;
	struct rdma_event_channel *channel;
	struct shunt_rdma_conn *conn;
	struct rdma_cm_id *id;
	int ret;

	if (counted && !shunt_rdma_meet_room(meet))
		return shunt_fail(err, -ENOSPC,
				  "there are too many connections for its buffers: "
				  "buffers=N makes more");
	conn = shunt_rdma_conn_make(meet);
	channel = rdma_create_event_channel();
	if (!conn || !channel ||
	    rdma_create_id(channel, &id, NULL, shunt_rdma_meet_space(meet))) {
		ret = shunt_fail_errno(err, -errno, "begin a connection");
	} else {
		conn->remote = *remote;
		ret = talk(meet, id, conn, local, deadline_ns, err);
		if (ret)
			end_call(id);
		else
			ret = keep(meet, conn, id, err);
	}
	if (ret && counted && !(conn && conn->id))
		atomic_fetch_sub_explicit(&meet->conns, 1, memory_order_relaxed);
	if (ret)
		shunt_rdma_conn_free(meet, conn);
	else
		*out = conn;
	if (channel)
		rdma_destroy_event_channel(channel);
	return ret;
}
