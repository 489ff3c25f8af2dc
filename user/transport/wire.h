/* SPDX-License-Identifier: BSD-2-Clause */
/* The header that a message travels with, and what its numbers tell. */
#pragma once

/*
 *      0       1       2       3
 *     ┌───────┬───────┬───────────────┐   magic     0xd7: version 1
 *     │ magic │ flags │    channel    │   flags     1: more fragments follow; 2: an answer
 *     ├───────┴───────┴───────────────┤   channel   chosen by the sender
 *     │           sequence            │   sequence  of datagrams to this peer, wraps
 *     ├───────────────────────────────┤   length    bytes of the whole message
 *     │            length             │   fragment  0 for the first one
 *     ├───────────────┬───────────────┤   epoch     drawn when the sender began: another
 *     │   fragment    │     epoch     │             one means that it counts anew
 *     └───────────────┴───────────────┘   all in network order
 *
 * A message that is longer than a datagram goes as several, with numbers in a row: all
 * but the last carry equally many bytes, so that a fragment's place follows from its own
 * size: fragment * size, for the last one length - size. In a stream a message is never
 * cut: what follows the header are its length bytes.
 *
 * An answer that the kernel made for a peer (bpf/kv.bpf.c) has the header of the question,
 * numbers included, and the flag 2: it tells nothing of what the peer itself has sent.
 *
 * The window of a receiver is that of RFC 6479: the last SHUNT_WIRE_WINDOW numbers as a
 * bitmap. A number that it lacks is lost until it comes, and then it is late; one that is
 * in it already, or older than the window, is dropped as a duplicate.
 */
#include <stdbool.h>
#include <stdint.h>

#include <string.h>

#include "bpf/lib/wire.h"
#include "maps/message.h"

/* A header in host order, and the bytes that came behind it. */
struct shunt_wire_piece {
	uint32_t sequence;
	uint32_t length;
	uint32_t offset; /* of these bytes in the message */
	uint32_t bytes;
	uint16_t channel;
	uint16_t fragment;
	uint16_t epoch;
	uint8_t more;
	uint8_t answer;
};

/*
 * Reads a datagram (bytes > 0) or what begins a stream; false where it is unsound: it is
 * too short, not of this version, or its numbers contradict each other or message_max.
 */
bool shunt_wire_read(struct shunt_wire_piece *piece, const void *datagram,
		     uint32_t bytes, uint32_t message_max);

/* Writes the header in front of the piece's bytes. */
static inline void shunt_wire_write(void *to, const struct shunt_wire_piece *piece)
{
	const struct shunt_wire_header header = {
		.magic = SHUNT_WIRE_MAGIC,
		.flags = piece->more ? SHUNT_WIRE_MORE : 0,
		.channel = shunt_be16(piece->channel),
		.sequence = shunt_be32(piece->sequence),
		.length = shunt_be32(piece->length),
		.fragment = shunt_be16(piece->fragment),
		.epoch = shunt_be16(piece->epoch),
	};

	memcpy(to, &header, sizeof(header));
}

/*
 * For streams, which have no fragments: bytes of the message whose header begins here,
 * header included; 0 where fewer than SHUNT_WIRE_BYTES are there yet; -EBADMSG where it is
 * none, or longer than message_max.
 */
int64_t shunt_wire_span(const void *stream, uint32_t bytes, uint32_t message_max);

/* --- numbers ----------------------------------------------------------------------------- */

#define SHUNT_WIRE_WINDOW 1024u

/* What came from a peer. */
struct shunt_wire_window {
	uint32_t newest;
	uint16_t epoch;
	uint16_t epoch_before; /* of the life that it has replaced; else the same */
	uint32_t begun;	       /* 0: nothing came yet */
	uint64_t lost, late, duplicates, restarts;
	uint64_t seen[SHUNT_WIRE_WINDOW / 64];
};

/* Enters a datagram; false: it has come before, or can't be told from one that has. */
bool shunt_wire_enter(struct shunt_wire_window *window,
		      const struct shunt_wire_piece *piece);

/* Numbers that have not come, though newer ones have. */
uint64_t shunt_wire_lost(const struct shunt_wire_window *window);
