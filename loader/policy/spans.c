/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/spans.h"

#include <errno.h>
#include <stdlib.h>

int shunt_spans_add(struct shunt_spans *spans, uint64_t lo, uint64_t hi)
{
	struct shunt_span *last = spans->n ? &spans->at[spans->n - 1] : NULL;

	if (last && lo == last->hi + 1) { /* what comes in order needs no room */
		last->hi = hi;
		return 0;
	}
	if ((spans->n & (spans->n - 1)) == 0) { /* full: the room is a power of two */
		size_t room = spans->n ? spans->n * 2 : 1;
		struct shunt_span *at = realloc(spans->at, room * sizeof(*at));

		if (!at)
			return -ENOMEM;
		spans->at = at;
	}
	spans->at[spans->n++] = (struct shunt_span){ lo, hi };
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct shunt_span *p = a, *q = b;

	return p->lo < q->lo ? -1 : p->lo > q->lo;
}

void shunt_spans_settle(struct shunt_spans *spans)
{
	size_t kept = 0;

	if (!spans->n)
		return;
	qsort(spans->at, spans->n, sizeof(*spans->at), compare);
	for (size_t i = 1; i < spans->n; i++) {
		struct shunt_span *last = &spans->at[kept], *next = &spans->at[i];

		if (next->lo > last->hi + 1)
			spans->at[++kept] = *next;
		else if (next->hi > last->hi)
			last->hi = next->hi;
	}
	spans->n = kept + 1;
}

int shunt_spans_exclude(struct shunt_spans *spans, const struct shunt_spans *out,
			uint64_t last)
{
	const struct shunt_span all = { 0, last };
	const struct shunt_span *in = spans->n ? spans->at : &all;
	struct shunt_spans left = { 0 };
	size_t n = spans->n ? spans->n : 1, o = 0;
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i++) {
		uint64_t lo = in[i].lo;

		while (o < out->n && out->at[o].hi < lo)
			o++;
		/* an `out` may reach into the next `in` and is looked at again there */
		for (size_t at = o; at < out->n && out->at[at].lo <= in[i].hi && !ret;
		     at++) {
			if (out->at[at].lo > lo)
				ret = shunt_spans_add(&left, lo, out->at[at].lo - 1);
			lo = out->at[at].hi + 1;
		}
		if (lo <= in[i].hi && !ret)
			ret = shunt_spans_add(&left, lo, in[i].hi);
	}
	shunt_spans_free(ret ? &left : spans);
	if (!ret)
		*spans = left;
	return ret;
}

void shunt_spans_free(struct shunt_spans *spans)
{
	free(spans->at);
	*spans = (struct shunt_spans){ 0 };
}

bool shunt_spans_have(const struct shunt_spans *spans, uint64_t index)
{
	return shunt_spans_touch(spans, index, index);
}

bool shunt_spans_touch(const struct shunt_spans *spans, uint64_t lo, uint64_t hi)
{
	for (size_t i = 0; i < spans->n; i++)
		if (spans->at[i].lo <= hi && spans->at[i].hi >= lo)
			return true;
	return false;
}

bool shunt_spans_within(const struct shunt_spans *spans, uint64_t lo, uint64_t hi)
{
	return spans->at[0].lo >= lo && spans->at[spans->n - 1].hi <= hi;
}
