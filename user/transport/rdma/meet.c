/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/rdma/meet_impl.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BACKLOG 128

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

	if (!shunt_rdma_their_hello(&theirs, meet, event->param.conn.private_data,
				    event->param.conn.private_data_len) ||
	    !shunt_rdma_meet_room(meet)) {
		refuse(event);
		return;
	}
	conn = shunt_rdma_conn_make(meet);
	if (!conn || shunt_rdma_conn_pair(meet, id)) {
		atomic_fetch_sub_explicit(&meet->conns, 1, memory_order_relaxed);
		shunt_rdma_conn_free(meet, conn);
		refuse(event);
		return;
	}
	conn->id = id;
	conn->theirs = theirs;
	id->context = conn;
	remote_of(&conn->remote, id);
	ours = shunt_rdma_our_hello(meet, conn);
	param = shunt_rdma_conn_params(meet, &ours);
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

	conn = shunt_rdma_their_hello(&theirs, meet, event->param.ud.private_data,
				      event->param.ud.private_data_len)
		       ? shunt_rdma_conn_make(meet)
		       : NULL;
	if (!conn) {
		refuse(event);
		return;
	}
	conn->theirs = theirs;
	remote_of(&conn->remote, id);
	conn->remote.port = theirs.port;
	atomic_store_explicit(&conn->state, SHUNT_RDMA_UP, memory_order_relaxed);
	ours = shunt_rdma_our_hello(meet, conn);
	param = shunt_rdma_conn_params(meet, &ours);
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

int shunt_rdma_meet_bind(struct shunt_rdma_meet *meet, struct shunt_endpoint *local,
			 struct shunt_err *err)
{
	char text[SHUNT_ENDPOINT_TEXT];
	int ret;

	shunt_endpoint_text(local, text);
	meet->wake = meet->stop = -1;
	if (shunt_endpoint_is_any(local))
		return shunt_fail(err, -EINVAL,
				  "%s is no address of one device: name that of the "
				  "interface that the device is on",
				  text);
	meet->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	meet->stop = eventfd(0, EFD_CLOEXEC);
	if (meet->wake < 0 || meet->stop < 0)
		return shunt_fail_errno(err, -errno, "make a channel for connections");
	ret = shunt_rdma_channel(&meet->channel, err);
	if (ret)
		return ret;
	ret = shunt_rdma_listener(&meet->listener, meet->channel, local,
				  shunt_rdma_meet_space(meet), err);
	if (ret)
		return ret;
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
