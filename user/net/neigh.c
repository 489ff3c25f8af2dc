/* SPDX-License-Identifier: BSD-2-Clause */
/* ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861, RFC 4862). */
#include <string.h>

#include "user/net/answer_request.h"
#include "user/net/csum.h"
#include "user/net/neigh_wire.h"

/* --- ARP ----------------------------------------------------------------------------- */

/* A sender without an address asks whether one is taken (RFC 5227 section 2.1). */
static bool arp_may_ask(const struct shunt_request *req, const struct shunt_arp4 *arp)
{
	const uint32_t sender[4] = { arp->sender };

	return shunt_mac_is_host(arp->sender_mac) &&
	       memcmp(arp->sender_mac, req->self->mac, 6) != 0 &&
	       (!arp->sender || shunt_answer_is_host(req->self, SHUNT_L3_IP4, sender));
}

enum shunt_answer_kind shunt_answer_arp(const struct shunt_request *req)
{
	struct shunt_arp4 *arp = (struct shunt_arp4 *)(req->data + req->l3_off);
	uint32_t target[4] = { 0 };

	if (req->parts[0].iov_len < req->l3_off + sizeof(*arp) ||
	    !shunt_arp_is_ip4(arp) || shunt_be16(arp->head.op) != SHUNT_ARP_REQUEST)
		return SHUNT_ANSWER_NEIGHBOUR;
	if (req->group && memcmp(shunt_request_eth(req)->dst, shunt_mac_of_all, 6) != 0)
		return SHUNT_ANSWER_GROUP;
	target[0] = arp->target;
	if (!shunt_answer_is_ours(req->self, SHUNT_L3_IP4, target))
		return SHUNT_ANSWER_FOREIGN;
	if (!arp_may_ask(req, arp))
		return SHUNT_ANSWER_SOURCE;
	arp->head.op = __builtin_bswap16(SHUNT_ARP_REPLY);
	memcpy(arp->target_mac, arp->sender_mac, 6);
	memcpy(arp->sender_mac, req->self->mac, 6);
	arp->target = arp->sender;
	arp->sender = target[0];
	shunt_request_turn_eth(req);
	return SHUNT_ANSWER_ARP;
}

/* --- NDP ----------------------------------------------------------------------------- */

static const uint8_t nobody[16];
static const uint8_t all_nodes[16] = { 0xff, 2, [15] = 1 };

/* ff02::1:ffXX:XXXX of the address that is asked for (RFC 4291 section 2.7.1). */
static bool is_solicited_node(const void *group, const uint8_t target[16])
{
	static const uint8_t head[13] = { 0xff, 2, [11] = 1, [12] = 0xff };

	return !memcmp(group, head, sizeof(head)) &&
	       !memcmp((const uint8_t *)group + sizeof(head), target + sizeof(head), 3);
}

/* 33:33 and the last four bytes of the group (RFC 2464 section 7). */
static bool is_mac_of_group(const uint8_t mac[6], const uint8_t group[16])
{
	return mac[0] == 0x33 && mac[1] == 0x33 && !memcmp(mac + 2, group + 12, 4);
}

/* Are the options sound, and is there a MAC address of the sender's? */
static bool options_are_sound(const uint8_t *at, uint32_t len, bool *source_mac)
{
	int sound;
	const uint8_t *mac = shunt_ndp_option(at, len, SHUNT_NDP_SOURCE_MAC, &sound);

	*source_mac = mac;
	return sound && (!mac || shunt_mac_is_host(mac));
}

/* The validation of RFC 4861 section 7.1.1. */
static bool ndp_is_sound(const struct shunt_request *req, const struct shunt_ip6 *ip,
			 const struct shunt_ndp *ndp, uint32_t len)
{
	bool source_mac = false;

	if (ip->hops != SHUNT_NDP_HOPS || ndp->icmp.code || ndp->target[0] == 0xff ||
	    !options_are_sound((const uint8_t *)(ndp + 1), len - sizeof(*ndp),
			       &source_mac))
		return false;
	if (memcmp(ip->src, nobody, 16) != 0)
		return true;
	return !source_mac && is_solicited_node(ip->dst, ndp->target) && req->group;
}

