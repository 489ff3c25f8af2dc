/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/index.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 64

/* FNV-1a (Fowler, Noll, Vo), 64 bits. */
static uint64_t hash(const char *name)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3;
	return h ^ h >> 32;
}

/* The name's seat, or the free one that it would take. There is always a free one. */
static struct shunt_index_seat *find(const struct shunt_index *index, const char *name)
{
	size_t at = hash(name) & (index->room - 1);

	while (index->seat[at].name && strcmp(index->seat[at].name, name) != 0)
		at = (at + 1) & (index->room - 1);
	return &index->seat[at];
}

static int grow(struct shunt_index *index)
{
	struct shunt_index more = { .room = index->room ? 2 * index->room : ROOM_MIN,
				    .used = index->used };

	more.seat = calloc(more.room, sizeof(*more.seat));
	if (!more.seat)
		return -ENOMEM;
	for (size_t i = 0; i < index->room; i++)
		if (index->seat[i].name)
			*find(&more, index->seat[i].name) = index->seat[i];
	free(index->seat);
	*index = more;
	return 0;
}

int shunt_index_add(struct shunt_index *index, const char *name, size_t place)
{
	struct shunt_index_seat *seat;

	if (2 * (index->used + 1) > index->room && grow(index) < 0)
		return -ENOMEM;
	seat = find(index, name);
	if (seat->name)
		return -EEXIST;
	*seat = (struct shunt_index_seat){ name, place };
	index->used++;
	return 0;
}

size_t shunt_index_find(const struct shunt_index *index, const char *name)
{
	const struct shunt_index_seat *seat = index->room ? find(index, name) : NULL;

	return seat && seat->name ? seat->place : SHUNT_INDEX_NONE;
}

void shunt_index_free(struct shunt_index *index)
{
	free(index->seat);
	*index = (struct shunt_index){ 0 };
}
