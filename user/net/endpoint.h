/* SPDX-License-Identifier: BSD-2-Clause */
/* An endpoint: the IP address and the port that one side of a conversation has. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "maps/pkt.h"
#include "user/base/err.h"

/* No padding, and unused words are 0: two are the same if their bytes are. */
struct shunt_endpoint {
	uint32_t addr[4]; /* network order; IPv4 in the first word */
	uint32_t scope;	  /* interface of a link-local IPv6 address, else 0 */
	uint16_t port;	  /* host order */
	uint16_t l3;	  /* enum shunt_l3; SHUNT_L3_NONE: there is none */
};

_Static_assert(sizeof(struct shunt_endpoint) == 24, "compared and hashed as bytes");

/*
 * "192.0.2.1:7000", "[2001:db8::1]:7000", "[fe80::1%eth0]:7000", "name.example:7000"; a
 * name is looked up (which may take seconds), and its first address is taken. `*` or
 * nothing in front of the colon: any address, by IPv4. -EINVAL, or -EHOSTUNREACH where
 * a name has no address.
 */
SHUNT_MUST_CHECK int shunt_endpoint_parse(struct shunt_endpoint *endpoint,
					  const char *text, struct shunt_err *err);

#define SHUNT_ENDPOINT_TEXT 72

/* As it is parsed. Returns text. */
const char *shunt_endpoint_text(const struct shunt_endpoint *endpoint,
				char text[SHUNT_ENDPOINT_TEXT]);

bool shunt_endpoint_same(const struct shunt_endpoint *a,
			 const struct shunt_endpoint *b);

/* Bytes of its address: 4 or 16. */
static inline uint32_t shunt_endpoint_bytes(const struct shunt_endpoint *endpoint)
{
	return endpoint->l3 == SHUNT_L3_IP6 ? 16 : 4;
}

/* 0.0.0.0 or :: */
bool shunt_endpoint_is_any(const struct shunt_endpoint *endpoint);

/* For the calls of sockets; returns the length of the address. */
socklen_t shunt_endpoint_to_socket(const struct shunt_endpoint *endpoint,
				   struct sockaddr_storage *to);
/* An IPv4 address that IPv6 carries (RFC 4291 section 2.5.5.2) becomes IPv4. */
void shunt_endpoint_from_socket(struct shunt_endpoint *endpoint,
				const struct sockaddr_storage *from);
