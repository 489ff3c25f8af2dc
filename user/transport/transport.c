/* SPDX-License-Identifier: BSD-2-Clause */
/* A transport's life, its peers, and what it tells of itself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "user/transport/heap.h"
#include "user/transport/line.h"
#include "user/transport/peers.h"
#include "user/transport/uri.h"

#define ASSEMBLY_BUDGET (64u << 20) /* bytes of messages that are not whole yet */

static const struct shunt_transport_host host = { .peer = shunt_transport_peer,
						  .each = shunt_transport_each,
						  .drop = shunt_transport_drop };

static const struct shunt_transport_options defaults = {
	.wait = SHUNT_WAIT_ADAPTIVE,
	.header = 1,
	.peers = SHUNT_TRANSPORT_PEERS,
	.buffers = SHUNT_MEMORY_FRAMES,
	.message_max = SHUNT_MESSAGE_MAX,
	.connect_ms = 5000,
};

/* --- open and close ------------------------------------------------------------------ */

static int fail_scheme(const char *scheme, struct shunt_err *err)
{
	char names[256] = "";
	size_t i;

	for (i = 0; shunt_transport_backends[i]; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 i ? ", " : "", shunt_transport_backends[i]->scheme);
	return shunt_fail(err, -EPROTONOSUPPORT,
			  "there is no transport called \"%s\"; there are %s", scheme,
			  names);
}

static int find_ops(const struct shunt_transport_ops **ops, const char *scheme,
		    struct shunt_err *err)
{
	char room[512];
	const char *why;
	size_t i;

	for (i = 0; shunt_transport_backends[i]; i++)
		if (!strcmp(shunt_transport_backends[i]->scheme, scheme))
			break;
	*ops = shunt_transport_backends[i];
	if (!*ops)
		return fail_scheme(scheme, err);
	why = (*ops)->absent ? (*ops)->absent(room, sizeof(room)) : NULL;
	if (why)
		return shunt_fail(err, -EPROTONOSUPPORT, "%s:// cannot be had here: %s",
				  scheme, why);
	return (*ops)->plugged ? (*ops)->plugged(ops, err) : 0;
}

/* Frames that a datagram fits into: pages, unless it is longer. */
static int make_memory(struct shunt_transport *transport, struct shunt_err *err)
{
	struct shunt_memory_opts opts = { .sz = sizeof(opts),
					  .frames = transport->options.buffers,
					  .frame_bytes = SHUNT_MEMORY_FRAME_BYTES };
	int ret;

	if (transport->ops->own_memory)
		return 0;
	while (opts.frame_bytes < SHUNT_MEMORY_HEADROOM + transport->options.mtu)
		opts.frame_bytes *= 2;
	ret = shunt_memory_open(&transport->memory, &opts, err);
	if (!ret)
		transport->pool = &transport->memory->pool;
	return ret;
}

static int make_common(struct shunt_transport *transport, struct shunt_err *err)
{
	int ret = make_memory(transport, err);

	transport->assembly.budget = ASSEMBLY_BUDGET;
	if (!ret)
		ret = shunt_peers_open(&transport->peers,
				       (uint32_t)transport->options.peers,
				       transport->ops->peer_bytes, err);
	if (!ret && getrandom(&transport->epoch, sizeof(transport->epoch), 0) < 0)
		ret = shunt_fail_errno(err, -errno, "draw a number");
	return ret;
}

/* With its memory and its peers made, the backend opens it. */
static int open_with(struct shunt_transport *transport, const struct shunt_uri *uri,
		     struct shunt_err *err)
{
	const struct shunt_transport_ops *ops = transport->ops;
	_Alignas(16) char own[SHUNT_TRANSPORT_OPTIONS] = { 0 };
	int ret;

	if (ops->options_bytes > sizeof(own))
		return shunt_fail(err, -E2BIG, "transport %s: too many options",
				  transport->name);
	if (ops->options_bytes && ops->defaults)
		memcpy(own, ops->defaults, ops->options_bytes);
	ret = shunt_uri_read(uri, ops, &transport->options, own, err);
	if (ret)
		return ret;
	ret = make_common(transport, err);
	if (ret)
		return shunt_fail_in(err, ret, "transport %s: ", transport->name);
	transport->opened = true;
	ret = ops->open(transport, uri, own, err);
	if (ret)
		return shunt_fail_in(err, ret, "transport %s: ", transport->name);
	shunt_endpoint_text(&transport->local, transport->address);
	return shunt_line_open(&transport->unsent,
			       shunt_transport_pieces(transport,
						      transport->options.message_max),
			       err)
		       ?: shunt_line_open(&transport->seen, SHUNT_BURST, err);
}

int shunt_transport_open(struct shunt_transport **out, const char *text,
			 struct shunt_err *err)
{
	const struct shunt_transport_ops *ops;
	struct shunt_transport *transport;
	struct shunt_uri uri;
	int ret = shunt_uri_split(&uri, text, err);

