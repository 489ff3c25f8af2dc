/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/net/udp.h"

#include <string.h>

#include "bpf/lib/rewrite.h"

#define HOPS 64		/* RFC 1700: what a host sends with */
#define DONT_CUT 0x4000 /* DF of IPv4 */
#define TAGS_MAX 2

const char *shunt_udp_name(enum shunt_udp_kind kind)
{
	static const char *const names[] = {
#define X(id, value, name, help) [SHUNT_UDP_##id] = name,
		SHUNT_UDP_KIND_LIST(X)
#undef X
	};

	return names[kind];
}

/* --- writing ------------------------------------------------------------------------------ */

/* As they lie one behind the other. */
struct head4 {
	struct shunt_eth eth;
	struct shunt_ip4 ip;
	struct shunt_udp udp;
} SHUNT_PACKED;

struct head6 {
	struct shunt_eth eth;
	struct shunt_ip6 ip;
	struct shunt_udp udp;
} SHUNT_PACKED;

_Static_assert(sizeof(struct head4) == SHUNT_UDP_HEAD4 &&
		       sizeof(struct head6) == SHUNT_UDP_HEAD6,
	       "no holes");

static void make_head4(struct shunt_udp_path *path, const struct shunt_udp_host *host,
		       const struct shunt_endpoint *remote)
{
	const struct head4 head = {
		.eth.type = shunt_be16(SHUNT_ETH_IP4),
		.ip = { .version_ihl = 0x45,
			.fragment = shunt_be16(DONT_CUT),
			.ttl = HOPS,
			.proto = SHUNT_IP_UDP,
			.src = host->local.addr[0],
			.dst = remote->addr[0] },
		.udp = { .sport = shunt_be16(host->local.port),
			 .dport = shunt_be16(remote->port) },
	};
	uint64_t pseudo =
		shunt_csum_pseudo((const uint8_t *)&head.ip.src, 4, SHUNT_IP_UDP, 0);

	memcpy(path->head, &head, sizeof(head));
	path->bytes = sizeof(head);
	path->ip_sum = shunt_csum(&head.ip, sizeof(head.ip));
	path->udp_sum = shunt_csum_fold(pseudo + head.udp.sport + head.udp.dport);
}

static void make_head6(struct shunt_udp_path *path, const struct shunt_udp_host *host,
		       const struct shunt_endpoint *remote)
{
	struct head6 head = {
		.eth.type = shunt_be16(SHUNT_ETH_IP6),
		.ip = { .version_class_flow = shunt_be32(6u << 28),
			.next = SHUNT_IP_UDP,
			.hops = HOPS },
		.udp = { .sport = shunt_be16(host->local.port),
			 .dport = shunt_be16(remote->port) },
	};
	uint64_t pseudo;

	memcpy(head.ip.src, host->local.addr, sizeof(head.ip.src));
	memcpy(head.ip.dst, remote->addr, sizeof(head.ip.dst));
	pseudo = shunt_csum_pseudo((const uint8_t *)head.ip.src, 16, SHUNT_IP_UDP, 0);
	memcpy(path->head, &head, sizeof(head));
	path->bytes = sizeof(head);
	path->udp_sum = shunt_csum_fold(pseudo + head.udp.sport + head.udp.dport);
}

void shunt_udp_path_make(struct shunt_udp_path *path, const struct shunt_udp_host *host,
			 const struct shunt_endpoint *remote, const uint8_t mac[6],
			 bool checksum)
{
	memset(path, 0, sizeof(*path));
	path->checksum = checksum;
	if (remote->l3 == SHUNT_L3_IP6)
		make_head6(path, host, remote);
	else
		make_head4(path, host, remote);
	shunt_udp_path_set_mac(path, mac);
	shunt_udp_path_set_own_mac(path, host->mac);
}

void shunt_udp_path_set_mac(struct shunt_udp_path *path, const uint8_t mac[6])
{
	memcpy(path->head + offsetof(struct shunt_eth, dst), mac, 6);
}

void shunt_udp_path_set_own_mac(struct shunt_udp_path *path, const uint8_t mac[6])
{
	memcpy(path->head + offsetof(struct shunt_eth, src), mac, 6);
}

/* The length counts twice: in the pseudo header and in UDP's. */
static __sum16 udp_checksum(const struct shunt_udp_path *path, const uint8_t *payload,
			    uint32_t bytes, __be16 length)
{
	uint64_t sum = (uint64_t)path->udp_sum + length + length;
	uint16_t check = ~shunt_csum_fold(sum + shunt_csum(payload, bytes));

	return check ? check : 0xffff; /* 0 would say that there is none */
}

