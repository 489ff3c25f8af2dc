/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening a station: its interface, its address, its port; and what it tells of itself. */
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/cleanup.h"
#include "user/net/hold.h"
#include "user/transport/station.h"

/* --- where it is --------------------------------------------------------------------------- */

static void free_ifaddrs(struct ifaddrs **all)
{
	if (*all)
		freeifaddrs(*all);
}

static bool read_address(struct shunt_endpoint *endpoint, const struct ifaddrs *it)
{
	struct sockaddr_storage address = { 0 };

	if (!it->ifa_addr ||
	    (it->ifa_addr->sa_family != AF_INET && it->ifa_addr->sa_family != AF_INET6))
		return false;
	memcpy(&address, it->ifa_addr,
	       it->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
						  : sizeof(struct sockaddr_in6));
	shunt_endpoint_from_socket(endpoint, &address);
	return true;
}

static bool same_address(const struct shunt_endpoint *a, const struct shunt_endpoint *b)
{
	return a->l3 == b->l3 && !memcmp(a->addr, b->addr, shunt_endpoint_bytes(a)) &&
	       (!a->scope || a->scope == b->scope);
}

/*
 * Finds the interface that has the address, or an address that the interface has; a
 * global one rather than one of the link alone.
 */
static int find_place(struct shunt_station *station, char dev[IF_NAMESIZE],
		      struct shunt_err *err)
{
	struct shunt_endpoint *local = &station->transport.local, it, best = { 0 };
	struct ifaddrs *all __attribute__((cleanup(free_ifaddrs))) = NULL, *at;
	const bool any = shunt_endpoint_is_any(local);
	char text[SHUNT_ENDPOINT_TEXT];

	if (any && !*dev)
		return shunt_fail(
			err, -EINVAL,
			"on which interface? dev=INTERFACE says, or an address "
			"of one");
	if (getifaddrs(&all))
		return shunt_fail_errno(err, -errno, "look at the interfaces");
	for (at = all; at; at = at->ifa_next) {
		if (!read_address(&it, at) || it.l3 != local->l3 ||
		    (*dev && strcmp(dev, at->ifa_name) != 0) ||
		    (!any && !same_address(local, &it)))
			continue;
		if (!best.l3 || (best.scope && !it.scope))
			best = it;
		if (!*dev)
			strncat(dev, at->ifa_name, IF_NAMESIZE - 1);
	}
	if (!*dev)
		return shunt_fail(err, -EADDRNOTAVAIL,
				  "no interface here has the address %s: dev=INTERFACE "
				  "says by which one it goes",
				  shunt_endpoint_text(local, text));
	if (any && !best.l3)
		return shunt_fail(
			err, -EADDRNOTAVAIL,
			"%s has no IPv%u address: name one that the transport "
			"shall have, or give it one",
			dev, local->l3);
	if (any) {
		memcpy(local->addr, best.addr, sizeof(local->addr));
		local->scope = best.scope;
	}
	station->own = station->whole || !best.l3;
	return 0;
}

/* fe80::/10 means nothing without its interface, which is what we are told of. */
static void set_scope(struct shunt_endpoint *local, int ifindex)
{
	if (local->l3 == SHUNT_L3_IP6 &&
	    (shunt_be32(local->addr[0]) & 0xffc00000) == 0xfe800000)
		local->scope = (uint32_t)ifindex;
}

static int make_answerer(struct shunt_station *station, struct shunt_err *err)
{
	struct shunt_endpoint bare = station->host.local;
	char text[SHUNT_ENDPOINT_TEXT], *at = text;

	if (!station->own)
		return 0;
	station->answerer = calloc(1, sizeof(*station->answerer));
	station->stash = calloc(SHUNT_STATION_STASH, sizeof(*station->stash));
	if (!station->answerer || !station->stash)
		return shunt_fail_errno(err, -ENOMEM, "answer for an address");
	memcpy(station->answerer->mac, station->host.mac, 6);
	bare.scope = 0;
	shunt_endpoint_text(&bare, text);
	*strrchr(text, ':') = '\0';
	if (*at == '[') {
		at++;
		at[strlen(at) - 1] = '\0';
	}
	return shunt_answerer_address(station->answerer, at, err);
}

int shunt_station_begin(struct shunt_station *station,
			const struct shunt_station_values *values, bool whole,
			struct shunt_err *err)
{
	struct shunt_endpoint *local = &station->transport.local;
	char dev[IF_NAMESIZE] = "";
	int ret;

	station->hold_fd = -1;
	station->route = (struct shunt_route)SHUNT_ROUTE_NONE;
	station->link = (struct shunt_link)SHUNT_LINK_NONE;
	station->due_ns = UINT64_MAX;
	station->whole = whole;
	station->verify = values->verify;
	station->checksum = values->checksum;
	shunt_neighbours_open(&station->neighbours,
			      (uint32_t)station->transport.options.peers);
	memcpy(dev, values->dev, sizeof(dev));
	ret = find_place(station, dev, err);
	if (!ret)
		ret = shunt_link_open(&station->link, dev, err);
	if (ret)
		return ret;
	set_scope(local, station->link.ifindex);
	station->hold_fd = shunt_hold_port(local, err);
	if (station->hold_fd < 0)
		return station->hold_fd;
	station->host.local = *local;
	memcpy(station->host.mac, station->link.mac, 6);
	ret = shunt_route_open(&station->route, station->link.ifindex, err);
	return ret ? ret : make_answerer(station, err);
}

