/* SPDX-License-Identifier: BSD-2-Clause */
/* Ntuple filters: the rules by which a NIC sends flows to a receive queue. */
#pragma once

/*
 * A NIC has one table of them, which belongs to nobody: whoever comes numbers his rules by
 * their place, the location. ethtool's interface does not lock, and putting a rule into
 * a place takes the one that is there away. Hence a place is looked at before it is
 * written, and a rule counts as ours only where place and content are those that we
 * have noted.
 *
 * A filter here is what can be said of a flow in general: addresses or prefixes of one
 * family, TCP, UDP or SCTP or any protocol, one port a side. What else drivers can
 * express (masks with holes, MAC addresses, tags, RSS contexts) is read as "foreign".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loader/policy/policy.h"
#include "user/base/err.h"

#define SHUNT_NTUPLE_ANYWHERE UINT32_MAX /* the driver chooses the place */

struct shunt_ntuple {
	uint8_t family; /* 4 or 6 */
	uint8_t proto; /* IPPROTO_TCP, _UDP or _SCTP; 0: any, then there are no ports */
	struct shunt_prefix addr[SHUNT_SIDES]; /* bits 0: any */
	uint16_t port[SHUNT_SIDES];	       /* host order; 0: any */
	uint32_t queue;
	uint32_t location;
};

struct shunt_ntuple_table {
	uint32_t *location; /* of the rules that there are */
	uint32_t rules;
	uint32_t size; /* places; 0: the driver does not tell */
	bool anywhere; /* the driver wants to choose places itself */
};

/* -EOPNOTSUPP: this NIC has no such table. The caller frees it. */
SHUNT_MUST_CHECK int shunt_ntuple_list(const char *interface,
				       struct shunt_ntuple_table *table);

/* NULL locations are fine. */
void shunt_ntuple_table_free(struct shunt_ntuple_table *table);

#define _ntuples_ __attribute__((cleanup(shunt_ntuple_table_free)))

bool shunt_ntuple_taken(const struct shunt_ntuple_table *table, uint32_t location);

/*
 * Reads the rule of a place. -ENOENT: there is none. -EPROTO: it says something that a
 * struct shunt_ntuple cannot, so that it is somebody else's.
 */
SHUNT_MUST_CHECK int shunt_ntuple_read(const char *interface, uint32_t location,
				       struct shunt_ntuple *filter);

/*
 * Puts a rule in at its location, which must be free, or anywhere: then the location is
 * told. -EOPNOTSUPP, -EINVAL: the NIC cannot. -ENOSPC: it is full. -EEXIST: it has such a
 * rule. -EPROTO: it took the rule for another one, which was taken out again.
 */
SHUNT_MUST_CHECK int shunt_ntuple_insert(const char *interface,
					 struct shunt_ntuple *filter);

SHUNT_MUST_CHECK int shunt_ntuple_delete(const char *interface, uint32_t location);

/* The same packets? And to the same queue? Places are not compared. */
bool shunt_ntuple_same_flow(const struct shunt_ntuple *a, const struct shunt_ntuple *b);
bool shunt_ntuple_same(const struct shunt_ntuple *a, const struct shunt_ntuple *b);

#define SHUNT_NTUPLE_TEXT 192

/* "udp 192.0.2.0/24 port any to 198.51.100.1 port 53". Returns buf. */
const char *shunt_ntuple_format(const struct shunt_ntuple *filter,
				char buf[SHUNT_NTUPLE_TEXT]);
