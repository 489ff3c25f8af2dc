/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers in the payload of packets, by which a receiver sees loss and reordering. */
#pragma once

/*
 *     … transport header │ "shuntseq" │ number, 64 bits, network order │ …
 *
 * Behind the header of TCP, UDP, ICMP or ICMPv6, whose checksum stays right: the place is
 * an even number of bytes behind the header's start, so that the words of the number are
 * words of the sum (RFC 1071).
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bpf/lib/csum.h"

#define SHUNT_NUMBER_MARK "shuntseq"
#define SHUNT_NUMBER_BYTES 16u /* mark and number */

/* Where a frame has what a number touches: offsets from its start. */
struct shunt_number_place {
	uint32_t payload; /* where the mark is, or goes */
	uint32_t check;	  /* the transport checksum */
	bool udp;	  /* a checksum of 0 means that there is none */
};

/* false: the frame has no such transport header, ends within it, or is malformed. */
bool shunt_number_find(const uint8_t *frame, uint32_t len,
		       struct shunt_number_place *place);

/* Writes mark and number 0 over zeros. */
void shunt_number_mark(uint8_t *frame, const struct shunt_number_place *place);

/* The number of a frame that has one. */
bool shunt_number_read(const uint8_t *frame, uint32_t len, uint64_t *number);

/* Writes a number where 0 stands. */
static inline void shunt_number_write(uint8_t *frame,
				      const struct shunt_number_place *place,
				      uint64_t number)
{
	uint64_t wire = __builtin_bswap64(number);
	uint16_t word[4], check;
	__u64 change = 0;
	int i;

	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bswap64 is htobe64");
	memcpy(word, &wire, sizeof(word));
	memcpy(frame + place->payload + 8, &wire, sizeof(wire));
	for (i = 0; i < 4; i++)
		change += word[i];
	memcpy(&check, frame + place->check, sizeof(check));
	check = place->udp ? shunt_csum_after_udp(check, change)
			   : shunt_csum_after(check, change);
	memcpy(frame + place->check, &check, sizeof(check));
}
