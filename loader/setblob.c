/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/setblob.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/setbuild.h"
#include "loader/setview.h"
#include "user/base/cleanup.h"

typedef shunt_u128 u128;

/* Room for edits in place; where it ends, a new blob is made. */
#define SLACK_LINES 256 /* and 1/16 of what the nodes take */
#define LOG_MIN 256	/* records, and 1/64 of the elements */
#define LOG_MAX 8192

/* --- making -------------------------------------------------------------------- */

static void root4(struct shunt_setbuild *build, const struct shunt_setrange *iv,
		  size_t n)
{
	uint32_t line = shunt_setbuild_lines(build, SHUNT_BLOB_ROOT4_LINES), upper;
	size_t i = 0, j;

	for (upper = 0; !build->failed && upper < SHUNT_BLOB_ROOT; upper++) {
		uint32_t node;

		while (i < n && iv[i].hi >> 112 < upper)
			i++;
		for (j = i; j < n && iv[j].lo >> 112 <= upper; j++)
			;
		if (i == j)
			continue;
		node = shunt_setbuild_node4(build, iv + i, j - i, upper);
		((uint32_t *)build->line[line])[upper] = node;
	}
}

static void root6(struct shunt_setbuild *build, const struct shunt_setrange *iv,
		  size_t n)
{
	uint32_t line = shunt_setbuild_lines(build, SHUNT_BLOB_ROOT6_LINES), upper;
	size_t i = 0, j;

	for (upper = 0; !build->failed && upper < SHUNT_BLOB_ROOT; upper++) {
		struct shunt_setslice slice = { (u128)upper << 112, 16, 16 };
		uint64_t node;

		while (i < n && iv[i].hi >> 112 < upper)
			i++;
		for (j = i; j < n && iv[j].lo >> 112 <= upper; j++)
			;
		if (i == j)
			continue;
		node = shunt_setbuild_node6(build, iv + i, j - i, slice);
		((uint64_t *)build->line[line])[upper] = node;
	}
}

/* Root, tables and buckets of one family's elements; the root's line, 0: no element. */
static uint32_t build_family(struct shunt_setbuild *build,
			     const struct shunt_prefix *element, size_t elements,
			     int family)
{
	_free_ struct shunt_setrange *iv = malloc((elements + 1) * sizeof(*iv));
	uint32_t root = build->used;
	size_t i, n = 0;

	if (!iv)
		build->failed = true;
	if (!elements || !iv)
		return 0;
	for (i = 0; i < elements; i++) {
		struct shunt_blob_record r = shunt_record_of(&element[i]);

		shunt_setrange_add(iv, &n, shunt_record_addr(&r), r.bits);
	}
	if (family == 4)
		root4(build, iv, n);
	else
		root6(build, iv, n);
	return root;
}

static uint32_t lines_of(size_t bytes)
{
	return (bytes + SHUNT_BLOB_LINE - 1) / SHUNT_BLOB_LINE;
}

static void write_elements(struct shunt_setbuild *build, struct shunt_blob_head *head,
			   const struct shunt_prefix *element)
{
	uint32_t line4 = lines_of(head->elements4 * 8ul);
	uint32_t line6 = lines_of(head->elements6 * sizeof(struct shunt_blob_element6));
	struct shunt_blob_element6 *six;
	uint64_t *four;
	size_t i;

	head->element4 = shunt_setbuild_lines(build, line4 + line6);
	head->element6 = head->element4 + line4;
	if (build->failed)
		return;
	four = build->line[head->element4];
	six = (void *)build->line[head->element6];
	for (i = 0; i < (size_t)head->elements4 + head->elements6; i++) {
		struct shunt_blob_record r = shunt_record_of(&element[i]);

		if (i < head->elements4)
			four[i] = r.hi >> 32 << 8 | r.bits;
		else
			six[i - head->elements4] =
				(struct shunt_blob_element6){ r.hi, r.lo, r.bits };
	}
}

