/* SPDX-License-Identifier: BSD-2-Clause */
/* A packet while user/net/answer.h looks for its answer. */
#pragma once

#include <stdbool.h>

#include "bpf/lib/parse.h"
#include "user/net/answer.h"

struct shunt_request {
	const struct shunt_answerer *self;
	struct iovec *parts;
	unsigned int n;
	size_t room;
	uint8_t *data;		     /* of the first part */
	const struct shunt_layer *l; /* what the parser has found */
	uint32_t l3_off;	     /* of ARP as well */
	bool group;		     /* the frame went to more than one host */
};

static inline struct shunt_eth *shunt_request_eth(const struct shunt_request *req)
{
	return (struct shunt_eth *)req->data;
}

static inline bool shunt_mac_is_group(const uint8_t mac[6])
{
	return mac[0] & 1;
}

/* That of one host, and not all zero. */
bool shunt_mac_is_host(const uint8_t mac[6]);

/* Is it an address of ours? */
bool shunt_answer_is_ours(const struct shunt_answerer *self, uint32_t l3,
			  const uint32_t addr[4]);

/* May an answer be sent to this address: is it another host's? */
bool shunt_answer_is_host(const struct shunt_answerer *self, uint32_t l3,
			  const uint32_t addr[4]);

/* The sum of so many bytes of the packet from an offset on, not folded. */
uint64_t shunt_request_sum(const struct shunt_request *req, uint32_t off,
			   uint32_t bytes);

/* Sends it back to whom it came from. */
void shunt_request_turn_eth(const struct shunt_request *req);

/* user/net/neigh.c: what asks for the MAC address of an address. */
enum shunt_answer_kind shunt_answer_arp(const struct shunt_request *req);
enum shunt_answer_kind shunt_answer_ndp(const struct shunt_request *req, uint32_t len);
