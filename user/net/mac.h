/* SPDX-License-Identifier: BSD-2-Clause */
/* The two MAC addresses in front of a frame. */
#pragma once

#include <stdint.h>
#include <string.h>

#define SHUNT_MAC_BYTES 6u

/* Sends a frame of at least 12 bytes back to where it came from. */
static inline void shunt_mac_swap(uint8_t *frame)
{
	uint8_t dst[SHUNT_MAC_BYTES];

	memcpy(dst, frame, sizeof(dst));
	memcpy(frame, frame + SHUNT_MAC_BYTES, SHUNT_MAC_BYTES);
	memcpy(frame + SHUNT_MAC_BYTES, dst, sizeof(dst));
}
