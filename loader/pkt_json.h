/* SPDX-License-Identifier: BSD-2-Clause */
/* A parsed packet as JSON and as words. */
#pragma once

#include <stddef.h>

#include <cjson/cJSON.h>

#include "maps/pkt.h"

/*
 * The keys are the policy's; a field that the packet lacks is absent:
 *
 *     {"src_mac":"02:00:00:00:00:01","dst_mac":"02:00:00:00:00:02","eth_type":"0x0800",
 *      "vlan":[10,20],"src":"192.0.2.1","dst":"192.0.2.2","proto":6,"dscp":46,
 *      "fragment":"none","sport":1024,"dport":80,"tcp_flags":"syn,ack",
 *      "icmp":{"type":8,"code":0},"length":98,"l3_offset":14,"l4_offset":34,
 *      "tunnel":{"type":"vxlan","key":100,"inner":{…}}}
 *
 * vlan: outer tag first. length: bytes on the wire, FCS not counted. icmp is ICMPv6's
 * where proto is 58. key: network id of VXLAN and GENEVE, or GRE's key. inner has the
 * same keys but for tunnel; its length is what the tunnel carries, its offsets count
 * from the start of the frame; it is absent where no inner packet was understood, or
 * asked for. The caller owns the object; NULL when memory is out.
 */
cJSON *shunt_pkt_json(const struct shunt_pkt *pkt);

#define SHUNT_PKT_ADDR_ROOM 46	    /* the longest IPv6 address and its NUL */
#define SHUNT_PKT_TCP_FLAGS_ROOM 32 /* all eight names, their commas and the NUL */

#define SHUNT_PKT_MAC_ROOM 18 /* "02:00:00:00:00:01" and its NUL */

/* The index of a wide field, as maps/field.h defines it; 0: absent. */
static inline __u64 shunt_layer_wide(const struct shunt_layer *l,
				     enum shunt_field field)
{
	return l->wide[field - SHUNT_FIELD_NARROW];
}

/* An address of a layer, which must have one (its l3), as text. Returns text. */
const char *shunt_pkt_addr_text(unsigned int l3, const __u32 addr[4],
				char text[SHUNT_PKT_ADDR_ROOM]);

/* A MAC address, which is the number that its 48 bits are, as text. Returns text. */
const char *shunt_mac_text(__u64 mac, char text[SHUNT_PKT_MAC_ROOM]);

/* "vxlan" and so on for an enum shunt_tunnel. */
const char *shunt_tunnel_name(unsigned int tunnel);

/* The TCP flags byte as "syn,ack", lowest bit first; returns text. */
const char *shunt_tcp_flags_text(unsigned int flags,
				 char text[SHUNT_PKT_TCP_FLAGS_ROOM]);

/* "none", "first" or "later" for an enum shunt_fragment. */
const char *shunt_fragment_name(unsigned int fragment);
