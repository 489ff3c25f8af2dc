/* SPDX-License-Identifier: BSD-2-Clause */
/* Stations: what carries UDP datagrams over ports, for the backends that have ports. */
#pragma once

/*
 *     tx: datagram ─▶ headers in front of it, in its frame ─▶ port ─▶ …   a burst at a time
 *     rx: … ─▶ port ─▶ headers read and left behind ─▶ datagram           where it lies
 *
 *     begin: interface, address, UDP port ─▶ the backend opens its ports ─▶ use ─▶ … ─▶ end
 *
 * A station is one address and one UDP port on one interface. It is the transport of a
 * backend that moves its datagrams by a port to receive and a port to transmit, which may
 * be the same; the backend's own struct has it as its first member.
 *
 * Whose the address is decides who answers for it. Where the interface has it and the
 * kernel sees its frames, the kernel answers ARP, NDP and ICMP echo and is asked for
 * neighbours; a UDP socket that takes nothing holds the port, so that the kernel stays
 * silent there. Else the station answers and asks by itself (user/net/answer.h,
 * user/net/neighbour.h), by frames of its ports.
 *
 * A peer that has sent to us is answered to the MAC address that it sent from: only
 * peers that are opened by hand have to be looked for. What becomes of their addresses
 * is followed then, as is the interface's own.
 */
#include <stdbool.h>
#include <net/if.h>

#include "user/io/link.h"
#include "user/io/port.h"
#include "user/net/answer.h"
#include "user/net/neighbour.h"
#include "user/net/route.h"
#include "user/net/udp.h"
#include "user/transport/backend.h"

/* The options that all backends over a station have: the first member of their own. */
struct shunt_station_values {
	char dev[IF_NAMESIZE];
	unsigned int checksum; /* 1: IPv4 datagrams are sent with one; the default */
	unsigned int verify;   /* 1: those of received ones are checked; the default */
};

#define SHUNT_STATION_VALUES                                                           \
	{                                                                              \
		.checksum = 1, .verify = 1                                             \
	}

#define SHUNT_STATION_AT(member) .offset = offsetof(struct shunt_station_values, member)

/* Their rows, in front of the backend's own. */
#define SHUNT_STATION_ROWS                                                             \
	{ "dev",                                                                       \
	  SHUNT_SPEC_TEXT,                                                             \
	  SHUNT_STATION_AT(dev),                                                       \
	  .room = IF_NAMESIZE,                                                         \
	  .value = "INTERFACE",                                                        \
	  .help = "by which interface (default: the one that has the address)" },      \
		{ "checksum", SHUNT_SPEC_SWITCH, SHUNT_STATION_AT(checksum),           \
		  .value = "on|off",                                                   \
		  .help = "send IPv4 datagrams with a UDP checksum (default: on)" },   \
	{                                                                              \
		"verify", SHUNT_SPEC_SWITCH, SHUNT_STATION_AT(verify),                 \
			.value = "on|off",                                             \
			.help = "check the UDP checksums of what comes (default: on)"  \
	}

/* What is not a datagram for us, counted; the rest of why is user/net/udp.h's. */
struct shunt_station_count {
	uint64_t refused[SHUNT_UDP_KINDS]; /* by enum shunt_udp_kind */
	uint64_t elsewhere;		   /* sound, but for another address or port */
	uint64_t answered;		   /* ARP, NDP and ICMP echo */
	uint64_t asked;			   /* ARP requests and NDP solicitations sent */
};

struct shunt_station {
	struct shunt_transport transport;
	struct shunt_port *rx, *tx; /* NULL before use */
	bool whole;		    /* the kernel does not see the interface's frames */
	bool own;		    /* we answer for the address, and ask ourselves */
	bool gone; /* the interface has lost the address, which we go on using */
	bool verify, checksum;
	struct shunt_udp_host host; /* our side of every path */
	struct shunt_link link;
	uint32_t room;		  /* bytes of payload that the interface takes now */
	uint32_t room_first;	  /* and that the ports can take */
	int hold_fd;		  /* of the socket that holds the port */
	struct shunt_route route; /* what the kernel knows, and tells of changes */
	struct shunt_neighbours neighbours; /* of peers that were opened by hand */
	struct shunt_answerer *answerer;    /* where own */
	uint64_t tend_ns; /* when to look for news, by shunt_tick_ns() */
	uint64_t due_ns;  /* when a neighbour is to be asked */
	struct shunt_station_count counts;
	/* received while peer_open was waiting */
	struct shunt_datagram *stash;
	unsigned int stash_at, stash_n;
};

