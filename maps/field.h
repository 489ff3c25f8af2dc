/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The indexed fields of a packet: what a rule can match besides addresses. */
#pragma once

/*
 * The parser reduces every such field to one small number, its index. 0 means that the
 * packet does not have the field (no VLAN tag, no ports, not TCP); a value v has
 * the index v + 1. A match on a field is a list of index ranges, so that "absent" can
 * be asked for like any value, and the classifier needs one table lookup a field.
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
	X(ICMP, "icmp", 131072, "type << 8 | code, plus 65536 for ICMPv6")

enum shunt_field {
#define X(id, name, values, help) SHUNT_FIELD_##id,
	SHUNT_FIELDS(X)
#undef X
		SHUNT_FIELD_COUNT,
};

/* Values of SHUNT_FIELD_FRAGMENT (index = value + 1). */
enum shunt_fragment {
	SHUNT_FRAGMENT_NONE = 0,
	SHUNT_FRAGMENT_FIRST = 1,
	SHUNT_FRAGMENT_LATER = 2,
};

/* ICMPv6 types live above ICMP's in SHUNT_FIELD_ICMP. */
#define SHUNT_ICMP6_BASE 65536u

/* Room in struct shunt_pkt: a power of two, so that the verifier sees a masked index. */
#define SHUNT_FIELD_ROOM 16
_Static_assert(SHUNT_FIELD_COUNT <= SHUNT_FIELD_ROOM, "a field has no room");