	*out = NULL;
	ret = ret ?: find_ops(&ops, uri.scheme, err);
	if (ret)
		return ret;
	transport = calloc(1, ops->bytes);
	if (!transport)
		return shunt_fail_errno(err, -ENOMEM, "open transport %s", text);
	transport->ops = ops;
	transport->host = &host;
	transport->options = defaults;
	transport->local = uri.local;
	snprintf(transport->name, sizeof(transport->name), "%s:%s", uri.scheme,
		 uri.address);
	ret = open_with(transport, &uri, err);
	if (ret) {
		shunt_transport_close(transport);
		return ret;
	}
	*out = transport;
	return 0;
}

static void close_peers(struct shunt_transport *transport)
{
	struct shunt_peer_state *peer;
	uint32_t at = 0;

	while (transport->peers && (peer = shunt_peers_each(transport->peers, &at)))
		shunt_transport_drop(transport, peer);
}

void shunt_transport_close(struct shunt_transport *transport)
{
	if (!transport)
		return;
	if (transport->unsent.datagram && shunt_transport_kick(transport, NULL)) {
		/* It is of no more use, and that is what close is for. */
	}
	shunt_line_close(&transport->unsent);
	shunt_line_close(&transport->seen);
	close_peers(transport);
	if (transport->opened)
		transport->ops->close(transport);
	shunt_peers_close(transport->peers);
	shunt_memory_close(transport->memory);
	free(transport);
}

/* --- peers ------------------------------------------------------------------------------ */

/* Not every question is one that the kernel answers: of answers none is known to be lost. */
static void keep_numbers(struct shunt_transport_stats *stats,
			 const struct shunt_peer_state *peer)
{
	stats->lost += shunt_wire_lost(&peer->window);
	stats->late += peer->window.late + peer->answers.late;
	stats->duplicates += peer->window.duplicates + peer->answers.duplicates;
	stats->restarts += peer->window.restarts;
}

void shunt_transport_drop(struct shunt_transport *transport,
			  struct shunt_peer_state *peer)
{
	transport->ops->peer_close(transport, peer);
	keep_numbers(&transport->count, peer);
	shunt_assembly_free(peer->assembly, &transport->assembly);
	peer->assembly = NULL;
	shunt_peers_remove(transport->peers, peer);
}

/* A place for one more: where there is none, who was silent longest goes. */
static struct shunt_peer_state *add_place(struct shunt_transport *transport,
					  const struct shunt_endpoint *remote)
{
	struct shunt_peer_state *peer = shunt_peers_add(transport->peers, remote), *old;

	if (peer)
		return peer;
	old = shunt_peers_oldest(transport->peers);
	if (!old)
		return NULL;
	shunt_transport_drop(transport, old);
	return shunt_peers_add(transport->peers, remote);
}

static struct shunt_peer_state *add_peer(struct shunt_transport *transport,
					 const struct shunt_endpoint *remote)
{
	struct shunt_peer_state *peer = add_place(transport, remote);

	if (peer)
		peer->epoch = ++transport->epoch;
	return peer;
}

struct shunt_peer_state *shunt_transport_peer(struct shunt_transport *transport,
					      const struct shunt_endpoint *remote,
					      bool make)
{
	struct shunt_peer_state *peer = shunt_peers_find(transport->peers, remote);

	if (peer || !make)
		return peer;
	peer = add_peer(transport, remote);
	transport->count.no_peer += !peer;
	return peer;
}

struct shunt_peer_state *shunt_transport_each(struct shunt_transport *transport,
					      uint32_t *at)
{
	return shunt_peers_each(transport->peers, at);
}

static int find_way(struct shunt_transport *transport, struct shunt_peer_state *peer,
		    const char *address, struct shunt_err *err)
{
	uint64_t deadline_ns =
		shunt_now_ns() + transport->options.connect_ms * 1000000u;
	int ret = transport->ops->peer_open(transport, peer, deadline_ns, err);

	if (!ret)
		return 0;
	shunt_transport_drop(transport, peer);
	return shunt_fail_in(err, ret, "transport %s: peer %s: ", transport->name,
			     address);
}

int shunt_peer_open(struct shunt_transport *transport, shunt_peer *handle,
		    const char *address, struct shunt_err *err)
{
	struct shunt_endpoint remote;
	struct shunt_peer_state *peer;
	int ret = shunt_endpoint_parse(&remote, address, err);

	*handle = SHUNT_PEER_NONE;
	if (ret)
		return ret;
	if (!remote.port || shunt_endpoint_is_any(&remote) ||
	    remote.l3 != transport->local.l3)
		return shunt_fail(err, -EINVAL,
				  "transport %s: %s is nobody that it could send to: "
				  "it takes an IPv%u address and a port",
				  transport->name, address, transport->local.l3);
	peer = shunt_peers_find(transport->peers, &remote);
	if (!peer) {
		peer = add_peer(transport, &remote);
		if (!peer)
			return shunt_fail(err, -ENOSPC,
					  "transport %s: there are %u peers, and no "
					  "room for %s: peers=N in its URI makes more",
					  transport->name,
					  shunt_peers_count(transport->peers), address);
		ret = find_way(transport, peer, address, err);
		if (ret)
			return ret;
	}
	shunt_peers_hold(transport->peers, peer);
	*handle = peer->handle;
	return 0;
}

