/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/policy/compile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/build.h"
#include "loader/policy/cover.h"
#include "loader/policy/features.h"
#include "loader/policy/mods.h"
#include "maps/abi.h"
#include "maps/counter.h"
#include "user/base/cleanup.h"

/* --- rules ------------------------------------------------------------------- */

/* The modifiers of all rules behind the rules, and each rule's offset of its own. */
static int build_mods(struct shunt_build *b)
{
	const struct shunt_policy *policy = b->policy;
	struct shunt_mods_pool pool = { 0 };
	struct shunt_image_rule *rule;
	struct shunt_image_mods mods;
	uint32_t base = 0;
	int index = 0;
	size_t r;

	/* a place first, then, when it is known where they lie, the offset */
	rule = shunt_build_at(b, shunt_build_head(b)->rule);
	for (r = 0; index >= 0 && r < policy->rules; r++) {
		if (!shunt_mods_of(&policy->rule[r],
				   b->binding->rule ? &b->binding->rule[r] : NULL,
				   &mods))
			continue;
		index = shunt_mods_pool_add(&pool, &mods);
		rule[r].mods = index + 1;
	}
	if (index >= 0 && pool.n)
		base = shunt_build_piece(b, pool.n * sizeof(mods));
	if (base)
		memcpy(shunt_build_at(b, base), pool.at, pool.n * sizeof(mods));
	rule = shunt_build_at(b, shunt_build_head(b)->rule);
	for (r = 0; base && r < policy->rules; r++)
		if (rule[r].mods)
			rule[r].mods = base + (rule[r].mods - 1) * sizeof(mods);
	if (index >= 0 && pool.n && !base)
		index = -ENOMEM;
	shunt_mods_pool_free(&pool);
	return index < 0 ? index : 0;
}

static int build_rules(struct shunt_build *b)
{
	const struct shunt_policy *policy = b->policy;
	uint32_t at = shunt_build_piece(b, (policy->rules + 1) *
						   sizeof(struct shunt_image_rule));
	struct shunt_image_rule *rule;
	size_t r;

	if (!at)
		return -ENOMEM;
	rule = shunt_build_at(b, at);
	for (r = 0; r < policy->rules; r++) {
		if (b->binding->rule) {
			rule[r].counter = b->binding->rule[r].counter;
			rule[r].arg = b->binding->rule[r].arg;
		}
		rule[r].action = policy->rule[r].action;
		if (rule[r].action == SHUNT_VERDICT_CONSUMER) {
			rule[r].if_down = policy->consumer[policy->rule[r].arg].if_down;
			rule[r].kind = policy->consumer[policy->rule[r].arg].kind;
		}
	}
	rule[r].counter = SHUNT_COUNTER_DEFAULT;
	rule[r].action = policy->default_action;
	shunt_build_head(b)->rule = at;
	shunt_build_head(b)->rules = policy->rules;
	return build_mods(b);
}

/* --- sets -------------------------------------------------------------------- */

static bool asks(const struct shunt_addrs *addrs, size_t set)
{
	size_t i;

	for (i = 0; i < addrs->in.sets; i++)
		if (addrs->in.set[i] == set)
			return true;
	for (i = 0; i < addrs->out.sets; i++)
		if (addrs->out.set[i] == set)
			return true;
	return false;
}

/* Which sets are asked about which address. */
static void build_sets(struct shunt_build *b)
{
	const struct shunt_policy *policy = b->policy;
	struct shunt_image *image = shunt_build_head(b);
	unsigned int where;
	size_t s, r;

	for (where = 0; where < SHUNT_SIDE_MAX; where++) {
		for (s = 0; s < policy->sets; s++) {
			for (r = 0; r < policy->rules; r++)
				if (asks(&policy->rule[r]
						  .layer[where / SHUNT_SIDES]
						  .side[where % SHUNT_SIDES],
					 s))
					break;
			if (r == policy->rules)
				continue;
			image->set[image->sets++] = (struct shunt_image_set){
				.id = b->binding->set_id[s],
				.type = policy->set[s].type,
				.bit = s,
				.where = where,
			};
		}
	}
}

/* --- which rule by which engine ---------------------------------------------- */

static bool is_dead(const struct shunt_build *b, size_t rule)
{
	return b->binding->rule && b->binding->rule[rule].dead;
}

