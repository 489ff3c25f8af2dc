/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/pool.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* --- addresses ------------------------------------------------------------- */

static void draw_base(struct shunt_random *r, uint8_t base[16])
{
	int i;

	for (i = 0; i < 16; i++)
		base[i] = shunt_random_next(r);
	if (shunt_random_one_in(r, 8))
		memset(base, shunt_random_one_in(r, 2) ? 255 : 0, 16);
}

/* Like the base, but for one bit perhaps: prefixes of it nest or stand side by side. */
static void draw_near(struct shunt_random *r, const uint8_t base[16], int bits,
		      uint8_t addr[16])
{
	uint32_t bit = shunt_random_below(r, bits);

	memcpy(addr, base, 16);
	if (shunt_random_one_in(r, 2))
		addr[bit / 8] ^= 0x80 >> bit % 8;
}

static void write_prefix(char *text, uint8_t addr[16], int family, int bits)
{
	int max = family == AF_INET ? 32 : 128, b;
	char host[INET6_ADDRSTRLEN];

	for (b = bits; b < max; b++)
		addr[b / 8] &= ~(0x80 >> b % 8);
	inet_ntop(family, addr, host, sizeof(host));
	if (bits < max)
		sprintf(text, "%s/%d", host, bits);
	else
		strcpy(text, host);
}

static void draw_addresses(struct shunt_pool *p)
{
	static const uint8_t bits4[] = { 0, 8, 12, 15, 16, 17, 20, 24, 31, 32, 32 };
	static const uint8_t bits6[] = { 0,  1,	 16, 17, 32, 48,  56,  63,
					 64, 65, 80, 96, 97, 127, 128, 128 };
	struct shunt_random *r = p->random;
	uint8_t base[2][16], addr[16];
	int f, i;

	draw_base(r, base[0]);
	draw_base(r, base[1]);
	for (i = 0; i < (int)p->values; i++) {
		for (f = 0; f < 2; f++) {
			int max = f ? 128 : 32;
			int bits = f ? shunt_random_of(r, bits6)
				     : shunt_random_of(r, bits4);

			if (shunt_random_one_in(r, 3))
				bits = shunt_random_in(r, 4, max);
			if (shunt_random_one_in(r, 6))
				draw_base(r, base[f]);
			draw_near(r, base[f], max, addr);
			write_prefix(p->prefix[f][i], addr, f ? AF_INET6 : AF_INET,
				     bits);
			draw_near(r, base[f], max, addr);
			write_prefix(p->address[f][i], addr, f ? AF_INET6 : AF_INET,
				     max);
		}
	}
}

/* --- MAC addresses --------------------------------------------------------- */

static void write_mac(char *text, uint64_t mac, int bits)
{
	int at = 0, i;

	mac &= ~((1ull << (48 - bits)) - 1);
	for (i = 40; i >= 0; i -= 8)
		at += sprintf(text + at, "%s%02x", i == 40 ? "" : ":",
			      (unsigned int)(mac >> i & 255));
	if (bits < 48)
		sprintf(text + at, "/%d", bits);
}

static void draw_macs(struct shunt_pool *p)
{
	static const uint8_t bits[] = { 1, 7, 8, 16, 24, 24, 40, 47, 48 };
	struct shunt_random *r = p->random;
	uint64_t base = shunt_random_next(r) >> 16;
	int i;

	for (i = 0; i < (int)p->values; i++) {
		if (shunt_random_one_in(r, 6))
			base = shunt_random_one_in(r, 3) ? (1ull << 48) - 1
							 : shunt_random_next(r) >> 16;
		write_mac(p->mac[i], base ^ shunt_random_one_in(r, 2), 48);
		write_mac(p->mac_prefix[i], base ^ 1ull << shunt_random_below(r, 48),
			  shunt_random_of(r, bits));
	}
}

/* --- numbers --------------------------------------------------------------- */

/* Half of them from the list, the others anywhere from lo to hi. */
static void draw_numbers(const struct shunt_pool *p, uint32_t *to, const uint32_t *from,
			 uint32_t n, uint32_t lo, uint32_t hi)
{
	struct shunt_random *r = p->random;
	int i;

	for (i = 0; i < (int)p->values; i++)
		to[i] = shunt_random_one_in(r, 2)
				? from[shunt_random_below(r, n)]
				: (uint32_t)shunt_random_in64(r, lo, hi);
}

#define DRAW(p, kind, lo, hi, ...)                                                     \
	do {                                                                           \
		static const uint32_t list[] = { __VA_ARGS__ };                        \
		draw_numbers(p, (p)->kind, list, sizeof(list) / sizeof(*list), lo,     \
			     hi);                                                      \
	} while (0)

void shunt_pool_draw(struct shunt_pool *p)
{
	int i;

	DRAW(p, port, 0, 65535, 0, 1, 53, 255, 256, 1023, 1024, 65534, 65535);
	DRAW(p, vlan, 0, 4095, 0, 1, 2, 100, 4094, 4095);
	DRAW(p, eth_type, 1536, 65535, 0x0600, 0x0601, 0x0806, 0x88cc, 0xffff);
	DRAW(p, proto, 0, 255, 0, 1, 2, 4, 6, 17, 41, 47, 50, 51, 58, 132, 254, 255);
	DRAW(p, dscp, 0, 63, 0, 1, 46, 62, 63);
	DRAW(p, length, 14, 1514, 0, 42, 60, 64, 128, 1514, 65534, 65535);
	DRAW(p, vni, 0, (1 << 24) - 1, 0, 1, 100, (1 << 24) - 1);
	DRAW(p, key, 0, UINT32_MAX, 0, 1, 100, UINT32_MAX - 1, UINT32_MAX);
	for (i = 0; i < (int)p->values; i++) /* IP is written by name */
		if (p->eth_type[i] == 0x0800 || p->eth_type[i] == 0x86dd)
			p->eth_type[i] = 0x0806;
	draw_addresses(p);
	draw_macs(p);
}