/* To the group of the address that it asks for, or to this address itself. */
static bool ndp_is_for_us(const struct shunt_request *req, const struct shunt_ip6 *ip,
			  const struct shunt_ndp *ndp)
{
	uint32_t target[4];

	memcpy(target, ndp->target, sizeof(target));
	if (!shunt_answer_is_ours(req->self, SHUNT_L3_IP6, target))
		return false;
	if (!is_solicited_node(ip->dst, ndp->target))
		return !req->group && !memcmp(ip->dst, ndp->target, 16);
	return !req->group ||
	       is_mac_of_group(shunt_request_eth(req)->dst, (const uint8_t *)ip->dst);
}

static void advertise(const struct shunt_request *req, struct shunt_ip6 *ip,
		      struct shunt_ndp_mac *answer)
{
	struct shunt_eth *eth = shunt_request_eth(req);
	bool solicited = memcmp(ip->src, nobody, 16) != 0;
	uint32_t flags = SHUNT_NDP_OVERRIDE | (solicited ? SHUNT_NDP_SOLICITED : 0);
	uint64_t sum;

	shunt_request_turn_eth(req);
	memcpy(ip->dst, solicited ? (const void *)ip->src : all_nodes, 16);
	memcpy(ip->src, answer->ndp.target, 16);
	if (!solicited)
		memcpy(eth->dst, (const uint8_t[]){ 0x33, 0x33, 0, 0, 0, 1 }, 6);
	ip->version_class_flow = shunt_be32(6u << 28);
	ip->length = shunt_be16(sizeof(*answer));
	answer->ndp.icmp = (struct shunt_icmp){ .type = SHUNT_NDP_ADVERTISEMENT };
	answer->ndp.flags = shunt_be32(flags);
	answer->option = SHUNT_NDP_TARGET_MAC;
	answer->units = 1;
	memcpy(answer->mac, req->self->mac, 6);
	sum = shunt_csum_pseudo(ip->src, 16, SHUNT_IP_ICMP6, sizeof(*answer));
	sum += shunt_csum(answer, sizeof(*answer));
	answer->ndp.icmp.checksum = ~shunt_csum_fold(sum);
}

enum shunt_answer_kind shunt_answer_ndp(const struct shunt_request *req, uint32_t len)
{
	struct shunt_ip6 *ip = (struct shunt_ip6 *)(req->data + req->l3_off);
	struct shunt_ndp_mac *answer = (struct shunt_ndp_mac *)(ip + 1);
	uint32_t bytes = req->l3_off + sizeof(*ip) + sizeof(*answer);
	uint64_t pseudo = shunt_csum_pseudo(ip->src, 16, SHUNT_IP_ICMP6, len);

	if (req->n != 1 || len < sizeof(struct shunt_ndp))
		return SHUNT_ANSWER_NEIGHBOUR;
	if (shunt_csum_fold(pseudo + shunt_request_sum(req, req->l->l4_off, len)) !=
	    0xffff)
		return SHUNT_ANSWER_BAD_ICMP6;
	if (!ndp_is_sound(req, ip, &answer->ndp, len))
		return SHUNT_ANSWER_NEIGHBOUR;
	if (!ndp_is_for_us(req, ip, &answer->ndp))
		return SHUNT_ANSWER_FOREIGN;
	if (memcmp(ip->src, nobody, 16) != 0 &&
	    !shunt_answer_is_host(req->self, SHUNT_L3_IP6,
				  req->l->addr[SHUNT_SIDE_SRC]))
		return SHUNT_ANSWER_SOURCE;
	if (bytes > req->room)
		return SHUNT_ANSWER_ROOM;
	advertise(req, ip, answer);
	req->parts[0].iov_len = bytes;
	return SHUNT_ANSWER_NDP;
}
