/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum over bytes (RFC 1071), as fast as this CPU adds. */
#pragma once

/*
 * The sum is that of 16-bit words in one's complement, as they lie in memory: it may be
 * stored into a packet and compared with what stands in one without a change of byte
 * order. An odd last byte counts as a word whose second byte is 0.
 *
 *     ~shunt_csum(bytes, len)                         what a header's field is to hold
 *     shunt_csum_fold(pseudo + shunt_csum(…)) 0xffff  what stands there is right
 *
 * How a header's change goes into its checksum is in bpf/lib/csum.h.
 *
 * There are several ways to add, in rows of a table, the best one first. The last one is
 * the specification: all others are tested against it. The best one that this CPU can
 * do is chosen before main().
 */
#include <stddef.h>
#include <stdint.h>

#include "bpf/lib/csum.h"
#include "user/base/err.h"

struct shunt_csum_row {
	const char *name;  /* "avx2" */
	int (*fits)(void); /* can this CPU do it? */
	/* The sum, folded to 16 bits; any alignment, any length. */
	uint16_t (*sum)(const void *bytes, size_t len);
};

/* The rows of this build, the best one first, "scalar" last; a name of NULL ends it. */
extern const struct shunt_csum_row shunt_csum_rows[];

/* The row in use. */
extern const struct shunt_csum_row *shunt_csum_row;

/*
 * Takes the row of this name from now on, or the best one again (NULL). Before threads
 * add, or never. -EINVAL: there is none of that name, or this CPU cannot do it.
 */
SHUNT_MUST_CHECK int shunt_csum_choose(const char *name, struct shunt_err *err);

/* The sum of the words, folded, not inverted. */
static inline uint16_t shunt_csum(const void *bytes, size_t len)
{
	return shunt_csum_row->sum(bytes, len);
}

/*
 * The sum of the pseudo header (RFC 793, RFC 8200 section 8.1), not folded: two
 * addresses of `bytes` bytes each, one behind the other, the protocol and the length of
 * what follows the IP header.
 */
uint64_t shunt_csum_pseudo(const void *addresses, size_t bytes, uint8_t proto,
			   uint32_t len);
