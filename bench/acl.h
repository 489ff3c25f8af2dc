/* SPDX-License-Identifier: BSD-2-Clause */
/* Made-up access lists, and packets for them: the same ones in every run. */
#pragma once

/*
 * The rules look like those of ClassBench's access lists (Taylor, Turner: ClassBench, a
 * packet classification benchmark, INFOCOM 2005): few networks, which many rules share
 * and nest in; mostly TCP and a well-known destination port, now and then a range; the
 * source port seldom matters. Of the packets two in three are aimed at a rule, any rule
 * alike, which an earlier one may take; the rest come from and go to anywhere.
 *
 * A block list is the other kind of policy: only source addresses, half of the packets
 * from one of them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bpf/lib/wire.h"
#include "loader/policy/policy.h"
#include "tests/model/random.h"
#include "user/base/cleanup.h"

#define BENCH_MEMBERS_MAX 10000
#define BENCH_L3_BYTES 64 /* of each packet, behind the Ethernet header */

struct bench_acl_side {
	uint8_t addr[16]; /* network order; IPv4 in the first 4 */
	uint8_t bits;	  /* 0: any */
};

struct bench_acl_rule {
	struct bench_acl_side src, dst;
	uint8_t proto;		     /* 0: any */
	uint16_t sport[2], dport[2]; /* lowest and highest */
	bool drop;
};

#define BENCH_ACL_ANY                                                                  \
	((struct bench_acl_rule){ .sport = { 0, 65535 }, .dport = { 0, 65535 } })

static inline void bench_acl_addr(struct shunt_random *random, int family,
				  uint8_t addr[16])
{
	uint64_t word[2] = { shunt_random_next(random), shunt_random_next(random) };

	memset(addr, 0, 16);
	memcpy(addr, word, family == 6 ? 16 : 4);
	if (family == 6)
		addr[0] = 0x20; /* 2000::/8 */
	else
		addr[0] = 1 + addr[0] % 223; /* unicast */
}

/* A random address inside the prefix. */
static inline void bench_acl_inside(struct shunt_random *random, int family,
				    const struct bench_acl_side *side, uint8_t addr[16])
{
	unsigned int bit;

	bench_acl_addr(random, family, addr);
	for (bit = 0; bit < side->bits; bit++) {
		uint8_t mask = 0x80 >> bit % 8;

		addr[bit / 8] = (addr[bit / 8] & ~mask) | (side->addr[bit / 8] & mask);
	}
}

static inline void bench_acl_cut(struct bench_acl_side *side)
{
	unsigned int bit;

	for (bit = side->bits; bit < 128; bit++)
		side->addr[bit / 8] &= ~(0x80 >> bit % 8);
}

/* A prefix in one of `networks` networks, which a seed tells apart. */
static inline struct bench_acl_side bench_acl_draw_side(struct shunt_random *random,
							int family, uint64_t seed,
							uint32_t networks)
{
	static const uint8_t length[2][8] = { { 32, 32, 32, 28, 24, 24, 20, 16 },
					      { 128, 128, 128, 64, 64, 56, 48, 32 } };
	struct shunt_random network = { seed + shunt_random_below(random, networks) };
	struct bench_acl_side whole = { .bits = family == 6 ? 32 : 16 }, side;

	bench_acl_addr(&network, family, whole.addr);
	bench_acl_inside(random, family, &whole, side.addr);
	side.bits = shunt_random_of(random, length[family == 6]);
	bench_acl_cut(&side);
	return side;
}

static inline void bench_acl_draw_ports(struct shunt_random *random,
					struct bench_acl_rule *rule)
{
	static const uint16_t known[] = { 22, 25, 53, 80, 123, 443, 1433, 3306, 8080 };
	uint32_t kind = shunt_random_below(random, 10);

	rule->sport[0] = shunt_random_one_in(random, 10) ? 1024 : 0;
	rule->dport[0] = rule->dport[1] = shunt_random_of(random, known);
	if (kind < 2) {
		rule->dport[0] = 0;
		rule->dport[1] = 65535;
	} else if (kind < 3) {
		rule->dport[0] = 1024;
		rule->dport[1] = 65535;
	} else if (kind < 4) {
		rule->dport[0] = shunt_random_in(random, 1024, 40000);
		rule->dport[1] = rule->dport[0] + shunt_random_below(random, 1000);
	}
}