static void write4(const struct shunt_udp_path *path, uint8_t *payload, uint32_t bytes)
{
	struct head4 *head = (struct head4 *)(payload - sizeof(*head));
	__be16 length = shunt_be16((uint16_t)(bytes + sizeof(head->udp)));

	memcpy(head, path->head, sizeof(*head));
	head->ip.length =
		shunt_be16((uint16_t)(bytes + sizeof(head->udp) + sizeof(head->ip)));
	head->ip.checksum = ~shunt_csum_fold((uint64_t)path->ip_sum + head->ip.length);
	head->udp.length = length;
	if (path->checksum)
		head->udp.checksum = udp_checksum(path, payload, bytes, length);
}

static void write6(const struct shunt_udp_path *path, uint8_t *payload, uint32_t bytes)
{
	struct head6 *head = (struct head6 *)(payload - sizeof(*head));
	__be16 length = shunt_be16((uint16_t)(bytes + sizeof(head->udp)));

	memcpy(head, path->head, sizeof(*head));
	head->ip.length = head->udp.length = length;
	head->udp.checksum = udp_checksum(path, payload, bytes, length);
}

void shunt_udp_write(const struct shunt_udp_path *path, uint8_t *payload,
		     uint32_t bytes)
{
	if (path->bytes == sizeof(struct head4))
		write4(path, payload, bytes);
	else
		write6(path, payload, bytes);
}

/* --- reading ------------------------------------------------------------------------------ */

/* What is left to read of a frame. */
struct rest {
	uint8_t *at;
	uint32_t len;
	uint32_t scope;
	bool verify;
};

static void skip(struct rest *rest, uint32_t bytes)
{
	rest->at += bytes;
	rest->len -= bytes;
}

/* The UDP header and what it covers; at src the two addresses of the pseudo header. */
static enum shunt_udp_kind check_udp(struct shunt_udp_datagram *d,
				     const struct rest *rest, const void *src,
				     uint32_t address_bytes)
{
	const struct shunt_udp *udp = (const struct shunt_udp *)rest->at;
	uint32_t length;
	uint64_t pseudo;

	if (rest->len < sizeof(*udp))
		return SHUNT_UDP_MALFORMED;
	length = shunt_be16(udp->length);
	if (length < sizeof(*udp) || length > rest->len)
		return SHUNT_UDP_MALFORMED;
	d->src.port = shunt_be16(udp->sport);
	d->dst.port = shunt_be16(udp->dport);
	d->payload = rest->at + sizeof(*udp);
	d->bytes = length - (uint32_t)sizeof(*udp);
	if (!d->src.port)
		return SHUNT_UDP_SOURCE;
	if (!udp->checksum) /* RFC 768; RFC 8200 section 8.1 */
		return address_bytes == 4 ? SHUNT_UDP_WHOLE : SHUNT_UDP_BAD_UDP;
	if (!rest->verify)
		return SHUNT_UDP_WHOLE;
	pseudo = shunt_csum_pseudo(src, address_bytes, SHUNT_IP_UDP, length);
	if (shunt_csum_fold(pseudo + shunt_csum(udp, length)) == 0xffff)
		return SHUNT_UDP_WHOLE;
	/* a sender on this machine leaves the rest to its NIC, and a veth is none */
	return udp->checksum == shunt_csum_fold(pseudo) ? SHUNT_UDP_PARTIAL
							: SHUNT_UDP_BAD_UDP;
}

/* That of one host (RFC 1122 section 3.2.1.3); the loopback net is one of this host. */
static bool is_host4(uint32_t addr)
{
	return addr >> 24 != 0 && addr >> 28 < 14;
}

/* 20 bytes, mostly: not worth the call that the payload's sum is. */
static uint16_t sum_header(const uint8_t *at, uint32_t bytes)
{
	uint64_t sum = 0;
	uint32_t word, i;

	for (i = 0; i < bytes; i += sizeof(word)) {
		memcpy(&word, at + i, sizeof(word));
		sum += word;
	}
	return shunt_csum_fold(sum);
}

static enum shunt_udp_kind read_ip4(struct shunt_udp_datagram *d, struct rest *rest)
{
	const struct shunt_ip4 *ip = (const struct shunt_ip4 *)rest->at;
	uint32_t header, length;

