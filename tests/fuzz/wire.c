/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams of a peer, as any of them may be: numbers, fragments, whole messages. */
#include <stdlib.h>
#include <string.h>

#include "user/rt/pool.h"
#include "user/transport/assembly.h"
#include "user/transport/wire.h"

#define MESSAGE_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool sound)
{
	if (!sound)
		abort();
}

/* Its bytes are read, so that a sanitizer sees those that nobody has written. */
static void read_message(const struct shunt_frame *frame)
{
	volatile uint8_t sum = 0;
	uint32_t i;

	for (i = 0; i < frame->len; i++)
		sum = (uint8_t)(sum + frame->data[i]);
}

static void take(struct shunt_wire_window *window, struct shunt_assembly **assembly,
		 struct shunt_assembly_room *room, const uint8_t *datagram,
		 uint32_t bytes, uint64_t now_ns)
{
	struct shunt_wire_piece piece;
	struct shunt_frame frame;

	if (!shunt_wire_read(&piece, datagram, bytes, MESSAGE_MAX))
		return;
	check(piece.length <= MESSAGE_MAX &&
	      piece.offset + piece.bytes <= piece.length);
	if (!shunt_wire_enter(window, &piece) || piece.bytes == piece.length)
		return;
	if (shunt_assembly_enter(assembly, room, &piece, datagram + SHUNT_WIRE_BYTES,
				 now_ns, &frame) != 1)
		return;
	check(frame.len == piece.length);
	read_message(&frame);
	shunt_frames_put(&frame, 1);
}

/* Each datagram stands behind a byte with its length, in units of two. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shunt_assembly_room room = { .budget = 3 * MESSAGE_MAX };
	struct shunt_wire_window window = { 0 };
	struct shunt_assembly *assembly = NULL;
	uint64_t now_ns = 1;

	while (size > 1) {
		uint32_t bytes = data[0] * 2u;

		data++;
		size--;
		if (bytes > size)
			bytes = (uint32_t)size;
		(void)shunt_wire_span(data, bytes, MESSAGE_MAX);
		take(&window, &assembly, &room, data, bytes, now_ns);
		data += bytes;
		size -= bytes;
		now_ns += SHUNT_ASSEMBLY_NS / 8;
		check(room.used <= room.budget);
	}
	shunt_assembly_free(assembly, &room);
	check(!room.used);
	return 0;
}
