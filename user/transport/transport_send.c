/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages on their way out: header, numbers, fragments. */
#include <errno.h>
#include <string.h>

#include "user/transport/line.h"
#include "user/transport/peers.h"

static uint32_t piece_bytes(const struct shunt_transport *transport)
{
	return shunt_transport_datagram_max(transport);
}

uint32_t shunt_transport_pieces(const struct shunt_transport *transport, uint64_t bytes)
{
	uint32_t each = piece_bytes(transport);

	return bytes > each ? (uint32_t)((bytes + each - 1) / each) : 1;
}

/* --- one datagram -------------------------------------------------------------------- */

/* Puts the header in front of what the frame holds, with the peer's next number. */
static void put_header(struct shunt_transport *transport,
		       struct shunt_datagram *datagram, uint16_t channel,
		       uint32_t length, uint16_t fragment, bool more)
{
	const struct shunt_wire_piece piece = { .sequence = datagram->peer->sent,
						.length = length,
						.channel = channel,
						.fragment = fragment,
						.epoch = datagram->peer->epoch,
						.more = more };

	if (!transport->options.header)
		return;
	datagram->peer->sent++;
	datagram->frame.data -= SHUNT_WIRE_BYTES;
	datagram->frame.len += SHUNT_WIRE_BYTES;
	shunt_wire_write(datagram->frame.data, &piece);
}

/* What the carrier didn't take: its number is the next one's again, from the last on. */
static void take_header(struct shunt_transport *transport,
			struct shunt_datagram *datagram)
{
	if (!transport->options.header)
		return;
	datagram->peer->sent--;
	datagram->frame.data += SHUNT_WIRE_BYTES;
	datagram->frame.len -= SHUNT_WIRE_BYTES;
}

/* Without the carrier's error where it took some: the next call meets it again. */
static int hand_over(struct shunt_transport *transport,
		     struct shunt_datagram *datagrams, unsigned int n)
{
	int taken = transport->ops->tx(transport, datagrams, n);
	unsigned int i;

	for (i = n; i > (unsigned int)(taken > 0 ? taken : 0); i--)
		take_header(transport, &datagrams[i - 1]);
	return taken;
}

/* --- messages in fragments ------------------------------------------------------------------ */

/* Sends what is left of the last one. 0: nothing is left; -EAGAIN; or another -errno. */
static int flush(struct shunt_transport *transport)
{
	struct shunt_datagram_line *line = &transport->unsent;
	int taken;

	while (shunt_line_left(line)) {
		struct shunt_datagram *next = &line->datagram[line->at];
		uint32_t n = shunt_line_left(line);

		if (next->peer->gone) {
			shunt_frames_put(&next->frame, 1);
			transport->count.tx_failed++;
			line->at++;
			continue;
		}
		taken = transport->ops->tx(transport, next,
					   n < SHUNT_BURST ? n : SHUNT_BURST);
		if (taken == -ENOTCONN) {
			shunt_transport_drop(transport, next->peer);
			continue;
		}
		if (taken <= 0)
			return taken ?: -EAGAIN;
		line->at += (uint32_t)taken;
	}
	line->at = line->n = 0;
	return 0;
}

/* All frames that it takes, or none. */
static bool get_frames(struct shunt_transport *transport, uint32_t n)
{
	struct shunt_frame frames[SHUNT_BURST];
	struct shunt_datagram_line *line = &transport->unsent;
	unsigned int i, got, want;

	for (line->n = 0; line->n < n; line->n += got) {
		want = n - line->n < SHUNT_BURST ? n - line->n : SHUNT_BURST;
		got = shunt_pool_get(transport->pool, frames, want);
		for (i = 0; i < got; i++)
			line->datagram[line->n + i].frame = frames[i];
		if (!got)
			break;
	}
	if (line->n == n)
		return true;
	while (line->n)
		shunt_frames_put(&line->datagram[--line->n].frame, 1);
	return false;
}

static int send_pieces(struct shunt_transport *transport, struct shunt_peer_state *peer,
		       const struct shunt_message *message)
{
	uint32_t each = piece_bytes(transport), len = message->frame.len, i, at = 0;
	uint32_t n = shunt_transport_pieces(transport, len);
	struct shunt_datagram_line *line = &transport->unsent;
	int ret;

	if (n > line->room || n > UINT16_MAX)
		return -EMSGSIZE;
	if (!get_frames(transport, n))
		return 0;
	for (i = 0; i < n; i++, at += each) {
		struct shunt_datagram *piece = &line->datagram[i];

		piece->peer = peer;
		piece->frame.len = len - at < each ? len - at : each;
		memcpy(piece->frame.data, message->frame.data + at, piece->frame.len);
		put_header(transport, piece, message->channel, len, (uint16_t)i,
			   i + 1 < n);
	}
	line->at = 0;
	ret = flush(transport);
	return ret && ret != -EAGAIN ? ret : 1;
}

/* --- messages that fit ------------------------------------------------------------------------ */

/* A copy of a message in a frame of ours; false: there is none. */
static bool copy(struct shunt_transport *transport, struct shunt_frame *frame,
		 const struct shunt_message *message)
{
	if (!shunt_transport_frame(transport, frame, message->frame.len))
		return false;
	memcpy(frame->data, message->frame.data, message->frame.len);
	frame->len = message->frame.len;
	return true;
}

