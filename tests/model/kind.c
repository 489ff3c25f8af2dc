/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model/kind.h"

#include <assert.h>
#include <stdlib.h>

#include "maps/image.h"
#include "tests/model/classbench.h"
#include "user/base/cleanup.h"

const struct shunt_kind_row shunt_kind_rows[SHUNT_KIND_COUNT] = {
#define X(id, name, share, packets) [SHUNT_KIND_##id] = { name, share, packets },
	SHUNT_KINDS(X)
#undef X
};

/* Rules of one IP version, or of both by turns. */
static char *write_classbench(enum shunt_classbench_family family,
			      struct shunt_random *r)
{
	static const uint16_t sizes[] = { 1000, 1024, 1025, 2048,
					  4096, 4097, 8192, SHUNT_RULE_MAX };
	uint32_t n = shunt_random_of(r, sizes), half = n / 2, i;
	_free_ struct shunt_classbench_rule *rules = NULL, *other = NULL;
	static const uint8_t versions[] = { 4, 6, 0 };
	uint8_t version = shunt_random_of(r, versions);
	uint64_t seed = shunt_random_next(r);
	int ret;

	ret = shunt_classbench_make(family, version ? version : 4, n, seed, &rules);
	if (!ret && !version)
		ret = shunt_classbench_make(family, 6, half, seed, &other);
	assert(!ret);
	for (i = 0; !version && i < half; i++)
		rules[2 * i] = other[i];
	return shunt_classbench_policy(rules, n);
}

char *shunt_kind_write(enum shunt_kind kind, const struct shunt_author *author)
{
	struct shunt_author limits = *author;

	switch (kind) {
	case SHUNT_KIND_FEW:
		limits.from = 0;
		limits.rules = 256;
		return shunt_author_write(&limits);
	case SHUNT_KIND_MANY:
		limits.from = 257;
		limits.rules = 2000;
		return shunt_author_write(&limits);
	case SHUNT_KIND_ACL:
		return write_classbench(SHUNT_CLASSBENCH_ACL, author->random);
	case SHUNT_KIND_FW:
		return write_classbench(SHUNT_CLASSBENCH_FW, author->random);
	default:
		return write_classbench(SHUNT_CLASSBENCH_IPC, author->random);
	}
}
