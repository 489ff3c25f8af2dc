/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/net/answer.h"

#include <string.h>

#include "maps/reason.h"
#include "user/net/answer_request.h"
#include "user/net/csum.h"
#include "user/net/neigh_wire.h"

#define ICMP_ECHO_REPLY 0
#define ICMP_ECHO_REQUEST 8
#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY 129
#define HOPS 64 /* RFC 1700: what a host sends with */

/* --- sums over parts ----------------------------------------------------------------- */

/* A part that begins at an odd offset of what is summed has its bytes the other way. */
uint64_t shunt_request_sum(const struct shunt_request *req, uint32_t off,
			   uint32_t bytes)
{
	uint64_t sum = 0;
	uint32_t done = 0;
	unsigned int i;

	for (i = 0; i < req->n && done < bytes; i++) {
		const struct iovec *part = &req->parts[i];
		uint32_t len;
		uint16_t words;

		if (off >= part->iov_len) {
			off -= part->iov_len;
			continue;
		}
		len = part->iov_len - off;
		if (len > bytes - done)
			len = bytes - done;
		words = shunt_csum((const uint8_t *)part->iov_base + off, len);
		sum += done % 2 ? __builtin_bswap16(words) : words;
		done += len;
		off = 0;
	}
	return sum;
}

/* The transport's sum with its pseudo header, folded: 0xffff where it is right. */
static uint16_t sum_of_all(const struct shunt_request *req, uint64_t pseudo,
			   uint32_t len)
{
	return shunt_csum_fold(pseudo + shunt_request_sum(req, req->l->l4_off, len));
}

static uint64_t pseudo_of(const struct shunt_request *req, uint8_t proto, uint32_t len)
{
	const uint8_t *ip = req->data + req->l3_off;

	return req->l->l3 == SHUNT_L3_IP4
		       ? shunt_csum_pseudo(ip + offsetof(struct shunt_ip4, src), 4,
					   proto, len)
		       : shunt_csum_pseudo(ip + offsetof(struct shunt_ip6, src), 16,
					   proto, len);
}

/* --- turning around ------------------------------------------------------------------ */

void shunt_request_turn_eth(const struct shunt_request *req)
{
	struct shunt_eth *eth = shunt_request_eth(req);

	memcpy(eth->dst, eth->src, sizeof(eth->dst));
	memcpy(eth->src, req->self->mac, sizeof(eth->src));
}

/* Exchanged addresses leave every sum as it is; the hops change that of IPv4. */
static void turn_ip4(const struct shunt_request *req, uint8_t hops)
{
	struct shunt_ip4 *ip = (struct shunt_ip4 *)(req->data + req->l3_off);
	__be32 src = ip->src;
	uint64_t change;

	change = shunt_csum_change16(0, shunt_csum_word(ip->ttl, ip->proto),
				     shunt_csum_word(hops, ip->proto));
	ip->src = ip->dst;
	ip->dst = src;
	ip->ttl = hops;
	ip->checksum = shunt_csum_after(ip->checksum, change);
}

static void turn_ip6(const struct shunt_request *req, uint8_t hops)
{
	struct shunt_ip6 *ip = (struct shunt_ip6 *)(req->data + req->l3_off);

	memcpy(ip->src, req->l->addr[SHUNT_SIDE_DST], sizeof(ip->src));
	memcpy(ip->dst, req->l->addr[SHUNT_SIDE_SRC], sizeof(ip->dst));
	ip->hops = hops;
}

static void turn(const struct shunt_request *req, uint8_t hops)
{
	shunt_request_turn_eth(req);
	if (req->l->l3 == SHUNT_L3_IP4)
		turn_ip4(req, hops);
	else
		turn_ip6(req, hops);
}

/* --- echo ---------------------------------------------------------------------------- */

static enum shunt_answer_kind answer_icmp(const struct shunt_request *req, uint32_t len)
{
	struct shunt_icmp *icmp = (struct shunt_icmp *)(req->data + req->l->l4_off);
	bool six = req->l->l3 == SHUNT_L3_IP6;
	uint8_t asks = six ? ICMP6_ECHO_REQUEST : ICMP_ECHO_REQUEST;
	uint8_t says = six ? ICMP6_ECHO_REPLY : ICMP_ECHO_REPLY;
	uint64_t pseudo = six ? pseudo_of(req, SHUNT_IP_ICMP6, len) : 0, change;

