/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/rdma/meet.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BACKLOG 128
#define RETRIES 7 /* the most: about four seconds with librdmacm's timeout */
#define NS_PER_MS UINT64_C(1000000)

/* --- the handshake's words -------------------------------------------------------------- */

static struct shunt_rdma_hello our_hello(const struct shunt_rdma_meet *meet,
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

static bool read_hello(struct shunt_rdma_hello *hello,
		       const struct shunt_rdma_meet *meet, const void *bytes,
		       size_t len)
{
	return shunt_rdma_hello_read(hello, bytes, len, meet->mode, meet->longest);
}

/* --- a connection's life ----------------------------------------------------------------- */

static struct shunt_rdma_conn *make_conn(struct shunt_rdma_meet *meet)
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

static int make_pair(const struct shunt_rdma_meet *meet, struct rdma_cm_id *id)
{
	struct ibv_qp_init_attr attr = shunt_rdma_device_pair(meet->device, IBV_QPT_RC);

	/* of another device than the listener's its memory would be out of reach */
	if (id->verbs != meet->device->verbs)
		return -EXDEV;
	return rdma_create_qp(id, meet->device->pd, &attr) ? -errno : 0;
}

static struct rdma_conn_param params(const struct shunt_rdma_meet *meet,
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

/* --- the thread ---------------------------------------------------------------------------- */

static void tell(struct shunt_rdma_meet *meet)
{
	const uint64_t one = 1;

	atomic_store_explicit(&meet->news, 1, memory_order_release);
	if (write(meet->wake, &one, sizeof(one)) < 0) {
		/* it is full of wakes already */
	}
}

static void hand_over(struct shunt_rdma_meet *meet, struct shunt_rdma_conn *conn)
{
	conn->next = meet->arrived;
	meet->arrived = conn;
}

/* A place for one more: each needs a few of the receive queue. */
static bool has_room(struct shunt_rdma_meet *meet)
{
	uint32_t before =
		atomic_fetch_add_explicit(&meet->conns, 1, memory_order_relaxed);

	if (before < meet->device->pairs)
		return true;
	atomic_fetch_sub_explicit(&meet->conns, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&meet->refused, 1, memory_order_relaxed);
	return false;
}

/* Its event is not needed any more: it is acknowledged before ids may be destroyed. */
static void refuse(struct rdma_cm_event *event)
{
	struct rdma_cm_id *id = event->id;

	rdma_reject(id, NULL, 0);
	rdma_ack_cm_event(event);
	rdma_destroy_id(id);
}

static void remote_of(struct shunt_endpoint *remote, struct rdma_cm_id *id)
{
	struct sockaddr_storage address = { 0 };

	memcpy(&address, &id->route.addr.dst_storage, sizeof(address));
	shunt_endpoint_from_socket(remote, &address);
}

static void accept_one(struct shunt_rdma_meet *meet, struct rdma_cm_event *event)
{
	struct rdma_cm_id *id = event->id;
	struct shunt_rdma_hello theirs, ours;
	struct shunt_rdma_conn *conn;
	struct rdma_conn_param param;

	if (!read_hello(&theirs, meet, event->param.conn.private_data,
			event->param.conn.private_data_len) ||
	    !has_room(meet)) {
		refuse(event);
		return;
	}
	conn = make_conn(meet);
	if (!conn || make_pair(meet, id)) {
		atomic_fetch_sub_explicit(&meet->conns, 1, memory_order_relaxed);
		shunt_rdma_conn_free(meet, conn);
		refuse(event);
		return;
	}
	conn->id = id;
	conn->theirs = theirs;
	id->context = conn;
	remote_of(&conn->remote, id);
	ours = our_hello(meet, conn);
	param = params(meet, &ours);
	rdma_ack_cm_event(event);
	/* known before anything can come by it; not taken before it is accepted */
	pthread_mutex_lock(&meet->lock);
	hand_over(meet, conn);
	if (rdma_accept(id, &param))
		atomic_store_explicit(&conn->state, SHUNT_RDMA_GONE,
				      memory_order_release);
	pthread_mutex_unlock(&meet->lock);
	tell(meet);
}

/* Of a request by datagrams nothing is left but who it was. */
static void answer_one(struct shunt_rdma_meet *meet, struct rdma_cm_event *event)
{
	struct shunt_rdma_hello theirs, ours;
	struct rdma_cm_id *id = event->id;
	struct shunt_rdma_conn *conn;
	struct rdma_conn_param param;

	conn = read_hello(&theirs, meet, event->param.ud.private_data,
			  event->param.ud.private_data_len)
		       ? make_conn(meet)
		       : NULL;
	if (!conn) {
		refuse(event);
		return;
	}
	conn->theirs = theirs;
	remote_of(&conn->remote, id);
	conn->remote.port = theirs.port;
	atomic_store_explicit(&conn->state, SHUNT_RDMA_UP, memory_order_relaxed);
	ours = our_hello(meet, conn);
	param = params(meet, &ours);
	pthread_mutex_lock(&meet->lock);
	hand_over(meet, conn);
	pthread_mutex_unlock(&meet->lock);
	tell(meet);
	rdma_accept(id, &param);
	rdma_ack_cm_event(event);
	rdma_destroy_id(id);
}

static bool is_end(enum rdma_cm_event_type event)
{
	return event == RDMA_CM_EVENT_DISCONNECTED ||
	       event == RDMA_CM_EVENT_CONNECT_ERROR ||
	       event == RDMA_CM_EVENT_UNREACHABLE || event == RDMA_CM_EVENT_REJECTED ||
	       event == RDMA_CM_EVENT_DEVICE_REMOVAL;
}

static void note(struct shunt_rdma_meet *meet, struct rdma_cm_event *event)
{
	struct shunt_rdma_conn *conn = event->id->context;
	bool up = event->event == RDMA_CM_EVENT_ESTABLISHED;
	uint32_t coming = SHUNT_RDMA_COMING;

	if (event->event == RDMA_CM_EVENT_DEVICE_REMOVAL)
		atomic_store_explicit(&meet->lost, 1, memory_order_release);
	if (conn && up)
		atomic_compare_exchange_strong_explicit(&conn->state, &coming,
							SHUNT_RDMA_UP,
							memory_order_release,
							memory_order_relaxed);
	else if (conn && is_end(event->event))
		atomic_store_explicit(&conn->state, SHUNT_RDMA_GONE,
				      memory_order_release);
	/* from here on the transport may free it */
	rdma_ack_cm_event(event);
	tell(meet);
}

static void look(struct shunt_rdma_meet *meet)
{
	struct rdma_cm_event *event;

	if (rdma_get_cm_event(meet->channel, &event))
		return;
	if (event->event == RDMA_CM_EVENT_CONNECT_REQUEST &&
	    meet->mode == SHUNT_RDMA_UD)
		answer_one(meet, event);
	else if (event->event == RDMA_CM_EVENT_CONNECT_REQUEST)
		accept_one(meet, event);
	else
		note(meet, event);
}

static void *run(void *arg)
{
	struct shunt_rdma_meet *meet = arg;
	struct pollfd fds[] = { { .fd = meet->channel->fd, .events = POLLIN },
				{ .fd = meet->stop, .events = POLLIN } };

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			return NULL;
		if (fds[0].revents)
			look(meet);
	}
}

/* Signals are for the threads of the program. */
static int start_thread(struct shunt_rdma_meet *meet)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&meet->thread, NULL, run, meet);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	meet->runs = !ret;
	return -ret;
}

