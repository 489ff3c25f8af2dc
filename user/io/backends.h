/* SPDX-License-Identifier: BSD-2-Clause */
/* The backends' vtables, for the rows of shunt_port_backends[]. */
#pragma once

#include "user/io/port.h"

extern const struct shunt_port_ops shunt_af_packet_ops, shunt_ringbuf_port_ops,
	shunt_pcap_ops;