	if (sum_of_all(req, pseudo, len) != 0xffff)
		return six ? SHUNT_ANSWER_BAD_ICMP6 : SHUNT_ANSWER_BAD_ICMP;
	if (icmp->type != asks || icmp->code || len < SHUNT_ICMP4_MIN)
		return SHUNT_ANSWER_OTHER;
	change = shunt_csum_change16(0, shunt_csum_word(asks, 0),
				     shunt_csum_word(says, 0));
	icmp->type = says;
	icmp->checksum = shunt_csum_after(icmp->checksum, change);
	/* of nothing but zeroes it is 0xffff, which a change cannot tell from 0 */
	if (!icmp->checksum)
		icmp->checksum = ~sum_of_all(req, pseudo, len);
	turn(req, HOPS);
	return six ? SHUNT_ANSWER_ICMP6 : SHUNT_ANSWER_ICMP;
}

/*
 * Is the checksum right? A sender on this machine leaves all but the pseudo header's sum
 * to a NIC, and a veth is none: such a one is made whole, and *partial says so.
 */
static bool check_udp(const struct shunt_request *req, struct shunt_udp *udp,
		      bool *partial)
{
	uint32_t len = shunt_be16(udp->length);
	uint64_t pseudo = pseudo_of(req, SHUNT_IP_UDP, len);
	uint16_t sum;

	if (!udp->checksum)
		return req->l->l3 == SHUNT_L3_IP4; /* RFC 768; RFC 8200 section 8.1 */
	if (sum_of_all(req, pseudo, len) == 0xffff)
		return true;
	if (udp->checksum != shunt_csum_fold(pseudo))
		return false;
	*partial = true;
	/* what is summed has the pseudo header's in the field */
	sum = ~sum_of_all(req, 0, len);
	udp->checksum = sum ? sum : 0xffff;
	return true;
}

static bool is_served(const struct shunt_answerer *self, uint16_t port)
{
	return self->ports[port / 64] >> port % 64 & 1;
}

static enum shunt_answer_kind answer_udp(const struct shunt_request *req, uint32_t len,
					 uint8_t hops)
{
	struct shunt_udp *udp = (struct shunt_udp *)(req->data + req->l->l4_off);
	__be16 sport = udp->sport;
	bool partial = false;

	if (shunt_be16(udp->length) < sizeof(*udp) || shunt_be16(udp->length) > len)
		return SHUNT_ANSWER_MALFORMED;
	if (!is_served(req->self, shunt_be16(udp->dport)))
		return SHUNT_ANSWER_PORT;
	if (!sport)
		return SHUNT_ANSWER_SOURCE;
	if (hops < 2)
		return SHUNT_ANSWER_HOPS;
	if (!check_udp(req, udp, &partial))
		return SHUNT_ANSWER_BAD_UDP;
	udp->sport = udp->dport;
	udp->dport = sport;
	turn(req, hops - 1);
	return partial ? SHUNT_ANSWER_UDP_PARTIAL : SHUNT_ANSWER_UDP;
}

/* --- the network layer --------------------------------------------------------------- */

/* What both versions ask of a packet before its transport is looked at. */
static enum shunt_answer_kind refuse_ip(const struct shunt_request *req,
					uint32_t header)
{
	const struct shunt_layer *l = req->l;

	if (req->group)
		return SHUNT_ANSWER_GROUP;
	if (!shunt_answer_is_ours(req->self, l->l3, l->addr[SHUNT_SIDE_DST]))
		return SHUNT_ANSWER_FOREIGN;
	if (!shunt_answer_is_host(req->self, l->l3, l->addr[SHUNT_SIDE_SRC]))
		return SHUNT_ANSWER_SOURCE;
	if (l->field[SHUNT_FIELD_FRAGMENT] != SHUNT_FRAGMENT_NONE + 1)
		return SHUNT_ANSWER_FRAGMENT;
	if (l->l4_off != req->l3_off + header)
		return SHUNT_ANSWER_OPTIONS;
	return SHUNT_ANSWER_KINDS;
}

static enum shunt_answer_kind answer_ip4(const struct shunt_request *req)
{
	const struct shunt_ip4 *ip = (struct shunt_ip4 *)(req->data + req->l3_off);
	uint32_t header = (ip->version_ihl & 15) * 4u;
	uint32_t length = shunt_be16(ip->length);
	enum shunt_answer_kind refused;

