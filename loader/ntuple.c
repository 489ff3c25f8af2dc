/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/ntuple.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/ethtool.h>

#include "loader/ethtool.h"
#include "user/base/cleanup.h"

#define LIST_TRIES 5 /* others may put rules in between the count and the list */

/* --- to the kernel's form ---------------------------------------------------- */

/* Flow types by protocol and family; the protocol-less last. */
static const struct {
	uint8_t proto, family;
	uint32_t flow;
} flows[] = {
	{ IPPROTO_TCP, 4, TCP_V4_FLOW },   { IPPROTO_TCP, 6, TCP_V6_FLOW },
	{ IPPROTO_UDP, 4, UDP_V4_FLOW },   { IPPROTO_UDP, 6, UDP_V6_FLOW },
	{ IPPROTO_SCTP, 4, SCTP_V4_FLOW }, { IPPROTO_SCTP, 6, SCTP_V6_FLOW },
	{ 0, 4, IPV4_USER_FLOW },	   { 0, 6, IPV6_USER_FLOW },
};

static uint32_t flow_of(const struct shunt_ntuple *filter)
{
	size_t i;

	for (i = 0; i < sizeof(flows) / sizeof(*flows); i++)
		if (flows[i].proto == filter->proto &&
		    flows[i].family == filter->family)
			return flows[i].flow;
	return 0;
}

/* The first bits of so many bytes are one. */
static void put_mask(void *mask, unsigned int bits, size_t bytes)
{
	uint8_t *at = mask;
	size_t i;

	for (i = 0; i < bytes; i++) {
		unsigned int here = bits > 8 ? 8 : bits;

		at[i] = here ? 0xff << (8 - here) : 0;
		bits -= here;
	}
}

static void put_address(void *value, void *mask, const struct shunt_prefix *prefix,
			size_t bytes)
{
	memcpy(value, prefix->addr, bytes);
	put_mask(mask, prefix->bits, bytes);
}

static void put_port(__be16 *value, __be16 *mask, uint16_t port)
{
	*value = htons(port);
	*mask = port ? 0xffff : 0;
}

/* All flow types of a family begin with the addresses, and those with ports go on alike. */
static struct ethtool_rx_flow_spec spec_of(const struct shunt_ntuple *filter)
{
	const struct shunt_prefix *addr = filter->addr;
	struct ethtool_rx_flow_spec fs = { .flow_type = flow_of(filter),
					   .ring_cookie = filter->queue,
					   .location = filter->location };
	struct ethtool_tcpip4_spec *h4 = &fs.h_u.tcp_ip4_spec;
	struct ethtool_tcpip4_spec *m4 = &fs.m_u.tcp_ip4_spec;
	struct ethtool_tcpip6_spec *h6 = &fs.h_u.tcp_ip6_spec;
	struct ethtool_tcpip6_spec *m6 = &fs.m_u.tcp_ip6_spec;

	if (filter->family == 4) {
		put_address(&h4->ip4src, &m4->ip4src, &addr[SHUNT_SIDE_SRC], 4);
		put_address(&h4->ip4dst, &m4->ip4dst, &addr[SHUNT_SIDE_DST], 4);
		if (!filter->proto)
			fs.h_u.usr_ip4_spec.ip_ver = ETH_RX_NFC_IP4;
	} else {
		put_address(h6->ip6src, m6->ip6src, &addr[SHUNT_SIDE_SRC], 16);
		put_address(h6->ip6dst, m6->ip6dst, &addr[SHUNT_SIDE_DST], 16);
	}
	if (!filter->proto)
		return fs;
	put_port(filter->family == 4 ? &h4->psrc : &h6->psrc,
		 filter->family == 4 ? &m4->psrc : &m6->psrc,
		 filter->port[SHUNT_SIDE_SRC]);
	put_port(filter->family == 4 ? &h4->pdst : &h6->pdst,
		 filter->family == 4 ? &m4->pdst : &m6->pdst,
		 filter->port[SHUNT_SIDE_DST]);
	return fs;
}

/* --- and back ---------------------------------------------------------------- */

/* How many leading bits are one; -1: there are others behind them. */
static int mask_bits(const void *mask, size_t bytes)
{
	const uint8_t *at = mask;
	size_t bit = 0, i;

	while (bit < 8 * bytes && at[bit / 8] >> (7 - bit % 8) & 1)
		bit++;
	for (i = bit; i < 8 * bytes; i++)
		if (at[i / 8] >> (7 - i % 8) & 1)
			return -1;
	return bit;
}

