/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/mac.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "loader/policy/word.h"

#define OCTETS (SHUNT_MAC_BITS / 8)

static int digit(char c)
{
	const char *digits = "0123456789abcdef", *at;

	at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c | 32 : c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* One to six octets, each of two digits; the text behind them, or NULL. */
static const char *octets(const char *p, uint64_t *mac, int *n)
{
	for (*mac = 0, *n = 0; *n < OCTETS; p++) {
		int upper = digit(p[0]), lower = upper < 0 ? -1 : digit(p[1]);

		if (lower < 0)
			return NULL;
		*mac = *mac << 8 | (unsigned int)upper << 4 | (unsigned int)lower;
		(*n)++;
		p += 2;
		if (*p != ':' || p[1] == ':')
			return p;
	}
	return NULL; /* a colon stands behind the sixth */
}

/* "/24" to the end of the text; -1 if it is not that. */
static int length(const char *p)
{
	int bits = 0;

	if (*p++ != '/' || !*p || (*p == '0' && p[1]))
		return -1;
	for (; *p; p++) {
		if (*p < '0' || *p > '9')
			return -1;
		bits = bits * 10 + (*p - '0');
		if (bits > SHUNT_MAC_BITS)
			return -1;
	}
	return bits;
}

int shunt_mac_parse(uint64_t *mac, unsigned int *bits, const char *text,
		    struct shunt_err *err)
{
	uint64_t value = 0, host;
	int n, len = SHUNT_MAC_BITS;
	const char *p = octets(text, &value, &n);
	bool cut = p && n < OCTETS && strncmp(p, "::", 2) == 0;

	if (p && cut)
		p += 2;
	if (p && (*p || cut))
		len = length(p);
	if (!p || len < 0 || (n < OCTETS && !cut))
		return shunt_fail(err, -EINVAL,
				  "%s is not a MAC address or a prefix of one: write "
				  "\"02:00:00:00:00:01\" or \"02:00:00::/24\"",
				  SHUNT_QUOTE(text));
	value <<= 8 * (OCTETS - n);
	host = len == SHUNT_MAC_BITS ? 0 : (1ull << (SHUNT_MAC_BITS - len)) - 1;
	if (value & host) {
		uint64_t net = value & ~host;

		return shunt_fail(err, -EINVAL,
				  "%s has bits set behind its length: write "
				  "\"%02x:%02x:%02x:%02x:%02x:%02x/%d\", or leave the "
				  "length out for this one address",
				  SHUNT_QUOTE(text), (int)(net >> 40 & 255),
				  (int)(net >> 32 & 255), (int)(net >> 24 & 255),
				  (int)(net >> 16 & 255), (int)(net >> 8 & 255),
				  (int)(net & 255), len);
	}
	*mac = value;
	*bits = len;
	return 0;
}
