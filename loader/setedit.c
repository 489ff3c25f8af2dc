/* SPDX-License-Identifier: BSD-2-Clause */
/* Editing a blob in place (maps/setblob.h): log, bucket, node, applied. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/setbuild.h"
#include "loader/setview.h"
#include "user/base/cleanup.h"

typedef shunt_u128 u128;

#define ROOT_BITS 16	   /* what is shorter touches several nodes of the root */
#define REBUILD_MAX 131072 /* elements below one node that are built again in place */

/* The intervals of a slice, after the record's edit. */
static int intervals(const struct shunt_view *view, const struct shunt_setslice *slice,
		     struct shunt_setrange **iv, size_t *n)
{
	_free_ struct shunt_blob_record *record = NULL;
	size_t records, i;
	int ret;

	if (shunt_view_most(view, slice->lo, slice->bits) > REBUILD_MAX + view->upto)
		return -ENOSPC;
	ret = shunt_view_inside(view, slice->lo, slice->bits, &record, &records);
	if (ret)
		return ret;
	*n = 0;
	*iv = malloc((records + 1) * sizeof(**iv));
	if (!*iv)
		return -ENOMEM;
	if (shunt_view_covers(view, slice->lo, slice->bits))
		shunt_setrange_add(*iv, n, slice->lo, slice->bits);
	for (i = 0; i < records; i++)
		shunt_setrange_add(*iv, n, shunt_record_addr(&record[i]),
				   record[i].bits);
	return 0;
}

static struct shunt_setbuild arena_of(const struct shunt_blob *blob)
{
	const struct shunt_blob_head *head = shunt_blob_head(blob);

	return (struct shunt_setbuild){
		.line = blob->line,
		.used = head->free,
		.room = head->end,
	};
}

static int apply4(const struct shunt_blob *blob, const struct shunt_view *view,
		  const struct shunt_blob_record *r)
{
	struct shunt_blob_head *head = shunt_blob_head(blob);
	struct shunt_setslice slice = { (u128)(r->hi >> 48) << 112, ROOT_BITS,
					ROOT_BITS };
	struct shunt_setbuild build = arena_of(blob);
	_free_ struct shunt_setrange *iv = NULL;
	uint32_t *root, node;
	size_t n;
	int ret;

	if (!head->root4)
		return -ENOSPC;
	ret = intervals(view, &slice, &iv, &n);
	if (ret)
		return ret;
	node = shunt_setbuild_node4(&build, iv, n, r->hi >> 48);
	if (build.failed)
		return -ENOSPC;
	root = (uint32_t *)blob->line[head->root4];
	head->free = build.used;
	/* the bucket is written before its node: programs may read it at once */
	__atomic_store_n(&root[r->hi >> 48], node, __ATOMIC_RELEASE);
	return 0;
}

/* One table further down towards the record; false: its slice is to be built again. */
static bool descend(const struct shunt_view *before, const struct shunt_blob_record *r,
		    struct shunt_setslice *slice, uint64_t **slot)
{
	uint64_t node = **slot;
	unsigned int from = node >> SHUNT_BLOB_NODE_FROM_SHIFT & 127;
	unsigned int bits = node >> SHUNT_BLOB_NODE_BITS_SHIFT & 15;
	u128 addr = shunt_record_addr(r), other;
	uint64_t index, line;

	if (node >> SHUNT_BLOB_NODE_KIND_SHIFT != SHUNT_BLOB_NODE_TABLE)
		return false;
	if (r->bits < from + bits || from < slice->bits || !bits ||
	    bits > SHUNT_BLOB_TABLE_BITS || from + bits > 128)
		return false;
	/* skipped bits: do the elements that were there share them with the new one? */
	if (from > slice->bits) {
		if (!shunt_view_any(before, slice->lo, slice->bits, &other) ||
		    (other ^ addr) & ~shunt_behind(from))
			return false;
	}
	index = (uint64_t)(addr >> (128 - from - bits)) & ((1u << bits) - 1);
	line = (uint32_t)node + index / 8;
	if (line >= before->blob->lines)
		return false;
	*slot = &before->blob->line[line][index % 8];
	slice->known = from == slice->known ? from + bits : slice->known;
	slice->bits = from + bits;
	slice->lo = addr & ~shunt_behind(slice->bits);
	return true;
}

static int apply6(const struct shunt_blob *blob, const struct shunt_view *view,
		  const struct shunt_blob_record *r)
{
	struct shunt_blob_head *head = shunt_blob_head(blob);
	struct shunt_setslice slice = { (u128)(r->hi >> 48) << 112, ROOT_BITS,
					ROOT_BITS };
	struct shunt_view before = { blob, view->upto - 1, 6 };
	struct shunt_setbuild build = arena_of(blob);
	_free_ struct shunt_setrange *iv = NULL;
	uint64_t *slot, node;
	size_t n;
	int ret;

	if (!head->root6)
		return -ENOSPC;
	slot = (uint64_t *)blob->line[head->root6] + (r->hi >> 48);
	while (descend(&before, r, &slice, &slot))
		;
	ret = intervals(view, &slice, &iv, &n);
	if (ret)
		return ret;
	node = shunt_setbuild_node6(&build, iv, n, slice);
	if (build.failed)
		return -ENOSPC;
	head->free = build.used;
	/* as above */
	__atomic_store_n(slot, node, __ATOMIC_RELEASE);
	return 0;
}

int shunt_blob_finish(const struct shunt_blob *blob)
{
	struct shunt_blob_head *head = shunt_blob_head(blob);
	const struct shunt_blob_record *log = (const void *)blob->line[head->log];

	while (head->applied < head->logged) {
		const struct shunt_blob_record *r = &log[head->applied];
		struct shunt_view view = { blob, head->applied + 1, r->family };
		int ret = r->bits < ROOT_BITS ? -ENOSPC
			  : r->family == 4    ? apply4(blob, &view, r)
					      : apply6(blob, &view, r);

		if (ret)
			return ret;
		/* a kill before this applies it once more, to the same end */
		__atomic_store_n(&head->applied, head->applied + 1, __ATOMIC_RELEASE);
	}
	return 0;
}

int shunt_blob_edit(const struct shunt_blob *blob, bool add,
		    const struct shunt_prefix *element)
{
	struct shunt_blob_head *head = shunt_blob_head(blob);
	struct shunt_blob_record *log = (void *)blob->line[head->log];
	uint32_t at = head->logged;
	int ret;

	if (at == head->log_room || head->applied != at)
		return -ENOSPC;
	log[at] = shunt_record_of(element);
	log[at].add = add;
	__atomic_store_n(&head->logged, at + 1, __ATOMIC_RELEASE);
	ret = shunt_blob_finish(blob);
	if (ret) /* no node was stored */
		__atomic_store_n(&head->logged, at, __ATOMIC_RELEASE);
	return ret;
}
