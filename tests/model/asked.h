/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames that ask a host for something, and what it answers: whole, with right sums. */
#pragma once

/*
 * Every byte comes from the description, by a way of its own: nothing here is shared with
 * user/net/answer.h.
 */
#include <stddef.h>
#include <stdint.h>

#define SHUNT_ASKED_ROOM 9400

enum shunt_asked_kind {
	SHUNT_ASKED_ARP,
	SHUNT_ASKED_IP, /* version by what the addresses look like */
};

enum shunt_asked_fault {
	SHUNT_ASKED_SOUND,
	SHUNT_ASKED_BAD_IP,    /* the IPv4 header's checksum is wrong */
	SHUNT_ASKED_BAD_L4,    /* the transport's checksum is wrong */
	SHUNT_ASKED_NO_SUM,    /* UDP without a checksum */
	SHUNT_ASKED_PARTIAL,   /* UDP with the pseudo header's sum in its place */
	SHUNT_ASKED_FIRST,     /* the first fragment (IPv4) */
	SHUNT_ASKED_LATER,     /* a later one */
	SHUNT_ASKED_OPTIONS,   /* IPv4: four bytes of options */
	SHUNT_ASKED_EXTENSION, /* IPv6: destination options */
	SHUNT_ASKED_ATOMIC,    /* IPv6: a fragment header, although it is whole */
};

/* Zeroed but for the addresses it is ARP from one host to all. */
struct shunt_asked {
	const char *dst_mac, *src_mac; /* NULL: ff:ff:ff:ff:ff:ff, 02:00:00:00:00:01 */
	uint32_t tags;		       /* VLAN tags 10 and 20: 0 to 2 */
	enum shunt_asked_kind kind;
	const char *src, *dst; /* IP addresses; of ARP the sender's and the target's */
	uint32_t op;	       /* of ARP; 0: 1, a request */
	const char *arp_mac;   /* of ARP: the target's; NULL: all zero */
	uint32_t hops;	       /* 0: 64 */
	uint32_t proto;	       /* 1, 17, 58 or other */
	uint32_t type, code;   /* of ICMP */
	uint32_t sport, dport; /* of UDP */
	uint32_t seed;	       /* of the payload's bytes */
	size_t payload;	       /* bytes behind UDP, or behind ICMP's first 8 */
	const char *target;    /* NDP: instead of the payload; flags of the answer */
	uint32_t ndp_flags;
	const char *option_mac; /* NDP: an option of type 1 (135) or 2 (136) */
	size_t pad;		/* bytes behind the packet */
	enum shunt_asked_fault fault;
};

/* Returns its length. */
size_t shunt_asked_build(const struct shunt_asked *asked,
			 uint8_t bytes[SHUNT_ASKED_ROOM]);
