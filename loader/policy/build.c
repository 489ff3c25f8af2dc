/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/build.h"

#include <errno.h>
#include <stdlib.h>

uint32_t shunt_build_piece(struct shunt_build *b, size_t n)
{
	size_t at = (b->len + 7) & ~(size_t)7;

	if (at + n > b->room) {
		size_t room = 2 * (at + n);
		uint8_t *bytes = realloc(b->bytes, room);

		if (!bytes || room > UINT32_MAX)
			return 0;
		memset(bytes + b->room, 0, room - b->room);
		b->bytes = bytes;
		b->room = room;
	}
	b->len = at + n;
	return at;
}

uint32_t shunt_build_table(struct shunt_build *b, uint64_t values,
			   const struct shunt_interval *interval, size_t n)
{
	uint32_t at = shunt_build_piece(b, (values + 1) * sizeof(uint16_t));
	uint16_t *table = shunt_build_at(b, at);
	size_t i;

	if (!at)
		return 0;
	for (i = 0; i < n; i++) {
		uint64_t next =
			i + 1 < n ? (uint64_t)interval[i + 1].start : values + 1;
		uint64_t index;

		for (index = interval[i].start; index < next && index <= values;
		     index++)
			table[index] = interval[i].class;
	}
	return at;
}

/* --- roots ------------------------------------------------------------------- */

/* What lies under one entry of a root. */
struct under {
	enum shunt_root kind;
	unsigned int shift;
	const struct shunt_interval *interval;
	size_t n;
	shunt_u128 low; /* where the entry begins */
};

static shunt_u128 start_of(const struct under *u, size_t i)
{
	shunt_u128 start = u->interval[i < u->n ? i : u->n - 1].start << u->shift;

	return start < u->low ? u->low : start;
}

/* Does any start need all its 128 bits? */
static bool is_long(const struct under *u)
{
	size_t i;

	for (i = 0; u->kind == SHUNT_ROOT_IP6 && i < u->n; i++)
		if ((uint64_t)start_of(u, i))
			return true;
	return false;
}

static void put_start(uint8_t *at, const struct under *u, size_t width, size_t i)
{
	shunt_u128 start = start_of(u, i);

	if (width == 2)
		((uint16_t *)at)[i] = start & 0xffff;
	else if (width == 16)
		((struct shunt_start6 *)at)[i] =
			(struct shunt_start6){ start >> 64, start };
	else
		((uint64_t *)at)[i] = u->kind == SHUNT_ROOT_IP6 ? start >> 64 : start;
}

/* A bucket: starts, then classes, filled up to a power of two. Its node, or 0. */
static uint32_t build_bucket(struct shunt_build *b, const struct under *u)
{
	bool full = is_long(u);
	size_t width = u->kind == SHUNT_ROOT_IP4 ? 2 : full ? 16 : 8, entries, i;
	uint32_t steps = 0, at;
	uint16_t *class;

	while ((size_t)1 << steps < u->n)
		steps++;
	entries = (size_t)1 << steps;
	at = shunt_build_piece(b, entries * (width + sizeof(*class)));
	if (!at)
		return 0;
	class = shunt_build_at(b, at + entries * width);
	for (i = 0; i < entries; i++) {
		put_start(shunt_build_at(b, at), u, width, i);
		class[i] = u->interval[i < u->n ? i : u->n - 1].class;
	}
	return SHUNT_NODE_BUCKET | steps << SHUNT_NODE_STEPS_SHIFT |
	       (full ? SHUNT_NODE_LONG : 0) | at / 8;
}

uint32_t shunt_build_root(struct shunt_build *b, enum shunt_root kind,
			  unsigned int shift, const struct shunt_interval *interval,
			  size_t n)
{
	const unsigned int below = kind == SHUNT_ROOT_IP4    ? 16
				   : kind == SHUNT_ROOT_WIDE ? 48
							     : 112;
	uint32_t root = shunt_build_piece(b, 65536 * sizeof(uint32_t));
	size_t i = 0;
	uint32_t top;

	if (!root)
		return 0;
	for (top = 0; top < 65536; top++) {
		shunt_u128 low = (shunt_u128)top << below;
		shunt_u128 end = low + (((shunt_u128)1 << below) - 1);
		uint32_t node = interval[i].class;
		size_t last = i;

		while (last + 1 < n && interval[last + 1].start << shift <= end)
			last++;
		/* an interval that starts with this entry makes the one before it leave */
		if (i < last && interval[i + 1].start << shift == low) {
			i++;
			node = interval[i].class;
		}
		if (i < last) {
			struct under u = { kind, shift, &interval[i], last - i + 1,
					   low };

			node = build_bucket(b, &u);
			if (!node)
				return 0;
		}
		((uint32_t *)shunt_build_at(b, root))[top] = node;
		i = last;
	}
	return root;
}

/* --- one lookup -------------------------------------------------------------- */

void shunt_classes_free(struct shunt_classes *classes)
{
	free(classes->at[0]);
	free(classes->at[1]);
	memset(classes, 0, sizeof(*classes));
}

unsigned int shunt_wide_shift(enum shunt_field field)
{
	return __builtin_clzll(shunt_field_values(field));
}

static int build_side(struct shunt_build *b, uint32_t tables,
		      struct shunt_lookup lookup, uint32_t slot,
		      const struct shunt_classes *classes)
{
	uint32_t root4 =
		shunt_build_root(b, SHUNT_ROOT_IP4, 0, classes->at[0], classes->n[0]);
	uint32_t root6 = classes->same6
				 ? 0
				 : shunt_build_root(b, SHUNT_ROOT_IP6, 0,
						    classes->at[1], classes->n[1]);
	struct shunt_image_tables *t = shunt_build_at(b, tables);

	if (!root4 || (!root6 && !classes->same6))
		return -ENOMEM;
	t->side[lookup.layer * SHUNT_SIDES + lookup.id] = (struct shunt_image_side){
		.root4 = root4,
		.root6 = root6,
		.none = classes->none,
		.any6 = classes->at[1][0].class,
		.slot = slot,
	};
	return 0;
}

int shunt_build_lookup(struct shunt_build *b, uint32_t tables,
		       struct shunt_lookup lookup, uint32_t slot,
		       const struct shunt_classes *classes)
{
	uint16_t field = lookup.layer * SHUNT_FIELD_STRIDE + lookup.id;
	struct shunt_image_tables *t;
	uint32_t at;

	if (lookup.kind == SHUNT_LOOKUP_SIDE)
		return build_side(b, tables, lookup, slot, classes);
	if (lookup.kind == SHUNT_LOOKUP_WIDE)
		at = shunt_build_root(b, SHUNT_ROOT_WIDE, shunt_wide_shift(lookup.id),
				      classes->at[0], classes->n[0]);
	else
		at = shunt_build_table(b, shunt_field_values(lookup.id), classes->at[0],
				       classes->n[0]);
	if (!at)
		return -ENOMEM;
	t = shunt_build_at(b, tables);
	if (lookup.kind == SHUNT_LOOKUP_WIDE)
		t->wide[t->wides++] = (struct shunt_image_wide){
			.root = at,
			.field = field,
			.shift = shunt_wide_shift(lookup.id),
			.slot = slot,
		};
	else
		t->narrow[t->narrows++] = (struct shunt_image_narrow){
			.table = at,
			.word = lookup.layer * SHUNT_LAYER_WORDS + lookup.id,
			.slot = slot,
		};
	return 0;
}
