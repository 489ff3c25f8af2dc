/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/name.h"

#include <string.h>

#include "loader/policy/policy.h"

/* IANA: Assigned Internet Protocol Numbers. */
const struct shunt_name shunt_proto_names[] = {
	{ "icmp", 1 },	  { "igmp", 2 },      { "ipip", 4 },	     { "tcp", 6 },
	{ "egp", 8 },	  { "udp", 17 },      { "dccp", 33 },	     { "ipv6", 41 },
	{ "rsvp", 46 },	  { "gre", 47 },      { "esp", 50 },	     { "ah", 51 },
	{ "icmpv6", 58 }, { "eigrp", 88 },    { "ospf", 89 },	     { "etherip", 97 },
	{ "pim", 103 },	  { "ipcomp", 108 },  { "vrrp", 112 },	     { "l2tp", 115 },
	{ "sctp", 132 },  { "udplite", 136 }, { "mpls-in-ip", 137 }, { NULL, 0 },
};

/* IANA: IEEE 802 Numbers. */
const struct shunt_name shunt_eth_type_names[] = {
	{ "ipv4", 0x0800 },
	{ "arp", 0x0806 },
	{ "ipv6", 0x86dd },
	{ NULL, 0 },
};

/* RFC 9293 section 3.1, RFC 3168 for the upper two. */
const struct shunt_name shunt_tcp_flag_names[] = {
	{ "fin", 0x01 }, { "syn", 0x02 }, { "rst", 0x04 },
	{ "psh", 0x08 }, { "ack", 0x10 }, { "urg", 0x20 },
	{ "ece", 0x40 }, { "cwr", 0x80 }, { NULL, 0 },
};

const struct shunt_name shunt_fragment_names[] = {
	{ "none", SHUNT_FRAGMENT_NONE },
	{ "first", SHUNT_FRAGMENT_FIRST },
	{ "later", SHUNT_FRAGMENT_LATER },
	{ "any", SHUNT_FRAGMENT_ANY },
	{ NULL, 0 },
};

/* RFC 2474 class selectors, RFC 2597 AF, RFC 3246 EF, RFC 8622 LE. */
const struct shunt_name shunt_dscp_names[] = {
	{ "cs0", 0 },	{ "le", 1 },	{ "cs1", 8 },	{ "af11", 10 }, { "af12", 12 },
	{ "af13", 14 }, { "cs2", 16 },	{ "af21", 18 }, { "af22", 20 }, { "af23", 22 },
	{ "cs3", 24 },	{ "af31", 26 }, { "af32", 28 }, { "af33", 30 }, { "cs4", 32 },
	{ "af41", 34 }, { "af42", 36 }, { "af43", 38 }, { "cs5", 40 },	{ "ef", 46 },
	{ "cs6", 48 },	{ "cs7", 56 },	{ NULL, 0 },
};

const struct shunt_name shunt_fate_names[] = {
	{ "pass", SHUNT_VERDICT_PASS },
	{ "drop", SHUNT_VERDICT_DROP },
	{ NULL, 0 },
};

const struct shunt_name shunt_action_names[] = {
	{ "pass", SHUNT_VERDICT_PASS },
	{ "drop", SHUNT_VERDICT_DROP },
	{ "tx", SHUNT_VERDICT_TX },
	{ "count", SHUNT_ACTION_COUNT },
	{ NULL, 0 },
};

/* IANA: ICMP Type Numbers, ICMPv6 "type" Numbers. */
const struct shunt_icmp_name shunt_icmp_names[] = {
	{ "echo-reply", 0, 129 },
	{ "echo-request", 8, 128 },
	{ "dest-unreachable", 3, 1 },
	{ "source-quench", 4, -1 },
	{ "redirect", 5, 137 },
	{ "router-advertisement", 9, 134 },
	{ "router-solicitation", 10, 133 },
	{ "time-exceeded", 11, 3 },
	{ "parameter-problem", 12, 4 },
	{ "timestamp-request", 13, -1 },
	{ "timestamp-reply", 14, -1 },
	{ "packet-too-big", -1, 2 },
	{ "mld-query", -1, 130 },
	{ "mld-report", -1, 131 },
	{ "mld-done", -1, 132 },
	{ "neighbor-solicitation", -1, 135 },
	{ "neighbor-advertisement", -1, 136 },
	{ "mld2-report", -1, 143 },
	{ "extended-echo-request", 42, 160 },
	{ "extended-echo-reply", 43, 161 },
	{ NULL, 0, 0 },
};

int shunt_name_value(const struct shunt_name *table, const char *name)
{
	for (; table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table->value;
	return -1;
}

const char *shunt_name_text(const struct shunt_name *table, int value)
{
	for (; table->name; table++)
		if (table->value == value)
			return table->name;
	return NULL;
}

const struct shunt_icmp_name *shunt_icmp_by_name(const char *name)
{
	for (const struct shunt_icmp_name *at = shunt_icmp_names; at->name; at++)
		if (strcmp(at->name, name) == 0)
			return at;
	return NULL;
}

const char *shunt_icmp_text(int family, int type)
{
	for (const struct shunt_icmp_name *at = shunt_icmp_names; at->name; at++)
		if ((family == 4 ? at->type4 : at->type6) == type)
			return at->name;
	return NULL;
}

const char *shunt_proto_name(unsigned int proto)
{
	return shunt_name_text(shunt_proto_names, proto);
}