/* The alternatives of the rules that count, or that do not; -1: of all. */
static int alts_of(const struct shunt_build *b, int counting, struct shunt_alt **alts,
		   size_t *count)
{
	const struct shunt_policy *policy = b->policy;
	_free_ uint32_t *list = malloc((policy->rules + 1) * sizeof(*list));
	_free_ bool *equal = calloc(policy->rules + 1, sizeof(*equal));
	size_t n = 0, r;

	if (!list || !equal || shunt_policy_equals(policy, equal))
		return -ENOMEM;
	for (r = 0; r < policy->rules; r++) {
		bool counts = policy->rule[r].action == SHUNT_ACTION_COUNT;

		if (!is_dead(b, r) && !equal[r] && (counting < 0 || counts == counting))
			list[n++] = r;
	}
	return shunt_alts_make(policy, list, n, alts, count);
}

static int build_engines(struct shunt_build *b)
{
	_free_ struct shunt_alt *all = NULL, *count = NULL, *decide = NULL;
	size_t alls, counts, decides;
	int ret = alts_of(b, -1, &all, &alls);

	if (ret)
		return ret;
	if (alls <=
	    (b->binding->vector_max ? b->binding->vector_max : SHUNT_VECTOR_MAX))
		return alls ? shunt_build_vectors(b, all, alls) : 0;
	ret = alts_of(b, 1, &count, &counts);
	if (!ret)
		ret = alts_of(b, 0, &decide, &decides);
	if (!ret && counts > SHUNT_VECTOR_MAX) {
		b->counting = counts;
		ret = -E2BIG;
	}
	if (!ret && counts)
		ret = shunt_build_vectors(b, count, counts);
	if (!ret && decides)
		ret = shunt_build_words(b, decide, decides);
	return ret;
}

static int build_all(struct shunt_build *b)
{
	int ret;

	shunt_build_piece(b, sizeof(struct shunt_image));
	if (!b->bytes)
		return -ENOMEM;
	shunt_build_head(b)->abi = SHUNT_ABI;
	shunt_build_head(b)->malformed = b->policy->malformed;
	build_sets(b);
	ret = build_rules(b);
	if (!ret)
		ret = build_engines(b);
	shunt_build_head(b)->features =
		shunt_policy_features(b->policy) |
		(shunt_build_head(b)->vectors.rules ? SHUNT_HAS_VECTORS : 0) |
		(shunt_build_head(b)->words.words ? SHUNT_HAS_WORDS : 0);
	return ret;
}

static int refuse(const struct shunt_build *b, int ret, struct shunt_err *err)
{
	if (ret != -E2BIG)
		return shunt_fail(err, ret, "compile the policy: out of memory");
	if (b->counting)
		return shunt_fail(
			err, ret,
			"compile the policy: %zu rules have the action \"count\" (one "
			"whose address may be in a prefix or in a set is two), and in "
			"a policy of more than %u rules there is room for %u: rules "
			"with another action count, too",
			b->counting, SHUNT_VECTOR_MAX, SHUNT_VECTOR_MAX);
	if (b->full)
		return shunt_fail(
			err, ret,
			"compile the policy: its %zu rules have too many %s: at most "
			"%u classes and %u alternatives; move long lists of addresses "
			"into sets",
			b->policy->rules, b->full, SHUNT_CLASS_MAX,
			SHUNT_WORD_MAX * 64);
	return shunt_fail(err, ret,
			  "compile the policy: its %zu rules need %zu bytes and %zu "
			  "classes, and there is room for %u bytes: move long lists of "
			  "addresses into sets",
			  b->policy->rules, b->len, b->stats->classes,
			  SHUNT_IMAGE_BYTES);
}

int shunt_compile(const struct shunt_policy *policy,
		  const struct shunt_binding *binding, struct shunt_compiled *compiled,
		  struct shunt_err *err)
{
	struct shunt_build b = { .policy = policy,
				 .binding = binding,
				 .stats = compiled };
	int ret;

	memset(compiled, 0, sizeof(*compiled));
	ret = build_all(&b);
	/* the classifier may read a whole entry or header at the very end */
	if (!ret && !shunt_build_piece(&b, 64))
		ret = -ENOMEM;
	if (!ret && b.len > SHUNT_IMAGE_BYTES)
		ret = -E2BIG;
	if (ret) {
		ret = refuse(&b, ret, err);
		free(b.bytes);
		return ret;
	}
	shunt_build_head(&b)->bytes = b.len;
	compiled->image = shunt_build_head(&b);
	return 0;
}
