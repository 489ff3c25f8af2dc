/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Wire formats, as they lie in the packet: network order, no alignment assumed. */
#pragma once

#include "maps/type.h"

/*
 * The kernel lets programs read unaligned, and clang would load packed fields byte by
 * byte; on the host a compiler must be told.
 */
#ifdef __bpf__
#define SHUNT_PACKED
#else
#define SHUNT_PACKED __attribute__((packed))
#endif

/* EtherTypes (IEEE 802 numbers), host order. */
#define SHUNT_ETH_IP4 0x0800
#define SHUNT_ETH_ARP 0x0806
#define SHUNT_ETH_VLAN 0x8100  /* 802.1Q */
#define SHUNT_ETH_QINQ 0x88a8  /* 802.1ad */
#define SHUNT_ETH_QINQ1 0x9100 /* what went before 802.1ad */
#define SHUNT_ETH_IP6 0x86dd
#define SHUNT_ETH_TEB 0x6558 /* an Ethernet frame inside a tunnel */
#define SHUNT_ETH_MIN 1536   /* below: an 802.3 length, LLC follows */

/* IP protocols and IPv6 next headers (IANA protocol numbers). */
#define SHUNT_IP_HOPOPT 0
#define SHUNT_IP_ICMP 1
#define SHUNT_IP_IP4 4
#define SHUNT_IP_TCP 6
#define SHUNT_IP_UDP 17
#define SHUNT_IP_IP6 41
#define SHUNT_IP_ROUTING 43
#define SHUNT_IP_FRAGMENT 44
#define SHUNT_IP_GRE 47
#define SHUNT_IP_AH 51
#define SHUNT_IP_ICMP6 58
#define SHUNT_IP_DSTOPTS 60
#define SHUNT_IP_SCTP 132

struct shunt_eth {
	__u8 dst[6];
	__u8 src[6];
	__be16 type;
} SHUNT_PACKED;

/* What follows a tag's EtherType. IEEE 802.1Q */
struct shunt_vlan {
	__be16 tci; /* priority 3, DEI 1, id 12 bits */
	__be16 type;
} SHUNT_PACKED;

/* RFC 826; the addresses follow, (hlen + plen) * 2 bytes. */
struct shunt_arp {
	__be16 htype;
	__be16 ptype;
	__u8 hlen;
	__u8 plen;
	__be16 op;
} SHUNT_PACKED;

/* RFC 791 */
struct shunt_ip4 {
	__u8 version_ihl;
	__u8 tos;
	__be16 length;
	__be16 id;
	__be16 fragment; /* reserved, DF, MF, offset 13 bits in units of 8 bytes */
	__u8 ttl;
	__u8 proto;
	__sum16 checksum;
	__be32 src;
	__be32 dst;
} SHUNT_PACKED;

#define SHUNT_IP4_MF 0x2000
#define SHUNT_IP4_OFFSET 0x1fff

/* RFC 8200 */
struct shunt_ip6 {
	__be32 version_class_flow;
	__be16 length; /* of what follows this header */
	__u8 next;
	__u8 hops;
	__be32 src[4];
	__be32 dst[4];
} SHUNT_PACKED;

/* The common start of the extension headers; RFC 8200 section 4, RFC 4302 for AH. */
struct shunt_ip6_ext {
	__u8 next;
	__u8 length; /* units of 8 bytes, the first 8 not counted; AH: 4 bytes, minus 2
		      */
	__be16 fragment; /* of a fragment header: offset 13 bits, reserved, M */
	__be32 id;
} SHUNT_PACKED;

#define SHUNT_IP6_MORE 0x0001
#define SHUNT_IP6_OFFSET 0xfff8

/* RFC 9293 */
struct shunt_tcp {
	__be16 sport;
	__be16 dport;
	__be32 seq;
	__be32 ack;
	__u8 offset; /* upper four bits, in words */
	__u8 flags;
	__be16 window;
	__sum16 checksum;
	__be16 urgent;
} SHUNT_PACKED;

/* RFC 768 */
struct shunt_udp {
	__be16 sport;
	__be16 dport;
	__be16 length; /* header included */
	__sum16 checksum;
} SHUNT_PACKED;

/* RFC 9260 */
struct shunt_sctp {
	__be16 sport;
	__be16 dport;
	__be32 tag;
	__be32 checksum;
} SHUNT_PACKED;

/* RFC 792 and RFC 4443: the part that both share. */
struct shunt_icmp {
	__u8 type;
	__u8 code;
	__sum16 checksum;
} SHUNT_PACKED;

/* RFC 7348; the flags' other bits and the reserved bytes mean nothing. */
struct shunt_vxlan {
	__u8 flags;
	__u8 reserved[3];
	__be32 vni; /* upper 24 bits */
} SHUNT_PACKED;

#define SHUNT_VXLAN_PORT 4789
#define SHUNT_VXLAN_I 0x08 /* there is a network id */

/* RFC 8926; options follow. */
struct shunt_geneve {
	__u8 version_length; /* version 2 bits, options 6 bits in units of 4 bytes */
	__u8 flags;
	__be16 type; /* EtherType of what is inside */
	__be32 vni;  /* upper 24 bits */
} SHUNT_PACKED;

#define SHUNT_GENEVE_PORT 6081

/* RFC 2784 and RFC 2890; checksum, key and sequence number follow, 4 bytes each. */
struct shunt_gre {
	__be16 flags_version;
	__be16 type; /* EtherType of what is inside */
} SHUNT_PACKED;

struct shunt_gre_key {
	__be32 key;
} SHUNT_PACKED;

#define SHUNT_GRE_CHECKSUM 0x8000
#define SHUNT_GRE_ROUTING 0x4000 /* RFC 1701, of unknown length */
#define SHUNT_GRE_KEY 0x2000
#define SHUNT_GRE_SEQUENCE 0x1000
#define SHUNT_GRE_VERSION 0x0007

_Static_assert(
	sizeof(struct shunt_eth) == 14 && sizeof(struct shunt_vlan) == 4 &&
		sizeof(struct shunt_arp) == 8 && sizeof(struct shunt_ip4) == 20 &&
		sizeof(struct shunt_ip6) == 40 && sizeof(struct shunt_ip6_ext) == 8 &&
		sizeof(struct shunt_tcp) == 20 && sizeof(struct shunt_udp) == 8 &&
		sizeof(struct shunt_sctp) == 12 && sizeof(struct shunt_icmp) == 4 &&
		sizeof(struct shunt_vxlan) == 8 && sizeof(struct shunt_geneve) == 8 &&
		sizeof(struct shunt_gre) == 4,
	"no holes, packed or not");

#define SHUNT_ICMP4_MIN 8 /* RFC 792: no message is shorter */

/* Network to host order for 16 bits, on a little-endian or big-endian CPU. */
static inline __u16 shunt_be16(__be16 v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap16(v);
#else
	return v;
#endif
}

static inline __u32 shunt_be32(__be32 v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap32(v);
#else
	return v;
#endif
}
