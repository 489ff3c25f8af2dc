/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames from a description, together with what a parser must find in them. */
#pragma once

/*
 * The answer is derived from the description, never from the bytes: a parser that reads
 * the wrong byte cannot agree with it. `fault` makes a frame malformed in one way; that
 * of an inner packet leaves the outer one sound, and the inner layer zero.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps/pkt.h"
#include "maps/reason.h"

#define SHUNT_FRAME_TAGS 3
#define SHUNT_FRAME_EXTS 8
#define SHUNT_FRAME_ROOM 3000
#define SHUNT_FRAME_SOUND (-1)

/* What is wrong with a frame; X(ENUM, reason that the parser gives, layer it needs) */
#define SHUNT_FAULTS(X)                                                                \
	X(VLAN_CUT, VLAN_SHORT, tag)                                                   \
	X(ARP_CUT, ARP_SHORT, arp)                                                     \
	X(IP4_CUT, IP4_SHORT, ip4)                                                     \
	X(IP4_VERSION, IP4_VERSION, ip4)                                               \
	X(IP4_IHL, IP4_IHL, ip4)                                                       \
	X(IP4_TOO_SHORT, IP4_LENGTH, ip4)                                              \
	X(IP4_TOO_LONG, IP4_LENGTH, ip4)                                               \
	X(IP6_CUT, IP6_SHORT, ip6)                                                     \
	X(IP6_VERSION, IP6_VERSION, ip6)                                               \
	X(IP6_TOO_LONG, IP6_LENGTH, ip6)                                               \
	X(IP6_EXT_CUT, IP6_EXT, ext)                                                   \
	X(FRAGMENT_ODD, FRAGMENT, more)                                                \
	X(FRAGMENT_FAR, FRAGMENT, later)                                               \
	X(TCP_CUT, TCP_SHORT, tcp)                                                     \
	X(TCP_DOFF_LOW, TCP_DOFF, tcp)                                                 \
	X(TCP_DOFF_HIGH, TCP_DOFF, tcp)                                                \
	X(UDP_CUT, UDP_SHORT, udp)                                                     \
	X(UDP_LENGTH_LOW, UDP_LENGTH, udp)                                             \
	X(UDP_LENGTH_HIGH, UDP_LENGTH, whole_udp)                                      \
	X(SCTP_CUT, SCTP_SHORT, sctp)                                                  \
	X(ICMP_CUT, ICMP_SHORT, icmp)                                                  \
	X(ICMP6_CUT, ICMP6_SHORT, icmp6)

enum shunt_fault {
	SHUNT_FAULT_NONE,
#define X(id, reason, layer) SHUNT_FAULT_##id,
	SHUNT_FAULTS(X)
#undef X
		SHUNT_FAULT_COUNT,
};

/* Numbers in host order, addresses in network order. */
struct shunt_frame_spec {
	uint8_t tags; /* up to 2 are understood, what follows is an EtherType */
	struct {
		uint16_t type, id;
	} tag[SHUNT_FRAME_TAGS];
	uint16_t eth_type; /* where l3 is NONE; 0: 802.3 with LLC */
	enum shunt_l3 l3;
	uint8_t src[16], dst[16];
	uint8_t options;	       /* IPv4: words of options, up to 10 */
	uint8_t exts;		       /* IPv6: extension headers before a fragment's */
	uint8_t ext[SHUNT_FRAME_EXTS]; /* hop-by-hop, routing, AH or destination */
	enum shunt_fragment fragment;
	uint8_t atomic;	 /* IPv6: a fragment header, although it is whole */
	uint16_t offset; /* of a later fragment, in units of 8 bytes */
	uint8_t more;	 /* a later fragment that is not the last */
	uint8_t proto;
	uint16_t sport, dport;
	uint8_t flags, icmp_type, icmp_code;
	uint8_t tcp_options; /* words, up to 10 */
	uint16_t payload;    /* bytes behind the transport header */
	uint8_t pad;	     /* bytes behind the IP packet */
	enum shunt_fault fault;
	uint8_t mac[2][6]; /* by enum shunt_side; all zero: 02:00:00:00:00:01 and :02 */
	uint8_t dscp, ecn; /* ECN means nothing to a parser */
	/* what a tunnel carries, in place of the payload; see shunt_frame_carry() */
	const struct shunt_frame_spec *inner; /* NULL: payload is what follows */
	uint8_t tunnel;			      /* enum shunt_tunnel + 1; 0: none */
	uint8_t tunnel_options;		      /* GENEVE: words of options, up to 63 */
	uint8_t no_key, checksum, sequence;   /* GRE: which of its fields are there */
	uint32_t key;
	uint8_t bare; /* of an inner packet: IP without Ethernet before it */
};

/*
 * Makes spec a tunnel that carries inner (which must outlive spec, and is at most
 * SHUNT_FRAME_INNER bytes with its headers): sets tunnel, key, proto and dport. IPIP
 * carries bare packets only, VXLAN none of them; shunt_frame_build() asserts it. With
 * inner NULL, the tunnel header stands before `payload` bytes of no known type.
 */
void shunt_frame_carry(struct shunt_frame_spec *spec, enum shunt_tunnel tunnel,
		       uint32_t key, const struct shunt_frame_spec *inner);
#define SHUNT_FRAME_INNER 1500

struct shunt_model_frame {
	uint8_t bytes[SHUNT_FRAME_ROOM];
	size_t len;
	int reason;	      /* SHUNT_FRAME_SOUND, or the malformed one */
	struct shunt_pkt pkt; /* of a sound frame all of it, else only its len */
};

void shunt_frame_build(const struct shunt_frame_spec *spec,
		       struct shunt_model_frame *frame);

/* Is this what a parser must find in the frame? */
bool shunt_frame_holds(const struct shunt_model_frame *frame,
		       const struct shunt_pkt *pkt);

/* Equal in all that means something after parsing. */
bool shunt_frame_same(const struct shunt_pkt *a, const struct shunt_pkt *b);

/*
 * May a parser that sees the start of a frame only say this of it? Where it finds the
 * frame sound, it knows all of it but perhaps the tunnel, or what is inside.
 */
bool shunt_frame_part(const struct shunt_pkt *part, const struct shunt_pkt *whole);

/* May this frame have this fault? A fault of a layer that is not there cannot be. */
int shunt_frame_can_fail(const struct shunt_frame_spec *spec, enum shunt_fault fault);

/* Hexadecimal, and back: returns bytes, or -1 where the text is something else. */
void shunt_frame_hex(const uint8_t *bytes, size_t len, char *text);
int shunt_frame_unhex(const char *text, uint8_t *bytes, size_t room);
