/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows of the suite, and what those on a wire have in common. */
#pragma once

#include "tests/io/suite/rig.h"

extern const struct rig_row rig_pcap, rig_pcapng, rig_af_packet, rig_slots, rig_ringbuf,
	rig_copies, rig_af_xdp, rig_dpdk, rig_nics, rig_zero_copy;

bool rig_wire_begin(struct rig *rig);
void rig_wire_end(struct rig *rig);
void rig_wire_offer(struct rig *rig, const uint8_t *bytes, uint32_t len);
uint32_t rig_wire_collect(struct rig *rig, uint8_t *bytes, uint32_t room, int wait_ms);
