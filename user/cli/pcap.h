/* SPDX-License-Identifier: BSD-2-Clause */
/* A capture, packet by packet. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"

/* One packet of a capture: its place, from 1, and the bytes that were captured of it. */
typedef int shunt_pcap_fn(void *self, uint64_t number, const void *frame, size_t bytes,
			  struct shunt_err *err);

/*
 * Calls `each` for every packet of a pcap or pcapng file of Ethernet frames; "-" is
 * standard input. Stops where `each` fails, and returns what it did; -EINVAL: it is no
 * such file, or ends within a packet.
 */
SHUNT_MUST_CHECK int shunt_pcap_each(const char *path, shunt_pcap_fn *each, void *self,
				     struct shunt_err *err);