	if (!length) /* a merged burst: nothing that was on a wire */
		return SHUNT_ANSWER_MALFORMED;
	if (shunt_csum_fold(shunt_request_sum(req, req->l3_off, header)) != 0xffff)
		return SHUNT_ANSWER_BAD_IP4;
	refused = refuse_ip(req, sizeof(*ip));
	if (refused != SHUNT_ANSWER_KINDS)
		return refused;
	if (ip->proto == SHUNT_IP_ICMP)
		return answer_icmp(req, length - header);
	if (ip->proto == SHUNT_IP_UDP)
		return answer_udp(req, length - header, ip->ttl);
	return SHUNT_ANSWER_OTHER;
}

static bool is_solicitation(const struct shunt_request *req, uint32_t len)
{
	const struct shunt_icmp *icmp =
		(struct shunt_icmp *)(req->data + req->l->l4_off);

	return req->l->l4_off == req->l3_off + sizeof(struct shunt_ip6) &&
	       req->l->field[SHUNT_FIELD_PROTO] == SHUNT_IP_ICMP6 + 1 &&
	       len >= sizeof(*icmp) && icmp->type == SHUNT_NDP_SOLICITATION;
}

static enum shunt_answer_kind answer_ip6(const struct shunt_request *req)
{
	const struct shunt_ip6 *ip = (struct shunt_ip6 *)(req->data + req->l3_off);
	uint32_t length = shunt_be16(ip->length);
	enum shunt_answer_kind refused;

	if (is_solicitation(req, length))
		return shunt_answer_ndp(req, length);
	refused = refuse_ip(req, sizeof(*ip));
	if (refused != SHUNT_ANSWER_KINDS)
		return refused;
	if (ip->next == SHUNT_IP_ICMP6)
		return answer_icmp(req, length);
	if (ip->next == SHUNT_IP_UDP)
		return answer_udp(req, length, ip->hops);
	return SHUNT_ANSWER_OTHER;
}

/* --- the frame ----------------------------------------------------------------------- */

static uint32_t tag_bytes(const struct shunt_layer *l)
{
	return sizeof(struct shunt_vlan) *
	       (!!l->field[SHUNT_FIELD_VLAN] + !!l->field[SHUNT_FIELD_VLAN_INNER]);
}

static enum shunt_answer_kind answer_frame(struct shunt_request *req)
{
	const struct shunt_eth *eth = shunt_request_eth(req);

	if (!shunt_mac_is_host(eth->src) ||
	    !memcmp(eth->src, req->self->mac, sizeof(eth->src)))
		return SHUNT_ANSWER_SOURCE;
	req->group = shunt_mac_is_group(eth->dst);
	if (!req->group && memcmp(eth->dst, req->self->mac, sizeof(eth->dst)) != 0)
		return SHUNT_ANSWER_FOREIGN;
	req->l3_off = sizeof(*eth) + tag_bytes(req->l);
	if (req->l->l3 == SHUNT_L3_IP4)
		return answer_ip4(req);
	if (req->l->l3 == SHUNT_L3_IP6)
		return answer_ip6(req);
	if (req->l->field[SHUNT_FIELD_ETH_TYPE] == SHUNT_ETH_ARP + 1)
		return shunt_answer_arp(req);
	return SHUNT_ANSWER_OTHER;
}

enum shunt_answer_kind shunt_answer(const struct shunt_answerer *self,
				    struct iovec *parts, unsigned int n, size_t room)
{
	struct shunt_inside inside = { 0 }; /* what a tunnel carries is not for us */
	struct shunt_pkt pkt = { 0 };
	struct shunt_request req = { .self = self,
				     .parts = parts,
				     .n = n,
				     .room = room,
				     .data = parts[0].iov_base,
				     .l = &pkt.layer[SHUNT_OUTER] };
	unsigned int i;

	for (i = 0; i < n; i++)
		pkt.len += parts[i].iov_len;
	if (shunt_parse_outer(req.data, req.data + parts[0].iov_len,
			      pkt.len - (uint32_t)parts[0].iov_len, &pkt,
			      &inside) != SHUNT_PARSE_OK)
		return SHUNT_ANSWER_MALFORMED;
	return answer_frame(&req);
}

/* --- names --------------------------------------------------------------------------- */

static const struct {
	const char *name, *help;
} rows[SHUNT_ANSWER_KINDS] = {
#define X(id, value, name, help) [value] = { name, help },
	SHUNT_ANSWERED(X) SHUNT_UNANSWERED(X)
#undef X
};

const char *shunt_answer_name(enum shunt_answer_kind kind)
{
	return rows[kind].name;
}

const char *shunt_answer_help(enum shunt_answer_kind kind)
{
	return rows[kind].help;
}
