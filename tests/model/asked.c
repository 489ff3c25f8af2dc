/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/asked.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct writer {
	uint8_t *bytes;
	size_t at;
};

static void put(struct writer *w, uint64_t value, unsigned int bytes)
{
	while (bytes--)
		w->bytes[w->at++] = value >> (8 * bytes);
}

static void put_mac(struct writer *w, const char *text)
{
	unsigned int part[6];
	size_t i;

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", part, part + 1, part + 2, part + 3,
		   part + 4, part + 5) != 6)
		abort();
	for (i = 0; i < 6; i++)
		put(w, part[i], 1);
}

static void put_address(struct writer *w, const char *text)
{
	bool six = strchr(text, ':');

	if (inet_pton(six ? AF_INET6 : AF_INET, text, w->bytes + w->at) != 1)
		abort();
	w->at += six ? 16 : 4;
}

/* RFC 1071 as it is written there. */
static unsigned int add(const uint8_t *at, size_t len, uint64_t sum)
{
	size_t i;

	for (i = 0; i < len; i++)
		sum += i % 2 ? at[i] : at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void put_sum(struct writer *w, size_t at, unsigned int sum)
{
	struct writer there = { w->bytes, at };

	put(&there, sum, 2);
}

/* --- parts --------------------------------------------------------------------------- */

static void build_arp(struct writer *w, const struct shunt_asked *asked,
		      const char *src_mac)
{
	put(w, 1, 2);
	put(w, 0x0800, 2);
	put(w, 0x0604, 2);
	put(w, asked->op ? asked->op : 1, 2);
	put_mac(w, src_mac);
	put_address(w, asked->src);
	put_mac(w, asked->arp_mac ? asked->arp_mac : "0:0:0:0:0:0");
	put_address(w, asked->dst);
}

static void put_payload(struct writer *w, const struct shunt_asked *asked)
{
	uint32_t state = asked->seed + 1;
	size_t i;

	for (i = 0; i < asked->payload; i++) {
		state = state * 1664525 + 1013904223;
		put(w, state >> 24, 1);
	}
}

/* Returns where its checksum is to stand. */
static size_t build_l4(struct writer *w, const struct shunt_asked *asked)
{
	size_t start = w->at;

	if (asked->proto == 17) {
		put(w, asked->sport, 2);
		put(w, asked->dport, 2);
		put(w, 8 + asked->payload, 2);
		put(w, 0, 2);
		put_payload(w, asked);
		return start + 6;
	}
	put(w, asked->type, 1);
	put(w, asked->code, 1);
	put(w, 0, 2);
	put(w, asked->target ? asked->ndp_flags : 0x12340001, 4);
	if (asked->target)
		put_address(w, asked->target);
	if (asked->option_mac) {
		put(w, asked->type == 135 ? 0x0101 : 0x0201, 2);
		put_mac(w, asked->option_mac);
	}
	put_payload(w, asked);
	return start + 2;
}

static void seal_l4(struct writer *w, const struct shunt_asked *asked, size_t start,
		    size_t check, size_t addresses, size_t address_bytes)
{
	size_t len = w->at - start;
	uint64_t pseudo = (uint64_t)add(w->bytes + addresses, 2 * address_bytes, 0) +
			  asked->proto + len;
	unsigned int sum;

	if (asked->proto == 1)
		pseudo = 0;
	sum = add(w->bytes + start, len, pseudo) ^ 0xffff;
	if (asked->proto == 17 && !sum)
		sum = 0xffff;
	if (asked->fault == SHUNT_ASKED_BAD_L4)
		sum ^= 0x0100;
	else if (asked->fault == SHUNT_ASKED_NO_SUM)
		sum = 0;
	else if (asked->fault == SHUNT_ASKED_PARTIAL)
		sum = add(NULL, 0, pseudo);
	put_sum(w, check, sum);
}

static void build_ip4(struct writer *w, const struct shunt_asked *asked)
{
	size_t start = w->at, l4, check;
	bool options = asked->fault == SHUNT_ASKED_OPTIONS;
	unsigned int sum;

	put(w, options ? 0x46 : 0x45, 1);
	put(w, 0, 3); /* TOS; the length follows */
	put(w, 0xbeef, 2);
	put(w,
	    asked->fault == SHUNT_ASKED_FIRST	? 0x2000
	    : asked->fault == SHUNT_ASKED_LATER ? 3
						: 0x4000,
	    2);
	put(w, asked->hops ? asked->hops : 64, 1);
	put(w, asked->proto, 1);
	put(w, 0, 2);
	put_address(w, asked->src);
	put_address(w, asked->dst);
	if (options)
		put(w, 0x01010100, 4);
	l4 = w->at;
	check = build_l4(w, asked);
	seal_l4(w, asked, l4, check, start + 12, 4);
	put_sum(w, start + 2, w->at - start);
	sum = add(w->bytes + start, l4 - start, 0) ^ 0xffff;
	put_sum(w, start + 10, asked->fault == SHUNT_ASKED_BAD_IP ? sum ^ 1 : sum);
}

static void build_ip6(struct writer *w, const struct shunt_asked *asked)
{
	size_t start = w->at, l4, check;
	bool extension = asked->fault == SHUNT_ASKED_EXTENSION;
	bool fragment =
		asked->fault == SHUNT_ASKED_ATOMIC || asked->fault == SHUNT_ASKED_FIRST;

	put(w, 0x60000000, 4);
	put(w, 0, 2);
	put(w, extension ? 60 : fragment ? 44 : asked->proto, 1);
	put(w, asked->hops ? asked->hops : 64, 1);
	put_address(w, asked->src);
	put_address(w, asked->dst);
	if (extension)
		put(w, (uint64_t)asked->proto << 56 | 0x01040000, 8);
	if (fragment)
		put(w,
		    (uint64_t)asked->proto << 56 |
			    (asked->fault == SHUNT_ASKED_FIRST ? 1ull << 32 : 0) | 7,
		    8);
	l4 = w->at;
	check = build_l4(w, asked);
	seal_l4(w, asked, l4, check, start + 8, 16);
	put_sum(w, start + 4, w->at - start - 40);
}

size_t shunt_asked_build(const struct shunt_asked *asked,
			 uint8_t bytes[SHUNT_ASKED_ROOM])
{
	const char *src = asked->src_mac ? asked->src_mac : "2:0:0:0:0:1";
	bool six = strchr(asked->src, ':');
	struct writer w = { bytes, 0 };

	put_mac(&w, asked->dst_mac ? asked->dst_mac : "ff:ff:ff:ff:ff:ff");
	put_mac(&w, src);
	if (asked->tags > 1)
		put(&w, 0x88a80014, 4);
	if (asked->tags)
		put(&w, 0x8100000a, 4);
	if (asked->kind == SHUNT_ASKED_ARP) {
		put(&w, 0x0806, 2);
		build_arp(&w, asked, src);
	} else {
		put(&w, six ? 0x86dd : 0x0800, 2);
		if (six)
			build_ip6(&w, asked);
		else
			build_ip4(&w, asked);
	}
	memset(bytes + w.at, 0, asked->pad);
	return w.at + asked->pad;
}
