/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The indexed fields of a packet: what a rule can match besides addresses. */
#pragma once

/*
 * The parser reduces every such field to one number, its index. 0 means that the packet
 * does not have the field (no VLAN tag, no ports, not TCP); a value v has the index
 * v + 1. A match on a field is a list of index ranges, so that "absent" can be asked for
 * like any value, and the classifier needs one lookup a field.
 *
 * A packet has two layers of them: its own, and those of the packet inside a tunnel.
 * TUNNEL and KEY stand in the outer layer and speak of the tunnel. Narrow fields are
 * looked up in a table; wide ones, from SRC_MAC on, by a search.
 *
 *     X(ENUM, name, values, help)     name: key of the policy and of explain's output
 */
#define SHUNT_FIELDS(X)                                                                \
	X(ETH_TYPE, "eth_type", 65536, "EtherType after the VLAN tags")                \
	X(VLAN, "vlan", 4096, "VLAN id of the outer tag")                              \
	X(VLAN_INNER, "vlan_inner", 4096, "VLAN id of the inner tag")                  \
	X(PROTO, "proto", 256, "IP protocol, behind the IPv6 extension headers")       \
	X(FRAGMENT, "fragment", 3, "0 whole, 1 first fragment, 2 later fragment")      \
	X(SPORT, "sport", 65536, "TCP, UDP or SCTP source port")                       \
	X(DPORT, "dport", 65536, "TCP, UDP or SCTP destination port")                  \
	X(TCP_FLAGS, "tcp_flags", 256, "the TCP flags byte, CWR to FIN")               \
	X(ICMP, "icmp", 131072, "type << 8 | code, plus 65536 for ICMPv6")             \
	X(DSCP, "dscp", 64, "upper six bits of IPv4's TOS or IPv6's traffic class")    \
	X(LENGTH, "length", 65536, "bytes of the frame; at most 65535 is told apart")  \
	X(TUNNEL, "tunnel", 8, "what carries the inner packet: enum shunt_tunnel")     \
	X(SRC_MAC, "src_mac", 1ull << 48, "source MAC address")                        \
	X(DST_MAC, "dst_mac", 1ull << 48, "destination MAC address")                   \
	X(KEY, "key", 1ull << 32, "VXLAN or GENEVE network id, or GRE key")

enum shunt_field {
#define X(id, name, values, help) SHUNT_FIELD_##id,
	SHUNT_FIELDS(X)
#undef X
		SHUNT_FIELD_COUNT,
};

#define SHUNT_FIELD_NARROW SHUNT_FIELD_SRC_MAC /* how many, and the first wide one */
#define SHUNT_FIELD_WIDE (SHUNT_FIELD_COUNT - SHUNT_FIELD_NARROW)

/* The packet itself, and the one that a tunnel carries. */
enum shunt_layer_id { SHUNT_OUTER = 0, SHUNT_INNER = 1, SHUNT_LAYERS = 2 };

/* A field of a layer as one number, for tables in images. */
#define SHUNT_FIELD_STRIDE 16
#define SHUNT_FIELD_ALL (SHUNT_LAYERS * SHUNT_FIELD_STRIDE)

/* Values of SHUNT_FIELD_FRAGMENT (index = value + 1). */
enum shunt_fragment {
	SHUNT_FRAGMENT_NONE = 0,
	SHUNT_FRAGMENT_FIRST = 1,
	SHUNT_FRAGMENT_LATER = 2,
};

/*
 * Values of SHUNT_FIELD_TUNNEL; X(ENUM, value, name, help). A tunnel is known by its
 * port or protocol; its packet is inner only where it can be parsed.
 */
#define SHUNT_TUNNELS(X)                                                               \
	X(VXLAN, 0, "vxlan", "UDP port 4789, Ethernet inside (RFC 7348)")              \
	X(GENEVE, 1, "geneve", "UDP port 6081, Ethernet or IP inside (RFC 8926)")      \
	X(GRE, 2, "gre", "IP protocol 47, Ethernet or IP inside (RFC 2784, 2890)")     \
	X(IPIP, 3, "ipip", "IP protocols 4 and 41: IP inside IP (RFC 2003, 2473, 4213)")

enum shunt_tunnel {
#define X(id, value, name, help) SHUNT_TUNNEL_##id = value,
	SHUNT_TUNNELS(X)
#undef X
};

/* ICMPv6 types live above ICMP's in SHUNT_FIELD_ICMP. */
#define SHUNT_ICMP6_BASE 65536u

_Static_assert(SHUNT_FIELD_COUNT <= SHUNT_FIELD_STRIDE, "a field has no room");
