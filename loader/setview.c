/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/setview.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/cleanup.h"

typedef shunt_u128 u128;

struct shunt_blob_record shunt_record_of(const struct shunt_prefix *prefix)
{
	struct shunt_blob_record r = { .bits = prefix->bits, .family = prefix->family };
	uint64_t half[2];

	memcpy(half, prefix->addr, sizeof(half));
	r.hi = be64toh(half[0]);
	r.lo = be64toh(half[1]);
	return r;
}

void shunt_record_prefix(const struct shunt_blob_record *record,
			 struct shunt_prefix *prefix)
{
	uint64_t half[2] = { htobe64(record->hi), htobe64(record->lo) };

	memset(prefix, 0, sizeof(*prefix));
	memcpy(prefix->addr, half, sizeof(half));
	prefix->family = record->family;
	prefix->bits = record->bits;
}

/* --- what it was built from ----------------------------------------------------- */

static size_t base_count(const struct shunt_view *v)
{
	const struct shunt_blob_head *head = shunt_blob_head(v->blob);

	return v->family == 4 ? head->elements4 : head->elements6;
}

static struct shunt_blob_record base_at(const struct shunt_view *v, size_t i)
{
	const struct shunt_blob_head *head = shunt_blob_head(v->blob);
	struct shunt_blob_record r = { .family = v->family, .add = 1 };

	if (v->family == 4) {
		uint64_t e = ((const uint64_t *)v->blob->line[head->element4])[i];

		r.hi = e >> 8 << 32;
		r.bits = e;
	} else {
		const struct shunt_blob_element6 *e =
			(const void *)v->blob->line[head->element6];

		r.hi = e[i].hi;
		r.lo = e[i].lo;
		r.bits = e[i].bits;
	}
	return r;
}

static int order(const struct shunt_blob_record *r, u128 addr, unsigned int bits)
{
	u128 own = shunt_record_addr(r);

	return own < addr ? -1 : own > addr ? 1 : (int)r->bits - (int)bits;
}

