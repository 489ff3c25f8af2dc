/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/compile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/features.h"
#include "loader/policy/sweep.h"
#include "loader/policy/vector.h"
#include "maps/abi.h"
#include "maps/counter.h"
#include "user/base/cleanup.h"

/* The image while it grows, and what its tables refer to. */
struct build {
	const struct shunt_policy *policy;
	uint8_t *bytes;
	size_t len, room;
	struct shunt_vectors pool;
};

/* A zeroed piece of n bytes at an offset that 8 divides; 0 where memory ran out. */
static uint32_t piece(struct build *b, size_t n)
{
	size_t at = (b->len + 7) & ~(size_t)7;

	if (at + n > b->room) {
		size_t room = 2 * (at + n);
		uint8_t *bytes = realloc(b->bytes, room);

		if (!bytes)
			return 0;
		memset(bytes + b->room, 0, room - b->room);
		b->bytes = bytes;
		b->room = room;
	}
	b->len = at + n;
	return at;
}

static struct shunt_image *head(struct build *b)
{
	return (struct shunt_image *)b->bytes;
}

/* --- indexed fields ---------------------------------------------------------- */

static const uint64_t field_values[SHUNT_FIELD_COUNT] = {
#define X(id, name, values, help) [SHUNT_FIELD_##id] = values,
	SHUNT_FIELDS(X)
#undef X
};

/* The ranges of one field, and the rules that have none; returns how many ranges. */
static size_t field_allow(const struct shunt_policy *policy, enum shunt_field field,
			  struct shunt_allow *allow, struct shunt_vector *base)
{
	size_t r, i, n = 0;

	memset(base, 0, sizeof(*base));
	for (r = 0; r < policy->rules; r++) {
		const struct shunt_spans *spans =
			&policy->rule[r].layer[SHUNT_OUTER].field[field];

		if (!spans->n)
			shunt_vector_set(base, r);
		for (i = 0; i < spans->n; i++, n++)
			if (allow)
				allow[n] = (struct shunt_allow){ spans->at[i].lo,
								 spans->at[i].hi, r };
	}
	return n;
}

static int build_field(struct build *b, enum shunt_field field)
{
	_free_ struct shunt_interval *interval = NULL;
	_free_ struct shunt_allow *allow = NULL;
	struct shunt_vector base;
	size_t n = field_allow(b->policy, field, NULL, &base), count, i;
	uint32_t table, index, end = field_values[field] + 1;
	int ret;

	if (!n)
		return 0;
	allow = malloc(n * sizeof(*allow));
	if (!allow)
		return -ENOMEM;
	field_allow(b->policy, field, allow, &base);
	ret = shunt_sweep(allow, n, &base, &b->pool, &interval, &count);
	if (ret)
		return ret;
	table = piece(b, end * sizeof(uint16_t));
	if (!table)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		uint32_t next = i + 1 < count ? interval[i + 1].start : end;

		for (index = interval[i].start; index < next && index < end; index++)
			((uint16_t *)(b->bytes + table))[index] = interval[i].class;
	}
	head(b)->field[head(b)->fields++] =
		(struct shunt_image_field){ .table = table, .field = field };
	return 0;
}

/* --- addresses --------------------------------------------------------------- */

static shunt_u128 prefix_value(const struct shunt_prefix *prefix)
{
	size_t i, bytes = prefix->family == 4 ? 4 : 16;
	shunt_u128 value = 0;

	for (i = 0; i < bytes; i++)
		value = value << 8 | prefix->addr[i];
	return value;
}

static bool side_is_free(const struct shunt_addrs *addrs)
{
	return !addrs->in.prefixes && !addrs->in.sets;
}

/* As field_allow, for the prefixes of one family. */
static size_t side_allow(const struct shunt_policy *policy, enum shunt_side side,
			 int family, struct shunt_allow *allow,
			 struct shunt_vector *base)
{
	size_t r, i, n = 0;

	memset(base, 0, sizeof(*base));
	for (r = 0; r < policy->rules; r++) {
		const struct shunt_addrs *addrs =
			&policy->rule[r].layer[SHUNT_OUTER].side[side];

		if (side_is_free(addrs))
			shunt_vector_set(base, r);
		for (i = 0; i < addrs->in.prefixes; i++) {
			const struct shunt_prefix *p = &addrs->in.prefix[i];
			shunt_u128 lo, size;
			int host;

			if (p->family != family)
				continue;
			host = (family == 4 ? 32 : 128) - p->bits;
			lo = prefix_value(p);
			size = host < 128 ? (shunt_u128)1 << host : 0;
			if (allow)
				allow[n] =
					(struct shunt_allow){ lo, lo + (size - 1), r };
			n++;
		}
	}
	return n;
}