struct shunt_station_peer {
	struct shunt_peer_state state;
	struct shunt_udp_path path; /* headers as they will be; no MAC yet: not sent */
	uint32_t neighbour; /* its number + 1 in the table; 0: by what it sent */
};

/* --- for a backend's open and close ------------------------------------------------------- */

/*
 * Finds the interface and the address, and holds the UDP port (0: a free one); local is
 * what has come of it. `whole`: the port to be opened takes the interface away from the
 * kernel. The transport must be zeroed behind struct shunt_transport. On failure end
 * deals with what is there.
 */
SHUNT_MUST_CHECK int shunt_station_begin(struct shunt_station *station,
					 const struct shunt_station_values *values,
					 bool whole, struct shunt_err *err);

/*
 * Takes the ports, which it closes at its end, after a failure too; they may be one.
 * Sets pool (of tx), caps and datagram_max.
 */
SHUNT_MUST_CHECK int shunt_station_use(struct shunt_station *station,
				       struct shunt_port *rx, struct shunt_port *tx,
				       struct shunt_err *err);

/* Fine on one half open. */
void shunt_station_end(struct shunt_station *station);

/* --- for its vtable ------------------------------------------------------------------------ */

/* All but describe, to which a backend may add its own. */
#define SHUNT_STATION_MOVES                                                            \
	.peer_bytes = sizeof(struct shunt_station_peer), .own_memory = true,           \
	.peer_open = shunt_station_peer_open, .peer_close = shunt_station_peer_close,  \
	.tx = shunt_station_tx, .rx = shunt_station_rx, .kick = shunt_station_kick,    \
	.wait = shunt_station_wait, .due = shunt_station_due,                          \
	.stats = shunt_station_stats
#define SHUNT_STATION_OPS SHUNT_STATION_MOVES, .describe = shunt_station_describe

int shunt_station_peer_open(struct shunt_transport *transport,
			    struct shunt_peer_state *state, uint64_t deadline_ns,
			    struct shunt_err *err);
void shunt_station_peer_close(struct shunt_transport *transport,
			      struct shunt_peer_state *state);
int shunt_station_tx(struct shunt_transport *transport,
		     struct shunt_datagram *datagrams, unsigned int n);
unsigned int shunt_station_rx(struct shunt_transport *transport,
			      struct shunt_datagram *datagrams, unsigned int max);
int shunt_station_kick(struct shunt_transport *transport, struct shunt_err *err);
unsigned int shunt_station_wait(struct shunt_transport *transport, struct pollfd *fds,
				unsigned int max);
uint64_t shunt_station_due(struct shunt_transport *transport);
int shunt_station_stats(struct shunt_transport *transport,
			struct shunt_transport_stats *stats, struct shunt_err *err);
int shunt_station_describe(struct shunt_transport *transport, cJSON *json);

/* --- among its own files ------------------------------------------------------------------- */

#define SHUNT_STATION_STASH 1024u

/* Reads frames into datagrams; returns how many. Frames that are none are dealt with. */
unsigned int shunt_station_read(struct shunt_station *station,
				const struct shunt_frame *frames, unsigned int n,
				struct shunt_datagram *datagrams);

/* Hears of changes, and asks for neighbours whose time has come. */
void shunt_station_tend(struct shunt_station *station, uint64_t now_ns);

/* A frame that is no datagram, where the station is its own host: ARP, NDP, ICMP. */
void shunt_station_serve(struct shunt_station *station,
			 const struct shunt_frame *frame);
