/* SPDX-License-Identifier: BSD-2-Clause */
/* rdma://: the plug-in's vtable. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "user/io/plugin.h"
#include "user/transport/rdma/rdma.h"

/* --- time and waiting ------------------------------------------------------------------ */

static int rdma_kick(struct shunt_transport *transport, struct shunt_err *err)
{
	struct shunt_rdma *rdma = shunt_rdma_of(transport);

	if (atomic_load_explicit(&rdma->meet.lost, memory_order_acquire))
		return shunt_fail(err, -ENODEV,
				  "%s is gone, and with it all connections",
				  ibv_get_device_name(rdma->device.verbs->device));
	shunt_rdma_news(rdma);
	shunt_rdma_sent(rdma);
	shunt_rdma_came(rdma);
	/* a place for another one, whoever may not receive for a while */
	shunt_rdma_bury(rdma);
	shunt_rdma_fill(rdma);
	shunt_rdma_grant(rdma);
	return 0;
}

static bool has_something(const struct shunt_rdma *rdma)
{
	return rdma->arrived || rdma->mourning ||
	       atomic_load_explicit(&rdma->meet.news, memory_order_relaxed);
}

static unsigned int rdma_wait(struct shunt_transport *transport, struct pollfd *fds,
			      unsigned int max)
{
	struct shunt_rdma *rdma = shunt_rdma_of(transport);
	uint64_t wakes = 1;

	if (max < 2)
		return 0;
	fds[0] = (struct pollfd){ .fd = rdma->device.channel->fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = rdma->meet.wake, .events = POLLIN };
	if (read(rdma->meet.wake, &wakes, sizeof(wakes)) < 0) {
		/* nobody has woken us */
	}
	shunt_rdma_device_arm(&rdma->device, rdma->short_of_room);
	transport->count.system_calls += 2;
	/* what came before it was armed tells nobody */
	shunt_rdma_came(rdma);
	wakes = 1;
	if (has_something(rdma) && write(rdma->meet.wake, &wakes, sizeof(wakes)) < 0) {
		/* it is full of wakes already */
	}
	return 2;
}

static uint64_t rdma_due(struct shunt_transport *transport)
{
	return has_something(shunt_rdma_of(transport)) ? shunt_now_ns() : UINT64_MAX;
}

/* --- open and close -------------------------------------------------------------------------- */

static int take_memory(struct shunt_rdma *rdma, struct shunt_err *err)
{
	const struct shunt_memory *memory = rdma->transport.memory;

	rdma->frames = calloc(memory->frames, sizeof(*rdma->frames));
	rdma->arrivals = calloc(rdma->device.budget, sizeof(*rdma->arrivals));
	if (!rdma->frames || !rdma->arrivals)
		return shunt_fail_errno(err, -ENOMEM, "make room for messages");
	return 0;
}

static void describe_self(struct shunt_rdma *rdma)
{
	struct shunt_transport *transport = &rdma->transport;
	uint32_t room = transport->pool->room;

	transport->caps = SHUNT_TRANSPORT_BLOCKS | SHUNT_TRANSPORT_ZERO_COPY;
	transport->datagram_max = room;
	if (rdma->options.mode == SHUNT_RDMA_UD) {
		if (rdma->device.mtu < room)
			transport->datagram_max = rdma->device.mtu;
	} else {
		transport->caps |= SHUNT_TRANSPORT_RELIABLE | SHUNT_TRANSPORT_ORDERED;
	}
	if (rdma->options.mode == SHUNT_RDMA_WRITE)
		transport->caps |= SHUNT_TRANSPORT_ONE_SIDED;
	if (transport->options.mtu && transport->options.mtu < transport->datagram_max)
		transport->datagram_max = (uint32_t)transport->options.mtu;
}

