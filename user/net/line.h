/* SPDX-License-Identifier: BSD-2-Clause */
/* A frame in one line of text, for people. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "maps/pkt.h"

/*
 * Parses a whole frame as the programs in the kernel do (bpf/lib/parse.h). Returns -1,
 * or the enum shunt_reason that makes it malformed; what was understood before is in
 * pkt.
 */
int shunt_frame_parse(const void *data, uint32_t len, struct shunt_pkt *pkt);

/* What is wrong with a malformed frame: the reason's name, "ip4-short", or NULL. */
const char *shunt_frame_fault(int reason);

#define SHUNT_LINE_ROOM 512 /* more than the longest line and its NUL */

/*
 *     192.0.2.1:1024 > 192.0.2.2:80 tcp syn,ack
 *     vlan 10.20 [2001:db8::1]:1024 > [2001:db8::2]:53 udp
 *     192.0.2.1 > 192.0.2.2 icmp type 8 code 0
 *     192.0.2.1 > 192.0.2.2 udp later fragment
 *     192.0.2.1:1024 > 192.0.2.2:80 tcp ack dscp 46
 *     192.0.2.1:1024 > 192.0.2.2:4789 udp vxlan 100 (10.0.0.1:1 > 10.0.0.2:2 udp)
 *     02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff arp
 *     192.0.2.1 > 192.0.2.2 tcp malformed: tcp-short
 *
 * No length and no time stand in it. `reason` is the answer of shunt_frame_parse().
 * Returns text.
 */
const char *shunt_line(const struct shunt_pkt *pkt, int reason,
		       char text[SHUNT_LINE_ROOM]);
