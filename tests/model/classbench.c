/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/classbench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/classbench_order.h"
#include "tests/model/classbench_seed.h"
#include "user/base/cleanup.h"

#define SIDES 2
#define TRIES 48       /* to draw something new before the shares are let go */
#define RANGES_MORE 48 /* made up for each set, beside the known ones */
#define EXACT_MORE 192

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

/* An address as two numbers, the highest bit first. */
struct wide {
	uint64_t hi, lo;
};

struct net {
	struct wide addr;
	uint8_t bits;
	uint8_t depth; /* prefixes around it, itself and any address among them */
};

struct maker {
	const struct classbench_seed *seed;
	struct shunt_random random;
	int ip;
	uint64_t tree[SIDES]; /* tells the tries of the two sides apart */
	struct net *net[SIDES];
	size_t nets[SIDES], room;
	uint32_t *slot; /* hash of rules: place + 1 */
	uint32_t slots; /* a power of two */
	uint16_t exact[EXACT_MORE];
	uint16_t range[RANGES_MORE][2];
};

static const char *const names[] = {
#define X(id, name) name,
	SHUNT_CLASSBENCH_FAMILIES(X)
#undef X
};

const char *shunt_classbench_name(enum shunt_classbench_family family)
{
	return names[family];
}

int shunt_classbench_family(const char *name)
{
	for (size_t i = 0; i < LENGTH(names); i++)
		if (!strcmp(name, names[i]))
			return i;
	return -EINVAL;
}

/* One number from three, spread over all bits (the finisher of splitmix64). */
static uint64_t mix(uint64_t a, uint64_t b, uint64_t c)
{
	struct shunt_random r = { a ^ b * 0x9e3779b97f4a7c15 ^ c * 0xc2b2ae3d27d4eb4f };

	shunt_random_next(&r);
	return shunt_random_next(&r);
}

/* Picks a row of a table by its share. */
#define PICK(r, row)                                                                   \
	({                                                                             \
		uint32_t total_ = 0, at_, i_;                                          \
		for (i_ = 0; i_ < LENGTH(row) && (row)[i_].share; i_++)                \
			total_ += (row)[i_].share;                                     \
		at_ = shunt_random_below(r, total_);                                   \
		for (i_ = 0; at_ >= (row)[i_].share; i_++)                             \
			at_ -= (row)[i_].share;                                        \
		&(row)[i_];                                                            \
	})

/* --- addresses ----------------------------------------------------------------- */

static struct wide mask_of(unsigned int bits)
{
	return (struct wide){
		.hi = bits >= 64 ? UINT64_MAX : ~(UINT64_MAX >> bits),
		.lo = bits >= 128 ? UINT64_MAX
		      : bits > 64 ? ~(UINT64_MAX >> (bits - 64))
				  : 0,
	};
}

static bool holds(const struct wide *addr, unsigned int bits, const struct wide *other)
{
	struct wide mask = mask_of(bits);

	return !((addr->hi ^ other->hi) & mask.hi) &&
	       !((addr->lo ^ other->lo) & mask.lo);
}

static struct wide load(const uint8_t addr[16])
{
	struct wide wide = { 0 };

	for (int i = 0; i < 8; i++) {
		wide.hi = wide.hi << 8 | addr[i];
		wide.lo = wide.lo << 8 | addr[8 + i];
	}
	return wide;
}

static struct shunt_classbench_net store(const struct net *net)
{
	struct shunt_classbench_net out = { .bits = net->bits };

	for (int i = 0; i < 8; i++) {
		out.addr[i] = net->addr.hi >> (56 - 8 * i);
		out.addr[8 + i] = net->addr.lo >> (56 - 8 * i);
	}
	return out;
}

/*
 * An IPv4 length as one of IPv6: a provider's network for /16, a customer's for /24, a
 * link for /31. Longer always stays longer.
 */
static unsigned int wide_bits(unsigned int bits)
{
	if (!bits || bits == 32)
		return bits * 4;
	return bits < 24 ? 16 + bits : 48 + (bits - 24) * 16 / 7;
}

/*
 * Which level of an IPv4 trie branches as this one of an IPv6 trie does; -1: none, the
 * bit is as good as fixed. Hosts of a link differ in the last 16 bits.
 */
static int narrow_level(unsigned int level)
{
	if (level >= 112)
		return 24 + (level - 112) / 2;
	if (level < 16 || level >= 64 || (level >= 39 && level < 48))
		return -1;
	return level < 39 ? (int)level - 16 : 24 + (int)(level - 48) * 7 / 16;
}

