/* SPDX-License-Identifier: BSD-2-Clause */
/* Backends: what carries the datagrams that messages are made of. */
#pragma once

/*
 *     shunt_send() ─▶ header, fragments ─▶ ops->tx ─▶ …            transport.c
 *     shunt_recv() ◀─ numbers, whole messages ◀─ ops->rx ◀─ …
 *
 * A backend moves datagrams between endpoints and knows nothing of messages: what it is
 * given begins with the header already, and what it gives still does. Its buffers are
 * frames of a pool, mostly of transport->memory. It is a row of
 * shunt_transport_backends[] and a const vtable.
 *
 * A backend over a stream (caps STREAM) cuts it into what tx was given, by the header's
 * length (user/transport/wire.h), which is why header=off does not go with it. What it is
 * given is never a fragment, and may be longer than a frame of the pool.
 */
#include <stdbool.h>

#include "user/base/clock.h"
#include "user/io/spec.h"
#include "user/net/endpoint.h"
#include "user/rt/idle.h"
#include "user/rt/pool.h"
#include "user/transport/assembly.h"
#include "user/transport/transport.h"
#include "user/transport/wire.h"

#define SHUNT_TRANSPORT_PEERS 16384u
#define SHUNT_TRANSPORT_PEERS_MAX (1u << 20)
#define SHUNT_TRANSPORT_OPTIONS 512u /* bytes that a backend's own options may take */

/* What all transports are told in their URI; read before the backend opens. */
struct shunt_transport_options {
	unsigned int wait;   /* enum shunt_wait */
	unsigned int header; /* 1: messages carry the header */
	uint64_t peers;	     /* at most */
	uint64_t buffers;    /* frames of the memory */
	uint64_t mtu;	     /* bytes of a datagram with its header; 0: the backend's */
	uint64_t message_max; /* bytes */
	uint64_t connect_ms;
};

/* A URI, taken apart. */
struct shunt_uri {
	char scheme[SHUNT_SPEC_SCHEME];
	struct shunt_endpoint local;	 /* any address and port 0 where none is told */
	char address[SHUNT_SPEC_DEVICE]; /* "//192.0.2.1:7000", for sentences */
	char query[1024];		 /* "key=value,key=value" */
};

/* The part of a peer that all backends have; a backend's own has it as its first
 * member (ops->peer_bytes). */
struct shunt_peer_state {
	struct shunt_endpoint remote;
	shunt_peer handle;
	bool gone; /* its handle is stale, and its memory will be gone soon */

	/* the backend has nothing to do with these */
	uint32_t sent;	/* the number of the next datagram to it */
	uint16_t epoch; /* of this count: one that was forgotten is counted anew */
	struct shunt_wire_window window;
	struct shunt_wire_window answers; /* the kernel's for it: by our own numbers */
	struct shunt_assembly *assembly;
	struct shunt_peer_state *next_dead;
};

struct shunt_datagram {
	struct shunt_frame frame;
	struct shunt_peer_state *peer; /* rx: from whom; tx: to whom */
};

/* No slot is NULL but those that say so. */
struct shunt_transport_ops {
	const char *scheme;		      /* "epoll" */
	const char *help;		      /* what it is, in one line */
	const struct shunt_spec_row *options; /* its own; into ops->options_bytes */
	size_t options_bytes;
	const void *defaults; /* of these options */
	size_t bytes; /* of its transport, which has struct shunt_transport first */
	size_t peer_bytes; /* of its peer */
	bool own_memory;   /* open sets pool itself: none is made before */

	/* NULL, or a sentence: why this machine cannot have it (for `probe` and the
	 * bench). Without side effects. */
	const char *(*absent)(char *room, size_t bytes);
	/* NULL; or the row only speaks for a plug-in, whose vtable this finds. */
	int (*plugged)(const struct shunt_transport_ops **ops, struct shunt_err *err);
	/*
	 * The transport is zeroed but for options and local. Sets caps, datagram_max
	 * (bytes, header included) and local as it came to be. What it leaves open on
	 * failure, close deals with.
	 */
	int (*open)(struct shunt_transport *transport, const struct shunt_uri *uri,
		    const void *options, struct shunt_err *err);
	/* Fine on one half open. */
	void (*close)(struct shunt_transport *transport);
	/* The peer's remote is set: finds the way to it, by its deadline. */
	int (*peer_open)(struct shunt_transport *transport,
			 struct shunt_peer_state *peer, uint64_t deadline_ns,
			 struct shunt_err *err);
	/* It goes: by peer_close(), or by transport.c that needs the room. */
	void (*peer_close)(struct shunt_transport *transport,
			   struct shunt_peer_state *peer);
	/*
	 * Takes from the front; the frames it took are its own, also those that it cannot
	 * send and counts as tx_failed. How many; or -errno of the first one, which is then
	 * not taken (-ENOTCONN: that peer is gone).
	 */
	int (*tx)(struct shunt_transport *transport, struct shunt_datagram *datagrams,
		  unsigned int n);
	/* Up to max (SHUNT_BURST at most is asked for). A sender that is not known is made
	 * one by shunt_transport_peer(). */
	unsigned int (*rx)(struct shunt_transport *transport,
			   struct shunt_datagram *datagrams, unsigned int max);
	/* As shunt_transport_kick(). */
	int (*kick)(struct shunt_transport *transport, struct shunt_err *err);
	unsigned int (*wait)(struct shunt_transport *transport, struct pollfd *fds,
			     unsigned int max);
	/* NULL: never. */
	uint64_t (*due)(struct shunt_transport *transport);
	/* Sleeps in its own way instead of poll() on what wait says; NULL: it has none.
	 * As shunt_transport_poll(). */
	int (*sleep)(struct shunt_transport *transport, uint64_t timeout_ns,
		     struct shunt_err *err);
	/* Adds to count what only the kernel knows; NULL: nothing. */
	int (*stats)(struct shunt_transport *transport,
		     struct shunt_transport_stats *stats, struct shunt_err *err);
	/* Adds what was really given; 0 or -ENOMEM. */
	int (*describe)(struct shunt_transport *transport, cJSON *json);
};