/* --- listening ------------------------------------------------------------------------------- */

static enum rdma_port_space space_of(const struct shunt_rdma_meet *meet)
{
	return meet->mode == SHUNT_RDMA_UD ? RDMA_PS_UDP : RDMA_PS_TCP;
}

int shunt_rdma_meet_bind(struct shunt_rdma_meet *meet, struct shunt_endpoint *local,
			 struct shunt_err *err)
{
	struct sockaddr_storage address;
	char text[SHUNT_ENDPOINT_TEXT];

	shunt_endpoint_text(local, text);
	meet->wake = meet->stop = -1;
	if (shunt_endpoint_is_any(local))
		return shunt_fail(err, -EINVAL,
				  "%s is no address of one device: name that of the "
				  "interface that the device is on",
				  text);
	shunt_endpoint_to_socket(local, &address);
	meet->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	meet->stop = eventfd(0, EFD_CLOEXEC);
	meet->channel = rdma_create_event_channel();
	if (meet->wake < 0 || meet->stop < 0 || !meet->channel)
		return shunt_fail_errno(err, -errno, "make a channel for connections");
	if (rdma_create_id(meet->channel, &meet->listener, NULL, space_of(meet)))
		return shunt_fail_errno(err, -errno, "make a listener");
	if (rdma_bind_addr(meet->listener, (struct sockaddr *)&address))
		return shunt_fail_errno(err, -errno,
					"bind %s (it has to be an address of an "
					"interface that has an RDMA device)",
					text);
	if (!meet->listener->verbs)
		return shunt_fail(err, -ENODEV, "no RDMA device has the address %s",
				  text);
	local->port = be16toh(rdma_get_src_port(meet->listener));
	meet->port = local->port;
	return 0;
}

