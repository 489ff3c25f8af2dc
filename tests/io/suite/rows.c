/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/io/suite/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off: one a line */
const struct rig_row *const rig_rows[] = {
	&rig_pcap,    &rig_pcapng,    &rig_af_packet, &rig_slots,
	&rig_ringbuf, &rig_copies,    &rig_af_xdp,    &rig_dpdk,
	&rig_nics,    &rig_zero_copy, NULL,
};
/* clang-format on */

/* --- on a wire ---------------------------------------------------------------------------- */

bool rig_wire_begin(struct rig *rig)
{
	wire_open(&rig->wire, rig->mtu);
	return true;
}

void rig_wire_end(struct rig *rig)
{
	wire_close(&rig->wire);
}

void rig_wire_offer(struct rig *rig, const uint8_t *bytes, uint32_t len)
{
	wire_send(&rig->wire, bytes, len);
}

uint32_t rig_wire_collect(struct rig *rig, uint8_t *bytes, uint32_t room, int wait_ms)
{
	return wire_receive(&rig->wire, bytes, room, wait_ms);
}

/* --- packet sockets ------------------------------------------------------------------------ */

static void af_packet_spec(const struct rig *rig, uint32_t way, char *text, size_t room)
{
	(void)rig;
	snprintf(text, room, "af_packet:%s%s%s", WIRE_NEAR,
		 way & SHUNT_PORT_RX ? "" : ",rx=off",
		 way & SHUNT_PORT_TX ? "" : ",tx=off");
}

static const struct rig_not af_packet_not[] = {
	{ "an empty pool is waited for", "frames lie in its ring, not in a pool" },
	{ NULL },
};

static void slots_spec(const struct rig *rig, uint32_t way, char *text, size_t room)
{
	af_packet_spec(rig, way, text, room - 32);
	strcat(text, ",ring=slots,tx-ring=off");
}

const struct rig_row rig_slots = {
	.name = "slots",
	.can = SHUNT_PORT_RX | SHUNT_PORT_TX | SHUNT_PORT_WAIT | SHUNT_PORT_MULTI,
	.shortest = 14,
	.longest = WIRE_MTU + 14,
	.jumbo = WIRE_JUMBO + 14,
	.burst = 32,
	.small = ",blocks=34,tx-frames=16",
	.bad = { ",block=5000", ",blocks=1", ",ring=round" },
	.except = af_packet_not,
	.begin = rig_wire_begin,
	.end = rig_wire_end,
	.spec = slots_spec,
	.offer = rig_wire_offer,
	.collect = rig_wire_collect,
};

const struct rig_row rig_af_packet = {
	.name = "af_packet",
	.can = SHUNT_PORT_RX | SHUNT_PORT_TX | SHUNT_PORT_WAIT | SHUNT_PORT_MULTI,
	.shortest = 14,
	.longest = WIRE_MTU + 14,
	.jumbo = WIRE_JUMBO + 14,
	.burst = 32,
	.small = ",blocks=8,block=16K,tx-frames=16",
	.bad = { ",block=5000", ",block=1K", ",blocks=1", ",timeout=0",
		 ",promisc=maybe", ",fanout=65536", ",fanout-mode=cpu" },
	.except = af_packet_not,
	.begin = rig_wire_begin,
	.end = rig_wire_end,
	.spec = af_packet_spec,
	.offer = rig_wire_offer,
	.collect = rig_wire_collect,
};
