/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/rdma/ring/ring.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "user/transport/rdma/device.h"

#define WAIT_MS 2000 /* to resolve an address, and to find a way */
#define RETRIES 7    /* the most: about four seconds with librdmacm's timeout */
#define READS 4

static struct rdma_conn_param params(const void *bytes, size_t len)
{
	return (struct rdma_conn_param){
		.private_data = bytes,
		.private_data_len = (uint8_t)len,
		.responder_resources = READS,
		.initiator_depth = READS,
		.retry_count = RETRIES,
		/* there is a place for each bell; 7 waits for one for ever */
		.rnr_retry_count = 7,
	};
}

/* Its events have been acknowledged. */
static void end(struct shunt_ship_wire *wire, struct rdma_cm_id **id)
{
	if (!*id)
		return;
	if ((*id)->qp) {
		rdma_disconnect(*id);
		rdma_destroy_qp(*id);
		shunt_ship_drain(wire);
	}
	rdma_destroy_id(*id);
	*id = NULL;
}

void shunt_ship_hang_up(struct shunt_ship_wire *wire)
{
	end(wire, &wire->id);
}

int shunt_ship_listen(struct shunt_ship_wire *wire, struct shunt_err *err)
{
	char text[SHUNT_ENDPOINT_TEXT];
	int ret = shunt_rdma_channel(&wire->channel, err);

	if (ret || wire->opts.remote.l3 != SHUNT_L3_NONE)
		return ret;
	ret = shunt_rdma_listener(&wire->listener, wire->channel, &wire->opts.local,
				  RDMA_PS_TCP, err);
	if (ret)
		return ret;
	ret = shunt_ship_device(wire, wire->listener->verbs, wire->listener->port_num,
				err);
	if (ret)
		return ret;
	shunt_endpoint_text(&wire->opts.local, text);
	return rdma_listen(wire->listener, 1)
		       ? shunt_fail_errno(err, -errno, "listen at %s", text)
		       : 0;
}

void shunt_ship_leave(struct shunt_ship_wire *wire)
{
	end(wire, &wire->id);
	end(wire, &wire->asker);
	end(wire, &wire->listener);
}

/* --- who calls --------------------------------------------------------------------------- */

int shunt_ship_call(struct shunt_ship_wire *wire, const void *bytes, size_t len,
		    struct shunt_err *err)
{
	struct sockaddr_storage from, to;
	bool named = wire->opts.local.l3 != SHUNT_L3_NONE;

	memcpy(wire->ask, bytes, len);
	wire->ask_bytes = len;
	shunt_endpoint_to_socket(&wire->opts.remote, &to);
	shunt_endpoint_to_socket(&wire->opts.local, &from);
	if (rdma_create_id(wire->channel, &wire->id, NULL, RDMA_PS_TCP))
		return shunt_fail_errno(err, -errno, "begin a connection");
	if (!rdma_resolve_addr(wire->id, named ? (struct sockaddr *)&from : NULL,
			       (struct sockaddr *)&to, WAIT_MS))
		return 0;
	shunt_fail_errno(err, -errno,
			 "find the device that leads there (from=ADDRESS says by which "
			 "of ours)");
	end(wire, &wire->id);
	return -EHOSTUNREACH;
}

/* The device is known: on to the way, and to the request. */
static int go_on(struct shunt_ship_wire *wire, enum rdma_cm_event_type event,
		 struct shunt_err *err)
{
	struct rdma_conn_param param = params(wire->ask, wire->ask_bytes);
	int ret;

	if (event == RDMA_CM_EVENT_ADDR_RESOLVED) {
		ret = shunt_ship_device(wire, wire->id->verbs, wire->id->port_num, err);
		if (ret)
			return ret;
		return rdma_resolve_route(wire->id, WAIT_MS)
			       ? shunt_fail_errno(err, -errno, "find the way")
			       : 0;
	}
	ret = shunt_ship_pair(wire, wire->id);
	if (ret)
		return shunt_fail_errno(err, ret, "make a queue pair");
	return rdma_connect(wire->id, &param) ? shunt_fail_errno(err, -errno, "connect")
					      : 0;
}

