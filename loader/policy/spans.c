/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/spans.h"

#include <errno.h>
#include <stdlib.h>

int shunt_spans_add(struct shunt_spans *spans, uint64_t lo, uint64_t hi)
{
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
