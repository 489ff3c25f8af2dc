/* SPDX-License-Identifier: BSD-2-Clause */
/* A station's peers: the way to them, found and followed. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "user/base/clock.h"
#include "user/transport/station.h"

#define NEWS 16u		  /* read at once */
#define NAP_NS UINT64_C(50000000) /* between two looks for an answer at most */

/* --- news ---------------------------------------------------------------------------------- */

/* All whose next hop this is send to its new address. */
static void follow_neighbour(struct shunt_station *station, int number)
{
	struct shunt_peer_state *state;
	struct shunt_station_peer *peer;
	uint32_t at = 0;

	if (number < 0)
		return;
	while ((state = shunt_transport_each(&station->transport, &at))) {
		peer = (struct shunt_station_peer *)state;
		if (peer->neighbour == (uint32_t)number + 1)
			shunt_udp_path_set_mac(&peer->path,
					       station->neighbours.at[number].mac);
	}
}

static void learn(struct shunt_station *station, uint32_t l3, const uint32_t addr[4],
		  const uint8_t mac[6], uint64_t now_ns)
{
	follow_neighbour(station, shunt_neighbours_learn(&station->neighbours, l3, addr,
							 mac, now_ns));
}

static void follow_link(struct shunt_station *station,
			const struct shunt_route_event *event)
{
	struct shunt_peer_state *state;
	uint32_t at = 0, room = shunt_udp_room(&station->host.local, event->mtu);

	station->room = room < station->room_first ? room : station->room_first;
	station->transport.datagram_max = station->room;
	if (!memcmp(station->host.mac, event->mac, 6))
		return;
	memcpy(station->host.mac, event->mac, 6);
	if (station->answerer)
		memcpy(station->answerer->mac, event->mac, 6);
	while ((state = shunt_transport_each(&station->transport, &at)))
		shunt_udp_path_set_own_mac(&((struct shunt_station_peer *)state)->path,
					   event->mac);
}

static bool is_local(const struct shunt_station *station,
		     const struct shunt_route_event *event)
{
	const struct shunt_endpoint *local = &station->host.local;

	return event->l3 == local->l3 &&
	       !memcmp(event->addr, local->addr, shunt_endpoint_bytes(local));
}

/* What there was may be missed: all is asked for again, when it is due. */
static void ask_all(struct shunt_station *station, uint64_t now_ns)
{
	struct shunt_neighbours *all = &station->neighbours;
	uint32_t i;

	station->due_ns = 0;
	for (i = 0; i < all->count; i++)
		if (all->at[i].state != SHUNT_NEIGHBOUR_NONE)
			shunt_neighbours_doubt(all, all->at[i].l3, all->at[i].addr,
					       now_ns);
}

static void hear(struct shunt_station *station, const struct shunt_route_event *event,
		 uint64_t now_ns)
{
	switch (event->what) {
	case SHUNT_ROUTE_NEIGHBOUR:
		if (!station->own)
			learn(station, event->l3, event->addr, event->mac, now_ns);
		break;
	case SHUNT_ROUTE_VAIN:
		if (!station->own)
			shunt_neighbours_doubt(&station->neighbours, event->l3,
					       event->addr, now_ns);
		station->due_ns = 0;
		break;
	case SHUNT_ROUTE_LINK:
		follow_link(station, event);
		break;
	case SHUNT_ROUTE_ADDRESS:
	case SHUNT_ROUTE_NO_ADDRESS:
		if (is_local(station, event))
			station->gone = event->what == SHUNT_ROUTE_NO_ADDRESS;
		break;
	default:
		ask_all(station, now_ns);
	}
}

/* --- questions ----------------------------------------------------------------------------- */

static void ask_by_frame(struct shunt_station *station,
			 const struct shunt_neighbour *it)
{
	struct shunt_frame frame;

	if (!shunt_pool_get(station->transport.pool, &frame, 1))
		return; /* it is asked again */
	frame.len = shunt_neighbour_ask(frame.data, &station->host, it->l3, it->addr);
	if (!shunt_port_tx(station->tx, &frame, 1)) {
		shunt_frames_put(&frame, 1);
		return;
	}
	station->counts.asked++;
	if (shunt_port_kick(station->tx, NULL)) {
		/* what is wrong with the port, the caller's kick says */
	}
}

/* The kernel may know already, and then tells of nothing. */
static void ask_kernel(struct shunt_station *station, uint32_t number, uint64_t now_ns)
{
	const struct shunt_neighbour it = station->neighbours.at[number];
	uint8_t mac[6];

	shunt_route_ask(&station->route, it.l3, it.addr);
	if (shunt_route_neighbour(&station->route, it.l3, it.addr, mac) > 0)
		learn(station, it.l3, it.addr, mac, now_ns);
}

void shunt_station_tend(struct shunt_station *station, uint64_t now_ns)
{
	struct shunt_route_event events[NEWS];
	unsigned int i, n;
	int number;

	station->transport.count.system_calls++;
	do {
		n = shunt_route_hear(&station->route, events, NEWS);
		for (i = 0; i < n; i++)
			hear(station, &events[i], now_ns);
	} while (n == NEWS);
	if (now_ns < station->due_ns)
		return;
	while ((number = shunt_neighbours_next(&station->neighbours, now_ns,
					       &station->due_ns)) >= 0) {
		if (station->own)
			ask_by_frame(station, &station->neighbours.at[number]);
		else
			ask_kernel(station, (uint32_t)number, now_ns);
	}
}

/* --- being a host by ourselves ------------------------------------------------------------- */

