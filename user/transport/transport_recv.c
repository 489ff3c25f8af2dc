/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages on their way in: numbers, whole messages, and the wait for them. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "user/rt/worker.h"
#include "user/transport/line.h"
#include "user/transport/peers.h"

/* --- one datagram -------------------------------------------------------------------- */

/* The last fragment brings the whole message; its own frame has gone back. */
static bool assemble(struct shunt_transport *transport, struct shunt_datagram *datagram,
		     const struct shunt_wire_piece *piece)
{
	struct shunt_frame whole;
	int ret = shunt_assembly_enter(&datagram->peer->assembly, &transport->assembly,
				       piece, datagram->frame.data, shunt_now_ns(),
				       &whole);

	shunt_frames_put(&datagram->frame, 1);
	transport->count.no_memory += ret < 0;
	if (ret <= 0)
		return false;
	datagram->frame = whole;
	return true;
}

static bool refuse(const struct shunt_datagram *datagram, uint64_t *count)
{
	*count += 1;
	shunt_frames_put(&datagram->frame, 1);
	return false;
}

/* Takes the header off, and looks what it says. */
static bool open_datagram(struct shunt_transport *transport,
			  struct shunt_datagram *datagram,
			  struct shunt_message *message)
{
	struct shunt_wire_piece piece;

	*message = (struct shunt_message){ .peer = datagram->peer->handle };
	if (!transport->options.header)
		return true;
	if (!shunt_wire_read(&piece, datagram->frame.data, datagram->frame.len,
			     (uint32_t)transport->options.message_max))
		return refuse(datagram, &transport->count.malformed);
	if (!shunt_wire_enter(piece.answer ? &datagram->peer->answers
					   : &datagram->peer->window,
			      &piece)) {
		shunt_frames_put(&datagram->frame, 1);
		return false;
	}
	datagram->frame.data += SHUNT_WIRE_BYTES;
	datagram->frame.len -= SHUNT_WIRE_BYTES;
	message->channel = piece.channel;
	message->sequence = piece.sequence - piece.fragment;
	if (piece.bytes == piece.length)
		return true;
	/* What is missing would come as from another peer. */
	if (datagram->peer->gone)
		return refuse(datagram, &transport->count.no_peer);
	return assemble(transport, datagram, &piece);
}

static unsigned int open_all(struct shunt_transport *transport,
			     struct shunt_datagram *datagrams, unsigned int n,
			     struct shunt_message *messages)
{
	unsigned int i, got = 0;

	for (i = 0; i < n; i++) {
		if (!open_datagram(transport, &datagrams[i], &messages[got]))
			continue;
		messages[got].frame = datagrams[i].frame;
		messages[got].room = datagrams[i].frame.len;
		transport->count.rx_bytes += datagrams[i].frame.len;
		got++;
	}
	transport->count.rx_messages += got;
	return got;
}

/* --- messages ---------------------------------------------------------------------------- */

static unsigned int receive(struct shunt_transport *transport,
			    struct shunt_datagram *datagrams, unsigned int max)
{
	/* What waits may still name those who are gone. */
	if (!shunt_line_left(&transport->unsent))
		shunt_peers_bury(transport->peers);
	return transport->ops->rx(transport, datagrams, max);
}

unsigned int shunt_recv(struct shunt_transport *transport,
			struct shunt_message *messages, unsigned int max)
{
	struct shunt_datagram burst[SHUNT_BURST];
	struct shunt_datagram_line *seen = &transport->seen;
	unsigned int n = shunt_line_left(seen), got;

	if (n) {
		n = n < max ? n : max;
		got = open_all(transport, seen->datagram + seen->at, n, messages);
		seen->at += n;
		return got;
	}
	n = receive(transport, burst, max < SHUNT_BURST ? max : SHUNT_BURST);
	return n ? open_all(transport, burst, n, messages) : 0;
}

