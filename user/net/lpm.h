/* SPDX-License-Identifier: BSD-2-Clause */
/* The longest prefix that an address lies in: a table that is built once, then asked. */
#pragma once

/*
 * A multibit trie with the answers pushed into its leaves, one for each family:
 *
 *     addr[0..1] ─▶ root, 65536 entries ─▶ addr[2] ─▶ node, 256 entries ─▶ addr[3] …
 *
 * An entry is an answer, or the number of the node that goes on with the next byte. So a
 * lookup is at most 3 reads for IPv4 and 15 for IPv6, whatever the table holds. Prefixes
 * are put in by their length, shortest first, so that each one just overwrites what it
 * covers and never meets a node. (Srinivasan and Varghese, "Fast address lookups using
 * controlled prefix expansion", ACM TOCS 17(1), 1999.)
 *
 * A root takes 256 KiB, a node 1 KiB. Nothing changes after shunt_lpm_make(): any number
 * of threads may ask.
 */
#include <stddef.h>
#include <stdint.h>

#include "loader/policy/policy.h"
#include "user/base/err.h"

#define SHUNT_LPM_NONE UINT32_MAX      /* no prefix holds the address */
#define SHUNT_LPM_VALUE_MAX 0x7ffffffd /* largest value of a prefix */

struct shunt_lpm_row {
	struct shunt_prefix prefix;
	uint32_t value;
};

struct shunt_lpm {
	uint32_t *root[2]; /* IPv4 and IPv6; NULL: no prefix of that family */
	uint32_t (*node)[256];
	uint32_t nodes, room;
};

/*
 * -EEXIST: a prefix stands there twice, and the sentence names it; -ENOMEM. The rows stay
 * the caller's, in any order.
 */
SHUNT_MUST_CHECK int shunt_lpm_make(struct shunt_lpm *lpm,
				    const struct shunt_lpm_row *rows, size_t n,
				    struct shunt_err *err);

/* Fine on a zeroed one. */
void shunt_lpm_free(struct shunt_lpm *lpm);

/* --- asking -------------------------------------------------------------------------- */

#define SHUNT_LPM_NODE 0x80000000u /* of an entry: the rest is a node's number */

/* addr: 4 or 16 bytes as they lie in the packet. The value, or SHUNT_LPM_NONE. */
static inline uint32_t shunt_lpm_find(const struct shunt_lpm *lpm, int is_ip6,
				      const uint8_t *addr)
{
	const uint32_t *root = lpm->root[is_ip6];
	unsigned int at = 2;
	uint32_t entry;

	if (!root)
		return SHUNT_LPM_NONE;
	for (entry = root[addr[0] << 8 | addr[1]]; entry & SHUNT_LPM_NODE; at++)
		entry = lpm->node[entry & ~SHUNT_LPM_NODE][addr[at]];
	return entry - 1; /* an entry is the value and 1; 0 is none */
}
