/* SPDX-License-Identifier: BSD-2-Clause */
/* A station's datagrams: headers in front, headers behind. */
#include "user/transport/station.h"

#include <errno.h>
#include <string.h>

#define TEND_NS UINT64_C(10000000) /* how often a busy station looks for news */

static struct shunt_station *of(struct shunt_transport *transport)
{
	return (struct shunt_station *)transport;
}

/* --- receiving ----------------------------------------------------------------------------- */

/* Who has sent it, with the way back as the frame shows it. */
static struct shunt_station_peer *find_sender(struct shunt_station *station,
					      const struct shunt_udp_datagram *it)
{
	struct shunt_station_peer *peer =
		(struct shunt_station_peer *)shunt_transport_peer(&station->transport,
								  &it->src, true);

	if (!peer)
		return NULL;
	if (!peer->path.bytes)
		shunt_udp_path_make(&peer->path, &station->host, &it->src, it->eth->src,
				    station->checksum);
	else if (memcmp(shunt_udp_path_mac(&peer->path), it->eth->src, 6) != 0)
		shunt_udp_path_set_mac(&peer->path, it->eth->src);
	return peer;
}

static bool is_ours(const struct shunt_station *station,
		    const struct shunt_udp_datagram *it)
{
	return shunt_endpoint_same(&it->dst, &station->host.local) && !it->vlan &&
	       !memcmp(it->eth->dst, station->host.mac, 6);
}

/* One frame; false: it was no datagram for us, or of one peer too many. */
static bool read_one(struct shunt_station *station, const struct shunt_frame *frame,
		     struct shunt_datagram *datagram)
{
	struct shunt_udp_datagram it;
	struct shunt_station_peer *peer;
	enum shunt_udp_kind kind;

	kind = shunt_udp_read(&it, frame->data, frame->len,
			      (uint32_t)station->link.ifindex, station->verify);
	if (kind >= SHUNT_UDP_REFUSED) {
		station->counts.refused[kind]++;
		if (station->own)
			shunt_station_serve(station, frame);
		return false;
	}
	if (!is_ours(station, &it)) {
		station->counts.elsewhere++;
		return false;
	}
	peer = find_sender(station, &it);
	if (!peer)
		return false;
	datagram->frame = *frame;
	datagram->frame.data = it.payload;
	datagram->frame.len = it.bytes;
	datagram->frame.flags = 0;
	datagram->peer = &peer->state;
	return true;
}

/* A packet in several frames is longer than the interface's MTU; returns how many. */
static unsigned int skip_long(struct shunt_station *station,
			      const struct shunt_frame *frames, unsigned int n)
{
	uint32_t bytes;
	unsigned int k = shunt_packet_frames(frames, n, &bytes);

	k = k ? k : n;
	station->counts.refused[SHUNT_UDP_MALFORMED]++;
	shunt_frames_put(frames, k);
	return k;
}

unsigned int shunt_station_read(struct shunt_station *station,
				const struct shunt_frame *frames, unsigned int n,
				struct shunt_datagram *datagrams)
{
	unsigned int i, k, got = 0;

	for (i = 0; i < n; i += k) {
		k = 1;
		if (i + 1 < n)
			__builtin_prefetch(frames[i + 1].data);
		if (frames[i].flags & SHUNT_FRAME_MORE)
			k = skip_long(station, &frames[i], n - i);
		else if (read_one(station, &frames[i], &datagrams[got]))
			got++;
		else
			shunt_frames_put(&frames[i], 1);
	}
	station->transport.count.rx_datagrams += got;
	return got;
}

/* What came while a peer was looked for. */
static unsigned int take_stash(struct shunt_station *station,
			       struct shunt_datagram *datagrams, unsigned int max)
{
	unsigned int n = 0;

	while (n < max && station->stash_at < station->stash_n)
		datagrams[n++] = station->stash[station->stash_at++];
	return n;
}

unsigned int shunt_station_rx(struct shunt_transport *transport,
			      struct shunt_datagram *datagrams, unsigned int max)
{
	struct shunt_station *station = of(transport);
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int n;

	if (station->stash_at < station->stash_n)
		return take_stash(station, datagrams, max);
	n = shunt_port_rx(station->rx, frames, max < SHUNT_BURST ? max : SHUNT_BURST);
	return n ? shunt_station_read(station, frames, n, datagrams) : 0;
}

/* --- sending ------------------------------------------------------------------------------- */

/* As it will be on the wire; 0, or why it never can be. */
static int put_headers(const struct shunt_station *station,
		       const struct shunt_datagram *datagram, struct shunt_frame *frame)
{
	const struct shunt_udp_path *path =
		&((const struct shunt_station_peer *)datagram->peer)->path;

	if (!path->bytes)
		return -ENOTCONN;
	if (datagram->frame.len > station->room)
		return -EMSGSIZE;
	*frame = datagram->frame;
	shunt_udp_write(path, frame->data, frame->len);
	frame->data -= path->bytes;
	frame->len += path->bytes;
	frame->flags = 0;
	return 0;
}

int shunt_station_tx(struct shunt_transport *transport,
		     struct shunt_datagram *datagrams, unsigned int n)
{
	struct shunt_station *station = of(transport);
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int i, sent;
	int ret = 0;

	for (i = 0; i < n && i < SHUNT_BURST; i++) {
		ret = put_headers(station, &datagrams[i], &frames[i]);
		if (ret)
			break;
	}
	if (!i && ret == -EMSGSIZE) {
		/* the interface's MTU has become less: it is taken, and lost */
		shunt_frames_put(&datagrams->frame, 1);
		transport->count.tx_failed++;
		return 1;
	}
	if (!i)
		return ret;
	sent = shunt_port_tx(station->tx, frames, i);
	transport->count.tx_datagrams += sent;
	return (int)sent;
}

int shunt_station_kick(struct shunt_transport *transport, struct shunt_err *err)
{
	struct shunt_station *station = of(transport);
	uint64_t now;
	int ret = shunt_port_kick(station->tx, err);

	if (!ret && station->rx != station->tx)
		ret = shunt_port_kick(station->rx, err);
	now = shunt_tick_ns();
	if (now < station->tend_ns)
		return ret;
	station->tend_ns = now + TEND_NS;
	shunt_station_tend(station, shunt_now_ns());
	return ret;
}

unsigned int shunt_station_wait(struct shunt_transport *transport, struct pollfd *fds,
				unsigned int max)
{
	struct shunt_station *station = of(transport);
	unsigned int n;

	if (!max)
		return 0;
	n = station->rx->ops->wait(station->rx, fds, max - 1);
	fds[n++] = (struct pollfd){ .fd = station->route.hear_fd, .events = POLLIN };
	station->tend_ns = 0; /* whoever is woken by news wants to hear them */
	return n;
}

uint64_t shunt_station_due(struct shunt_transport *transport)
{
	return of(transport)->due_ns;
}