	if (rest->len < sizeof(*ip) || ip->version_ihl >> 4 != 4)
		return SHUNT_UDP_MALFORMED;
	header = (ip->version_ihl & 15) * 4u;
	length = shunt_be16(ip->length);
	if (header < sizeof(*ip) || length < header || length > rest->len)
		return SHUNT_UDP_MALFORMED;
	if (ip->proto != SHUNT_IP_UDP)
		return SHUNT_UDP_OTHER;
	if (sum_header(rest->at, header) != 0xffff)
		return SHUNT_UDP_BAD_IP4;
	if (shunt_be16(ip->fragment) & (SHUNT_IP4_MF | SHUNT_IP4_OFFSET))
		return SHUNT_UDP_FRAGMENT;
	if (header != sizeof(*ip))
		return SHUNT_UDP_OPTIONS;
	if (!is_host4(shunt_be32(ip->src)))
		return SHUNT_UDP_SOURCE;
	d->src.l3 = d->dst.l3 = SHUNT_L3_IP4;
	d->src.addr[0] = ip->src;
	d->dst.addr[0] = ip->dst;
	rest->len = length;
	skip(rest, header);
	return check_udp(d, rest, (const uint8_t *)ip + offsetof(struct shunt_ip4, src),
			 4);
}

static bool is_extension(uint8_t next)
{
	return next == SHUNT_IP_HOPOPT || next == SHUNT_IP_ROUTING ||
	       next == SHUNT_IP_AH || next == SHUNT_IP_DSTOPTS;
}

/* Neither unspecified nor a group (RFC 4291 section 2.5). */
static bool is_host6(const uint32_t addr[4])
{
	return *(const uint8_t *)addr != 0xff &&
	       (addr[0] | addr[1] | addr[2] | addr[3]);
}

/* fe80::/10 means something on one link alone. */
static void set_scope(struct shunt_endpoint *endpoint, uint32_t scope)
{
	if ((shunt_be32(endpoint->addr[0]) & 0xffc00000) == 0xfe800000)
		endpoint->scope = scope;
}

static enum shunt_udp_kind read_ip6(struct shunt_udp_datagram *d, struct rest *rest)
{
	const struct shunt_ip6 *ip = (const struct shunt_ip6 *)rest->at;
	uint32_t length;

	if (rest->len < sizeof(*ip) || shunt_be32(ip->version_class_flow) >> 28 != 6)
		return SHUNT_UDP_MALFORMED;
	length = shunt_be16(ip->length);
	if (length > rest->len - sizeof(*ip))
		return SHUNT_UDP_MALFORMED;
	if (ip->next == SHUNT_IP_FRAGMENT)
		return SHUNT_UDP_FRAGMENT;
	if (is_extension(ip->next))
		return SHUNT_UDP_OPTIONS;
	if (ip->next != SHUNT_IP_UDP)
		return SHUNT_UDP_OTHER;
	d->src.l3 = d->dst.l3 = SHUNT_L3_IP6;
	memcpy(d->src.addr, ip->src, sizeof(d->src.addr));
	memcpy(d->dst.addr, ip->dst, sizeof(d->dst.addr));
	set_scope(&d->src, rest->scope);
	set_scope(&d->dst, rest->scope);
	if (!is_host6(d->src.addr))
		return SHUNT_UDP_SOURCE;
	skip(rest, sizeof(*ip));
	rest->len = length;
	return check_udp(d, rest, (const uint8_t *)ip + offsetof(struct shunt_ip6, src),
			 16);
}

/* Up to two tags; false where the frame ends in one. */
static bool skip_tags(struct shunt_udp_datagram *d, struct rest *rest, uint16_t *type)
{
	struct shunt_vlan tag;

	while (shunt_is_tag(*type) && d->tags < TAGS_MAX) {
		if (rest->len < sizeof(tag))
			return false;
		memcpy(&tag, rest->at, sizeof(tag));
		if (!d->tags++)
			d->vlan = shunt_be16(tag.tci) & 0xfff;
		*type = shunt_be16(tag.type);
		skip(rest, sizeof(tag));
	}
	return true;
}

enum shunt_udp_kind shunt_udp_read(struct shunt_udp_datagram *datagram, uint8_t *frame,
				   uint32_t len, uint32_t scope, bool verify)
{
	const struct shunt_eth *eth = (const struct shunt_eth *)frame;
	struct rest rest = {
		.at = frame, .len = len, .scope = scope, .verify = verify
	};
	uint16_t type;

	if (len < sizeof(*eth))
		return SHUNT_UDP_MALFORMED;
	memset(datagram, 0, sizeof(*datagram));
	datagram->eth = eth;
	skip(&rest, sizeof(*eth));
	type = shunt_be16(eth->type);
	if (shunt_is_tag(type) && !skip_tags(datagram, &rest, &type))
		return SHUNT_UDP_MALFORMED;
	if (type == SHUNT_ETH_IP4)
		return read_ip4(datagram, &rest);
	if (type == SHUNT_ETH_IP6)
		return read_ip6(datagram, &rest);
	return SHUNT_UDP_OTHER;
}