int shunt_rdma_meet_start(struct shunt_rdma_meet *meet, struct shunt_err *err)
{
	int ret;

	pthread_mutex_init(&meet->lock, NULL);
	if (rdma_listen(meet->listener, BACKLOG))
		return shunt_fail_errno(err, -errno, "listen at port %u", meet->port);
	ret = start_thread(meet);
	return ret ? shunt_fail_errno(err, ret, "start a thread") : 0;
}

void shunt_rdma_meet_stop(struct shunt_rdma_meet *meet)
{
	const uint64_t one = 1;

	if (!meet->runs)
		return;
	if (write(meet->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(meet->thread, NULL);
	meet->runs = false;
	while (meet->arrived) {
		struct shunt_rdma_conn *conn = meet->arrived;

		meet->arrived = conn->next;
		shunt_rdma_conn_free(meet, conn);
	}
	pthread_mutex_destroy(&meet->lock);
}

void shunt_rdma_meet_unbind(struct shunt_rdma_meet *meet)
{
	if (meet->listener)
		rdma_destroy_id(meet->listener);
	if (meet->channel)
		rdma_destroy_event_channel(meet->channel);
	if (meet->wake >= 0)
		close(meet->wake);
	if (meet->stop >= 0)
		close(meet->stop);
}

/* --- connecting -------------------------------------------------------------------------------- */

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
	struct rdma_cm_event *event;
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
	if (ret)
		return ret;
	rdma_ack_cm_event(event);
	if (rdma_resolve_route(id, wait_ms))
		return shunt_fail_errno(err, -errno, "find the way");
	ret = expect(id->channel, RDMA_CM_EVENT_ROUTE_RESOLVED, deadline_ns, &event,
		     err);
	if (!ret)
		rdma_ack_cm_event(event);
	return ret;
}

/* What the other side has said with its yes. */
static int read_answer(struct shunt_rdma_meet *meet, struct shunt_rdma_conn *conn,
		       struct rdma_cm_event *event, struct shunt_err *err)
{
	bool is_ud = meet->mode == SHUNT_RDMA_UD;
	bool fine = read_hello(&conn->theirs, meet,
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
	struct rdma_cm_event *event;
	int ret = find_route(id, local, &conn->remote, deadline_ns, err);

	if (!ret && meet->mode != SHUNT_RDMA_UD) {
		ret = make_pair(meet, id);
		if (ret)
			return shunt_fail_errno(err, ret, "make a queue pair");
	}
	if (ret)
		return ret;
	ours = our_hello(meet, conn);
	param = params(meet, &ours);
	if (rdma_connect(id, &param))
		return shunt_fail_errno(err, -errno, "connect");
	ret = expect(id->channel, RDMA_CM_EVENT_ESTABLISHED, deadline_ns, &event, err);
	return ret ? ret : read_answer(meet, conn, event, err);
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

	if (counted && !has_room(meet))
		return shunt_fail(err, -ENOSPC,
				  "there are too many connections for its buffers: "
				  "buffers=N makes more");
	conn = make_conn(meet);
	channel = rdma_create_event_channel();
	if (!conn || !channel || rdma_create_id(channel, &id, NULL, space_of(meet))) {
		ret = shunt_fail_errno(err, -errno, "begin a connection");
		id = NULL;
	} else {
		conn->remote = *remote;
		ret = talk(meet, id, conn, local, deadline_ns, err);
	}
	if (!ret)
		ret = keep(meet, conn, id, err);
	else if (id)
		end_call(id);
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
