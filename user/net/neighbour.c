/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/net/neighbour.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/net/answer_request.h"
#include "user/net/neigh_wire.h"

#define FIRST_ROOM 16u

/* --- the table ----------------------------------------------------------------------------- */

void shunt_neighbours_close(struct shunt_neighbours *self)
{
	free(self->at);
	*self = (struct shunt_neighbours){ 0 };
}

static int find(const struct shunt_neighbours *self, uint32_t l3,
		const uint32_t addr[4])
{
	uint32_t bytes = l3 == SHUNT_L3_IP6 ? 16 : 4, i;

	for (i = 0; i < self->count; i++)
		if (self->at[i].state != SHUNT_NEIGHBOUR_NONE && self->at[i].l3 == l3 &&
		    !memcmp(self->at[i].addr, addr, bytes))
			return (int)i;
	return -1;
}

/* The number of a free place, or -errno. */
static int find_room(struct shunt_neighbours *self)
{
	struct shunt_neighbour *at;
	uint32_t i, room;

	for (i = 0; i < self->count; i++)
		if (self->at[i].state == SHUNT_NEIGHBOUR_NONE)
			return (int)i;
	if (self->count == self->max)
		return -ENOSPC;
	if (self->count == self->room) {
		room = self->room ? 2 * self->room : FIRST_ROOM;
		at = realloc(self->at, room * sizeof(*at));
		if (!at)
			return -ENOMEM;
		self->at = at;
		self->room = room;
	}
	return (int)self->count++;
}

int shunt_neighbours_take(struct shunt_neighbours *self, uint32_t l3,
			  const uint32_t addr[4], uint64_t now_ns)
{
	int number = find(self, l3, addr);
	struct shunt_neighbour *it;

	if (number < 0) {
		number = find_room(self);
		if (number < 0)
			return number;
		it = &self->at[number];
		*it = (struct shunt_neighbour){ .l3 = (uint8_t)l3,
						.state = SHUNT_NEIGHBOUR_FAILED };
		memcpy(it->addr, addr, l3 == SHUNT_L3_IP6 ? 16 : 4);
	}
	it = &self->at[number];
	it->users++;
	if (it->state == SHUNT_NEIGHBOUR_FAILED) { /* somebody wants to know again */
		it->state = SHUNT_NEIGHBOUR_ASKED;
		it->tries = 0;
		it->due_ns = now_ns;
	}
	return number;
}

void shunt_neighbours_leave(struct shunt_neighbours *self, uint32_t number)
{
	if (!--self->at[number].users)
		self->at[number].state = SHUNT_NEIGHBOUR_NONE;
}

int shunt_neighbours_learn(struct shunt_neighbours *self, uint32_t l3,
			   const uint32_t addr[4], const uint8_t mac[6],
			   uint64_t now_ns)
{
	int number = find(self, l3, addr);
	struct shunt_neighbour *it;
	bool is_new;

	if (number < 0)
		return -1;
	it = &self->at[number];
	is_new = memcmp(it->mac, mac, sizeof(it->mac)) != 0;
	memcpy(it->mac, mac, sizeof(it->mac));
	it->state = SHUNT_NEIGHBOUR_KNOWN;
	it->tries = 0;
	it->due_ns = now_ns + SHUNT_NEIGHBOUR_KNOWN_NS;
	return is_new ? number : -1;
}

void shunt_neighbours_doubt(struct shunt_neighbours *self, uint32_t l3,
			    const uint32_t addr[4], uint64_t now_ns)
{
	int number = find(self, l3, addr);
	struct shunt_neighbour *it;

	if (number < 0)
		return;
	it = &self->at[number];
	if (it->state == SHUNT_NEIGHBOUR_ASKED) {
		it->state = SHUNT_NEIGHBOUR_FAILED;
		it->due_ns = UINT64_MAX;
	} else if (it->state == SHUNT_NEIGHBOUR_KNOWN) {
		it->state = SHUNT_NEIGHBOUR_DOUBTED;
		it->tries = 0;
		it->due_ns = now_ns;
	}
}