void shunt_peer_close(struct shunt_transport *transport, shunt_peer handle)
{
	struct shunt_peer_state *peer = shunt_peers_of(transport->peers, handle);

	if (peer)
		shunt_transport_drop(transport, peer);
}

const char *shunt_peer_address(struct shunt_transport *transport, shunt_peer handle)
{
	const struct shunt_peer_state *peer = shunt_peers_of(transport->peers, handle);

	return peer ? shunt_endpoint_text(&peer->remote, transport->peer_address)
		    : NULL;
}

/* --- memory ----------------------------------------------------------------------------- */

bool shunt_transport_frame(struct shunt_transport *transport, struct shunt_frame *frame,
			   uint32_t bytes)
{
	if (bytes > transport->pool->room)
		return shunt_heap_frame(frame, bytes);
	return shunt_pool_get(transport->pool, frame, 1) == 1;
}

/* --- what it is, and what it did ----------------------------------------------------------- */

uint32_t shunt_transport_caps(const struct shunt_transport *transport)
{
	return transport->caps;
}

static uint32_t header_bytes(const struct shunt_transport *transport)
{
	return transport->options.header ? SHUNT_WIRE_BYTES : 0;
}

uint32_t shunt_transport_datagram_max(const struct shunt_transport *transport)
{
	uint32_t most = transport->datagram_max - header_bytes(transport);
	uint32_t room = transport->pool->room;

	if (transport->options.message_max < most)
		most = (uint32_t)transport->options.message_max;
	return room < most ? room : most;
}

uint32_t shunt_transport_message_max(const struct shunt_transport *transport)
{
	/* Without a header nothing is cut, so a message is a datagram. */
	return transport->options.header ? (uint32_t)transport->options.message_max
					 : shunt_transport_datagram_max(transport);
}

const char *shunt_transport_address(const struct shunt_transport *transport)
{
	return transport->address;
}

int shunt_transport_stats(struct shunt_transport *transport,
			  struct shunt_transport_stats *stats, struct shunt_err *err)
{
	struct shunt_peer_state *peer;
	uint32_t at = 0;

	*stats = transport->count;
	stats->incomplete += transport->assembly.incomplete;
	while ((peer = shunt_peers_each(transport->peers, &at)))
		keep_numbers(stats, peer);
	return transport->ops->stats ? transport->ops->stats(transport, stats, err) : 0;
}

int shunt_peer_stats(struct shunt_transport *transport, shunt_peer handle,
		     struct shunt_transport_stats *stats, struct shunt_err *err)
{
	const struct shunt_peer_state *peer = shunt_peers_of(transport->peers, handle);

	*stats = (struct shunt_transport_stats){ 0 };
	if (!peer)
		return shunt_fail(err, -ENOTCONN, "transport %s: the peer is gone",
				  transport->name);
	keep_numbers(stats, peer);
	return 0;
}

static const struct {
	uint32_t bit;
	const char *name;
} cap_rows[] = {
#define CAP_ROW(name, bit, text, help) { 1u << (bit), text },
	SHUNT_TRANSPORT_CAPS(CAP_ROW)
};

static bool add_caps(cJSON *json, uint32_t caps)
{
	cJSON *list = cJSON_AddArrayToObject(json, "capabilities");
	size_t i;

	for (i = 0; list && i < sizeof(cap_rows) / sizeof(*cap_rows); i++)
		if (caps & cap_rows[i].bit &&
		    !cJSON_AddItemToArray(list, cJSON_CreateString(cap_rows[i].name)))
			return false;
	return list;
}

cJSON *shunt_transport_describe(struct shunt_transport *transport)
{
	cJSON *json = cJSON_CreateObject();

	if (json && cJSON_AddStringToObject(json, "transport", transport->name) &&
	    cJSON_AddStringToObject(json, "address", transport->address) &&
	    add_caps(json, transport->caps) &&
	    cJSON_AddNumberToObject(json, "message_max",
				    shunt_transport_message_max(transport)) &&
	    cJSON_AddNumberToObject(json, "datagram_max",
				    shunt_transport_datagram_max(transport)) &&
	    cJSON_AddBoolToObject(json, "header", transport->options.header != 0) &&
	    !transport->ops->describe(transport, json))
		return json;
	cJSON_Delete(json);
	return NULL;
}
