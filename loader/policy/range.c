/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/range.h"

#include <string.h>

#include "loader/policy/spans.h"
#include "loader/policy/word.h"

void shunt_range_add(const struct shunt_node *at, struct shunt_spans *spans,
		     uint64_t lo, uint64_t hi)
{
	if (shunt_spans_add(spans, lo + 1, hi + 1) < 0)
		at->doc->oom = true;
}

int64_t shunt_range_digits(const char **p, int base, int64_t max)
{
	const char *digits = "0123456789abcdef";
	int64_t value = 0;
	bool any = false;

	for (; **p; (*p)++) {
		const char *at =
			strchr(digits, **p >= 'A' && **p <= 'F' ? **p | 32 : **p);

		if (!at || at - digits >= base)
			break;
		value = value * base + (at - digits);
		any = true;
		if (value > max)
			return -1;
	}
	return any ? value : -1;
}

void shunt_range_read(const struct shunt_node *item, struct shunt_spans *spans,
		      const char *what, int64_t max)
{
	const char *text, *p;
	int64_t lo, hi;

	if (cJSON_IsNumber(item->json)) {
		lo = shunt_node_number(item, what, 0, max);
		if (lo >= 0)
			shunt_range_add(item, spans, lo, lo);
		return;
	}
	text = p = shunt_node_string(item, what);
	if (!text)
		return;
	lo = hi = shunt_range_digits(&p, 10, max);
	if (lo >= 0 && *p == '-') {
		p++;
		hi = shunt_range_digits(&p, 10, max);
	}
	if (lo < 0 || hi < 0 || *p)
		shunt_node_error(
			item,
			"%s is not %s or a range of them: write a number from 0 to %jd "
			"or a range like \"10-20\"",
			SHUNT_QUOTE(text), what, (intmax_t)max);
	else if (lo > hi)
		shunt_node_error(item, "the range %s is backwards: write \"%jd-%jd\"",
				 SHUNT_QUOTE(text), (intmax_t)hi, (intmax_t)lo);
	else
		shunt_range_add(item, spans, lo, hi);
}