void shunt_station_serve(struct shunt_station *station, const struct shunt_frame *frame)
{
	struct shunt_neighbour_word word;
	struct shunt_frame answer;
	struct iovec part;

	if (shunt_neighbour_hear(&word, frame->data, frame->len))
		learn(station, word.l3, word.addr, word.mac, shunt_now_ns());
	if (frame->len > station->transport.pool->room ||
	    !shunt_pool_get(station->transport.pool, &answer, 1))
		return;
	memcpy(answer.data, frame->data, frame->len);
	part = (struct iovec){ answer.data, frame->len };
	if (shunt_answer(station->answerer, &part, 1, station->transport.pool->room) <
	    SHUNT_ANSWER_NONE) {
		answer.len = (uint32_t)part.iov_len;
		if (shunt_port_tx(station->tx, &answer, 1)) {
			station->counts.answered++;
			return;
		}
	}
	shunt_frames_put(&answer, 1);
}

/* --- opening and closing ------------------------------------------------------------------- */

/* Datagrams that come meanwhile wait for the next rx, as many as there is room for. */
static void stash(struct shunt_station *station)
{
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int n, room;

	if (station->stash_at == station->stash_n)
		station->stash_at = station->stash_n = 0;
	do {
		room = SHUNT_STATION_STASH - station->stash_n;
		n = shunt_port_rx(station->rx, frames,
				  room < SHUNT_BURST ? room : SHUNT_BURST);
		station->stash_n +=
			shunt_station_read(station, frames, n,
					   station->stash + station->stash_n);
	} while (n == SHUNT_BURST);
}

static int nap(struct shunt_station *station, uint64_t now_ns, uint64_t until_ns)
{
	struct pollfd fds[SHUNT_PORT_FDS + 1] = { { .fd = station->route.hear_fd,
						    .events = POLLIN } };
	uint64_t ns = until_ns < now_ns + NAP_NS ? until_ns - now_ns : NAP_NS;
	const struct timespec timeout = { .tv_nsec = (long)ns };
	unsigned int n = 1;

	if (station->own)
		n += station->rx->ops->wait(station->rx, fds + 1, SHUNT_PORT_FDS);
	return ppoll(fds, n, &timeout, NULL) < 0 && errno != EINTR ? -errno : 0;
}

static int fail_silent(const struct shunt_station *station, uint32_t l3,
		       const uint32_t addr[4], struct shunt_err *err)
{
	struct shunt_endpoint hop = { .l3 = (uint16_t)l3 };
	char text[SHUNT_ENDPOINT_TEXT];

	memcpy(hop.addr, addr, sizeof(hop.addr));
	shunt_endpoint_text(&hop, text);
	*strrchr(text, ':') = '\0';
	return shunt_fail(
		err, -EHOSTUNREACH,
		"nobody on %s says that %s is there: %s were asked by %s, and "
		"there was no answer",
		station->link.name, text, l3 == SHUNT_L3_IP6 ? "its neighbours" : "all",
		l3 == SHUNT_L3_IP6 ? "NDP" : "ARP");
}

/* Until its MAC address is known, or there is no hope. */
static int wait_for(struct shunt_station *station, uint32_t number,
		    uint64_t deadline_ns, struct shunt_err *err)
{
	const struct shunt_neighbour *it;
	uint64_t now;
	int ret = 0;

	while (!ret) {
		now = shunt_now_ns();
		shunt_station_tend(station, now);
		if (station->own)
			stash(station);
		it = &station->neighbours.at[number];
		if (it->state == SHUNT_NEIGHBOUR_KNOWN ||
		    it->state == SHUNT_NEIGHBOUR_DOUBTED)
			return 0;
		if (it->state == SHUNT_NEIGHBOUR_FAILED || now >= deadline_ns)
			return fail_silent(station, it->l3, it->addr, err);
		ret = shunt_port_kick(station->tx, err);
		if (ret)
			return ret;
		ret = nap(station, now,
			  station->due_ns < deadline_ns ? station->due_ns
							: deadline_ns);
	}
	return shunt_fail_errno(err, ret, "wait for a neighbour");
}

int shunt_station_peer_open(struct shunt_transport *transport,
			    struct shunt_peer_state *state, uint64_t deadline_ns,
			    struct shunt_err *err)
{
	struct shunt_station *station = (struct shunt_station *)transport;
	struct shunt_station_peer *peer = (struct shunt_station_peer *)state;
	uint32_t hop[4];
	int number, ret;

	ret = shunt_route_find(&station->route, &state->remote, hop, err);
	if (ret)
		return ret;
	number = shunt_neighbours_take(&station->neighbours, state->remote.l3, hop,
				       shunt_now_ns());
	if (number < 0)
		return shunt_fail_errno(err, number,
					"remember one neighbour more than %u",
					station->neighbours.count);
	peer->neighbour = (uint32_t)number + 1;
	station->due_ns = 0;
	ret = wait_for(station, (uint32_t)number, deadline_ns, err);
	if (!ret)
		shunt_udp_path_make(&peer->path, &station->host, &state->remote,
				    station->neighbours.at[number].mac,
				    station->checksum);
	return ret;
}

void shunt_station_peer_close(struct shunt_transport *transport,
			      struct shunt_peer_state *state)
{
	struct shunt_station *station = (struct shunt_station *)transport;
	struct shunt_station_peer *peer = (struct shunt_station_peer *)state;
	unsigned int i, n = station->stash_at;

	if (peer->neighbour)
		shunt_neighbours_leave(&station->neighbours, peer->neighbour - 1);
	peer->neighbour = 0;
	for (i = station->stash_at; i < station->stash_n; i++) {
		if (station->stash[i].peer == state)
			shunt_frames_put(&station->stash[i].frame, 1);
		else
			station->stash[n++] = station->stash[i];
	}
	station->stash_n = n;
}