static inline struct bench_acl_rule bench_acl_draw(struct shunt_random *random,
						   int family)
{
	struct bench_acl_rule rule = BENCH_ACL_ANY;

	rule.drop = !shunt_random_one_in(random, 3);
	if (!shunt_random_one_in(random, 3))
		rule.src = bench_acl_draw_side(random, family, 1000, 12);
	rule.dst = bench_acl_draw_side(random, family, 2000, 6);
	if (!shunt_random_one_in(random, 8))
		rule.proto =
			shunt_random_one_in(random, 4) ? SHUNT_IP_UDP : SHUNT_IP_TCP;
	if (rule.proto)
		bench_acl_draw_ports(random, &rule);
	return rule;
}

/* --- as text ------------------------------------------------------------------------
 */

static inline void bench_acl_write_addr(FILE *out, int family,
					const struct bench_acl_side *side)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(family == 6 ? AF_INET6 : AF_INET, side->addr, text, sizeof(text));
	fprintf(out, "\"%s/%u\"", text, side->bits);
}

static inline void bench_acl_write_port(FILE *out, const char *key,
					const uint16_t port[2])
{
	if (port[0] || port[1] != 65535)
		fprintf(out, ", \"%s\": \"%u-%u\"", key, port[0], port[1]);
}

/* The rule as an element of a policy's "rules"; it asks for an address at least. */
static inline void bench_acl_write(FILE *out, int family, size_t place,
				   const struct bench_acl_rule *rule)
{
	fprintf(out, "{ \"name\": \"r%zu\", \"match\": { ", place);
	if (rule->src.bits) {
		fprintf(out, "\"src\": ");
		bench_acl_write_addr(out, family, &rule->src);
	}
	if (rule->dst.bits) {
		fprintf(out, "%s\"dst\": ", rule->src.bits ? ", " : "");
		bench_acl_write_addr(out, family, &rule->dst);
	}
	if (rule->proto)
		fprintf(out, ", \"proto\": %u", rule->proto);
	bench_acl_write_port(out, "sport", rule->sport);
	bench_acl_write_port(out, "dport", rule->dport);
	fprintf(out, " }, \"action\": \"%s\" }", rule->drop ? "drop" : "pass");
}

/* --- as packets ---------------------------------------------------------------------
 */

struct bench_flow {
	uint8_t src[16], dst[16];
	uint8_t proto;
	uint16_t sport, dport;
};

/* A packet for the rule, or, where it is NULL, from anywhere to anywhere. */
static inline struct bench_flow bench_acl_aim(struct shunt_random *random, int family,
					      const struct bench_acl_rule *rule)
{
	const struct bench_acl_rule any = BENCH_ACL_ANY;
	struct bench_flow flow;

	if (!rule)
		rule = &any;
	bench_acl_inside(random, family, &rule->src, flow.src);
	bench_acl_inside(random, family, &rule->dst, flow.dst);
	flow.proto = rule->proto;
	if (!flow.proto)
		flow.proto =
			shunt_random_one_in(random, 3) ? SHUNT_IP_UDP : SHUNT_IP_TCP;
	flow.sport = shunt_random_in(random, rule->sport[0], rule->sport[1]);
	flow.dport = shunt_random_in(random, rule->dport[0], rule->dport[1]);
	return flow;
}

/* The bytes behind the Ethernet header. */
static inline void bench_flow_write(const struct bench_flow *flow, int family,
				    uint8_t l3[BENCH_L3_BYTES])
{
	struct shunt_ip6 *ip6 = (void *)l3;
	struct shunt_ip4 *ip4 = (void *)l3;
	size_t header = family == 6 ? sizeof(*ip6) : sizeof(*ip4);
	struct shunt_tcp *tcp = (void *)(l3 + header);
	struct shunt_udp *udp = (void *)(l3 + header);

	memset(l3, 0, BENCH_L3_BYTES);
	if (family == 6) {
		ip6->version_class_flow = htonl(6u << 28);
		ip6->length = htons(BENCH_L3_BYTES - header);
		ip6->next = flow->proto;
		ip6->hops = 64;
		memcpy(ip6->src, flow->src, 16);
		memcpy(ip6->dst, flow->dst, 16);
	} else {
		ip4->version_ihl = 0x45;
		ip4->length = htons(BENCH_L3_BYTES);
		ip4->ttl = 64;
		ip4->proto = flow->proto;
		memcpy(&ip4->src, flow->src, 4);
		memcpy(&ip4->dst, flow->dst, 4);
	}
	udp->sport = htons(flow->sport); /* TCP's ports lie in the same place */
	udp->dport = htons(flow->dport);
	if (flow->proto == SHUNT_IP_UDP) {
		udp->length = htons(BENCH_L3_BYTES - header);
	} else {
		tcp->offset = 5 << 4;
		tcp->flags = 0x10; /* ACK */
	}
}