static int rdma_open(struct shunt_transport *transport, const struct shunt_uri *uri,
		     const void *options, struct shunt_err *err)
{
	struct shunt_rdma *rdma = shunt_rdma_of(transport);
	int ret;

	(void)uri;
	rdma->options = *(const struct shunt_rdma_options *)options;
	rdma->meet.mode = rdma->options.mode;
	rdma->meet.plain =
		rdma->options.mode == SHUNT_RDMA_RC && !transport->options.header;
	rdma->meet.memory = transport->memory;
	rdma->meet.device = &rdma->device;
	rdma->meet.places = rdma->options.credits > SHUNT_RDMA_GRANTS
				    ? (uint32_t)rdma->options.credits
				    : SHUNT_RDMA_GRANTS;
	ret = shunt_rdma_meet_bind(&rdma->meet, &transport->local, err);
	if (ret)
		return ret;
	rdma->device.verbs = rdma->meet.listener->verbs;
	rdma->device.port = rdma->meet.listener->port_num;
	rdma->opened = true;
	ret = shunt_rdma_device_open(&rdma->device, transport->memory, &rdma->options,
				     err);
	if (!ret)
		ret = take_memory(rdma, err);
	if (!ret && rdma->options.mode == SHUNT_RDMA_UD)
		ret = shunt_rdma_ud_open(rdma, err);
	if (ret)
		return ret;
	rdma->places.budget = rdma->device.budget;
	if (rdma->options.mode != SHUNT_RDMA_UD)
		rdma->places.peers_most = rdma->device.pairs;
	shunt_rdma_fill(rdma);
	describe_self(rdma);
	rdma->meet.longest = transport->datagram_max;
	return shunt_rdma_meet_start(&rdma->meet, err);
}

static void rdma_close(struct shunt_transport *transport)
{
	struct shunt_rdma *rdma = shunt_rdma_of(transport);

	shunt_rdma_meet_stop(&rdma->meet);
	if (rdma->ud.qp) {
		ibv_destroy_qp(rdma->ud.qp);
		transport->count.tx_failed += shunt_rdma_give_up(&rdma->ud);
	}
	if (rdma->opened)
		shunt_rdma_device_close(&rdma->device);
	shunt_rdma_meet_unbind(&rdma->meet);
	free(rdma->frames);
	free(rdma->arrivals);
}

/* --- what it is -------------------------------------------------------------------------------- */

static int rdma_describe(struct shunt_transport *transport, cJSON *json)
{
	const struct shunt_rdma *rdma = shunt_rdma_of(transport);
	const struct shunt_rdma_device *device = &rdma->device;

	if (!cJSON_AddStringToObject(json, "mode",
				     shunt_rdma_modes[rdma->options.mode]) ||
	    !cJSON_AddStringToObject(json, "device",
				     ibv_get_device_name(device->verbs->device)) ||
	    !cJSON_AddNumberToObject(json, "device_mtu", device->mtu) ||
	    !cJSON_AddNumberToObject(json, "receive_queue", device->budget) ||
	    !cJSON_AddNumberToObject(json, "inline", device->inline_max) ||
	    !cJSON_AddNumberToObject(json, "completions", (double)rdma->completions))
		return -ENOMEM;
	return 0;
}

static const struct shunt_transport_ops rdma_ops = {
	SHUNT_RDMA_ROW,
	.bytes = sizeof(struct shunt_rdma),
	.peer_bytes = sizeof(struct shunt_rdma_peer),
	.absent = shunt_rdma_absent,
	.open = rdma_open,
	.close = rdma_close,
	.peer_open = shunt_rdma_peer_open,
	.peer_close = shunt_rdma_peer_close,
	.tx = shunt_rdma_tx,
	.rx = shunt_rdma_rx,
	.kick = rdma_kick,
	.wait = rdma_wait,
	.due = rdma_due,
	.describe = rdma_describe,
};

SHUNT_PLUGIN(&rdma_ops, SHUNT_PLUGIN_TRANSPORTS);