/*
 * Writes the bucket of `n` intervals that lie under one root entry: starts, then classes,
 * filled up to a power of two. Returns the node, 0 where memory ran out.
 */
static uint32_t build_bucket(struct build *b, int family,
			     const struct shunt_interval *interval, size_t n,
			     shunt_u128 low)
{
	size_t width = family == 4 ? sizeof(uint16_t) : sizeof(struct shunt_start6);
	uint32_t steps = 0, at;
	uint16_t *class;
	size_t i;

	while ((size_t)1 << steps < n)
		steps++;
	at = piece(b, ((size_t)1 << steps) * (width + sizeof(*class)));
	if (!at)
		return 0;
	class = (uint16_t *)(b->bytes + at + ((size_t)1 << steps) * width);
	for (i = 0; i < (size_t)1 << steps; i++) {
		const struct shunt_interval *from = &interval[i < n ? i : n - 1];
		shunt_u128 start = from->start < low ? low : from->start;

		if (family == 4)
			((uint16_t *)(b->bytes + at))[i] = start & 0xffff;
		else
			((struct shunt_start6 *)(b->bytes + at))[i] =
				(struct shunt_start6){ start >> 64, start };
		class[i] = from->class;
	}
	return SHUNT_NODE_BUCKET | steps << SHUNT_NODE_STEPS_SHIFT | at / 8;
}

/* The root of one family on one side; its offset in *root. */
static int build_root(struct build *b, enum shunt_side side, int family, uint32_t *root)
{
	_free_ struct shunt_interval *interval = NULL;
	_free_ struct shunt_allow *allow = NULL;
	int shift = (family == 4 ? 32 : 128) - 16;
	struct shunt_vector base;
	size_t n, count, i = 0;
	shunt_u128 top;
	int ret;

	n = side_allow(b->policy, side, family, NULL, &base);
	allow = malloc((n + 1) * sizeof(*allow));
	if (!allow)
		return -ENOMEM;
	side_allow(b->policy, side, family, allow, &base);
	ret = shunt_sweep(allow, n, &base, &b->pool, &interval, &count);
	if (ret)
		return ret;
	*root = piece(b, 65536 * sizeof(uint32_t));
	if (!*root)
		return -ENOMEM;
	for (top = 0; top < 65536; top++) {
		shunt_u128 low = top << shift, end = low + ((shunt_u128)1 << shift) - 1;
		size_t last = i;
		uint32_t node = interval[i].class;

		while (last + 1 < count && interval[last + 1].start <= end)
			last++;
		/* an interval that starts with this entry makes the one before it leave */
		if (i < last && interval[i + 1].start == low) {
			i++;
			node = interval[i].class;
		}
		if (i < last) {
			node = build_bucket(b, family, &interval[i], last - i + 1, low);
			if (!node)
				return -ENOMEM;
		}
		((uint32_t *)(b->bytes + *root))[top] = node;
		i = last;
	}
	return 0;
}

/* The rules that name a set on this side. */
static bool set_rules(const struct shunt_policy *policy, enum shunt_side side,
		      uint32_t set, struct shunt_vector *vector)
{
	bool any = false;
	size_t r, i;

	memset(vector, 0, sizeof(*vector));
	for (r = 0; r < policy->rules; r++) {
		const struct shunt_addrs *addrs =
			&policy->rule[r].layer[SHUNT_OUTER].side[side];

		for (i = 0; i < addrs->in.sets; i++) {
			if (addrs->in.set[i] != set)
				continue;
			shunt_vector_set(vector, r);
			any = true;
		}
	}
	return any;
}

static int build_sets(struct build *b, enum shunt_side side,
		      const struct shunt_binding *binding)
{
	struct shunt_vector vector;
	uint32_t s;

	for (s = 0; s < b->policy->sets; s++) {
		struct shunt_image_side *out = &head(b)->side[side];
		int class;

		if (!set_rules(b->policy, side, s, &vector))
			continue;
		class = shunt_vectors_class(&b->pool, &vector);
		if (class < 0)
			return class;
		out->set[out->sets++] = (struct shunt_image_set){
			.id = binding->set_id[s],
			.type = b->policy->set[s].type,
			.class = class,
		};
	}
	return 0;
}