/* The bit that follows the first `level` ones of addr, where the side's trie goes on. */
static bool next_bit(struct maker *m, int side, const struct wide *addr,
		     unsigned int level, bool wild)
{
	const struct classbench_branch *branch =
		side ? m->seed->dst.branch : m->seed->src.branch;
	uint64_t node = mix(m->tree[side] + level, addr->hi, addr->lo);
	int narrow = m->ip == 4 ? (int)level : narrow_level(level);
	bool heavy = node >> 63;

	if (m->ip == 6 && level < 16)
		return 0x2001 >> (15 - level) & 1;
	if (narrow < 0)
		return heavy && level < 64;
	if (wild)
		return shunt_random_one_in(&m->random, 2);
	while (branch->below <= narrow)
		branch++;
	if (node % 1000 >= branch->two)
		return heavy; /* the only child */
	/* skew is 1 - light / heavy, so that the light one has this share: */
	if (shunt_random_below(&m->random, 2000 - branch->skew) < 1000u - branch->skew)
		return !heavy;
	return heavy;
}

static struct net walk(struct maker *m, int side, unsigned int bits, bool wild)
{
	struct net net = { .bits = bits };
	unsigned int level;

	for (level = 0; level < bits; level++) {
		uint64_t bit = next_bit(m, side, &net.addr, level, wild);

		if (level < 64)
			net.addr.hi |= bit << (63 - level);
		else
			net.addr.lo |= bit << (127 - level);
	}
	return net;
}

/*
 * Remembers the prefix, unless it is known. False where prefixes would nest deeper than
 * the family's do.
 */
static bool settle(struct maker *m, int side, struct net *net)
{
	unsigned int nest = side ? m->seed->dst.nest : m->seed->src.nest, below = 0;
	struct net *at = m->net[side], *end = at + m->nets[side];

	net->depth = 1;
	for (; at < end; at++) {
		if (at->bits == net->bits && holds(&at->addr, net->bits, &net->addr))
			return true;
		if (at->bits < net->bits && holds(&at->addr, at->bits, &net->addr))
			net->depth++;
		if (at->bits > net->bits && holds(&net->addr, net->bits, &at->addr) &&
		    at->depth > below)
			below = at->depth;
	}
	if (net->depth > nest || below >= nest || m->nets[side] == m->room)
		return false;
	for (at = m->net[side]; below && at < end; at++)
		at->depth +=
			at->bits > net->bits && holds(&net->addr, net->bits, &at->addr);
	*end = *net;
	m->nets[side]++;
	return true;
}

static struct net draw_net(struct maker *m, int side, const uint8_t bits[2],
			   unsigned int tries)
{
	unsigned int length = shunt_random_in(&m->random, bits[0], bits[1]), i;
	struct net net;

	if (m->ip == 6)
		length = wide_bits(length);
	for (i = 0; i < TRIES; i++) {
		net = walk(m, side, length, tries + i >= TRIES);
		if (settle(m, side, &net))
			return net;
	}
	/* Every place is inside too many prefixes: one of those, then. */
	return m->net[side][shunt_random_below(&m->random, m->nets[side])];
}

/* --- ports and the rest ---------------------------------------------------------- */

/* The first of n about n times as often as the last (Zipf). */
static uint32_t draw_rank(struct shunt_random *r, uint32_t n)
{
	uint32_t rank;

	do
		rank = shunt_random_below(r, n);
	while (shunt_random_below(r, rank + 1));
	return rank;
}

static void draw_port(struct maker *m, enum classbench_port kind, uint16_t port[2])
{
	struct shunt_random *r = &m->random;
	bool known = shunt_random_below(r, 4);
	const uint16_t *range;

	port[0] = kind == HI ? 1024 : 0;
	port[1] = kind == LO ? 1023 : 65535;
	if (kind == EM)
		port[0] = port[1] =
			known ? classbench_exact[draw_rank(r, LENGTH(classbench_exact))]
			      : shunt_random_of(r, m->exact);
	if (kind == AR) {
		range = known ? classbench_range[draw_rank(r, LENGTH(classbench_range))]
			      : shunt_random_of(r, m->range);
		memcpy(port, range, 2 * sizeof(*port));
	}
}

static void draw_ports_of_set(struct maker *m)
{
	size_t i;

	for (i = 0; i < EXACT_MORE; i++)
		m->exact[i] = shunt_random_in(&m->random, 1024, 65535);
	for (i = 0; i < RANGES_MORE; i++) {
		m->range[i][0] = shunt_random_in(&m->random, 1, 60000);
		m->range[i][1] =
			m->range[i][0] +
			shunt_random_in(&m->random, 1,
					1u << shunt_random_in(&m->random, 1, 12));
	}
}