/* Why a message can't be sent at all, or 0. */
static int look(struct shunt_transport *transport, const struct shunt_message *message,
		struct shunt_peer_state **peer)
{
	*peer = shunt_peers_of(transport->peers, message->peer);
	if (!*peer)
		return -ENOTCONN;
	return message->frame.len > shunt_transport_message_max(transport) ? -EMSGSIZE
									   : 0;
}

/* In one datagram: it fits, or the carrier is a stream, which cuts nothing. */
static bool fits(const struct shunt_transport *transport,
		 const struct shunt_message *message)
{
	return transport->caps & SHUNT_TRANSPORT_STREAM ||
	       message->frame.len <= shunt_transport_datagram_max(transport);
}

static void count_sent(struct shunt_transport *transport,
		       const struct shunt_message *messages, unsigned int n)
{
	transport->count.tx_messages += n;
	while (n--)
		transport->count.tx_bytes += messages[n].frame.len;
}

/*
 * A run of messages that fit, in one burst. `own`: their frames are the transport's, else
 * they are copied. How many, or -errno of the first one.
 */
static int send_run(struct shunt_transport *transport,
		    const struct shunt_message *messages, unsigned int n, bool own)
{
	struct shunt_datagram burst[SHUNT_BURST];
	struct shunt_peer_state *peer;
	unsigned int i;
	int ret = 0, taken;

	for (i = 0; i < n && i < SHUNT_BURST; i++) {
		ret = look(transport, &messages[i], &peer);
		if (ret || !fits(transport, &messages[i]))
			break;
		burst[i].peer = peer;
		if (own)
			burst[i].frame = messages[i].frame;
		else if (!copy(transport, &burst[i].frame, &messages[i]))
			break;
		put_header(transport, &burst[i], messages[i].channel,
			   messages[i].frame.len, 0, false);
	}
	if (!i)
		return ret;
	n = i;
	taken = hand_over(transport, burst, n);
	for (i = (unsigned int)(taken > 0 ? taken : 0); !own && i < n; i++)
		shunt_frames_put(&burst[i].frame, 1);
	return taken;
}

/* The first message is longer than a datagram. */
static int send_long(struct shunt_transport *transport,
		     const struct shunt_message *message, bool own)
{
	struct shunt_peer_state *peer;
	int ret = look(transport, message, &peer);

	if (!ret)
		ret = send_pieces(transport, peer, message);
	if (ret > 0 && own)
		shunt_frames_put(&message->frame, 1);
	return ret;
}

static int send_some(struct shunt_transport *transport,
		     const struct shunt_message *messages, unsigned int n, bool own)
{
	if (shunt_line_left(&transport->unsent)) {
		int ret = flush(transport);

		if (ret)
			return ret == -EAGAIN ? 0 : ret;
	}
	return fits(transport, messages) ? send_run(transport, messages, n, own)
					 : send_long(transport, messages, own);
}

static int send_all(struct shunt_transport *transport,
		    const struct shunt_message *messages, unsigned int n, bool own)
{
	unsigned int sent = 0;
	int ret = 0;

	while (sent < n) {
		ret = send_some(transport, messages + sent, n - sent, own);
		if (ret <= 0)
			break;
		count_sent(transport, messages + sent, (unsigned int)ret);
		sent += (unsigned int)ret;
	}
	if (!ret)
		transport->count.tx_full += n - sent;
	return sent || !ret ? (int)sent : ret;
}

int shunt_send(struct shunt_transport *transport, shunt_peer peer, uint16_t channel,
	       const void *bytes, size_t len)
{
	const struct shunt_message message = {
		.frame = { .data = (uint8_t *)bytes, .len = (uint32_t)len },
		.peer = peer,
		.channel = channel,
	};

	if (len > SHUNT_MESSAGE_MAX)
		return -EMSGSIZE;
	return send_all(transport, &message, 1, false);
}

int shunt_send_batch(struct shunt_transport *transport,
		     const struct shunt_message *messages, unsigned int n)
{
	return send_all(transport, messages, n, false);
}

int shunt_submit(struct shunt_transport *transport, struct shunt_message *messages,
		 unsigned int n)
{
	return send_all(transport, messages, n, true);
}

unsigned int shunt_reserve(struct shunt_transport *transport,
			   struct shunt_message *messages, unsigned int n)
{
	struct shunt_frame frames[SHUNT_BURST];
	uint32_t room = shunt_transport_datagram_max(transport);
	unsigned int i, got;

	got = shunt_pool_get(transport->pool, frames,
			     n < SHUNT_BURST ? n : SHUNT_BURST);
	for (i = 0; i < got; i++)
		messages[i] =
			(struct shunt_message){ .frame = frames[i], .room = room };
	return got;
}

int shunt_transport_kick(struct shunt_transport *transport, struct shunt_err *err)
{
	int ret = shunt_line_left(&transport->unsent) ? flush(transport) : 0;

	if (ret && ret != -EAGAIN)
		return shunt_fail_errno(err, ret, "transport %s: send",
					transport->name);
	return transport->ops->kick(transport, err);
}
