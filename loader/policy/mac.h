/* SPDX-License-Identifier: BSD-2-Clause */
/* MAC addresses and prefixes of them, as text. */
#pragma once

#include <stdint.h>

#include "user/base/err.h"

#define SHUNT_MAC_BITS 48

/*
 * "02:00:00:00:00:01", "02:00:00:00:00:00/24", or shortened "02:00:00::/24". The address
 * as a number, its first octet uppermost; bits is 48 where there is no length. Bits that
 * are set behind the length are an error, as is anything else. Returns 0 or -EINVAL.
 */
SHUNT_MUST_CHECK int shunt_mac_parse(uint64_t *mac, unsigned int *bits,
				     const char *text, struct shunt_err *err);
