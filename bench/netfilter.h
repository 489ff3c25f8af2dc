/* SPDX-License-Identifier: BSD-2-Clause */
/* A rule set in the languages of nftables and iptables. */
#pragma once

/*
 * Three forms, all with first-match semantics and the default drop, in the hook that a
 * packet meets first at that layer (prerouting, priority raw): iptables and nftables
 * with one rule a rule, and nftables with trees of verdict maps (bench/nft_tree.h).
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "bpf/lib/wire.h"
#include "tests/model/classbench.h"

/* --- nftables, rule by rule -------------------------------------------------------- */

static inline const char *netfilter_l3(int ip)
{
	return ip == 6 ? "ip6" : "ip";
}

static inline const char *netfilter_net(const struct shunt_classbench_net *net, int ip,
					char text[INET6_ADDRSTRLEN])
{
	return inet_ntop(ip == 6 ? AF_INET6 : AF_INET, net->addr, text,
			 INET6_ADDRSTRLEN);
}

static inline void netfilter_write_ports(FILE *out, const char *key,
					 const uint16_t port[2])
{
	if (!shunt_classbench_any_port(port))
		fprintf(out, "%s %u-%u ", key, port[0], port[1]);
}

/* The rule's match; what is to happen follows it. */
static inline void nft_write_match(FILE *out, const struct shunt_classbench_rule *r)
{
	const char *l4 = r->proto == SHUNT_IP_TCP ? "tcp" : "udp";
	char text[INET6_ADDRSTRLEN], key[16];

	if (r->src.bits)
		fprintf(out, "%s saddr %s/%u ", netfilter_l3(r->ip),
			netfilter_net(&r->src, r->ip, text), r->src.bits);
	if (r->dst.bits)
		fprintf(out, "%s daddr %s/%u ", netfilter_l3(r->ip),
			netfilter_net(&r->dst, r->ip, text), r->dst.bits);
	if (r->proto)
		fprintf(out, "meta l4proto %u ", r->proto);
	snprintf(key, sizeof(key), "%s sport", l4);
	netfilter_write_ports(out, key, r->sport);
	snprintf(key, sizeof(key), "%s dport", l4);
	netfilter_write_ports(out, key, r->dport);
	if (r->flag_mask)
		fprintf(out, "tcp flags & %#x == %#x ", r->flag_mask, r->flags);
}

static inline void nft_write_linear(FILE *out,
				    const struct shunt_classbench_rule *rules, size_t n)
{
	fprintf(out,
		"table %s shunt_bench {\n\tchain rules {\n"
		"\t\ttype filter hook prerouting priority raw; policy drop;\n",
		netfilter_l3(rules[0].ip));
	for (size_t i = 0; i < n; i++) {
		fputs("\t\t", out);
		nft_write_match(out, &rules[i]);
		fprintf(out, "%s\n", rules[i].drop ? "drop" : "accept");
	}
	fputs("\t}\n}\n", out);
}

/* --- iptables ------------------------------------------------------------------------ */

static inline void iptables_write_flags(FILE *out, uint8_t flags)
{
	static const char *const name[] = { "FIN", "SYN", "RST", "PSH", "ACK", "URG" };
	const char *comma = " ";

	if (!flags)
		fputs(" NONE", out);
	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
		if (!(flags >> i & 1))
			continue;
		fprintf(out, "%s%s", comma, name[i]);
		comma = ",";
	}
}

static inline void iptables_write_rule(FILE *out, const struct shunt_classbench_rule *r)
{
	char text[INET6_ADDRSTRLEN];

	fputs("-A PREROUTING", out);
	if (r->src.bits)
		fprintf(out, " -s %s/%u", netfilter_net(&r->src, r->ip, text),
			r->src.bits);
	if (r->dst.bits)
		fprintf(out, " -d %s/%u", netfilter_net(&r->dst, r->ip, text),
			r->dst.bits);
	if (r->proto == SHUNT_IP_TCP || r->proto == SHUNT_IP_UDP)
		fprintf(out, " -p %s", r->proto == SHUNT_IP_TCP ? "tcp" : "udp");
	else if (r->proto)
		fprintf(out, " -p %u", r->proto);
	if (!shunt_classbench_any_port(r->sport))
		fprintf(out, " --sport %u:%u", r->sport[0], r->sport[1]);
	if (!shunt_classbench_any_port(r->dport))
		fprintf(out, " --dport %u:%u", r->dport[0], r->dport[1]);
	if (r->flag_mask) {
		fputs(" --tcp-flags", out);
		iptables_write_flags(out, r->flag_mask);
		iptables_write_flags(out, r->flags);
	}
	fprintf(out, " -j %s\n", r->drop ? "DROP" : "ACCEPT");
}

/* For iptables-restore or, in IPv6, ip6tables-restore. */
static inline void iptables_write(FILE *out, const struct shunt_classbench_rule *rules,
				  size_t n)
{
	fputs("*raw\n:PREROUTING DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n", out);
	for (size_t i = 0; i < n; i++)
		iptables_write_rule(out, &rules[i]);
	fputs("COMMIT\n", out);
}