static void draw_rule(struct maker *m, unsigned int tries,
		      struct shunt_classbench_rule *rule)
{
	const struct classbench_seed *seed = m->seed;
	const struct classbench_proto *proto = PICK(&m->random, seed->proto);
	const struct classbench_lengths *lengths = PICK(&m->random, seed->lengths);
	struct classbench_ports ports = { 0, WC, WC };
	struct net src = draw_net(m, 0, lengths->src, tries);
	struct net dst = draw_net(m, 1, lengths->dst, tries);

	memset(rule, 0, sizeof(*rule));
	rule->ip = m->ip;
	rule->src = store(&src);
	rule->dst = store(&dst);
	rule->proto = m->ip == 6 && proto->proto == SHUNT_IP_ICMP ? SHUNT_IP_ICMP6
								  : proto->proto;
	rule->drop = shunt_random_below(&m->random, 1000) < seed->drop;
	if (proto->pair[0].share)
		ports = *PICK(&m->random, proto->pair);
	draw_port(m, ports.src, rule->sport);
	draw_port(m, ports.dst, rule->dport);
	if (rule->proto == SHUNT_IP_TCP &&
	    shunt_random_below(&m->random, 1000) < seed->flags) {
		const uint8_t *flags =
			shunt_random_of(&m->random, classbench_flag_specs);

		rule->flags = flags[0];
		rule->flag_mask = flags[1];
	}
}

/* --- sets ------------------------------------------------------------------------- */

static bool same_match(const struct shunt_classbench_rule *a,
		       const struct shunt_classbench_rule *b)
{
	return shunt_classbench_cover(a, b) && shunt_classbench_cover(b, a);
}

static uint64_t hash(const struct shunt_classbench_rule *rule)
{
	struct wide src = load(rule->src.addr), dst = load(rule->dst.addr);
	uint64_t small = rule->src.bits | rule->dst.bits << 8 | rule->proto << 16 |
			 (uint64_t)rule->flags << 24 | (uint64_t)rule->flag_mask << 32;
	uint64_t port = rule->sport[0] | (uint64_t)rule->sport[1] << 16 |
			(uint64_t)rule->dport[0] << 32 | (uint64_t)rule->dport[1] << 48;

	return mix(mix(src.hi, src.lo, small), mix(dst.hi, dst.lo, port), 0);
}

/* Is the rule for something, and for something that no rule before is for? */
static bool is_new(struct maker *m, const struct shunt_classbench_rule *rules,
		   uint32_t place)
{
	const struct shunt_classbench_rule *rule = &rules[place];
	uint32_t slot = hash(rule);

	if (!rule->src.bits && !rule->dst.bits && !rule->proto)
		return false;
	for (;; slot++) {
		uint32_t *at = &m->slot[slot & (m->slots - 1)];

		if (!*at) {
			*at = place + 1;
			return true;
		}
		if (same_match(&rules[*at - 1], rule))
			return false;
	}
}

static void draw_rules(struct maker *m, struct shunt_classbench_rule *rules, size_t n)
{
	unsigned int tries = 0;
	size_t i;

	for (i = 0; i < n; i += !tries) {
		draw_rule(m, tries, &rules[i]);
		tries = is_new(m, rules, i) ? 0 : tries + 1;
	}
}

static int make(struct maker *m, struct shunt_classbench_rule *rules, size_t n)
{
	size_t room = n + 64; /* rules that are not new leave their prefixes, too */
	_free_ struct net *nets = calloc(2 * room, sizeof(*nets));
	_free_ uint32_t *slot = NULL;
	struct net any = { 0 };

	for (m->slots = 64; m->slots < 2 * n; m->slots *= 2)
		;
	slot = calloc(m->slots, sizeof(*slot));
	if (!nets || !slot)
		return -ENOMEM;
	m->slot = slot;
	m->net[0] = nets;
	m->net[1] = nets + room;
	m->room = room;
	settle(m, 0, &any); /* first, lest it should find no room below it */
	settle(m, 1, &any);
	draw_ports_of_set(m);
	draw_rules(m, rules, n);
	return 0;
}

int shunt_classbench_make(enum shunt_classbench_family family, int ip, size_t n,
			  uint64_t seed, struct shunt_classbench_rule **rules)
{
	struct maker m = {
		.seed = &classbench_seeds[family],
		.random = { mix(seed, family, ip) },
		.ip = ip,
	};
	_free_ struct shunt_classbench_rule *made = calloc(n, sizeof(*made));
	int ret;

	m.tree[0] = shunt_random_next(&m.random);
	m.tree[1] = shunt_random_next(&m.random);
	ret = made ? make(&m, made, n) : -ENOMEM;
	if (!ret)
		ret = shunt_classbench_order(&m.random, made, n);
	if (!ret)
		*rules = shunt_steal(&made);
	return ret;
}
