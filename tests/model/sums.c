/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/sums.h"

#include <string.h>

static unsigned int get16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static void put16(uint8_t *at, unsigned int v)
{
	at[0] = v >> 8;
	at[1] = v & 255;
}

/* --- the dissector ----------------------------------------------------------- */

static void find4(const uint8_t *bytes, struct shunt_sums_at *at)
{
	const uint8_t *ip = bytes + at->l3;

	at->version = 4;
	at->end = at->l3 + get16(ip + 2);
	at->proto = ip[9];
	at->l4 = get16(ip + 6) & 0x1fff ? 0 : at->l3 + (ip[0] & 15) * 4;
}

static void find6(const uint8_t *bytes, struct shunt_sums_at *at)
{
	const uint8_t *ip = bytes + at->l3;
	unsigned int next = ip[6];
	size_t pos = at->l3 + 40;

	at->version = 6;
	at->end = pos + get16(ip + 4);
	while (next == 0 || next == 43 || next == 44 || next == 51 || next == 60) {
		unsigned int kind = next;
		bool later = kind == 44 && get16(bytes + pos + 2) & 0xfff8;

		next = bytes[pos];
		pos += kind == 44   ? 8
		       : kind == 51 ? 4 * (bytes[pos + 1] + 2)
				    : 8 * (bytes[pos + 1] + 1);
		if (later) {
			at->proto = next;
			return;
		}
	}
	at->proto = next;
	at->l4 = pos;
}

void shunt_sums_find(const uint8_t *bytes, size_t len, struct shunt_sums_at *at)
{
	size_t pos = 12;

	memset(at, 0, sizeof(*at));
	while (at->tags < 2 && pos + 4 < len &&
	       (get16(bytes + pos) == 0x8100 || get16(bytes + pos) == 0x88a8 ||
		get16(bytes + pos) == 0x9100)) {
		at->tags++;
		pos += 4;
	}
	at->l3 = pos + 2;
	if (get16(bytes + pos) == 0x0800)
		find4(bytes, at);
	else if (get16(bytes + pos) == 0x86dd)
		find6(bytes, at);
	else
		at->l3 = 0;
	if (!at->l4)
		return;
	if (at->proto == 6)
		at->check = at->l4 + 16;
	else if (at->proto == 17)
		at->check = at->l4 + 6;
	else if (at->proto == 58 && at->version == 6)
		at->check = at->l4 + 2;
}

/* --- sums (RFC 1071) --------------------------------------------------------- */

static uint64_t sum(const uint8_t *at, size_t n)
{
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < n; i++)
		total += i % 2 ? at[i] : at[i] << 8;
	return total;
}

static unsigned int fold(uint64_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return total;
}

static uint64_t transport_sum(const uint8_t *bytes, const struct shunt_sums_at *at)
{
	size_t n = at->end - at->l4;
	const uint8_t *ip = bytes + at->l3;
	uint64_t pseudo = at->version == 4 ? sum(ip + 12, 8) : sum(ip + 8, 32);

	return pseudo + at->proto + n + sum(bytes + at->l4, n);
}

void shunt_sums_seal(uint8_t *bytes, size_t len)
{
	struct shunt_sums_at at;

	shunt_sums_find(bytes, len, &at);
	if (at.version == 4) {
		put16(bytes + at.l3 + 10, 0);
		put16(bytes + at.l3 + 10,
		      fold(sum(bytes + at.l3, (bytes[at.l3] & 15) * 4)) ^ 0xffff);
	}
	if (!at.check || (at.proto == 17 && !get16(bytes + at.check)))
		return;
	put16(bytes + at.check, 0);
	put16(bytes + at.check, fold(transport_sum(bytes, &at)) ^ 0xffff);
	if (at.proto == 17 && !get16(bytes + at.check))
		put16(bytes + at.check, 0xffff);
}

const char *shunt_sums_fault(const uint8_t *bytes, size_t len)
{
	struct shunt_sums_at at;

	shunt_sums_find(bytes, len, &at);
	if (at.version == 4 &&
	    fold(sum(bytes + at.l3, (bytes[at.l3] & 15) * 4)) != 0xffff)
		return "the IPv4 header's checksum is wrong";
	if (!at.check || (at.proto == 17 && !get16(bytes + at.check)))
		return NULL;
	return fold(transport_sum(bytes, &at)) != 0xffff
		       ? "the transport checksum is wrong"
		       : NULL;
}

/* --- rewrites ---------------------------------------------------------------- */

static bool rewrite_ip(const struct shunt_policy_rewrite *rw, uint8_t *bytes,
		       const struct shunt_sums_at *at)
{
	uint8_t *ip = bytes + at->l3;
	uint8_t *ttl = ip + (at->version == 4 ? 8 : 7);
	size_t addr = at->version == 4 ? 12 : 8, size = at->version == 4 ? 4 : 16;
	int side;

	if (rw->bits & SHUNT_REWRITE_TTL_DEC && (*ttl)-- <= 1)
		return false;
	if (rw->bits & SHUNT_REWRITE_TTL_SET)
		*ttl = rw->ttl;
	if (rw->bits & SHUNT_REWRITE_DSCP && at->version == 4)
		ip[1] = rw->dscp * 4 + ip[1] % 4;
	if (rw->bits & SHUNT_REWRITE_DSCP && at->version == 6) {
		ip[0] = ip[0] / 16 * 16 + rw->dscp / 4;
		ip[1] = rw->dscp % 4 * 64 + ip[1] % 64;
	}
	for (side = 0; side < 2; side++) {
		if (rw->bits & SHUNT_REWRITE_SRC << side &&
		    rw->addr[side].family == at->version)
			memcpy(ip + addr + side * size, rw->addr[side].addr, size);
		if (rw->bits & SHUNT_REWRITE_SPORT << side && at->l4 &&
		    (at->proto == 6 || at->proto == 17))
			put16(bytes + at->l4 + 2 * side, rw->port[side]);
	}
	return true;
}

static size_t rewrite_vlan(const struct shunt_policy_rewrite *rw, uint8_t *bytes,
			   size_t len, bool tagged)
{
	if (rw->bits & SHUNT_REWRITE_VLAN_POP && tagged) {
		memmove(bytes + 12, bytes + 16, len - 16);
		len -= 4;
	}
	if (rw->bits & SHUNT_REWRITE_VLAN_PUSH) {
		memmove(bytes + 16, bytes + 12, len - 12);
		put16(bytes + 12, 0x8100);
		put16(bytes + 14, rw->vlan);
		len += 4;
	}
	if (rw->bits & SHUNT_REWRITE_VLAN_SET && tagged)
		put16(bytes + 14, (get16(bytes + 14) & 0xf000) | rw->vlan);
	return len;
}

size_t shunt_sums_rewrite(const struct shunt_policy_rewrite *rw, uint8_t *bytes,
			  size_t len)
{
	struct shunt_sums_at at;

	shunt_sums_find(bytes, len, &at);
	if (at.l3 && !rewrite_ip(rw, bytes, &at))
		return 0;
	shunt_sums_seal(bytes, len);
	if (rw->bits & SHUNT_REWRITE_DST_MAC)
		memcpy(bytes, rw->mac[1], 6);
	if (rw->bits & SHUNT_REWRITE_SRC_MAC)
		memcpy(bytes + 6, rw->mac[0], 6);
	return rewrite_vlan(rw, bytes, len, at.tags);
}