/* It is to be asked, or its time to answer is over. True: it is to be asked. */
static bool ask_again(struct shunt_neighbour *it, uint64_t now_ns)
{
	if (it->state == SHUNT_NEIGHBOUR_KNOWN) {
		it->state = SHUNT_NEIGHBOUR_DOUBTED;
		it->tries = 0;
	}
	if (it->tries >= SHUNT_NEIGHBOUR_TRIES && it->state == SHUNT_NEIGHBOUR_ASKED) {
		it->state = SHUNT_NEIGHBOUR_FAILED;
		it->due_ns = UINT64_MAX;
		return false;
	}
	/* one that was known is asked for as long as it takes, but seldom */
	it->due_ns =
		now_ns + (it->tries < SHUNT_NEIGHBOUR_TRIES ? SHUNT_NEIGHBOUR_RETRY_NS
							    : SHUNT_NEIGHBOUR_KNOWN_NS);
	it->tries += it->tries < SHUNT_NEIGHBOUR_TRIES;
	return true;
}

int shunt_neighbours_next(struct shunt_neighbours *self, uint64_t now_ns,
			  uint64_t *due_ns)
{
	uint32_t i;

	*due_ns = UINT64_MAX;
	for (i = 0; i < self->count; i++) {
		struct shunt_neighbour *it = &self->at[i];

		if (it->state == SHUNT_NEIGHBOUR_NONE ||
		    it->state == SHUNT_NEIGHBOUR_FAILED)
			continue;
		if (it->due_ns <= now_ns && ask_again(it, now_ns))
			return (int)i;
		if (it->due_ns < *due_ns)
			*due_ns = it->due_ns;
	}
	return -1;
}

/* --- questions ----------------------------------------------------------------------------- */

static uint32_t ask4(uint8_t *frame, const struct shunt_udp_host *host,
		     const uint32_t addr[4])
{
	struct {
		struct shunt_eth eth;
		struct shunt_arp4 arp;
	} SHUNT_PACKED question = {
		.eth.type = shunt_be16(SHUNT_ETH_ARP),
		.arp = { .head = { .htype = shunt_be16(SHUNT_ARP_ETHERNET),
				   .ptype = shunt_be16(SHUNT_ETH_IP4),
				   .hlen = 6,
				   .plen = 4,
				   .op = shunt_be16(SHUNT_ARP_REQUEST) },
			 .sender = host->local.addr[0],
			 .target = addr[0] },
	};

	memcpy(question.eth.dst, shunt_mac_of_all, 6);
	memcpy(question.eth.src, host->mac, 6);
	memcpy(question.arp.sender_mac, host->mac, 6);
	memcpy(frame, &question, sizeof(question));
	return sizeof(question);
}

/* To ff02::1:ffXX:XXXX (RFC 4291 section 2.7.1), and 33:33:ffXX:XXXX (RFC 2464). */
static uint32_t ask6(uint8_t *frame, const struct shunt_udp_host *host,
		     const uint32_t addr[4])
{
	struct {
		struct shunt_eth eth;
		struct shunt_ip6 ip;
		struct shunt_ndp_mac ask;
	} SHUNT_PACKED question = {
		.eth = { .dst = { 0x33, 0x33, 0xff },
			 .type = shunt_be16(SHUNT_ETH_IP6) },
		.ip = { .version_class_flow = shunt_be32(6u << 28),
			.length = shunt_be16(sizeof(question.ask)),
			.next = SHUNT_IP_ICMP6,
			.hops = SHUNT_NDP_HOPS },
		.ask = { .ndp.icmp.type = SHUNT_NDP_SOLICITATION,
			 .option = SHUNT_NDP_SOURCE_MAC,
			 .units = 1 },
	};
	uint8_t group[16] = { 0xff, 2, [11] = 1, [12] = 0xff };
	uint64_t sum;

	_Static_assert(sizeof(question) == SHUNT_NEIGHBOUR_FRAME, "the longest");
	memcpy(group + 13, (const uint8_t *)addr + 13, 3);
	memcpy(question.eth.dst + 3, group + 13, 3);
	memcpy(question.eth.src, host->mac, 6);
	memcpy(question.ip.src, host->local.addr, 16);
	memcpy(question.ip.dst, group, 16);
	memcpy(question.ask.ndp.target, addr, 16);
	memcpy(question.ask.mac, host->mac, 6);
	sum = shunt_csum_pseudo((const uint8_t *)question.ip.src, 16, SHUNT_IP_ICMP6,
				sizeof(question.ask));
	sum += shunt_csum(&question.ask, sizeof(question.ask));
	question.ask.ndp.icmp.checksum = ~shunt_csum_fold(sum);
	memcpy(frame, &question, sizeof(question));
	return sizeof(question);
}

