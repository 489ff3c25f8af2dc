/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/loose_line.h"

#include <stdlib.h>
#include <string.h>

#define HOSTS 256u /* a hash of the address */

struct datagram {
	struct datagram *next;
	struct shunt_endpoint from, to;
	uint32_t bytes;
	uint8_t data[LOOSE_MTU];
};

struct loose_line loose_line;
static struct datagram *first[HOSTS], **last[HOSTS];

static unsigned int host_of(const struct shunt_endpoint *at)
{
	return (shunt_be32(at->addr[0]) * 31 + at->port) % HOSTS;
}

static bool happens(uint32_t one_in)
{
	return one_in && shunt_random_one_in(&loose_line.random, one_in);
}

static void put(const struct shunt_endpoint *from, const struct shunt_endpoint *to,
		const struct shunt_frame *frame)
{
	struct datagram *datagram = malloc(sizeof(*datagram));
	const unsigned int host = host_of(to);

	datagram->next = NULL;
	datagram->from = *from;
	datagram->to = *to;
	datagram->bytes = frame->len;
	memcpy(datagram->data, frame->data, frame->len);
	if (!first[host])
		last[host] = &first[host];
	if (happens(loose_line.late)) {
		/* all that waits there is overtaken */
		datagram->next = first[host];
		if (!first[host])
			last[host] = &datagram->next;
		first[host] = datagram;
		return;
	}
	*last[host] = datagram;
	last[host] = &datagram->next;
}

static int line_tx(struct shunt_transport *transport, struct shunt_datagram *datagrams,
		   unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		const struct shunt_frame *frame = &datagrams[i].frame;

		loose_line.sent++;
		if (loose_line.cut || happens(loose_line.drop)) {
			loose_line.dropped++;
			continue;
		}
		put(&transport->local, &datagrams[i].peer->remote, frame);
		if (happens(loose_line.twice)) {
			put(&transport->local, &datagrams[i].peer->remote, frame);
			loose_line.doubled++;
		}
	}
	for (i = 0; i < n; i++)
		shunt_frames_put(&datagrams[i].frame, 1);
	return (int)n;
}

static bool receive(struct shunt_transport *transport, const struct datagram *datagram,
		    struct shunt_datagram *to)
{
	to->peer = shunt_transport_peer(transport, &datagram->from, true);
	if (!to->peer || !shunt_transport_frame(transport, &to->frame, datagram->bytes))
		return false;
	memcpy(to->frame.data, datagram->data, datagram->bytes);
	to->frame.len = datagram->bytes;
	return true;
}

static unsigned int line_rx(struct shunt_transport *transport,
			    struct shunt_datagram *datagrams, unsigned int max)
{
	const unsigned int host = host_of(&transport->local);
	struct datagram **at = &first[host];
	unsigned int got = 0;

	while (*at && got < max) {
		struct datagram *datagram = *at;

		if (!shunt_endpoint_same(&datagram->to, &transport->local)) {
			at = &datagram->next;
			continue;
		}
		*at = datagram->next;
		if (!*at)
			last[host] = at;
		got += receive(transport, datagram, &datagrams[got]);
		free(datagram);
	}
	return got;
}

void loose_line_clear(void)
{
	unsigned int host;

	for (host = 0; host < HOSTS; host++) {
		while (first[host]) {
			struct datagram *datagram = first[host];

			first[host] = datagram->next;
			free(datagram);
		}
	}
	loose_line = (struct loose_line){ 0 };
}

void loose_line_move(struct shunt_transport *transport, const char *address)
{
	if (shunt_endpoint_parse(&transport->local, address, NULL))
		abort();
}

/* --- what needs nothing ---------------------------------------------------------------- */

static int line_open(struct shunt_transport *transport, const struct shunt_uri *uri,
		     const void *options, struct shunt_err *err)
{
	(void)uri;
	(void)options;
	(void)err;
	transport->datagram_max = LOOSE_MTU;
	transport->caps = SHUNT_TRANSPORT_DATAGRAMS;
	return 0;
}

static void line_close(struct shunt_transport *transport)
{
	(void)transport;
}

static int line_peer_open(struct shunt_transport *transport,
			  struct shunt_peer_state *peer, uint64_t deadline_ns,
			  struct shunt_err *err)
{
	(void)transport;
	(void)peer;
	(void)deadline_ns;
	(void)err;
	return 0;
}

static void line_peer_close(struct shunt_transport *transport,
			    struct shunt_peer_state *peer)
{
	(void)transport;
	(void)peer;
}

static int line_kick(struct shunt_transport *transport, struct shunt_err *err)
{
	(void)transport;
	(void)err;
	return 0;
}

static unsigned int line_wait(struct shunt_transport *transport, struct pollfd *fds,
			      unsigned int max)
{
	(void)transport;
	(void)fds;
	(void)max;
	return 0;
}

static int line_describe(struct shunt_transport *transport, cJSON *json)
{
	(void)transport;
	(void)json;
	return 0;
}

const struct shunt_transport_ops shunt_loose_ops = {
	.scheme = "loose",
	.help = "a line within a test",
	.bytes = sizeof(struct shunt_transport),
	.peer_bytes = sizeof(struct shunt_peer_state),
	.open = line_open,
	.close = line_close,
	.peer_open = line_peer_open,
	.peer_close = line_peer_close,
	.tx = line_tx,
	.rx = line_rx,
	.kick = line_kick,
	.wait = line_wait,
	.describe = line_describe,
};
