/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/assembly.h"

#include <errno.h>
#include <stdlib.h>

#include "user/rt/pool.h"
#include "user/transport/heap.h"

/* A message that is not whole. */
struct part {
	struct shunt_frame frame; /* data NULL: free; len: of the whole message */
	uint32_t first;		  /* the number of its first fragment */
	uint32_t came;		  /* bytes */
	uint32_t size; /* of each fragment but the last: so they cannot overlap */
	uint64_t since_ns;
};

struct shunt_assembly {
	struct part part[SHUNT_ASSEMBLIES];
};

static void give_up(struct part *part, struct shunt_assembly_room *room)
{
	if (!part->frame.data)
		return;
	room->used -= part->frame.len;
	room->incomplete++;
	shunt_frames_put(&part->frame, 1);
	part->frame.data = NULL;
}

/* The part that the fragment belongs to; else the one that has to make room for it. */
static struct part *choose(struct shunt_assembly *assembly,
			   struct shunt_assembly_room *room, uint32_t first,
			   uint64_t now_ns)
{
	struct part *oldest = assembly->part;
	unsigned int i;

	for (i = 0; i < SHUNT_ASSEMBLIES; i++) {
		struct part *part = &assembly->part[i];

		if (part->frame.data && now_ns - part->since_ns > SHUNT_ASSEMBLY_NS)
			give_up(part, room);
		if (part->frame.data && part->first == first)
			return part;
		if (oldest->frame.data &&
		    (!part->frame.data || part->since_ns < oldest->since_ns))
			oldest = part;
	}
	give_up(oldest, room);
	return oldest;
}

static uint32_t size_of(const struct shunt_wire_piece *piece)
{
	return piece->more ? piece->bytes : piece->offset / piece->fragment;
}

static bool begin(struct part *part, struct shunt_assembly_room *room,
		  const struct shunt_wire_piece *piece, uint64_t now_ns)
{
	if (room->used + piece->length > room->budget ||
	    !shunt_heap_frame(&part->frame, piece->length))
		return false;
	room->used += piece->length;
	part->frame.len = piece->length;
	part->first = piece->sequence - piece->fragment;
	part->came = 0;
	part->size = size_of(piece);
	part->since_ns = now_ns;
	return true;
}

int shunt_assembly_enter(struct shunt_assembly **assembly,
			 struct shunt_assembly_room *room,
			 const struct shunt_wire_piece *piece, const void *bytes,
			 uint64_t now_ns, struct shunt_frame *frame)
{
	struct part *part;

	if (!*assembly)
		*assembly = calloc(1, sizeof(**assembly));
	if (!*assembly)
		return -ENOMEM;
	part = choose(*assembly, room, piece->sequence - piece->fragment, now_ns);
	if (!part->frame.data && !begin(part, room, piece, now_ns))
		return -ENOMEM;
	if (part->frame.len != piece->length || part->size != size_of(piece)) {
		give_up(part, room);
		return 0;
	}
	memcpy(part->frame.data + piece->offset, bytes, piece->bytes);
	part->came += piece->bytes;
	if (part->came < part->frame.len)
		return 0;
	room->used -= part->frame.len;
	*frame = part->frame;
	part->frame.data = NULL;
	return 1;
}

void shunt_assembly_free(struct shunt_assembly *assembly,
			 struct shunt_assembly_room *room)
{
	unsigned int i;

	for (i = 0; assembly && i < SHUNT_ASSEMBLIES; i++)
		give_up(&assembly->part[i], room);
	free(assembly);
}
