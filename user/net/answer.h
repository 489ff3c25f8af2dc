/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers to those who look for a host: ARP, NDP, ICMP echo and UDP echo, in place. */
#pragma once

/*
 *     request ──▶ shunt_answer() ──▶ the same bytes, turned around, or what stands in
 *                                    the way of an answer, and the bytes untouched
 *
 * The received frame itself becomes the answer: addresses, ports and message types are
 * exchanged, VLAN tags stay, and the checksum follows by what has changed. Nothing is
 * allocated and nothing remembered, so any thread may ask for any answerer.
 *
 * An answer is never longer than its request, and there is one at most, but for NDP: an
 * advertisement has 32 bytes of ICMPv6, a solicitation may have 24. Only a solicitation
 * for duplicate address detection has an answer to more than one host, for it has no
 * address that could be answered (RFC 4861 section 7.2.4). Errors of ICMP are not sent.
 *
 * An answer to UDP has one hop less left than its request had, so that two such hosts
 * that are made to answer each other come to an end by themselves. IP options and IPv6
 * extension headers are nothing to turn around: such packets are not answered, nor are
 * fragments.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "user/base/err.h"

/*
 * What became of a packet. Those below SHUNT_ANSWER_NONE have been answered.
 * X(ENUM, value, name, help)
 */
#define SHUNT_ANSWERED(X)                                                              \
	X(ARP, 0, "arp", "ARP requests")                                               \
	X(NDP, 1, "ndp", "IPv6 neighbour solicitations")                               \
	X(ICMP, 2, "icmp", "ICMP echo requests")                                       \
	X(ICMP6, 3, "icmp6", "ICMPv6 echo requests")                                   \
	X(UDP, 4, "udp", "UDP datagrams")                                              \
	X(UDP_PARTIAL, 5, "udp-partial",                                               \
	  "UDP datagrams whose checksum was left to a NIC; completed")

#define SHUNT_UNANSWERED(X)                                                            \
	X(FOREIGN, 6, "foreign", "for another MAC address or IP address")              \
	X(GROUP, 7, "group", "to a broadcast or multicast address")                    \
	X(MALFORMED, 8, "malformed", "headers that contradict themselves")             \
	X(BAD_IP4, 9, "checksum-ip4", "a wrong checksum of the IPv4 header")           \
	X(BAD_ICMP, 10, "checksum-icmp", "a wrong checksum of ICMP")                   \
	X(BAD_ICMP6, 11, "checksum-icmp6", "a wrong checksum of ICMPv6")               \
	X(BAD_UDP, 12, "checksum-udp", "a wrong checksum of UDP, or none in IPv6")     \
	X(FRAGMENT, 13, "fragment", "fragments")                                       \
	X(OPTIONS, 14, "options", "IP options or IPv6 extension headers")              \
	X(SOURCE, 15, "source", "from where no answer may be sent to, or from us")     \
	X(HOPS, 16, "hops", "UDP with no hop left to go back")                         \
	X(PORT, 17, "port", "UDP to a port that is not served")                        \
	X(NEIGHBOUR, 18, "neighbour", "ARP or NDP that asks nothing, or is unsound")   \
	X(OTHER, 19, "other", "protocols and messages that have no answer here")       \
	X(ROOM, 20, "room", "no room for the answer behind the request")

enum shunt_answer_kind {
#define X(id, value, name, help) SHUNT_ANSWER_##id = value,
	SHUNT_ANSWERED(X)
#define SHUNT_ANSWER_NONE SHUNT_ANSWER_FOREIGN
		SHUNT_UNANSWERED(X)
#undef X
			SHUNT_ANSWER_KINDS
};

const char *shunt_answer_name(enum shunt_answer_kind kind);
const char *shunt_answer_help(enum shunt_answer_kind kind);

#define SHUNT_ANSWER_ADDRESSES 16

struct shunt_answer_address {
	uint32_t l3;	  /* enum shunt_l3 */
	uint32_t bits;	  /* of its network; tells the broadcast address of IPv4 */
	uint32_t addr[4]; /* network order; IPv4 in the first word */
};

/* Who is found. Zeroed, it has no address and serves no port. */
struct shunt_answerer {
	uint8_t mac[6];
	uint32_t count;
	struct shunt_answer_address address[SHUNT_ANSWER_ADDRESSES];
	uint64_t ports[1024]; /* bit p % 64 of word p / 64: answers UDP to port p */
};

/*
 * "192.0.2.9", "192.0.2.9/24", "2001:db8::9/64": adds an address. -EINVAL where it is no
 * address of one host, -ENOSPC behind the last place.
 */
SHUNT_MUST_CHECK int shunt_answerer_address(struct shunt_answerer *self,
					    const char *text, struct shunt_err *err);

/* "02:00:00:00:00:09": the address that answers come from; that of one host. */
SHUNT_MUST_CHECK int shunt_answerer_mac(struct shunt_answerer *self, const char *text,
					struct shunt_err *err);

/* "7", "7,9000-9010": answers UDP to these ports; NULL: to all of them. */
SHUNT_MUST_CHECK int shunt_answerer_ports(struct shunt_answerer *self, const char *text,
					  struct shunt_err *err);

/*
 * Turns a packet around. It lies in n parts, 1 or more: its headers in the first one,
 * behind whose begin there is `room` for an answer. Only the first part is written to;
 * its iov_len becomes that of the answer (NDP is in one part). Where there is no answer,
 * all stays as it was.
 */
enum shunt_answer_kind shunt_answer(const struct shunt_answerer *self,
				    struct iovec *parts, unsigned int n, size_t room);