int shunt_blob_make(struct shunt_blob *blob, const struct shunt_prefix *element,
		    size_t elements, struct shunt_err *err)
{
	struct shunt_setbuild build = { .grows = true };
	struct shunt_blob_head head = { .magic = SHUNT_BLOB_MAGIC };
	uint32_t room = LOG_MIN + elements / 64;

	while (head.elements4 < elements && element[head.elements4].family == 4)
		head.elements4++;
	head.elements6 = elements - head.elements4;
	shunt_setbuild_lines(&build, 1);
	head.root4 = build_family(&build, element, head.elements4, 4);
	head.root6 = build_family(&build, element + head.elements4, head.elements6, 6);
	head.free = build.used;
	shunt_setbuild_lines(&build, SLACK_LINES + build.used / 16);
	head.end = head.log = build.used;
	head.log_room = room < LOG_MAX ? room : LOG_MAX;
	shunt_setbuild_lines(&build, lines_of(head.log_room *
					      sizeof(struct shunt_blob_record)));
	write_elements(&build, &head, element);
	head.lines = build.used;
	if (build.failed) {
		free(build.line);
		return shunt_fail(err, -ENOMEM,
				  "make a set of %zu elements: out of memory",
				  elements);
	}
	memcpy(build.line, &head, sizeof(head));
	blob->line = build.line;
	blob->lines = build.used;
	return 0;
}

static bool within(uint64_t line, uint64_t n, uint64_t each, uint32_t lines)
{
	return line < lines && n * each <= (lines - line) * SHUNT_BLOB_LINE;
}

bool shunt_blob_sound(const struct shunt_blob *blob)
{
	const struct shunt_blob_head *h = shunt_blob_head(blob);
	uint32_t lines = blob->lines;

	return lines && h->magic == SHUNT_BLOB_MAGIC && h->lines == lines &&
	       within(h->root4, SHUNT_BLOB_ROOT4_LINES * !!h->root4, 64, lines) &&
	       within(h->root6, SHUNT_BLOB_ROOT6_LINES * !!h->root6, 64, lines) &&
	       h->free && h->free <= h->end && h->end < lines &&
	       h->logged <= h->log_room && h->applied <= h->logged && h->log &&
	       within(h->log, h->log_room, sizeof(struct shunt_blob_record), lines) &&
	       (!h->elements4 || within(h->element4, h->elements4, 8, lines)) &&
	       (!h->elements6 || within(h->element6, h->elements6,
					sizeof(struct shunt_blob_element6), lines));
}

/* --- asking ------------------------------------------------------------------------ */

static struct shunt_view view_of(const struct shunt_blob *blob, uint8_t family)
{
	return (struct shunt_view){ blob, shunt_blob_logged(blob), family };
}

uint32_t shunt_blob_logged(const struct shunt_blob *blob)
{
	/* pairs with the release in setedit.c: the records are written before it */
	return __atomic_load_n(&shunt_blob_head(blob)->logged, __ATOMIC_ACQUIRE);
}

bool shunt_blob_holds(const struct shunt_blob *blob, const struct shunt_prefix *element)
{
	struct shunt_view view = view_of(blob, element->family);
	struct shunt_blob_record r = shunt_record_of(element);

	return shunt_view_holds(&view, shunt_record_addr(&r), r.bits);
}

int shunt_blob_count(const struct shunt_blob *blob, size_t count[2])
{
	int six;

	for (six = 0; six < 2; six++) {
		struct shunt_view view = view_of(blob, six ? 6 : 4);
		long n = shunt_view_count(&view);

		if (n < 0)
			return -ENOMEM;
		count[six] = n;
	}
	return 0;
}

bool shunt_blob_match(const struct shunt_blob *blob, const struct shunt_prefix *address,
		      struct shunt_prefix *element)
{
	struct shunt_view view = view_of(blob, address->family);
	struct shunt_blob_record r = shunt_record_of(address), found = r;
	int bits;

	for (bits = address->bits; bits >= 0; bits--) {
		u128 addr = shunt_record_addr(&r) & ~shunt_behind(bits);

		if (!shunt_view_holds(&view, addr, bits))
			continue;
		found.hi = addr >> 64;
		found.lo = addr;
		found.bits = bits;
		shunt_record_prefix(&found, element);
		return true;
	}
	return false;
}

int shunt_blob_list(const struct shunt_blob *blob, struct shunt_prefix **element,
		    size_t *elements)
{
	struct shunt_view four = view_of(blob, 4), six = view_of(blob, 6);
	_free_ struct shunt_blob_record *a = NULL, *b = NULL;
	size_t n = 0, m = 0, i;
	int ret = shunt_view_inside(&four, 0, 0, &a, &n);

	if (!ret)
		ret = shunt_view_inside(&six, 0, 0, &b, &m);
	*element = ret ? NULL : malloc((n + m + 1) * sizeof(**element));
	if (!*element)
		return -ENOMEM;
	for (i = 0; i < n + m; i++)
		shunt_record_prefix(i < n ? &a[i] : &b[i - n], &(*element)[i]);
	*elements = n + m;
	return 0;
}
