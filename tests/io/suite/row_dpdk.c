/* SPDX-License-Identifier: BSD-2-Clause */
/* DPDK's af_xdp driver on the wire, where its plug-in is built. */
#include <stdio.h>

#include "tests/io/suite/rows.h"

static void spec(const struct rig *rig, uint32_t way, char *text, size_t room)
{
	(void)rig;
	(void)way;
	snprintf(text, room, "dpdk:%s", WIRE_NEAR);
}

/* Whether the plug-in is there is known when it is asked for one port. */
static bool begin(struct rig *rig)
{
	struct shunt_port *port;
	struct shunt_err err = { "" };
	char text[64];

	rig_wire_begin(rig);
	spec(rig, 0, text, sizeof(text));
	if (shunt_port_open(&port, text, NULL, &err)) {
		snprintf(rig->why, sizeof(rig->why), "%.255s", err.message);
		return false;
	}
	shunt_port_close(port);
	return true;
}

static const struct rig_not nots[] = {
	{ "the direction that it lacks is refused", "it has both" },
	{ "an empty pool is waited for", "it receives into mbufs of its own" },
	{ "a full port takes from the front", "its driver sends at once" },
	{ NULL },
};

const struct rig_row rig_dpdk = {
	.name = "dpdk",
	.can = SHUNT_PORT_RX | SHUNT_PORT_TX | SHUNT_PORT_SHARE,
	.shortest = 14,
	.longest = WIRE_MTU + 14,
	.jumbo = 3312, /* what an mbuf in a page of AF_XDP memory holds */
	.burst = 64,
	.small = ",ring=64",
	.bad = { ",ring=63", ",burst=0", ",queues=0+2", ",frames=600", ",room=4000" },
	.forgets = 10 << 10, /* the driver never closes its BPF object */
	.except = nots,
	.begin = begin,
	.end = rig_wire_end,
	.spec = spec,
	.offer = rig_wire_offer,
	.collect = rig_wire_collect,
};
