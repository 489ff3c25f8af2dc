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

/* --- text to address: as inet_pton(3), several times as fast ------------------- */

static bool parse4(const char *text, const char *end, uint8_t addr[4])
{
	int part;

	for (part = 0; part < 4; part++) {
		unsigned int value = 0, digits = 0;

		if (part && (text == end || *text++ != '.'))
			return false;
		for (; text < end && *text >= '0' && *text <= '9'; text++, digits++)
			value = digits < 4 ? value * 10 + (*text - '0') : 256;
		if (!digits || value > 255 || (digits > 1 && text[-(int)digits] == '0'))
			return false;
		addr[part] = value;
	}
	return text == end;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* Moves what stands behind the "::" to the end. */
static void spread(uint8_t addr[16], int gap, int n)
{
	memmove(addr + 16 - (n - gap), addr + gap, n - gap);
	memset(addr + gap, 0, 16 - n);
}

static bool parse6(const char *text, const char *end, uint8_t addr[16])
{
	const char *group = text;
	int n = 0, gap = -1;

	if (end - text < 2 || (text[0] == ':' && text[1] != ':'))
		return false;
	text += text[0] == ':';
	for (group = text; text < end; group = text) {
		unsigned int value = 0;

		for (; text < end && hex_digit(*text) >= 0 && text - group < 5; text++)
			value = value << 4 | hex_digit(*text);
		if (text < end && *text == '.') {
			if (n > 12 || !parse4(group, end, addr + n))
				return false;
			n += 4;
			break;
		}
		if (text - group > 4 || (text < end && *text != ':'))
			return false;
		if (text == group) { /* a second colon */
			if (gap >= 0)
				return false;
			gap = n;
			text++;
			continue;
		}
		if (n > 14 || (text < end && text + 1 == end))
			return false;
		addr[n++] = value >> 8;
		addr[n++] = value;
		text += text < end;
	}
	if (gap >= 0 && n < 16)
		spread(addr, gap, n);
	return gap >= 0 ? n < 16 : n == 16;
}

int shunt_prefix_parse(struct shunt_prefix *prefix, const char *text,
		       struct shunt_err *err)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char want[SHUNT_PREFIX_TEXT];
	struct shunt_prefix p = { 0 };
	int max, bits;

	if (n >= INET6_ADDRSTRLEN)
		return shunt_fail(err, -EINVAL,
				  "%s is not an IPv4 or IPv6 address or prefix",
				  SHUNT_QUOTE(text));
	if (parse4(text, text + n, p.addr))
		p.family = 4;
	else if (parse6(text, text + n, p.addr))
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
			"prefix or \"%.*s\" for the one address",
			SHUNT_QUOTE(text), bits, shunt_prefix_format(&p, want), (int)n,
			text);
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
	else if (prefix->proto && shunt_proto_name(prefix->proto))
		snprintf(buf + n, SHUNT_PREFIX_TEXT - n, ",%s:%u",
			 shunt_proto_name(prefix->proto), prefix->port);
	return buf;
}

/* --- members of sets ------------------------------------------------------------- */

/* "0" to 65535, of decimal digits alone; else -1. */
static long parse_port(const char *text)
{
	char *end;
	long value;

	if (*text < '0' || *text > '9')
		return -1;
	value = strtol(text, &end, 10);
	return *end || value > 65535 ? -1 : value;
}

static int parse_proto(const char *text, size_t n)
{
	static const uint8_t with_ports[] = { 6, 17, 132 };
	char number[4];
	size_t i;

	for (i = 0; i < sizeof(with_ports); i++) {
		const char *name = shunt_proto_name(with_ports[i]);

		snprintf(number, sizeof(number), "%u", with_ports[i]);
		if ((strlen(name) == n && !strncmp(name, text, n)) ||
		    (strlen(number) == n && !strncmp(number, text, n)))
			return with_ports[i];
	}
	return -1;
}

/* "192.0.2.1,tcp:443" */
static int parse_service(struct shunt_prefix *prefix, const char *text,
			 struct shunt_err *err)
{
	const char *comma = strchr(text, ','),
		   *colon = comma ? strchr(comma, ':') : NULL;
	char addr[INET6_ADDRSTRLEN];
	int proto, ret;
	long port;

	if (!colon || comma - text >= (long)sizeof(addr))
		return shunt_fail(
			err, -EINVAL,
			"%s is not an address with a protocol and a port: write it "
			"like \"192.0.2.1,tcp:443\" or \"2001:db8::1,udp:53\"",
			SHUNT_QUOTE(text));
	snprintf(addr, sizeof(addr), "%.*s", (int)(comma - text), text);
	ret = shunt_prefix_parse(prefix, addr, err);
	if (ret)
		return ret;
	proto = parse_proto(comma + 1, colon - comma - 1);
	port = parse_port(colon + 1);
	if (prefix->bits != (prefix->family == 4 ? 32 : 128))
		return shunt_fail(err, -EINVAL,
				  "%s has a prefix, and a service has one address",
				  SHUNT_QUOTE(text));
	if (proto < 0)
		return shunt_fail(err, -EINVAL,
				  "%s: the protocol is tcp, udp or sctp, or its "
				  "number: no other has ports",
				  SHUNT_QUOTE(text));
	if (port < 0)
		return shunt_fail(err, -EINVAL,
				  "%s: the port is a number from 0 to 65535",
				  SHUNT_QUOTE(text));
	prefix->proto = proto;
	prefix->port = port;
	return 0;
}

int shunt_prefix_member(struct shunt_prefix *prefix, const char *text,
			enum shunt_set_type type, struct shunt_err *err)
{
	struct shunt_prefix p = { .family = 0 };
	int ret = type == SHUNT_SET_SERVICE ? parse_service(&p, text, err)
					    : shunt_prefix_parse(&p, text, err);

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
