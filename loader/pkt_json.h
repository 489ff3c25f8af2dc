/* SPDX-License-Identifier: BSD-2-Clause */
/* A parsed packet as JSON and as words. */
#pragma once

#include <stddef.h>

#include <cjson/cJSON.h>

#include "maps/pkt.h"

/*
 * The keys are the policy's; a field that the packet lacks is absent:
 *
 *     {"eth_type":"0x0800","vlan":[10,20],"src":"192.0.2.1","dst":"192.0.2.2","proto":6,
 *      "fragment":"none","sport":1024,"dport":80,"tcp_flags":"syn,ack",
 *      "icmp":{"type":8,"code":0},"length":98,"l3_offset":14,"l4_offset":34}
 *
 * vlan: outer tag first. length: bytes on the wire, FCS not counted. icmp is ICMPv6's
 * where proto is 58. The caller owns the object; NULL when memory is out.
 */
cJSON *shunt_pkt_json(const struct shunt_pkt *pkt);

#define SHUNT_PKT_ADDR_ROOM 46	    /* the longest IPv6 address and its NUL */
#define SHUNT_PKT_TCP_FLAGS_ROOM 32 /* all eight names, their commas and the NUL */

/* An address of the packet, which must have one (pkt->l3), as text. Returns text. */
const char *shunt_pkt_addr_text(const struct shunt_pkt *pkt, const __u32 addr[4],
				char text[SHUNT_PKT_ADDR_ROOM]);

/* The TCP flags byte as "syn,ack", lowest bit first; returns text. */
const char *shunt_tcp_flags_text(unsigned int flags,
				 char text[SHUNT_PKT_TCP_FLAGS_ROOM]);

/* "none", "first" or "later" for an enum shunt_fragment. */
const char *shunt_fragment_name(unsigned int fragment);