uint32_t shunt_neighbour_ask(uint8_t frame[SHUNT_NEIGHBOUR_FRAME],
			     const struct shunt_udp_host *host, uint32_t l3,
			     const uint32_t addr[4])
{
	return l3 == SHUNT_L3_IP6 ? ask6(frame, host, addr) : ask4(frame, host, addr);
}

/* --- answers ------------------------------------------------------------------------------- */

static bool hear_arp(struct shunt_neighbour_word *word, const uint8_t *at, uint32_t len)
{
	const struct shunt_arp4 *arp = (const struct shunt_arp4 *)at;
	uint16_t op;

	if (len < sizeof(*arp) || !shunt_arp_is_ip4(arp))
		return false;
	op = shunt_be16(arp->head.op);
	if ((op != SHUNT_ARP_REQUEST && op != SHUNT_ARP_REPLY) || !arp->sender)
		return false;
	word->l3 = SHUNT_L3_IP4;
	word->addr[0] = arp->sender;
	memcpy(word->mac, arp->sender_mac, 6);
	return true;
}

/* Whom it tells of, and by which option: the sender of a question, the target of an
 * answer (RFC 4861 sections 7.1.1 and 7.1.2). */
static bool hear_ndp(struct shunt_neighbour_word *word, const struct shunt_ip6 *ip,
		     const struct shunt_ndp *ndp, uint32_t len)
{
	bool asks = ndp->icmp.type == SHUNT_NDP_SOLICITATION;
	const uint8_t *mac;
	int sound;

	if (!asks && ndp->icmp.type != SHUNT_NDP_ADVERTISEMENT)
		return false;
	if (ip->hops != SHUNT_NDP_HOPS || ndp->icmp.code || ndp->target[0] == 0xff)
		return false;
	mac = shunt_ndp_option((const uint8_t *)(ndp + 1), len - sizeof(*ndp),
			       asks ? SHUNT_NDP_SOURCE_MAC : SHUNT_NDP_TARGET_MAC,
			       &sound);
	if (!sound || !mac)
		return false;
	word->l3 = SHUNT_L3_IP6;
	memcpy(word->addr, asks ? (const void *)ip->src : (const void *)ndp->target,
	       sizeof(word->addr));
	memcpy(word->mac, mac, 6);
	return word->addr[0] || word->addr[1] || word->addr[2] || word->addr[3];
}

static bool hear_ip6(struct shunt_neighbour_word *word, const uint8_t *at, uint32_t len)
{
	const struct shunt_ip6 *ip = (const struct shunt_ip6 *)at;
	const struct shunt_ndp *ndp = (const struct shunt_ndp *)(ip + 1);
	uint32_t bytes;
	uint64_t sum;

	if (len < sizeof(*ip) + sizeof(*ndp) || ip->next != SHUNT_IP_ICMP6 ||
	    shunt_be32(ip->version_class_flow) >> 28 != 6)
		return false;
	bytes = shunt_be16(ip->length);
	if (bytes < sizeof(*ndp) || bytes > len - sizeof(*ip))
		return false;
	sum = shunt_csum_pseudo((const uint8_t *)ip->src, 16, SHUNT_IP_ICMP6, bytes);
	if (shunt_csum_fold(sum + shunt_csum(ndp, bytes)) != 0xffff)
		return false;
	return hear_ndp(word, ip, ndp, bytes);
}

bool shunt_neighbour_hear(struct shunt_neighbour_word *word, const uint8_t *frame,
			  uint32_t len)
{
	const struct shunt_eth *eth = (const struct shunt_eth *)frame;
	const uint8_t *at = frame + sizeof(*eth);
	uint16_t type;
	bool heard = false;

	memset(word, 0, sizeof(*word));
	if (len < sizeof(*eth))
		return false;
	type = shunt_be16(eth->type);
	len -= (uint32_t)sizeof(*eth);
	if (type == SHUNT_ETH_ARP)
		heard = hear_arp(word, at, len);
	else if (type == SHUNT_ETH_IP6)
		heard = hear_ip6(word, at, len);
	return heard && shunt_mac_is_host(word->mac);
}
