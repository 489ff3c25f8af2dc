/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP datagrams in frames: all headers written in one go, and read back strictly. */
#pragma once

/*
 *     ┌──────────┬──────┬─────┬─────────┐
 *     │ Ethernet │  IP  │ UDP │ payload │    write: path ─▶ in front of the payload
 *     └──────────┴──────┴─────┴─────────┘    read:  frame ─▶ who, and where the payload is
 *
 * A path is the way to one peer: its headers as they will be, but for lengths and
 * checksums, and the sum of what does not change of the pseudo header. The IPv4
 * datagrams are atomic (RFC 6864): never cut, and hence without an identification.
 *
 * What is read has been checked: lengths at both ends, the IPv4 header's checksum, the
 * UDP checksum unless that is not wanted. IP options, IPv6 extension headers and
 * fragments are refused, each with its name. VLAN tags are skipped, and named.
 */
#include <stdbool.h>
#include <stdint.h>

#include "bpf/lib/wire.h"
#include "user/net/csum.h"
#include "user/net/endpoint.h"

/* --- writing ------------------------------------------------------------------------------ */

/* Our side of all paths. */
struct shunt_udp_host {
	struct shunt_endpoint local;
	uint8_t mac[6];
	uint16_t reserved;
};

#define SHUNT_UDP_HEAD4 (sizeof(struct shunt_eth) + sizeof(struct shunt_ip4) + 8u)
#define SHUNT_UDP_HEAD6 (sizeof(struct shunt_eth) + sizeof(struct shunt_ip6) + 8u)

struct shunt_udp_path {
	uint8_t head[SHUNT_UDP_HEAD6 + 2]; /* from its first byte on, bytes of it */
	uint16_t bytes;			   /* of the headers; 0: a path to nowhere */
	uint16_t ip_sum;		   /* of the IPv4 header without its length */
	uint16_t udp_sum;  /* of addresses, protocol and ports; without lengths */
	uint16_t checksum; /* 1: IPv4 datagrams have one, too */
};

_Static_assert(sizeof(struct shunt_udp_path) == 72, "headers, and 8 bytes");

/* Both of one version of IP. The MAC address may be set later. */
void shunt_udp_path_make(struct shunt_udp_path *path, const struct shunt_udp_host *host,
			 const struct shunt_endpoint *remote, const uint8_t mac[6],
			 bool checksum);

/* The peer's address, or ours, on the wire. */
static inline const uint8_t *shunt_udp_path_mac(const struct shunt_udp_path *path)
{
	return path->head;
}
void shunt_udp_path_set_mac(struct shunt_udp_path *path, const uint8_t mac[6]);
void shunt_udp_path_set_own_mac(struct shunt_udp_path *path, const uint8_t mac[6]);

/* Bytes of payload that fit into a packet of so many bytes. */
static inline uint32_t shunt_udp_room(const struct shunt_endpoint *local, uint32_t mtu)
{
	uint32_t headers =
		(local->l3 == SHUNT_L3_IP6 ? SHUNT_UDP_HEAD6 : SHUNT_UDP_HEAD4) -
		sizeof(struct shunt_eth);

	return mtu > headers ? mtu - headers : 0;
}

/*
 * Writes path->bytes in front of the payload, which is no longer than 65,507 bytes
 * (IPv6: 65,527).
 */
void shunt_udp_write(const struct shunt_udp_path *path, uint8_t *payload,
		     uint32_t bytes);

/* --- reading ------------------------------------------------------------------------------ */

/* What a frame turned out to be; those below SHUNT_UDP_REFUSED are datagrams.
 * X(ENUM, value, name, help) */
#define SHUNT_UDP_KIND_LIST(X)                                                         \
	X(WHOLE, 0, "whole", "UDP datagrams")                                          \
	X(PARTIAL, 1, "partial",                                                       \
	  "UDP datagrams whose checksum their sender left to a NIC")                   \
	X(OTHER, 2, "other", "no UDP")                                                 \
	X(MALFORMED, 3, "malformed", "headers that contradict themselves")             \
	X(FRAGMENT, 4, "fragment", "fragments")                                        \
	X(OPTIONS, 5, "options", "IP options or IPv6 extension headers")               \
	X(SOURCE, 6, "source", "from where no answer may be sent to")                  \
	X(BAD_IP4, 7, "checksum-ip4", "a wrong checksum of the IPv4 header")           \
	X(BAD_UDP, 8, "checksum-udp", "a wrong checksum of UDP, or none in IPv6")

enum shunt_udp_kind {
#define X(id, value, name, help) SHUNT_UDP_##id = value,
	SHUNT_UDP_KIND_LIST(X)
#undef X
		SHUNT_UDP_KINDS,
	SHUNT_UDP_REFUSED = SHUNT_UDP_OTHER
};

const char *shunt_udp_name(enum shunt_udp_kind kind);

struct shunt_udp_datagram {
	struct shunt_endpoint src, dst; /* scope as it was given */
	const struct shunt_eth *eth;
	uint8_t *payload; /* in the frame */
	uint32_t bytes;
	uint16_t vlan; /* id of the outer tag; 0: none, or one for priority alone */
	uint16_t tags; /* skipped; 2 at most */
};

/*
 * Reads a frame of len bytes; what lies behind the datagram is padding. scope: the
 * interface, for link-local IPv6 addresses. On refusal *datagram means nothing.
 */
enum shunt_udp_kind shunt_udp_read(struct shunt_udp_datagram *datagram, uint8_t *frame,
				   uint32_t len, uint32_t scope, bool verify);
