/* SPDX-License-Identifier: BSD-2-Clause */
/* Checksums computed in full, and rewrites done naively: what rewritten frames are
 * compared with. */
#pragma once

/*
 * A dissector of its own, that knows nothing of the parser: it walks tags, IPv4 options
 * and IPv6 extension headers byte by byte. The transport checksum of a first fragment is
 * taken over the bytes that are there, which is as good for comparing.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loader/policy/policy.h"

struct shunt_sums_at {
	size_t tags;   /* VLAN tags, up to 2 */
	size_t l3, l4; /* offsets; 0: none, or a later fragment's */
	size_t end;    /* of the IP packet */
	unsigned int version, proto;
	size_t check; /* offset of the transport checksum; 0: none */
};

void shunt_sums_find(const uint8_t *bytes, size_t len, struct shunt_sums_at *at);

/* Writes right checksums; a UDP checksum of 0 stays. */
void shunt_sums_seal(uint8_t *bytes, size_t len);

/* What is wrong with the frame's checksums; NULL: nothing. */
const char *shunt_sums_fault(const uint8_t *bytes, size_t len);

/*
 * Does to the frame what the rewrite asks, field by field, then seals it; 4 bytes more
 * room are needed. Returns its new length, or 0: its TTL has come to its end.
 */
size_t shunt_sums_rewrite(const struct shunt_policy_rewrite *rewrite, uint8_t *bytes,
			  size_t len);