struct shunt_peers;
struct shunt_transport_host;

/* Datagrams that wait for their turn, in the order of sending or of coming. */
struct shunt_datagram_line {
	struct shunt_datagram *datagram;
	uint32_t at, n; /* the next one, and the end */
	uint32_t room;
};

/* The part that all transports have. */
struct shunt_transport {
	const struct shunt_transport_ops *ops;
	const struct shunt_transport_host *host;
	struct shunt_transport_options options;
	struct shunt_endpoint local;
	uint32_t caps;	       /* enum shunt_transport_cap */
	uint32_t datagram_max; /* bytes with the header, without the carrier's own */
	struct shunt_memory *memory; /* made before open, unless own_memory */
	struct shunt_pool *pool; /* what reserve takes from: memory's, or open's own */
	struct shunt_transport_stats
		count; /* the backend adds datagrams, failures, calls */

	/* the backend has nothing to do with these */
	struct shunt_peers *peers;
	struct shunt_assembly_room assembly;
	struct shunt_datagram_line unsent; /* the rest of one message in fragments */
	struct shunt_datagram_line seen;   /* what poll has received already */
	uint16_t epoch;			   /* of the peer that was made last: wire.h */
	bool opened;			   /* ops->close has something to close */
	char name[SHUNT_SPEC_SCHEME + SHUNT_SPEC_DEVICE]; /* "epoll://…" */
	char address[SHUNT_ENDPOINT_TEXT];
	char peer_address[SHUNT_ENDPOINT_TEXT];
};

/* The backends that this build has; NULL ends it. */
extern const struct shunt_transport_ops *const shunt_transport_backends[];

/* --- for backends ----------------------------------------------------------------------- */

/*
 * The peer with this address; a new one where `make` is set and there is room (the one
 * that was silent longest goes if nobody has opened it by hand). Its own part is zeroed
 * when it is new. NULL: none, counted in no_peer.
 */
struct shunt_peer_state *shunt_transport_peer(struct shunt_transport *transport,
					      const struct shunt_endpoint *remote,
					      bool make);

/* All peers, in no order: `at` begins with 0; NULL behind the last. */
struct shunt_peer_state *shunt_transport_each(struct shunt_transport *transport,
					      uint32_t *at);

/*
 * The carrier knows that this peer is gone (a connection that broke): forgets it, after
 * ops->peer_close(). Its handle is stale from then on; its memory stays until the next call
 * of rx, so that a burst may still name it: what it has sent before is still received.
 */
void shunt_transport_drop(struct shunt_transport *transport,
			  struct shunt_peer_state *peer);

/*
 * A frame with room for so many bytes, from the pool or, where it has none so long, from
 * the heap; frame.pool takes either back. False: there is none.
 */
bool shunt_transport_frame(struct shunt_transport *transport, struct shunt_frame *frame,
			   uint32_t bytes);

/* The same for plug-ins, which cannot name functions of the program (user/io/plugin.h). */
struct shunt_transport_host {
	struct shunt_peer_state *(*peer)(struct shunt_transport *transport,
					 const struct shunt_endpoint *remote,
					 bool make);
	struct shunt_peer_state *(*each)(struct shunt_transport *transport,
					 uint32_t *at);
	void (*drop)(struct shunt_transport *transport, struct shunt_peer_state *peer);
};

#define SHUNT_PLUGIN_TRANSPORTS                                                        \
	{                                                                              \
		"transport", SHUNT_PLUGIN_TRANSPORT, sizeof(struct shunt_transport),   \
			sizeof(struct shunt_transport_ops)                             \
	}
