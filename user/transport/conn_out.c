/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets of connections on their way to the transport, a burst at a time. */
#include "user/transport/conn_impl.h"

#include <errno.h>
#include <string.h>

#define RESERVED 16u /* buffers that are taken at once */

struct shunt_message *shunt_conn_out_room(struct shunt_conns *conns)
{
	if (conns->outs == SHUNT_BURST &&
	    (shunt_conn_out_flush(conns) || conns->outs == SHUNT_BURST))
		return NULL;
	if (!conns->spares)
		conns->spares = shunt_reserve(conns->transport, conns->spare, RESERVED);
	return conns->spares ? &conns->spare[conns->spares - 1] : NULL;
}

void shunt_conn_out_commit(struct shunt_conns *conns, shunt_peer peer, uint32_t bytes)
{
	struct shunt_message *message = &conns->spare[--conns->spares];

	message->frame.len = bytes;
	message->peer = peer;
	message->channel = SHUNT_CONN_CHANNEL;
	conns->out[conns->outs++] = *message;
}

void shunt_conn_out_send(struct shunt_conns *conns, shunt_peer peer, const void *packet,
			 uint32_t bytes)
{
	struct shunt_message *message;

	if (!bytes || peer == SHUNT_PEER_NONE)
		return;
	message = shunt_conn_out_room(conns);
	if (!message)
		return;
	memcpy(message->frame.data, packet, bytes);
	shunt_conn_out_commit(conns, peer, bytes);
}

/* Nobody there: whoever wanted to go there has to find it again. */
static void lose_peer(struct shunt_conns *conns, shunt_peer peer)
{
	uint32_t i;

	for (i = 0; i < conns->opts.connections; i++) {
		struct shunt_conn *conn = conns->place[i];

		if (conn && conn->peer == peer)
			conn->peer = SHUNT_PEER_NONE;
	}
}

static void drop_first(struct shunt_conns *conns, unsigned int n)
{
	conns->outs -= n;
	memmove(conns->out, conns->out + n, conns->outs * sizeof(*conns->out));
}

int shunt_conn_out_flush(struct shunt_conns *conns)
{
	while (conns->outs) {
		int ret = shunt_submit(conns->transport, conns->out, conns->outs);

		if (!ret)
			break;
		if (ret > 0) {
			drop_first(conns, (unsigned int)ret);
			continue;
		}
		if (ret == -ENETDOWN || ret == -ENODEV)
			return ret;
		/* of this one packet: it is lost, as packets are */
		if (ret == -ENOTCONN)
			lose_peer(conns, conns->out[0].peer);
		shunt_release(conns->transport, conns->out, 1);
		drop_first(conns, 1);
	}
	return 0;
}

void shunt_conn_out_close(struct shunt_conns *conns)
{
	shunt_release(conns->transport, conns->out, conns->outs);
	shunt_release(conns->transport, conns->spare, conns->spares);
	conns->outs = conns->spares = 0;
}