static bool get_address(struct shunt_prefix *prefix, const void *value,
			const void *mask, uint8_t family)
{
	size_t bytes = family == 4 ? 4 : 16, i;
	uint8_t keep[16];
	int bits = mask_bits(mask, bytes);

	if (bits < 0)
		return false;
	memset(prefix, 0, sizeof(*prefix));
	if (!bits)
		return true;
	put_mask(keep, bits, bytes);
	memcpy(prefix->addr, value, bytes);
	for (i = 0; i < bytes; i++)
		prefix->addr[i] &= keep[i];
	prefix->family = family;
	prefix->bits = bits;
	return true;
}

static bool get_port(uint16_t *port, __be16 value, __be16 mask)
{
	*port = mask ? ntohs(value) : 0;
	return !mask || (mask == 0xffff && value);
}

static bool get_layer4(struct shunt_ntuple *filter,
		       const struct ethtool_rx_flow_spec *fs)
{
	const struct ethtool_tcpip4_spec *h4 = &fs->h_u.tcp_ip4_spec;
	const struct ethtool_tcpip4_spec *m4 = &fs->m_u.tcp_ip4_spec;
	const struct ethtool_tcpip6_spec *h6 = &fs->h_u.tcp_ip6_spec;
	const struct ethtool_tcpip6_spec *m6 = &fs->m_u.tcp_ip6_spec;
	bool four = filter->family == 4;

	if (!filter->proto)
		return four ? !fs->m_u.usr_ip4_spec.l4_4_bytes &&
				       !fs->m_u.usr_ip4_spec.tos &&
				       !fs->m_u.usr_ip4_spec.proto
			    : !fs->m_u.usr_ip6_spec.l4_4_bytes &&
				       !fs->m_u.usr_ip6_spec.tclass &&
				       !fs->m_u.usr_ip6_spec.l4_proto;
	if (four ? m4->tos : m6->tclass)
		return false;
	return get_port(&filter->port[SHUNT_SIDE_SRC], four ? h4->psrc : h6->psrc,
			four ? m4->psrc : m6->psrc) &&
	       get_port(&filter->port[SHUNT_SIDE_DST], four ? h4->pdst : h6->pdst,
			four ? m4->pdst : m6->pdst);
}

static int filter_of(struct shunt_ntuple *filter, const struct ethtool_rx_flow_spec *fs)
{
	const struct ethtool_tcpip4_spec *h4 = &fs->h_u.tcp_ip4_spec;
	const struct ethtool_tcpip4_spec *m4 = &fs->m_u.tcp_ip4_spec;
	const struct ethtool_tcpip6_spec *h6 = &fs->h_u.tcp_ip6_spec;
	const struct ethtool_tcpip6_spec *m6 = &fs->m_u.tcp_ip6_spec;
	struct shunt_prefix *addr = filter->addr;
	bool sound;
	size_t i;

	memset(filter, 0, sizeof(*filter));
	for (i = 0; i < sizeof(flows) / sizeof(*flows); i++)
		if (flows[i].flow == fs->flow_type) {
			filter->proto = flows[i].proto;
			filter->family = flows[i].family;
		}
	if (!filter->family || fs->ring_cookie >= UINT32_MAX)
		return -EPROTO; /* another type; to be dropped; of a virtual function */
	filter->queue = fs->ring_cookie;
	filter->location = fs->location;
	sound = filter->family == 4
			? get_address(&addr[0], &h4->ip4src, &m4->ip4src, 4) &&
				  get_address(&addr[1], &h4->ip4dst, &m4->ip4dst, 4)
			: get_address(&addr[0], h6->ip6src, m6->ip6src, 6) &&
				  get_address(&addr[1], h6->ip6dst, m6->ip6dst, 6);
	return sound && get_layer4(filter, fs) ? 0 : -EPROTO;
}

/* --- the table --------------------------------------------------------------- */

static int count(const char *interface, struct shunt_ntuple_table *table)
{
	struct ethtool_rxnfc ask = { .cmd = ETHTOOL_GRXCLSRLCNT };
	int ret = shunt_ethtool(interface, &ask);

	if (ret)
		return ret;
	table->anywhere = ask.data & RX_CLS_LOC_SPECIAL;
	table->size = ask.data & ~(uint64_t)RX_CLS_LOC_SPECIAL;
	table->rules = ask.rule_cnt;
	return 0;
}

/* -EMSGSIZE: there are more by now. */
static int list(const char *interface, struct shunt_ntuple_table *table)
{
	struct ethtool_rxnfc *ask;
	int ret;

	_free_ void *memory =
		calloc(1, sizeof(*ask) + (table->rules + 1) * sizeof(uint32_t));
	table->location = calloc(table->rules + 1, sizeof(*table->location));
	if (!memory || !table->location)
		return -ENOMEM;
	ask = memory;
	ask->cmd = ETHTOOL_GRXCLSRLALL;
	ask->rule_cnt = table->rules;
	ret = shunt_ethtool(interface, ask);
	if (ret)
		return ret;
	if (ask->rule_cnt < table->rules)
		table->rules = ask->rule_cnt;
	memcpy(table->location, ask->rule_locs,
	       table->rules * sizeof(*table->location));
	/* the count tells it by a flag alone where there is no size */
	if (!table->size)
		table->size = ask->data & ~(uint64_t)RX_CLS_LOC_SPECIAL;
	return 0;
}

