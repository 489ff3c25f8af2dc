/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/prefix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/word.h"

/* "0" to max without sign, blank or leading zero; else -1. */
static int parse_bits(const char *text, int max)
{
	int value = 0;

	if (!*text || strlen(text) > 3 || (text[0] == '0' && text[1]))
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		value = value * 10 + (*text - '0');
	}
	return value <= max ? value : -1;
}

/* Clears what is behind the prefix's length; says whether there was anything. */
static bool clear_host(struct shunt_prefix *prefix)
{
	bool dirty = false;

	for (unsigned int i = 0; i < sizeof(prefix->addr); i++) {
		unsigned int kept = prefix->bits > i * 8 ? prefix->bits - i * 8 : 0;
		uint8_t mask = kept >= 8 ? 0xff : (uint8_t)(0xff00 >> kept);

		dirty |= prefix->addr[i] & ~mask;
		prefix->addr[i] &= mask;
	}
	return dirty;
}

int shunt_prefix_parse(struct shunt_prefix *prefix, const char *text,
		       struct shunt_err *err)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char addr[INET6_ADDRSTRLEN], want[SHUNT_PREFIX_TEXT];
	struct shunt_prefix p = { 0 };
	int max, bits;

	if (n >= sizeof(addr))
		return shunt_fail(err, -EINVAL,
				  "%s is not an IPv4 or IPv6 address or prefix",
				  SHUNT_QUOTE(text));
	memcpy(addr, text, n);
	addr[n] = 0;
	if (inet_pton(AF_INET, addr, p.addr) == 1)
		p.family = 4;
	else if (inet_pton(AF_INET6, addr, p.addr) == 1)
		p.family = 6;
	else
		return shunt_fail(
			err, -EINVAL,
			"%s is not an IPv4 or IPv6 address or prefix: write it like "
			"\"192.0.2.0/24\" or \"2001:db8::/32\"",
			SHUNT_QUOTE(text));
	max = p.family == 4 ? 32 : 128;
	bits = slash ? parse_bits(slash + 1, max) : max;
	if (bits < 0)
		return shunt_fail(
			err, -EINVAL,
			"%s: what is behind the slash is the number of leading bits, "
			"0 to %d for IPv%d",
			SHUNT_QUOTE(text), max, p.family);
	p.bits = bits;
	if (clear_host(&p))
		return shunt_fail(
			err, -EINVAL,
			"%s has bits set behind the first %d: write \"%s\" for the "
			"prefix or \"%s\" for the one address",
			SHUNT_QUOTE(text), bits, shunt_prefix_format(&p, want), addr);
	*prefix = p;
	return 0;
}

const char *shunt_prefix_format(const struct shunt_prefix *prefix,
				char buf[SHUNT_PREFIX_TEXT])
{
	bool ip4 = prefix->family == 4;
	size_t n;

	inet_ntop(ip4 ? AF_INET : AF_INET6, prefix->addr, buf, SHUNT_PREFIX_TEXT);
	n = strlen(buf);
	if (prefix->bits != (ip4 ? 32 : 128))
		snprintf(buf + n, SHUNT_PREFIX_TEXT - n, "/%u", prefix->bits);
	return buf;
}

int shunt_prefix_compare(const void *a, const void *b)
{
	const struct shunt_prefix *p = a, *q = b;
	int by_addr = memcmp(p->addr, q->addr, sizeof(p->addr));

	if (p->family != q->family)
		return p->family < q->family ? -1 : 1;
	return by_addr ? by_addr : (int)p->bits - (int)q->bits;
}

size_t shunt_prefix_unique(struct shunt_prefix *prefix, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(prefix, n, sizeof(*prefix), shunt_prefix_compare);
	for (size_t i = 0; i < n; i++)
		if (!kept || shunt_prefix_compare(&prefix[kept - 1], &prefix[i]))
			prefix[kept++] = prefix[i];
	return kept;
}

int shunt_prefix_member(struct shunt_prefix *prefix, const char *text,
			enum shunt_set_type type, struct shunt_err *err)
{
	struct shunt_prefix p = { .family = 0 };
	int ret = shunt_prefix_parse(&p, text, err);

	if (ret)
		return ret;
	if (type == SHUNT_SET_ADDRESS && p.bits != (p.family == 4 ? 32 : 128))
		return shunt_fail(
			err, -EINVAL,
			"%s is a prefix, and this is a set of addresses: give the "
			"set the type \"prefix\"",
			SHUNT_QUOTE(text));
	*prefix = p;
	return 0;
}
