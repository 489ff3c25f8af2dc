/* SPDX-License-Identifier: BSD-2-Clause */
/* Next hops: to which port and to which neighbour a packet goes, by its destination. */
#pragma once

/*
 *     { "schema": "shunt.nexthops/1",
 *       "routes": [ { "prefix": "192.0.2.0/24", "port": "right",
 *                     "dst_mac": "02:00:00:00:00:01", "src_mac": "02:00:00:00:00:02" } ] }
 *
 * Forwarding is that of RFC 1812 section 5.2: the header must be sound (4.2.2.5 and the
 * lengths), the TTL falls by one with its checksum put right (RFC 1624), and a packet that
 * comes with a TTL of 1 ends here. Nothing is answered: there is no ICMP error, and no
 * fragmentation. Frames to a link-layer group address are nobody's next hop. Up to two
 * VLAN tags are skipped, and stay.
 */
#include <stdint.h>

#include "loader/policy/node.h"
#include "user/base/err.h"
#include "user/net/lpm.h"

struct shunt_nexthop {
	uint8_t mac[12]; /* destination and source, as they stand in the frame */
	uint32_t port;	 /* place in the list of ports that the table was read for */
};

struct shunt_nexthops {
	struct shunt_lpm lpm;
	struct shunt_nexthop *hop;
	uint32_t hops;
};

/* --- reading ------------------------------------------------------------------------- */

/* What a route may call the ports. */
struct shunt_nexthop_ports {
	const char *const *name; /* a number in the table is a place in here, from 0 */
	unsigned int count;
};

/*
 * Reads a list of routes; what is wrong goes to the document's diags. Returns false where
 * something was.
 */
bool shunt_nexthops_read(struct shunt_nexthops *table, const struct shunt_node *routes,
			 const struct shunt_nexthop_ports *ports);

/*
 * Reads a file ("-": standard input): 0; or -EINVAL with all that is wrong in diags; or
 * another error, with one diag at "".
 */
SHUNT_MUST_CHECK int shunt_nexthops_read_file(struct shunt_nexthops *table,
					      const char *path,
					      const struct shunt_nexthop_ports *ports,
					      struct shunt_diags *diags);

/* Fine on a zeroed one. */
void shunt_nexthops_free(struct shunt_nexthops *table);

/* --- forwarding ---------------------------------------------------------------------- */

/* Why a packet goes nowhere. */
enum shunt_nexthop_fault {
	SHUNT_NEXTHOP_NOT_IP = -1,
	SHUNT_NEXTHOP_MALFORMED = -2,
	SHUNT_NEXTHOP_GROUP = -3,
	SHUNT_NEXTHOP_NO_ROUTE = -4,
	SHUNT_NEXTHOP_EXPIRED = -5,
};

/*
 * Makes the packet ready for its next hop, and returns that hop's port; or an enum
 * shunt_nexthop_fault, and the packet is as it was. `len` bytes are in the frame,
 * `bytes` in the whole packet.
 */
int shunt_nexthop_apply(const struct shunt_nexthops *table, uint8_t *frame,
			uint32_t len, uint32_t bytes);