static int build_side(struct build *b, enum shunt_side side,
		      const struct shunt_binding *binding)
{
	struct shunt_vector base = { 0 };
	uint32_t root4, root6;
	bool used = false;
	int class, ret;
	size_t r;

	for (r = 0; r < b->policy->rules; r++) {
		if (side_is_free(&b->policy->rule[r].layer[SHUNT_OUTER].side[side]))
			shunt_vector_set(&base, r);
		else
			used = true;
	}
	if (!used)
		return 0;
	class = shunt_vectors_class(&b->pool, &base);
	if (class < 0)
		return class;
	ret = build_root(b, side, 4, &root4);
	if (!ret)
		ret = build_root(b, side, 6, &root6);
	if (ret)
		return ret;
	head(b)->side[side].used = 1;
	head(b)->side[side].none = class;
	head(b)->side[side].root4 = root4;
	head(b)->side[side].root6 = root6;
	return build_sets(b, side, binding);
}

/* --- rules, vectors, the whole ----------------------------------------------- */

static int build_rules(struct build *b, const struct shunt_binding *binding)
{
	const struct shunt_policy *policy = b->policy;
	uint32_t at = piece(b, (policy->rules + 1) * sizeof(struct shunt_image_rule));
	struct shunt_image_rule *rule;
	size_t r;

	if (!at)
		return -ENOMEM;
	rule = (struct shunt_image_rule *)(b->bytes + at);
	for (r = 0; r < policy->rules; r++) {
		if (binding->rule) {
			rule[r].counter = binding->rule[r].counter;
			rule[r].arg = binding->rule[r].arg;
		}
		rule[r].action = policy->rule[r].action;
		if (rule[r].action == SHUNT_VERDICT_CONSUMER)
			rule[r].if_down = policy->consumer[policy->rule[r].arg].if_down;
	}
	rule[r].counter = SHUNT_COUNTER_DEFAULT;
	rule[r].action = policy->default_action;
	head(b)->rule = at;
	head(b)->rules = policy->rules;
	return 0;
}

static int build_vectors(struct build *b)
{
	size_t bytes = b->pool.n * sizeof(struct shunt_vector);
	uint32_t at = piece(b, bytes);

	if (!at)
		return -ENOMEM;
	if (bytes)
		memcpy(b->bytes + at, b->pool.at, bytes);
	head(b)->vector = at;
	head(b)->vectors = b->pool.n;
	return 0;
}

static int build_all(struct build *b, const struct shunt_binding *binding)
{
	int field, ret;

	piece(b, sizeof(struct shunt_image));
	if (!b->bytes)
		return -ENOMEM;
	head(b)->abi = SHUNT_ABI;
	head(b)->malformed = b->policy->malformed;
	head(b)->features = shunt_policy_features(b->policy);
	ret = build_rules(b, binding);
	for (field = 0; !ret && field < SHUNT_FIELD_NARROW; field++)
		ret = build_field(b, field);
	if (!ret)
		ret = build_side(b, SHUNT_SIDE_SRC, binding);
	if (!ret)
		ret = build_side(b, SHUNT_SIDE_DST, binding);
	if (!ret)
		ret = build_vectors(b);
	return ret;
}

int shunt_compile(const struct shunt_policy *policy,
		  const struct shunt_binding *binding, struct shunt_compiled *compiled,
		  struct shunt_err *err)
{
	struct build b = { .policy = policy };
	size_t classes;
	int ret;

	if (policy->rules > SHUNT_VECTOR_MAX)
		return shunt_fail(err, -E2BIG,
				  "compile the policy: it has %zu rules, and there is "
				  "room for %u",
				  policy->rules, SHUNT_VECTOR_MAX);
	ret = build_all(&b, binding);
	classes = b.pool.n;

	shunt_vectors_free(&b.pool);
	if (!ret && b.len > SHUNT_IMAGE_BYTES)
		ret = -E2BIG;
	if (ret) {
		free(b.bytes);
		if (ret != -E2BIG)
			return shunt_fail(err, ret,
					  "compile the policy: out of memory");
		return shunt_fail(
			err, ret,
			"compile the policy: its %zu rules need %zu bytes and "
			"%zu classes, and there is room for %u bytes and %u "
			"classes: move long lists of addresses into sets",
			policy->rules, b.len, classes, SHUNT_IMAGE_BYTES,
			SHUNT_CLASS_MAX);
	}
	head(&b)->bytes = b.len;
	compiled->image = head(&b);
	compiled->classes = classes;
	return 0;
}
