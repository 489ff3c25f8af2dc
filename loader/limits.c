/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "loader/percpu.h"
#include "maps/limit.h"
#include "user/base/cleanup.h"

/* What the kernel's LRU keeps aside for each CPU, so that a small table holds its size. */
#define LRU_SPARE 128

static bool is_by(const struct shunt_policy_limit *limit)
{
	return limit->by != SHUNT_LIMIT_RULE;
}

bool shunt_limiter_sound(const struct shunt_state_rule *rule)
{
	return rule->limiter <
	       (is_by(&rule->limit) ? SHUNT_LIMIT_BY_IDS : SHUNT_LIMIT_IDS);
}

static bool same(const struct shunt_policy_limit *a, const struct shunt_policy_limit *b)
{
	return a->rate == b->rate && a->burst == b->burst && a->bytes == b->bytes &&
	       a->by == b->by && a->bits4 == b->bits4 && a->bits6 == b->bits6 &&
	       a->size == b->size;
}

/* --- names to ids ------------------------------------------------------------ */

/* Ids that are given away: of single buckets, and of tables. */
struct taken {
	bool one[SHUNT_LIMIT_IDS];
	bool by[SHUNT_LIMIT_BY_IDS];
};

int shunt_limits_check(const struct shunt_policy *policy, struct shunt_err *err)
{
	size_t ones = 0, bys = 0, r;

	for (r = 0; r < policy->rules; r++) {
		const struct shunt_policy_limit *limit = &policy->rule[r].limit;

		ones += limit->rate && !is_by(limit);
		bys += limit->rate && is_by(limit);
	}
	if (ones > SHUNT_LIMIT_MAX)
		return shunt_fail(err, -E2BIG,
				  "the policy has %zu rules with a limit for the whole "
				  "rule, and there is room for %d",
				  ones, SHUNT_LIMIT_MAX);
	if (bys > SHUNT_LIMIT_BY_MAX)
		return shunt_fail(err, -E2BIG,
				  "the policy has %zu rules with a limit per source or "
				  "destination, and there is room for %d",
				  bys, SHUNT_LIMIT_BY_MAX);
	return 0;
}

static uint32_t take_limiter(bool *taken, uint32_t *from)
{
	while (taken[*from])
		++*from;
	taken[*from] = true;
	return *from;
}

int shunt_limits_bind(struct shunt_plan *plan, const struct shunt_state *old,
		      struct shunt_err *err)
{
	_free_ struct taken *taken = calloc(1, sizeof(*taken));
	uint32_t from[2] = { 0, 0 };
	size_t r;

	if (!taken)
		return shunt_fail(err, -ENOMEM, "plan the limits: out of memory");
	for (r = 0; old && r < old->rules; r++)
		if (old->rule[r].limit.rate)
			(is_by(&old->rule[r].limit)
				 ? taken->by
				 : taken->one)[old->rule[r].limiter] = true;
	if (shunt_limits_check(plan->policy, err))
		return -E2BIG;
	for (r = 0; r < plan->policy->rules; r++) {
		const struct shunt_policy_rule *rule = &plan->policy->rule[r];
		struct shunt_state_rule *next = &plan->next->rule[r];
		const struct shunt_state_rule *before;
		bool by = is_by(&rule->limit);

		next->limit = rule->limit;
		if (!rule->limit.rate)
			continue;
		before = old ? shunt_state_rule(old, rule->name) : NULL;
		plan->kept_limit[r] = before && same(&before->limit, &rule->limit);
		next->limiter =
			plan->kept_limit[r]
				? before->limiter
				: take_limiter(by ? taken->by : taken->one, &from[by]);
		plan->binding.rule[r].limit = next->limiter;
	}
	return 0;
}

/* --- the maps ---------------------------------------------------------------- */

static int make_table(const struct shunt_policy_rule *rule, struct shunt_err *err)
{
	uint32_t spare = LRU_SPARE * 2 * shunt_cpus();
	uint32_t size = rule->limit.size + spare;
	int fd = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "shunt_limit_in",
				sizeof(struct shunt_limit_key), sizeof(uint64_t), size,
				NULL);

	return fd < 0 ? shunt_fail_errno(err, fd,
					 "rule %s: make a table of %u limited prefixes",
					 rule->name, rule->limit.size)
		      : fd;
}