/* --- its ports ----------------------------------------------------------------------------- */

/* The station's frames have headers in front of them, of whatever kind they are. */
static int check_pool(const struct shunt_pool *pool, const char *name,
		      struct shunt_err *err)
{
	const uint32_t most = SHUNT_UDP_HEAD6 + SHUNT_WIRE_BYTES;

	return pool->headroom >= most
		       ? 0
		       : shunt_fail(err, -EINVAL,
				    "port %s: its frames have %u bytes in front of "
				    "them, and headers take %u",
				    name, pool->headroom, most);
}

int shunt_station_use(struct shunt_station *station, struct shunt_port *rx,
		      struct shunt_port *tx, struct shunt_err *err)
{
	struct shunt_transport *transport = &station->transport;
	uint32_t mtu = tx->frame_max - (uint32_t)sizeof(struct shunt_eth);
	int ret;

	station->rx = rx;
	station->tx = tx;
	ret = shunt_port_need(rx, SHUNT_PORT_RX, err);
	if (!ret)
		ret = shunt_port_need(tx, SHUNT_PORT_TX, err);
	if (!ret)
		ret = check_pool(tx->pool, tx->name, err);
	if (ret)
		return ret;
	transport->pool = tx->pool;
	transport->caps = SHUNT_TRANSPORT_DATAGRAMS;
	if (rx->caps & SHUNT_PORT_WAIT)
		transport->caps |= SHUNT_TRANSPORT_BLOCKS;
	if (tx->caps & SHUNT_PORT_SHARE)
		transport->caps |= SHUNT_TRANSPORT_ZERO_COPY;
	if (station->link.mtu < mtu)
		mtu = station->link.mtu;
	station->room_first = shunt_udp_room(&station->host.local, mtu);
	if (transport->options.mtu && transport->options.mtu < station->room_first)
		station->room_first = (uint32_t)transport->options.mtu;
	station->room = transport->datagram_max = station->room_first;
	return 0;
}

void shunt_station_end(struct shunt_station *station)
{
	for (; station->stash_at < station->stash_n; station->stash_at++)
		shunt_frames_put(&station->stash[station->stash_at].frame, 1);
	if (station->rx != station->tx)
		shunt_port_close(station->rx);
	shunt_port_close(station->tx);
	shunt_cleanup_fd(&station->hold_fd);
	shunt_route_close(&station->route);
	shunt_link_close(&station->link);
	shunt_neighbours_close(&station->neighbours);
	free(station->answerer);
	free(station->stash);
}

/* --- what it tells ------------------------------------------------------------------------- */

static int add_port(struct shunt_port *port, bool receives, bool sends,
		    struct shunt_transport_stats *stats, struct shunt_err *err)
{
	struct shunt_port_stats count;
	int ret = shunt_port_stats(port, &count, err);

	if (ret)
		return ret;
	stats->system_calls += count.wakeups;
	if (receives)
		stats->rx_dropped += count.rx_dropped + count.rx_ring_full;
	if (sends)
		stats->tx_failed += count.tx_failed + count.tx_refused;
	return 0;
}

int shunt_station_stats(struct shunt_transport *transport,
			struct shunt_transport_stats *stats, struct shunt_err *err)
{
	struct shunt_station *station = (struct shunt_station *)transport;
	bool one = station->rx == station->tx;
	int ret = add_port(station->tx, one, true, stats, err);

	return ret || one ? ret : add_port(station->rx, true, false, stats, err);
}

static bool add_counts(cJSON *json, const struct shunt_station_count *count)
{
	cJSON *refused = cJSON_AddObjectToObject(json, "refused");
	unsigned int i;

	for (i = SHUNT_UDP_REFUSED; refused && i < SHUNT_UDP_KINDS; i++)
		if (!cJSON_AddNumberToObject(refused, shunt_udp_name(i),
					     (double)count->refused[i]))
			return false;
	return refused &&
	       cJSON_AddNumberToObject(json, "elsewhere", (double)count->elsewhere) &&
	       cJSON_AddNumberToObject(json, "answered", (double)count->answered) &&
	       cJSON_AddNumberToObject(json, "asked", (double)count->asked);
}

static bool add_ports(cJSON *json, const struct shunt_station *station)
{
	cJSON *list = cJSON_AddArrayToObject(json, "ports");

	if (!list || !cJSON_AddItemToArray(list, shunt_port_describe(station->rx)))
		return false;
	return station->rx == station->tx ||
	       cJSON_AddItemToArray(list, shunt_port_describe(station->tx));
}

int shunt_station_describe(struct shunt_transport *transport, cJSON *json)
{
	const struct shunt_station *station = (struct shunt_station *)transport;
	const char *whose = station->own ? "own" : station->gone ? "gone" : "kernel";

	return cJSON_AddStringToObject(json, "interface", station->link.name) &&
			       cJSON_AddStringToObject(json, "answers_for_address",
						       whose) &&
			       cJSON_AddNumberToObject(json, "neighbours",
						       station->neighbours.count) &&
			       add_counts(json, &station->counts) &&
			       add_ports(json, station)
		       ? 0
		       : -ENOMEM;
}