/* --- whole policies ------------------------------------------------------------------
 */

struct bench_case {
	const char *name;
	int family;
	uint32_t rules;
	uint32_t members; /* of the set */
	bool block;	  /* nothing but source addresses: the members, as rules too */
	const char *help;
};

/* The content of a case: what the policy says, and whom the packets come from. */
struct bench_list {
	const struct bench_case *which;
	struct bench_acl_rule rule[SHUNT_RULE_MAX];
	struct bench_acl_side member[BENCH_MEMBERS_MAX];
};

static inline void bench_list_draw(struct bench_list *list,
				   const struct bench_case *which)
{
	struct shunt_random random = { 256 };
	uint32_t i;

	list->which = which;
	for (i = 0; i < which->rules; i++)
		list->rule[i] = bench_acl_draw(&random, which->family);
	for (i = 0; i < which->members; i++) {
		struct bench_acl_side *member = &list->member[i];

		bench_acl_addr(&random, which->family, member->addr);
		member->bits = which->block ? 32 : shunt_random_in(&random, 20, 32);
		bench_acl_cut(member);
	}
}

static inline void bench_list_write_set(FILE *out, const struct bench_list *list)
{
	uint32_t i;

	fprintf(out, "\"sets\": { \"bad\": { \"type\": \"%s\", \"elements\": [",
		list->which->block ? "address" : "prefix");
	for (i = 0; i < list->which->members; i++) {
		fputs(i ? ", " : " ", out);
		bench_acl_write_addr(out, list->which->family, &list->member[i]);
	}
	fputs(" ] } }, ", out);
}

/* With a set, its rule comes first and takes one rule's place. */
static inline void bench_list_write_rules(FILE *out, const struct bench_list *list,
					  bool with_set)
{
	uint32_t i = 0;

	fputs("\"rules\": [ ", out);
	if (with_set)
		fputs("{ \"name\": \"bad\", \"match\": { \"src\": \"@bad\" }, "
		      "\"action\": \"drop\" }",
		      out);
	for (i = with_set; i < list->which->rules; i++) {
		struct bench_acl_rule only = BENCH_ACL_ANY;

		if (with_set && list->which->block)
			break;
		only.src = list->member[i];
		only.drop = true;
		fputs(i ? ",\n" : "", out);
		bench_acl_write(out, list->which->family, i,
				list->which->block ? &only : &list->rule[i]);
	}
	fputs(" ] }\n", out);
}

static inline int bench_list_policy(struct shunt_policy **policy,
				    const struct bench_list *list, bool with_set,
				    struct shunt_err *err)
{
	_free_ char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	struct shunt_diags diags = { 0 };
	int ret;

	if (!out)
		return shunt_fail_errno(err, -errno, "write a policy");
	fprintf(out, "{ \"schema\": \"%s\", \"default\": \"pass\", ",
		SHUNT_POLICY_SCHEMA);
	if (with_set)
		bench_list_write_set(out, list);
	bench_list_write_rules(out, list, with_set);
	fclose(out);
	ret = shunt_policy_read(policy, text, bytes, NULL, &diags);
	if (ret)
		ret = shunt_fail(err, ret, "%s: the policy is refused: %s: %s",
				 list->which->name, diags.n ? diags.at[0].pointer : "",
				 diags.n ? diags.at[0].message : "out of memory");
	shunt_diags_free(&diags);
	return ret;
}

static inline struct bench_flow bench_list_flow(struct shunt_random *random,
						const struct bench_list *list)
{
	const struct bench_case *which = list->which;
	struct bench_acl_rule member = BENCH_ACL_ANY;
	uint32_t of_member = which->block ? 2 : 8;

	if (which->members && shunt_random_one_in(random, of_member)) {
		member.src = list->member[shunt_random_below(random, which->members)];
		return bench_acl_aim(random, which->family, &member);
	}
	if (which->block || shunt_random_one_in(random, 3))
		return bench_acl_aim(random, which->family, NULL);
	return bench_acl_aim(random, which->family,
			     &list->rule[shunt_random_below(random, which->rules)]);
}