int shunt_ntuple_list(const char *interface, struct shunt_ntuple_table *table)
{
	int tries, ret = -EMSGSIZE;

	memset(table, 0, sizeof(*table));
	for (tries = 0; ret == -EMSGSIZE && tries < LIST_TRIES; tries++) {
		shunt_ntuple_table_free(table);
		ret = count(interface, table);
		if (!ret)
			ret = list(interface, table);
	}
	if (ret)
		shunt_ntuple_table_free(table);
	return ret;
}

void shunt_ntuple_table_free(struct shunt_ntuple_table *table)
{
	free(table->location);
	table->location = NULL;
	table->rules = 0;
}

bool shunt_ntuple_taken(const struct shunt_ntuple_table *table, uint32_t location)
{
	uint32_t i;

	for (i = 0; i < table->rules; i++)
		if (table->location[i] == location)
			return true;
	return false;
}

/* --- one rule ---------------------------------------------------------------- */

int shunt_ntuple_read(const char *interface, uint32_t location,
		      struct shunt_ntuple *filter)
{
	struct ethtool_rxnfc ask = { .cmd = ETHTOOL_GRXCLSRULE,
				     .fs.location = location };
	int ret = shunt_ethtool(interface, &ask);

	/* what drivers answer for a place that is free, or that they do not have */
	if (ret == -EINVAL || ret == -ENOENT)
		return -ENOENT;
	return ret ? ret : filter_of(filter, &ask.fs);
}

int shunt_ntuple_insert(const char *interface, struct shunt_ntuple *filter)
{
	struct ethtool_rxnfc ask = { .cmd = ETHTOOL_SRXCLSRLINS,
				     .fs = spec_of(filter) };
	struct shunt_ntuple got;
	int ret = shunt_ethtool(interface, &ask);

	if (ret)
		return ret;
	filter->location = ask.fs.location;
	ret = shunt_ntuple_read(interface, filter->location, &got);
	if (!ret && shunt_ntuple_same(filter, &got))
		return 0;
	/* what is shown otherwise than it was put in could never be told to be ours */
	ret = shunt_ntuple_delete(interface, filter->location);
	return ret ? ret : -EPROTO;
}

int shunt_ntuple_delete(const char *interface, uint32_t location)
{
	struct ethtool_rxnfc ask = { .cmd = ETHTOOL_SRXCLSRLDEL,
				     .fs.location = location };

	return shunt_ethtool(interface, &ask);
}

bool shunt_ntuple_same_flow(const struct shunt_ntuple *a, const struct shunt_ntuple *b)
{
	int side;

	for (side = 0; side < SHUNT_SIDES; side++)
		if (a->addr[side].bits != b->addr[side].bits ||
		    memcmp(a->addr[side].addr, b->addr[side].addr,
			   sizeof(a->addr[side].addr)) != 0 ||
		    a->port[side] != b->port[side])
			return false;
	return a->family == b->family && a->proto == b->proto;
}

bool shunt_ntuple_same(const struct shunt_ntuple *a, const struct shunt_ntuple *b)
{
	return shunt_ntuple_same_flow(a, b) && a->queue == b->queue;
}

/* --- for people -------------------------------------------------------------- */

static void format_side(const struct shunt_ntuple *filter, enum shunt_side side,
			char *text, size_t room)
{
	char prefix[SHUNT_PREFIX_TEXT];
	int n = snprintf(text, room, "%s",
			 filter->addr[side].bits
				 ? shunt_prefix_format(&filter->addr[side], prefix)
				 : "any");

	if (filter->port[side])
		snprintf(text + n, room - n, " port %u", filter->port[side]);
}

const char *shunt_ntuple_format(const struct shunt_ntuple *filter,
				char buf[SHUNT_NTUPLE_TEXT])
{
	char src[SHUNT_PREFIX_TEXT + 16], dst[SHUNT_PREFIX_TEXT + 16];

	format_side(filter, SHUNT_SIDE_SRC, src, sizeof(src));
	format_side(filter, SHUNT_SIDE_DST, dst, sizeof(dst));
	snprintf(buf, SHUNT_NTUPLE_TEXT, "ipv%u %s %s to %s", filter->family,
		 filter->proto ? shunt_proto_name(filter->proto) : "any", src, dst);
	return buf;
}
