/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/net/lpm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/prefix.h"
#include "user/base/cleanup.h"

#define ROOT_BITS 16
#define ROOT_ENTRIES (1u << ROOT_BITS)
#define NODE_BITS 8
#define NODE_ENTRIES (1u << NODE_BITS)

/* Shortest first; those that are the same stand together. */
static int by_length(const void *a, const void *b)
{
	const struct shunt_lpm_row *one = a, *other = b;

	if (one->prefix.bits != other->prefix.bits)
		return one->prefix.bits < other->prefix.bits ? -1 : 1;
	return shunt_prefix_compare(&one->prefix, &other->prefix);
}

/* A node all of whose entries are `entry`; 0 or -ENOMEM. */
static int add_node(struct shunt_lpm *lpm, uint32_t entry, uint32_t *number)
{
	unsigned int i;

	if (lpm->nodes == lpm->room) {
		uint32_t room = lpm->room ? lpm->room * 2 : 16;
		void *more = room < SHUNT_LPM_NODE
				     ? reallocarray(lpm->node, room, sizeof(*lpm->node))
				     : NULL;

		if (!more)
			return -ENOMEM;
		lpm->node = more;
		lpm->room = room;
	}
	for (i = 0; i < NODE_ENTRIES; i++)
		lpm->node[lpm->nodes][i] = entry;
	*number = lpm->nodes++;
	return 0;
}

/* The entries that a prefix covers in a table whose index ends behind `depth` bits. */
static void cover(uint32_t *table, uint32_t first, unsigned int depth,
		  unsigned int bits, uint32_t entry)
{
	uint32_t n = 1u << (depth - bits), i;

	for (i = 0; i < n; i++)
		table[first + i] = entry;
}

/* The node behind an entry: of the root (parent UINT32_MAX), or of a node. */
static int descend(struct shunt_lpm *lpm, uint32_t *root, uint32_t parent,
		   uint32_t index, uint32_t *node)
{
	uint32_t entry = parent == UINT32_MAX ? root[index] : lpm->node[parent][index];
	int ret;

	*node = entry & ~SHUNT_LPM_NODE;
	if (entry & SHUNT_LPM_NODE)
		return 0;
	ret = add_node(lpm, entry, node); /* and the nodes may have moved */
	if (ret)
		return ret;
	if (parent == UINT32_MAX)
		root[index] = SHUNT_LPM_NODE | *node;
	else
		lpm->node[parent][index] = SHUNT_LPM_NODE | *node;
	return 0;
}

static int put(struct shunt_lpm *lpm, const struct shunt_lpm_row *row)
{
	const struct shunt_prefix *p = &row->prefix;
	uint32_t *root = lpm->root[p->family == 6];
	uint32_t index = p->addr[0] << 8 | p->addr[1], node = UINT32_MAX;
	unsigned int depth = ROOT_BITS;

	while (p->bits > depth) {
		int ret = descend(lpm, root, node, index, &node);

		if (ret)
			return ret;
		index = p->addr[depth / 8];
		depth += NODE_BITS;
	}
	cover(node == UINT32_MAX ? root : lpm->node[node], index, depth, p->bits,
	      row->value + 1);
	return 0;
}

static int fill(struct shunt_lpm *lpm, const struct shunt_lpm_row *sorted, size_t n,
		struct shunt_err *err)
{
	char text[SHUNT_PREFIX_TEXT];
	size_t i;

	for (i = 0; i < n; i++) {
		uint32_t **root = &lpm->root[sorted[i].prefix.family == 6];

		if (i &&
		    !shunt_prefix_compare(&sorted[i - 1].prefix, &sorted[i].prefix))
			return shunt_fail(err, -EEXIST, "prefix %s stands there twice",
					  shunt_prefix_format(&sorted[i].prefix, text));
		if (!*root)
			*root = calloc(ROOT_ENTRIES, sizeof(**root));
		if (!*root || put(lpm, &sorted[i]))
			return shunt_fail_errno(err, -ENOMEM,
						"make a table of %zu prefixes", n);
	}
	return 0;
}

int shunt_lpm_make(struct shunt_lpm *lpm, const struct shunt_lpm_row *rows, size_t n,
		   struct shunt_err *err)
{
	_free_ struct shunt_lpm_row *sorted = calloc(n + 1, sizeof(*sorted));
	int ret;

	*lpm = (struct shunt_lpm){ .node = NULL };
	if (!sorted)
		return shunt_fail_errno(err, -ENOMEM, "make a table of %zu prefixes",
					n);
	if (n)
		memcpy(sorted, rows, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_length);
	ret = fill(lpm, sorted, n, err);
	if (ret)
		shunt_lpm_free(lpm);
	return ret;
}

void shunt_lpm_free(struct shunt_lpm *lpm)
{
	free(lpm->root[0]);
	free(lpm->root[1]);
	free(lpm->node);
	*lpm = (struct shunt_lpm){ .node = NULL };
}
