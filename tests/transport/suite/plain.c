/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/transport/suite/plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

void plain_open(struct plain *plain, uint16_t port)
{
	*plain = (struct plain){ .fd = net_udp(FAR, port), .port = port, .epoch = 7 };
}

void plain_piece(struct plain *plain, const struct shunt_wire_piece *piece,
		 const void *bytes)
{
	static uint8_t datagram[65536];

	shunt_wire_write(datagram, piece);
	memcpy(datagram + SHUNT_WIRE_BYTES, bytes, piece->bytes);
	net_send(plain->fd, datagram, SHUNT_WIRE_BYTES + piece->bytes, NEAR, RIG_PORT);
}

void plain_say_as(struct rig *rig, struct plain *plain, uint32_t number,
		  uint32_t sequence)
{
	static uint8_t bytes[65536];
	const struct shunt_wire_piece piece = {
		.sequence = sequence,
		.length = rig->length(rig, number),
		.bytes = rig->length(rig, number),
		.channel = rig_channel(number),
		.epoch = plain->epoch,
	};

	rig_fill(bytes, piece.bytes, number);
	plain_piece(plain, &piece, bytes);
}

void plain_say(struct rig *rig, struct plain *plain, uint32_t number)
{
	plain_say_as(rig, plain, number, plain->sequence++);
}

shunt_peer plain_heard(struct rig *rig, uint32_t first, uint32_t n)
{
	struct shunt_message message;
	shunt_peer peer = SHUNT_PEER_NONE;

	for (uint32_t i = 0; i < n; i++) {
		if (!rig_recv(rig, NEAR, &message, 1, RIG_WAIT_MS))
			fail_msg("message %u has not come", first + i);
		rig_check(rig, &message, first + i);
		if (peer)
			assert_int_equal(message.peer, peer);
		peer = message.peer;
		shunt_release(rig->end[NEAR].transport, &message, 1);
	}
	return peer;
}
