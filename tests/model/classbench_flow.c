/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets for a rule set, and what the rules make of them. */
#include <string.h>

#include "bpf/lib/wire.h"
#include "tests/model/classbench.h"

static uint32_t bits_of(const struct shunt_classbench_rule *rule)
{
	return rule->ip == 6 ? 128 : 32;
}

/* The address one above or below, of n bytes; it wraps. */
static void step(uint8_t *addr, unsigned int n, bool up)
{
	while (n--) {
		addr[n] += up ? 1 : -1;
		if (addr[n] != (up ? 0 : 255))
			return;
	}
}

/* Any address, or one that is like those of the rules. */
static void draw_anywhere(struct shunt_random *r, uint32_t bits, uint8_t addr[16])
{
	uint64_t word[2] = { shunt_random_next(r), shunt_random_next(r) };

	memset(addr, 0, 16);
	memcpy(addr, word, bits / 8);
	if (bits == 128)
		addr[0] = 0x20;
	else
		addr[0] = 1 + addr[0] % 223; /* unicast */
}

/* In 24: 1 the address above the network, 1 below, 3 its first, 3 its last, else any. */
static void draw_addr(struct shunt_random *r, const struct shunt_classbench_net *net,
		      uint32_t bits, uint8_t addr[16])
{
	uint32_t how = shunt_random_below(r, 24), bit;
	uint8_t rest[16];

	draw_anywhere(r, bits, rest);
	if (!net->bits) {
		memcpy(addr, rest, 16);
		return;
	}
	memcpy(addr, net->addr, 16);
	for (bit = net->bits; bit < bits; bit++) {
		uint8_t mask = 0x80 >> bit % 8;

		if (how == 0 || (how >= 2 && how < 5))
			addr[bit / 8] |= mask;
		else if (how >= 8)
			addr[bit / 8] |= rest[bit / 8] & mask;
	}
	if (how < 2)
		step(addr, bits / 8, how == 0);
}

static uint16_t draw_port(struct shunt_random *r, const uint16_t port[2])
{
	switch (shunt_random_below(r, 24)) {
	case 0:
		return port[0] - 1;
	case 1:
		return port[1] + 1;
	case 2 ... 4:
		return port[0];
	case 5 ... 7:
		return port[1];
	default:
		return shunt_random_in(r, port[0], port[1]);
	}
}

static uint8_t draw_proto(struct shunt_random *r,
			  const struct shunt_classbench_rule *rule)
{
	uint8_t icmp = rule->ip == 6 ? SHUNT_IP_ICMP6 : SHUNT_IP_ICMP;

	if (rule->proto)
		return rule->proto;
	return shunt_random_one_in(r, 16)  ? icmp
	       : shunt_random_one_in(r, 3) ? SHUNT_IP_UDP
					   : SHUNT_IP_TCP;
}

static void aim(struct shunt_random *r, const struct shunt_classbench_rule *rule,
		struct shunt_frame_spec *spec)
{
	static const uint8_t usual[] = {
		0x10, 0x10, 0x10, 0x18, 0x02, 0x12, 0x04, 0x11
	};

	memset(spec, 0, sizeof(*spec));
	spec->l3 = rule->ip == 6 ? SHUNT_L3_IP6 : SHUNT_L3_IP4;
	draw_addr(r, &rule->src, bits_of(rule), spec->src);
	draw_addr(r, &rule->dst, bits_of(rule), spec->dst);
	spec->proto = draw_proto(r, rule);
	spec->sport = draw_port(r, rule->sport);
	spec->dport = draw_port(r, rule->dport);
	spec->flags = shunt_random_of(r, usual);
	if (!shunt_random_one_in(r, 16))
		spec->flags = (spec->flags & ~rule->flag_mask) | rule->flags;
	spec->icmp_type = rule->ip == 6 ? 128 : 8; /* an echo request */
}

void shunt_classbench_draw(struct shunt_random *random,
			   const struct shunt_classbench_rule *rules, size_t n,
			   struct shunt_frame_spec *spec)
{
	const struct shunt_classbench_rule any = { .ip = rules[0].ip,
						   .sport = { 0, 65535 },
						   .dport = { 0, 65535 } };

	aim(random,
	    shunt_random_one_in(random, 8) ? &any
					   : &rules[shunt_random_below(random, n)],
	    spec);
}

/* --- what the rules say ------------------------------------------------------------- */

static bool in_net(const struct shunt_classbench_net *net, const uint8_t addr[16])
{
	unsigned int rest = net->bits % 8;

	return !memcmp(net->addr, addr, net->bits / 8) &&
	       !(rest &&
		 (net->addr[net->bits / 8] ^ addr[net->bits / 8]) >> (8 - rest));
}

static bool in_ports(const uint16_t port[2], const struct shunt_frame_spec *spec,
		     uint16_t value)
{
	bool has = spec->proto == SHUNT_IP_TCP || spec->proto == SHUNT_IP_UDP ||
		   spec->proto == SHUNT_IP_SCTP;

	if (shunt_classbench_any_port(port))
		return true;
	return has && value >= port[0] && value <= port[1];
}

static bool matches(const struct shunt_classbench_rule *rule,
		    const struct shunt_frame_spec *spec)
{
	if ((rule->src.bits || rule->dst.bits) && rule->ip != spec->l3)
		return false;
	if (!in_net(&rule->src, spec->src) || !in_net(&rule->dst, spec->dst))
		return false;
	if (rule->proto && rule->proto != spec->proto)
		return false;
	if (rule->flag_mask && (spec->proto != SHUNT_IP_TCP ||
				(spec->flags & rule->flag_mask) != rule->flags))
		return false;
	return in_ports(rule->sport, spec, spec->sport) &&
	       in_ports(rule->dport, spec, spec->dport);
}

size_t shunt_classbench_match(const struct shunt_classbench_rule *rules, size_t n,
			      const struct shunt_frame_spec *spec)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (matches(&rules[i], spec))
			break;
	return i;
}
