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
	for (i = 0; i < SHUNT_POOL; i++) {
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

/* --- the pool -------------------------------------------------------------- */

void shunt_pool_draw(struct shunt_pool *p)
{
	static const uint16_t ports[] = {
		0, 1, 53, 255, 256, 1023, 1024, 65534, 65535
	};
	static const uint16_t vlans[] = { 0, 1, 2, 100, 4094, 4095 };
	static const uint16_t types[] = { 0x0600, 0x0601, 0x0806, 0x88cc, 0xffff };
	static const uint8_t protos[] = { 0,  1,  2,  4,  6,   17,  41,
					  47, 50, 51, 58, 132, 254, 255 };
	struct shunt_random *r = p->random;
	int i;

	for (i = 0; i < SHUNT_POOL; i++) {
		p->port[i] = shunt_random_one_in(r, 2) ? shunt_random_of(r, ports)
						       : shunt_random_below(r, 65536);
		p->vlan[i] = shunt_random_one_in(r, 2) ? shunt_random_of(r, vlans)
						       : shunt_random_below(r, 4096);
		p->eth_type[i] = shunt_random_one_in(r, 2)
					 ? shunt_random_of(r, types)
					 : shunt_random_in(r, 1536, 65535);
		p->proto[i] = shunt_random_one_in(r, 2) ? shunt_random_of(r, protos)
							: shunt_random_below(r, 256);
	}
	draw_addresses(p);
}
