/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the author share with one another; for author*.c alone. */
#pragma once

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "tests/model/author.h"
#include "tests/model/pool.h"

/* The IP version that the keys of a match agree on. */
enum shunt_author_family { ANY, IP4, IP6 };

/* What has been asked for so far, so that the next keys do not contradict it. */
struct shunt_author_asks {
	enum shunt_author_family family;
	bool transport; /* a key that looks into a transport header */
	bool ip;	/* a key that only IP packets have */
	bool tunnel;	/* the packet carries another one … */
	bool udp;	/* … over UDP */
	bool inner;	/* the packet lies in another one … */
	bool bare;	/* … without Ethernet */
	/* what a rewrite may put in, for the rule admits no other packets */
	bool one_family, tcp_udp;
};

/* One of the pool's values of a kind. */
#define pool_of(p, kind) (p)->kind[shunt_random_below((p)->random, (p)->values)]

/* 1, or up to 4. */
uint32_t shunt_author_few(struct shunt_pool *pool);

void shunt_author_add(cJSON *list, const char *text);

/* Puts the list under the key; a list of one may also be written plainly. */
void shunt_author_put(struct shunt_pool *pool, cJSON *object, const char *key,
		      cJSON *list);

/* A number of `from`, the number in quotes, or a range from it. */
cJSON *shunt_author_number(struct shunt_pool *pool, const uint32_t *from, uint32_t max);

/* --- keys of IP and behind it: author_ip.c ----------------------------------- */

void shunt_author_side(struct shunt_pool *pool, cJSON *match, const char *key,
		       enum shunt_author_family family);
/* 0: no protocol must be among them. */
void shunt_author_proto(struct shunt_pool *pool, cJSON *match, uint32_t must);
void shunt_author_ports(struct shunt_pool *pool, cJSON *match, const char *key);
void shunt_author_flags(struct shunt_pool *pool, cJSON *match);
void shunt_author_icmp(struct shunt_pool *pool, cJSON *match,
		       enum shunt_author_family family);
void shunt_author_fragment(struct shunt_pool *pool, cJSON *match, bool transport);
void shunt_author_dscp(struct shunt_pool *pool, cJSON *match);

/* --- keys of the link layer and of the frame: author_link.c ------------------ */

/* `ip`: the types of IP must be among them. */
void shunt_author_eth_type(struct shunt_pool *pool, cJSON *match,
			   enum shunt_author_family family, bool ip);
void shunt_author_vlan(struct shunt_pool *pool, cJSON *match);
void shunt_author_mac(struct shunt_pool *pool, cJSON *match, const char *key);
void shunt_author_length(struct shunt_pool *pool, cJSON *match);
void shunt_author_iface(struct shunt_pool *pool, cJSON *match);

/* --- rules: author_match.c, author_not.c, author_action.c --------------------- */

/* All of "match"; what it says is in *asks. */
void shunt_author_match(struct shunt_pool *pool, cJSON *match,
			struct shunt_author_asks *asks);

/* "not" of either layer. */
void shunt_author_not(struct shunt_pool *pool, cJSON *match,
		      const struct shunt_author_asks *asks, bool inner);

/* "action" and the modifiers. */
void shunt_author_action(struct shunt_pool *pool, cJSON *rule,
			 const struct shunt_author_asks *asks);