void shunt_release(struct shunt_transport *transport,
		   const struct shunt_message *messages, unsigned int n)
{
	unsigned int i;

	(void)transport;
	for (i = 0; i < n; i++)
		shunt_frames_put(&messages[i].frame, 1);
}

/* --- waiting ------------------------------------------------------------------------------ */

unsigned int shunt_transport_wait(struct shunt_transport *transport, struct pollfd *fds,
				  unsigned int max)
{
	return transport->ops->wait(transport, fds, max);
}

#define UNSENT_NS 50000u /* when the rest of a message is tried again */

uint64_t shunt_transport_due(struct shunt_transport *transport)
{
	uint64_t due_ns =
		transport->ops->due ? transport->ops->due(transport) : UINT64_MAX;

	if (shunt_line_left(&transport->seen))
		return 0;
	if (shunt_line_left(&transport->unsent) && due_ns > shunt_now_ns() + UNSENT_NS)
		due_ns = shunt_now_ns() + UNSENT_NS;
	return due_ns;
}

/* Is there something? It is kept for the next call of recv. */
static bool peek(struct shunt_transport *transport)
{
	struct shunt_datagram_line *seen = &transport->seen;

	if (shunt_line_left(seen))
		return true;
	seen->at = 0;
	seen->n = receive(transport, seen->datagram, seen->room);
	return seen->n;
}

static int sleep_in_poll(struct shunt_transport *transport, uint64_t timeout_ns)
{
	struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / 1000000000u),
				    .tv_nsec = (long)(timeout_ns % 1000000000u) };
	struct pollfd fds[SHUNT_TRANSPORT_FDS];
	unsigned int n = transport->ops->wait(transport, fds, SHUNT_TRANSPORT_FDS);

	/* What came before it was asked what to wait for is not slept over. */
	if (peek(transport))
		return 0;
	transport->count.system_calls++;
	return ppoll(fds, n, &timeout, NULL) < 0 ? -errno : 0;
}

static int nap(struct shunt_transport *transport, uint64_t until_ns,
	       struct shunt_err *err)
{
	uint64_t now_ns = shunt_now_ns(), due_ns = shunt_transport_due(transport);
	int ret;

	if (due_ns > until_ns)
		due_ns = until_ns;
	if (due_ns <= now_ns)
		return shunt_transport_kick(transport, err);
	if (transport->ops->sleep) {
		ret = transport->ops->sleep(transport, due_ns - now_ns, err);
		return ret < 0 ? ret : shunt_transport_kick(transport, err);
	}
	ret = sleep_in_poll(transport, due_ns - now_ns);
	if (ret)
		return shunt_fail_errno(err, ret, "transport %s: wait",
					transport->name);
	return shunt_transport_kick(transport, err);
}

/* How long it spins before it sleeps. */
static uint64_t spin_ns(const struct shunt_transport *transport, uint64_t timeout_ns)
{
	switch (transport->options.wait) {
	case SHUNT_WAIT_SPIN:
		return timeout_ns;
	case SHUNT_WAIT_POLL:
		return 0;
	default:
		return timeout_ns < SHUNT_WORKER_SPIN_NS ? timeout_ns
							 : SHUNT_WORKER_SPIN_NS;
	}
}

int shunt_transport_poll(struct shunt_transport *transport, uint64_t timeout_ns,
			 struct shunt_err *err)
{
	uint64_t begin_ns, spin, now_ns;
	int ret = shunt_transport_kick(transport, err);

	if (ret)
		return ret;
	if (peek(transport))
		return 1;
	now_ns = begin_ns = shunt_now_ns();
	spin = spin_ns(transport, timeout_ns);
	while (now_ns - begin_ns < timeout_ns) {
		if (now_ns - begin_ns >= spin)
			ret = nap(transport, begin_ns + timeout_ns, err);
		if (ret)
			return ret;
		if (peek(transport))
			return 1;
		now_ns = shunt_now_ns();
	}
	return 0;
}
