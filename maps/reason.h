/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why a packet left the program the way it did: exactly one reason a packet. */
#pragma once

/*
 * Values are explicit and append-only: they index counters that outlive a program.
 *
 *     X(ENUM, value, name, malformed, help)
 *
 * A malformed packet is not matched against rules; the policy's "malformed" key says
 * whether it passes or is dropped.
 */
#define SHUNT_REASONS(X)                                                               \
	X(RULE, 0, "rule", 0, "a rule decided")                                        \
	X(DEFAULT, 1, "default", 0, "no rule matched: the policy's default decided")   \
	X(CONSUMER_DOWN, 2, "consumer-down", 0,                                        \
	  "a rule redirects to a consumer that is not there: its if_down decided")     \
	X(TARGET_DOWN, 3, "target-down", 0,                                            \
	  "a rule redirects to an interface or CPU that is not there: dropped")        \
	X(HOOK_CANNOT, 4, "hook-cannot", 0,                                            \
	  "a rule's action is impossible in this hook: if_down for a consumer, "       \
	  "else passed")                                                               \
	X(INTERNAL, 5, "internal", 0, "the policy image was unreadable: passed")       \
	X(LIMITED, 6, "limited", 0, "a rule's limit is used up: its \"over\" decided") \
	X(TTL, 7, "ttl-expired", 0,                                                    \
	  "a rule counts the TTL or hop limit down, and it was at its end: dropped")   \
	X(ETH_SHORT, 8, "eth-short", 1, "frame ends inside the Ethernet header")       \
	X(VLAN_SHORT, 9, "vlan-short", 1, "frame ends inside a VLAN tag")              \
	X(ARP_SHORT, 10, "arp-short", 1, "frame ends inside the ARP packet")           \
	X(IP4_SHORT, 11, "ip4-short", 1, "frame ends inside the IPv4 header")          \
	X(IP4_VERSION, 12, "ip4-version", 1,                                           \
	  "EtherType IPv4, but the version is not 4")                                  \
	X(IP4_IHL, 13, "ip4-ihl", 1, "IPv4 header length below 5 words")               \
	X(IP4_LENGTH, 14, "ip4-length", 1,                                             \
	  "IPv4 total length below the header's or beyond the frame")                  \
	X(IP6_SHORT, 15, "ip6-short", 1, "frame ends inside the IPv6 header")          \
	X(IP6_VERSION, 16, "ip6-version", 1,                                           \
	  "EtherType IPv6, but the version is not 6")                                  \
	X(IP6_LENGTH, 17, "ip6-length", 1, "IPv6 payload length beyond the frame")     \
	X(IP6_EXT, 18, "ip6-ext", 1,                                                   \
	  "packet ends inside an IPv6 extension header, or there are more than 8")     \
	X(FRAGMENT, 19, "fragment-bad", 1,                                             \
	  "fragment reaches beyond 65535 bytes, or is not the last and not of 8 "      \
	  "bytes")                                                                     \
	X(TCP_SHORT, 20, "tcp-short", 1, "packet ends inside the TCP header")          \
	X(TCP_DOFF, 21, "tcp-doff", 1, "TCP data offset below 5 or beyond the packet") \
	X(UDP_SHORT, 22, "udp-short", 1, "packet ends inside the UDP header")          \
	X(UDP_LENGTH, 23, "udp-length", 1, "UDP length below 8 or beyond the packet")  \
	X(SCTP_SHORT, 24, "sctp-short", 1, "packet ends inside the SCTP header")       \
	X(ICMP_SHORT, 25, "icmp-short", 1, "packet ends inside the ICMP header")       \
	X(ICMP6_SHORT, 26, "icmp6-short", 1, "packet ends inside the ICMPv6 header")   \
	X(DEEP, 27, "headers-deep", 1,                                                 \
	  "headers reach beyond the part of the packet that the hook can see")         \
	X(CONSUMER_STALLED, 28, "consumer-stalled", 0,                                 \
	  "a rule redirects to a consumer whose heartbeat is overdue: its if_down "    \
	  "decided")                                                                   \
	X(REWRITE, 31, "rewrite-failed", 0,                                            \
	  "a rule's rewrite was impossible, as where a driver leaves no room for a "   \
	  "tag: dropped")

enum shunt_reason {
#define X(id, value, name, malformed, help) SHUNT_REASON_##id = value,
	SHUNT_REASONS(X)
#undef X
};

#define SHUNT_REASON_MAX 32 /* exclusive bound of the values above */

/* 1: the parser's, so that no rule was asked. */
static inline int shunt_reason_is_malformed(unsigned int reason)
{
#define X(id, value, name, malformed, help) | (unsigned int)malformed << value
	return reason < SHUNT_REASON_MAX && ((0u SHUNT_REASONS(X)) >> reason & 1);
#undef X
}