/* How many stand in front of (addr, bits). */
static size_t base_before(const struct shunt_view *v, u128 addr, unsigned int bits)
{
	size_t lo = 0, hi = base_count(v);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct shunt_blob_record r = base_at(v, mid);

		if (order(&r, addr, bits) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool base_holds(const struct shunt_view *v, u128 addr, unsigned int bits)
{
	size_t at = base_before(v, addr, bits);
	struct shunt_blob_record r;

	if (at == base_count(v))
		return false;
	r = base_at(v, at);
	return order(&r, addr, bits) == 0;
}

/* The elements of a prefix stand together: [*from, *to). */
static void base_inside(const struct shunt_view *v, u128 addr, unsigned int bits,
			size_t *from, size_t *to)
{
	*from = base_before(v, addr, bits);
	*to = base_before(v, addr | shunt_behind(bits), 255);
}

/* --- the log --------------------------------------------------------------------- */

static const struct shunt_blob_record *log_of(const struct shunt_view *v)
{
	return (const void *)v->blob->line[shunt_blob_head(v->blob)->log];
}

static bool inside(const struct shunt_blob_record *r, u128 addr, unsigned int bits)
{
	return r->bits >= bits &&
	       !((shunt_record_addr(r) ^ addr) & ~shunt_behind(bits));
}

bool shunt_view_holds(const struct shunt_view *v, u128 addr, unsigned int bits)
{
	const struct shunt_blob_record *log = log_of(v);
	uint32_t i;

	for (i = v->upto; i--;)
		if (log[i].family == v->family && !order(&log[i], addr, bits))
			return log[i].add;
	return base_holds(v, addr, bits);
}

bool shunt_view_covers(const struct shunt_view *v, u128 addr, unsigned int bits)
{
	while (bits--)
		if (shunt_view_holds(v, addr & ~shunt_behind(bits), bits))
			return true;
	return false;
}

bool shunt_view_any(const struct shunt_view *v, u128 addr, unsigned int bits,
		    u128 *found)
{
	const struct shunt_blob_record *log = log_of(v);
	size_t from, to;
	uint32_t i;

	for (base_inside(v, addr, bits, &from, &to); from < to; from++) {
		struct shunt_blob_record r = base_at(v, from);

		*found = shunt_record_addr(&r);
		if (shunt_view_holds(v, *found, r.bits))
			return true;
	}
	for (i = 0; i < v->upto; i++) {
		*found = shunt_record_addr(&log[i]);
		if (log[i].family == v->family && inside(&log[i], addr, bits) &&
		    shunt_view_holds(v, *found, log[i].bits))
			return true;
	}
	return false;
}

size_t shunt_view_most(const struct shunt_view *v, u128 addr, unsigned int bits)
{
	size_t from, to;

	base_inside(v, addr, bits, &from, &to);
	return to - from + v->upto;
}

/* --- both -------------------------------------------------------------------------- */

/* pad holds the place in the log, so that the last word on an element stands last. */
static int by_element(const void *a, const void *b)
{
	const struct shunt_blob_record *x = a, *y = b;
	int ret = order(x, shunt_record_addr(y), y->bits);

	return ret ? ret : memcmp(x->pad, y->pad, 4);
}

/* The last word on each element inside a prefix that the log speaks of. */
static int log_inside(const struct shunt_view *v, u128 addr, unsigned int bits,
		      struct shunt_blob_record **list, size_t *n)
{
	const struct shunt_blob_record *log = log_of(v);
	size_t kept = 0, i;
	uint32_t place;

	*n = 0;
	*list = malloc((v->upto + 1) * sizeof(**list));
	if (!*list)
		return -ENOMEM;
	for (place = 0; place < v->upto; place++) {
		uint32_t sortable = htobe32(place);

		if (log[place].family != v->family || !inside(&log[place], addr, bits))
			continue;
		(*list)[*n] = log[place];
		memcpy((*list)[(*n)++].pad, &sortable, 4);
	}
	qsort(*list, *n, sizeof(**list), by_element);
	for (i = 0; i < *n; i++) {
		const struct shunt_blob_record *r = &(*list)[i];

		if (kept && !order(&(*list)[kept - 1], shunt_record_addr(r), r->bits))
			kept--;
		(*list)[kept++] = *r;
	}
	*n = kept;
	return 0;
}

int shunt_view_inside(const struct shunt_view *v, u128 addr, unsigned int bits,
		      struct shunt_blob_record **record, size_t *n)
{
	_free_ struct shunt_blob_record *edit = NULL;
	size_t from, to, edits, e = 0;
	int ret = log_inside(v, addr, bits, &edit, &edits);

	if (ret)
		return ret;
	base_inside(v, addr, bits, &from, &to);
	*n = 0;
	*record = malloc((to - from + edits + 1) * sizeof(**record));
	if (!*record)
		return -ENOMEM;
	while (from < to || e < edits) {
		struct shunt_blob_record r = { 0 };
		int which = 1;

		if (from < to) {
			r = base_at(v, from);
			which = -1;
			if (e < edits)
				which = order(&r, shunt_record_addr(&edit[e]),
					      edit[e].bits);
		}
		if (which >= 0)
			r = edit[e++];
		from += which <= 0;
		if (r.add)
			(*record)[(*n)++] = r;
	}
	return 0;
}

long shunt_view_count(const struct shunt_view *v)
{
	_free_ struct shunt_blob_record *edit = NULL;
	long count = base_count(v);
	size_t edits, e;

	if (log_inside(v, 0, 0, &edit, &edits))
		return -1;
	for (e = 0; e < edits; e++)
		count += edit[e].add -
			 base_holds(v, shunt_record_addr(&edit[e]), edit[e].bits);
	return count;
}

void shunt_setrange_add(struct shunt_setrange *iv, size_t *n, u128 lo,
			unsigned int bits)
{
	u128 hi = lo | shunt_behind(bits);
	struct shunt_setrange *last = &iv[*n - 1];

	if (*n && (last->hi >= lo || last->hi + 1 == lo)) {
		last->hi = last->hi > hi ? last->hi : hi;
		return;
	}
	iv[(*n)++] = (struct shunt_setrange){ lo, hi };
}