/* --- who is called ------------------------------------------------------------------------ */

int shunt_ship_answer(struct shunt_ship_wire *wire, bool yes, const void *bytes,
		      size_t len, struct shunt_err *err)
{
	struct rdma_conn_param param = params(bytes, len);
	struct rdma_cm_id *id = wire->asker;
	int ret;

	if (!id)
		return shunt_fail(err, -ENOTCONN, "nobody asks");
	if (!yes) {
		rdma_reject(id, bytes, (uint8_t)len);
		end(wire, &wire->asker);
		return 0;
	}
	/* of another device than the listener's, the ring would be out of reach */
	ret = id->verbs == wire->verbs ? shunt_ship_pair(wire, id) : -EXDEV;
	if (!ret && rdma_accept(id, &param))
		ret = -errno;
	if (ret) {
		end(wire, &wire->asker);
		return shunt_fail_errno(err, ret, "accept a connection");
	}
	wire->id = id;
	wire->asker = NULL;
	return 0;
}

/* One waits already: who comes behind it is told to come again. */
static void turn_away(struct rdma_cm_id *id)
{
	uint8_t words[SHUNT_SHIP_HELLO_MAX];
	size_t len = shunt_ship_put_refusal(words, SHUNT_SHIP_BUSY);

	rdma_reject(id, words, (uint8_t)len);
	rdma_destroy_id(id);
}

/* --- events -------------------------------------------------------------------------------- */

static void read_words(struct shunt_ship_words *words,
		       const struct rdma_cm_event *event)
{
	const struct rdma_conn_param *param = &event->param.conn;
	struct sockaddr_storage address = { 0 };

	words->len = param->private_data ? param->private_data_len : 0;
	if (words->len)
		memcpy(words->bytes, param->private_data, words->len);
	memcpy(&address, &event->id->route.addr.dst_storage, sizeof(address));
	shunt_endpoint_from_socket(&words->remote, &address);
}

static int news_of(enum rdma_cm_event_type event)
{
	switch (event) {
	case RDMA_CM_EVENT_ESTABLISHED:
		return SHUNT_SHIP_UP;
	case RDMA_CM_EVENT_REJECTED:
		return SHUNT_SHIP_REFUSED;
	case RDMA_CM_EVENT_TIMEWAIT_EXIT:
	case RDMA_CM_EVENT_ADDR_CHANGE:
		return SHUNT_SHIP_QUIET;
	default:
		return SHUNT_SHIP_GONE;
	}
}

/* An event of the id, which has been acknowledged. */
static int take(struct shunt_ship_wire *wire, struct rdma_cm_id *id,
		enum rdma_cm_event_type event, struct shunt_err *err)
{
	int ret;

	if (event == RDMA_CM_EVENT_DEVICE_REMOVAL)
		return shunt_fail(err, -ENODEV, "the RDMA device is gone");
	if (event == RDMA_CM_EVENT_CONNECT_REQUEST) {
		if (wire->asker) {
			turn_away(id);
			return SHUNT_SHIP_QUIET;
		}
		wire->asker = id;
		return SHUNT_SHIP_ASKED;
	}
	if (id != wire->id)
		return SHUNT_SHIP_QUIET;
	if (event == RDMA_CM_EVENT_ADDR_RESOLVED ||
	    event == RDMA_CM_EVENT_ROUTE_RESOLVED) {
		ret = go_on(wire, event, err);
		if (ret)
			end(wire, &wire->id);
		return ret ? ret : SHUNT_SHIP_QUIET;
	}
	return news_of(event);
}

int shunt_ship_look(struct shunt_ship_wire *wire, struct shunt_ship_words *words,
		    struct shunt_err *err)
{
	enum rdma_cm_event_type what;
	struct rdma_cm_event *event;
	struct rdma_cm_id *id;
	int news = SHUNT_SHIP_QUIET;

	while (news == SHUNT_SHIP_QUIET && !rdma_get_cm_event(wire->channel, &event)) {
		read_words(words, event);
		what = event->event;
		id = event->id;
		rdma_ack_cm_event(event);
		news = take(wire, id, what, err);
	}
	return news;
}