/* Tables into the outer map, at once: the kernel waits for programs once a batch. */
static int place(const struct shunt_maps *maps, uint32_t *id, int *fd, uint32_t n,
		 struct shunt_err *err)
{
	uint32_t count = n;
	int ret = 0;

	if (n)
		ret = bpf_map_update_batch(maps->fd[SHUNT_MAP_LIMIT_BY], id, fd, &count,
					   NULL);
	return ret ? shunt_fail_errno(err, ret, "put tables of limits into place") : 0;
}

static int write_tables(const struct shunt_plan *plan, const struct shunt_maps *maps,
			struct shunt_err *err)
{
	uint32_t id[SHUNT_LIMIT_BY_MAX], n = 0;
	int fd[SHUNT_LIMIT_BY_MAX], ret = 0;
	size_t r;

	for (r = 0; ret >= 0 && r < plan->policy->rules; r++) {
		const struct shunt_policy_rule *rule = &plan->policy->rule[r];

		if (!rule->limit.rate || !is_by(&rule->limit) || plan->kept_limit[r])
			continue;
		ret = fd[n] = make_table(rule, err);
		id[n] = plan->next->rule[r].limiter;
		n += ret >= 0;
	}
	for (r = 0; ret >= 0 && r < n; r++)
		maps->gen->limit_maps |= 1ull << id[r];
	if (ret >= 0)
		ret = place(maps, id, fd, n, err);
	while (n--)
		close(fd[n]);
	return ret < 0 ? ret : 0;
}

int shunt_limits_write(const struct shunt_plan *plan, const struct shunt_maps *maps,
		       struct shunt_err *err)
{
	struct shunt_limiter full = { .pad = { 0 } };
	struct timespec now;
	int hook, ret;
	size_t r;

	/* full, as the programs' clock has it now: it comes round every 78 hours */
	clock_gettime(CLOCK_MONOTONIC, &now);
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		full.tat[hook] = (now.tv_sec * UINT64_C(1000000000) + now.tv_nsec)
				 << SHUNT_LIMIT_SHIFT;
	for (r = 0; r < plan->policy->rules; r++) {
		const struct shunt_policy_rule *rule = &plan->policy->rule[r];

		if (!rule->limit.rate || is_by(&rule->limit) || plan->kept_limit[r])
			continue;
		ret = bpf_map_update_elem(maps->fd[SHUNT_MAP_LIMIT],
					  &plan->next->rule[r].limiter, &full, BPF_ANY);
		if (ret)
			return shunt_fail_errno(err, ret, "rule %s: fill its limit",
						rule->name);
	}
	return write_tables(plan, maps, err);
}

int shunt_limits_tidy(const struct shunt_maps *maps, const struct shunt_state *state,
		      struct shunt_err *err)
{
	uint64_t gone = maps->gen->limit_maps;
	uint32_t id;
	size_t r;
	int ret;

	for (r = 0; r < state->rules; r++)
		if (state->rule[r].limit.rate && is_by(&state->rule[r].limit))
			gone &= ~(1ull << state->rule[r].limiter);
	for (id = 0; id < SHUNT_LIMIT_BY_IDS; id++) {
		if (!(gone >> id & 1))
			continue;
		ret = bpf_map_delete_elem(maps->fd[SHUNT_MAP_LIMIT_BY], &id);
		if (ret && ret != -ENOENT)
			return shunt_fail_errno(err, ret, "remove a table of limits");
		maps->gen->limit_maps &= ~(1ull << id);
	}
	return 0;
}

void shunt_limits_each_map(const struct shunt_maps *maps,
			   void (*each)(void *self, uint32_t map_id), void *self)
{
	uint32_t id, map_id;

	for (id = 0; id < SHUNT_LIMIT_BY_IDS; id++)
		if (maps->gen->limit_maps >> id & 1 &&
		    !bpf_map_lookup_elem(maps->fd[SHUNT_MAP_LIMIT_BY], &id, &map_id))
			each(self, map_id);
}
