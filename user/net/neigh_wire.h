/* SPDX-License-Identifier: BSD-2-Clause */
/* ARP and neighbour discovery as they lie in a packet. */
#pragma once

#include <stdint.h>
#include <string.h>

#include "bpf/lib/wire.h"

#define SHUNT_ARP_ETHERNET 1
#define SHUNT_ARP_REQUEST 1
#define SHUNT_ARP_REPLY 2

/* RFC 826, for Ethernet and IPv4. */
struct shunt_arp4 {
	struct shunt_arp head;
	uint8_t sender_mac[6];
	__be32 sender;
	uint8_t target_mac[6];
	__be32 target;
} SHUNT_PACKED;

#define SHUNT_NDP_HOPS 255 /* nobody has forwarded it: RFC 4861 section 7.1.1 */
#define SHUNT_NDP_SOURCE_MAC 1
#define SHUNT_NDP_TARGET_MAC 2
#define SHUNT_NDP_SOLICITATION 135
#define SHUNT_NDP_ADVERTISEMENT 136
#define SHUNT_NDP_SOLICITED 0x40000000u
#define SHUNT_NDP_OVERRIDE 0x20000000u

/* RFC 4861 sections 4.3 and 4.4; options follow. */
struct shunt_ndp {
	struct shunt_icmp icmp;
	__be32 flags; /* of an advertisement */
	uint8_t target[16];
} SHUNT_PACKED;

/* With one option, a MAC address. */
struct shunt_ndp_mac {
	struct shunt_ndp ndp;
	uint8_t option, units; /* of 8 bytes */
	uint8_t mac[6];
} SHUNT_PACKED;

_Static_assert(sizeof(struct shunt_arp4) == 28 && sizeof(struct shunt_ndp) == 24 &&
		       sizeof(struct shunt_ndp_mac) == 32,
	       "no holes");

static const uint8_t shunt_mac_of_all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

/* Does ARP speak of Ethernet and IPv4? */
static inline int shunt_arp_is_ip4(const struct shunt_arp4 *arp)
{
	return shunt_be16(arp->head.htype) == SHUNT_ARP_ETHERNET &&
	       shunt_be16(arp->head.ptype) == SHUNT_ETH_IP4 && arp->head.hlen == 6 &&
	       arp->head.plen == 4;
}

/*
 * Walks the options of NDP: none may be empty, and a MAC address stands in one of a unit.
 * Returns where that of this kind is, NULL where there is none; *sound says the rest.
 */
static inline const uint8_t *shunt_ndp_option(const uint8_t *at, uint32_t len,
					      uint8_t kind, int *sound)
{
	const uint8_t *mac = NULL;

	*sound = 1;
	while (len && *sound) {
		uint32_t bytes = len >= 2 ? at[1] * 8u : 0;

		*sound = bytes && bytes <= len;
		if (!*sound)
			break;
		if (at[0] == kind) {
			*sound = bytes == 8;
			mac = at + 2;
		}
		at += bytes;
		len -= bytes;
	}
	return mac;
}
