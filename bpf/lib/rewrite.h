/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* New values into headers, and what they do to checksums; no packet is touched here. */
#pragma once

/*
 * The hooks bring the headers (in place, or as a copy) and put the transport checksum
 * right with the change that comes back. What a packet does not have is not rewritten:
 *
 *   - addresses of the other family, and anything of IP in a packet that is not IP;
 *   - ports of a later fragment, and of anything but TCP and UDP. SCTP's stay, for its
 *     checksum covers the whole packet; its addresses are rewritten, which the checksum
 *     does not cover (RFC 9260);
 *   - the packet that an ICMP error quotes, and the one inside a tunnel.
 *
 * The pseudo header's destination is taken to be the one of the IPv6 header: a packet
 * that is still on its way along a routing header (RFC 8200 section 8.1) would need
 * another checksum where a rule rewrites its destination.
 *
 * The same code for BPF and the host.
 */
#include "bpf/lib/compiler.h"
#include "bpf/lib/csum.h"
#include "bpf/lib/wire.h"
#include "maps/mods.h"
#include "maps/pkt.h"

/* The TTL that a packet goes on with, or -1: it has come to its end (RFC 1812 5.3.1). */
SHUNT_INLINE int shunt_rewrite_ttl(const struct shunt_image_rewrite *rw, __u8 ttl)
{
	if (rw->bits & SHUNT_REWRITE_TTL_DEC) {
		if (ttl <= 1)
			return -1;
		ttl--;
	}
	return rw->bits & SHUNT_REWRITE_TTL_SET ? rw->ttl : ttl;
}

SHUNT_INLINE int shunt_rewrites_addr(const struct shunt_image_rewrite *rw, int side,
				     __u32 family)
{
	return rw->bits & SHUNT_REWRITE_SRC << side && rw->family[side] == family;
}

/*
 * Rewrites an IPv4 header and its checksum. *change is that of the pseudo header.
 * 0, or -1: the TTL is at its end; the header is then as it was.
 */
SHUNT_INLINE int shunt_rewrite_ip4(struct shunt_ip4 *ip,
				   const struct shunt_image_rewrite *rw, __u64 *change)
{
	int ttl = shunt_rewrite_ttl(rw, ip->ttl);
	__u64 header = 0, pseudo = 0;
	__u8 tos = ip->tos;

	if (ttl < 0)
		return -1;
	if (rw->bits & SHUNT_REWRITE_DSCP)
		tos = rw->dscp << 2 | (tos & 3);
	if (tos != ip->tos)
		header = shunt_csum_change16(header,
					     shunt_csum_word(ip->version_ihl, ip->tos),
					     shunt_csum_word(ip->version_ihl, tos));
	if (ttl != ip->ttl)
		header =
			shunt_csum_change16(header, shunt_csum_word(ip->ttl, ip->proto),
					    shunt_csum_word(ttl, ip->proto));
	ip->tos = tos;
	ip->ttl = ttl;
	if (shunt_rewrites_addr(rw, SHUNT_SIDE_SRC, 4)) {
		pseudo = shunt_csum_change32(pseudo, ip->src, rw->addr[0][0]);
		ip->src = rw->addr[0][0];
	}
	if (shunt_rewrites_addr(rw, SHUNT_SIDE_DST, 4)) {
		pseudo = shunt_csum_change32(pseudo, ip->dst, rw->addr[1][0]);
		ip->dst = rw->addr[1][0];
	}
	ip->checksum = shunt_csum_after(ip->checksum, header + pseudo);
	*change = pseudo;
	return 0;
}

/* As shunt_rewrite_ip4; an IPv6 header has no checksum. */
SHUNT_INLINE int shunt_rewrite_ip6(struct shunt_ip6 *ip,
				   const struct shunt_image_rewrite *rw, __u64 *change)
{
	int ttl = shunt_rewrite_ttl(rw, ip->hops), i;
	__u64 pseudo = 0;

	if (ttl < 0)
		return -1;
	ip->hops = ttl;
	if (rw->bits & SHUNT_REWRITE_DSCP) {
		__u32 word = shunt_be32(ip->version_class_flow);

		word = (word & ~(0x3fu << 22)) | (__u32)rw->dscp << 22;
		ip->version_class_flow = shunt_be32(word);
	}
	if (shunt_rewrites_addr(rw, SHUNT_SIDE_SRC, 6)) {
		SHUNT_UNROLL
		for (i = 0; i < 4; i++) {
			pseudo =
				shunt_csum_change32(pseudo, ip->src[i], rw->addr[0][i]);
			ip->src[i] = rw->addr[0][i];
		}
	}
	if (shunt_rewrites_addr(rw, SHUNT_SIDE_DST, 6)) {
		SHUNT_UNROLL
		for (i = 0; i < 4; i++) {
			pseudo =
				shunt_csum_change32(pseudo, ip->dst[i], rw->addr[1][i]);
			ip->dst[i] = rw->addr[1][i];
		}
	}
	*change = pseudo;
	return 0;
}

/* Where the transport header has the checksum that covers the pseudo header; 0: none. */
SHUNT_INLINE __u32 shunt_check_off(__u32 proto, __u32 l3)
{
	if (proto == SHUNT_IP_TCP)
		return __builtin_offsetof(struct shunt_tcp, checksum);
	if (proto == SHUNT_IP_UDP)
		return __builtin_offsetof(struct shunt_udp, checksum);
	if (proto == SHUNT_IP_ICMP6 && l3 == SHUNT_L3_IP6)
		return __builtin_offsetof(struct shunt_icmp, checksum);
	return 0;
}

/* Where ports of TCP and UDP stand. */
struct shunt_ports {
	__be16 sport, dport;
};

/* The change in the transport header itself. */
SHUNT_INLINE __u64 shunt_rewrite_ports(struct shunt_ports *ports,
				       const struct shunt_image_rewrite *rw)
{
	__u64 change = 0;

	if (rw->bits & SHUNT_REWRITE_SPORT) {
		change = shunt_csum_change16(change, ports->sport, rw->port[0]);
		ports->sport = rw->port[0];
	}
	if (rw->bits & SHUNT_REWRITE_DPORT) {
		change = shunt_csum_change16(change, ports->dport, rw->port[1]);
		ports->dport = rw->port[1];
	}
	return change;
}

SHUNT_INLINE int shunt_has_ports(__u32 proto)
{
	return proto == SHUNT_IP_TCP || proto == SHUNT_IP_UDP;
}

SHUNT_INLINE int shunt_is_tag(__u32 eth_type)
{
	return eth_type == SHUNT_ETH_VLAN || eth_type == SHUNT_ETH_QINQ ||
	       eth_type == SHUNT_ETH_QINQ1;
}
