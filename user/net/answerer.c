/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is found: addresses and ports, and the text that names them. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "loader/policy/mac.h"
#include "loader/policy/range.h"
#include "user/net/answer_request.h"

/* --- addresses that packets carry ---------------------------------------------------- */

bool shunt_mac_is_host(const uint8_t mac[6])
{
	static const uint8_t none[6];

	return !shunt_mac_is_group(mac) && memcmp(mac, none, sizeof(none)) != 0;
}

bool shunt_answer_is_ours(const struct shunt_answerer *self, uint32_t l3,
			  const uint32_t addr[4])
{
	size_t words = l3 == SHUNT_L3_IP4 ? 1 : 4;
	uint32_t i;

	for (i = 0; i < self->count; i++)
		if (self->address[i].l3 == l3 &&
		    !memcmp(self->address[i].addr, addr, 4 * words))
			return true;
	return false;
}

/* The all ones and all zeroes of a network; those of /31 and /32 are hosts (RFC 3021). */
static bool is_broadcast(const struct shunt_answer_address *own, uint32_t addr)
{
	uint32_t mask, host;

	if (own->l3 != SHUNT_L3_IP4 || own->bits > 30 || !own->bits)
		return false;
	mask = UINT32_MAX << (32 - own->bits);
	host = addr & ~mask;
	return ((addr ^ shunt_be32(own->addr[0])) & mask) == 0 &&
	       (!host || host == ~mask);
}

/* RFC 1122 section 3.2.1.3: what never is the address of another host. */
static bool is_host4(const struct shunt_answerer *self, uint32_t addr)
{
	uint32_t i;

	if (addr >> 24 == 0 || addr >> 24 == 127 || addr >> 28 >= 14)
		return false;
	for (i = 0; i < self->count; i++)
		if (is_broadcast(&self->address[i], addr))
			return false;
	return true;
}

/* Neither unspecified nor loopback nor multicast (RFC 4291 section 2.5). */
static bool is_host6(const uint32_t addr[4])
{
	const uint8_t *bytes = (const uint8_t *)addr;

	return bytes[0] != 0xff &&
	       (addr[0] || addr[1] || addr[2] || (shunt_be32(addr[3]) & ~1u));
}

bool shunt_answer_is_host(const struct shunt_answerer *self, uint32_t l3,
			  const uint32_t addr[4])
{
	if (shunt_answer_is_ours(self, l3, addr))
		return false;
	return l3 == SHUNT_L3_IP4 ? is_host4(self, shunt_be32(addr[0]))
				  : is_host6(addr);
}

/* --- text ---------------------------------------------------------------------------- */

static int fail_address(const char *text, struct shunt_err *err)
{
	return shunt_fail(err, -EINVAL,
			  "answer for \"%s\": it is no address of one host, or is "
			  "given twice; it reads 192.0.2.9, 192.0.2.9/24 or "
			  "2001:db8::9",
			  text);
}

static bool read_address(struct shunt_answer_address *own, const char *text)
{
	char host[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	const char *at = text + len;
	int64_t most, bits;

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	own->l3 = strchr(host, ':') ? SHUNT_L3_IP6 : SHUNT_L3_IP4;
	if (inet_pton(own->l3 == SHUNT_L3_IP6 ? AF_INET6 : AF_INET, host, own->addr) !=
	    1)
		return false;
	most = own->l3 == SHUNT_L3_IP6 ? 128 : 32;
	bits = most;
	if (*at++ == '/') {
		bits = shunt_range_digits(&at, 10, most);
		if (bits < 1 || *at)
			return false;
	}
	own->bits = (uint32_t)bits;
	return true;
}

int shunt_answerer_address(struct shunt_answerer *self, const char *text,
			   struct shunt_err *err)
{
	struct shunt_answer_address own = { 0 };

	if (!read_address(&own, text) ||
	    !shunt_answer_is_host(self, own.l3, own.addr) ||
	    is_broadcast(&own, shunt_be32(own.addr[0])))
		return fail_address(text, err);
	if (self->count == SHUNT_ANSWER_ADDRESSES)
		return shunt_fail(err, -ENOSPC,
				  "answer for %s: there is room for %d addresses", text,
				  SHUNT_ANSWER_ADDRESSES);
	self->address[self->count++] = own;
	return 0;
}

int shunt_answerer_mac(struct shunt_answerer *self, const char *text,
		       struct shunt_err *err)
{
	unsigned int bits, i;
	uint64_t mac;
	int code = shunt_mac_parse(&mac, &bits, text, err);

	if (code)
		return code;
	for (i = 0; i < 6; i++)
		self->mac[i] = mac >> (40 - 8 * i);
	if (bits != SHUNT_MAC_BITS || !shunt_mac_is_host(self->mac))
		return shunt_fail(err, -EINVAL,
				  "answer from \"%s\": it is no MAC address of one "
				  "host, such as 02:00:00:00:00:09",
				  text);
	return 0;
}

static int fail_ports(const char *text, struct shunt_err *err)
{
	return shunt_fail(err, -EINVAL,
			  "answer UDP to \"%s\": these are no ports; they read 7 or "
			  "7,9000-9010",
			  text);
}

int shunt_answerer_ports(struct shunt_answerer *self, const char *text,
			 struct shunt_err *err)
{
	const char *at = text;
	int64_t lo, hi;

	memset(self->ports, text ? 0 : 0xff, sizeof(self->ports));
	while (at) {
		lo = hi = shunt_range_digits(&at, 10, UINT16_MAX);
		if (lo >= 0 && *at == '-') {
			at++;
			hi = shunt_range_digits(&at, 10, UINT16_MAX);
		}
		if (lo < 1 || hi < lo || (*at && *at != ','))
			return fail_ports(text, err);
		for (; lo <= hi; lo++)
			self->ports[lo / 64] |= UINT64_C(1) << lo % 64;
		at = *at ? at + 1 : NULL;
	}
	self->ports[0] &= ~UINT64_C(1); /* no answer can come from port 0 */
	return 0;
}
