/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel knows of the ways out of an interface, and tells when it changes. */
#pragma once

/*
 * Two rtnetlink sockets, in the network namespace that they were opened in: one asks, the
 * other one hears of changes. Nothing here waits but find and neighbour, for the answer
 * of the kernel itself.
 */
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"
#include "user/net/endpoint.h"

struct shunt_route {
	int ask_fd, hear_fd; /* -1: not open */
	int ifindex;
};

#define SHUNT_ROUTE_NONE                                                               \
	{                                                                              \
		.ask_fd = -1, .hear_fd = -1                                            \
	}

SHUNT_MUST_CHECK int shunt_route_open(struct shunt_route *route, int ifindex,
				      struct shunt_err *err);
/* Fine on SHUNT_ROUTE_NONE. */
void shunt_route_close(struct shunt_route *route);

/*
 * The next hop to a host by this interface: a router's address, or the host's own.
 * -EHOSTUNREACH: there is no way by it; -EADDRINUSE: the address is one of this host's;
 * -EINVAL: it is no address of one host.
 */
SHUNT_MUST_CHECK int shunt_route_find(const struct shunt_route *route,
				      const struct shunt_endpoint *remote,
				      uint32_t hop[4], struct shunt_err *err);

/* What the kernel knows of a next hop: 1: its MAC address; 0: not yet; -EHOSTUNREACH: it has
 * asked in vain; or another -errno. */
SHUNT_MUST_CHECK int shunt_route_neighbour(const struct shunt_route *route, uint32_t l3,
					   const uint32_t addr[4], uint8_t mac[6]);

/* Makes the kernel ask for it, or look whether what it knows is still so. */
void shunt_route_ask(const struct shunt_route *route, uint32_t l3,
		     const uint32_t addr[4]);

enum shunt_route_news {
	SHUNT_ROUTE_NEIGHBOUR,	/* addr has mac */
	SHUNT_ROUTE_VAIN,	/* addr was asked for in vain, or is forgotten */
	SHUNT_ROUTE_LINK,	/* the interface has this mac and mtu */
	SHUNT_ROUTE_ADDRESS,	/* the interface has addr */
	SHUNT_ROUTE_NO_ADDRESS, /* the interface has lost addr */
	SHUNT_ROUTE_MISSED,	/* too much happened: all is to be looked at anew */
};

struct shunt_route_event {
	uint32_t what; /* enum shunt_route_news */
	uint32_t l3;
	uint32_t addr[4];
	uint8_t mac[6];
	uint32_t mtu;
};

/* Up to max events, of this interface alone; 0: there are none now. */
unsigned int shunt_route_hear(const struct shunt_route *route,
			      struct shunt_route_event *events, unsigned int max);
