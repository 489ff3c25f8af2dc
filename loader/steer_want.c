/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/steer_want.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "loader/queues.h"
#include "loader/reply.h"
#include "loader/steer_flows.h"

/* --- filters ----------------------------------------------------------------- */

static bool is_meant(const struct shunt_policy_rule *rule, const char *interface)
{
	bool named = false;
	size_t i;

	for (i = 0; i < rule->ifaces && !named; i++)
		named = !fnmatch(rule->iface[i], interface, 0);
	return !rule->ifaces || named != rule->iface_not;
}

/* Those that there are once the policy's number of them is set. */
static uint64_t queues_of(const struct shunt_steer_wish *wish)
{
	uint32_t count = wish->policy->queues ? wish->policy->queues->count : 0;

	if (!count)
		return shunt_queues(wish->interface);
	return count >= SHUNT_QUEUE_MAX ? UINT64_MAX : (1ull << count) - 1;
}

static size_t filters_to(const struct shunt_steer *steer, uint32_t queue)
{
	size_t f, n = 0;

	for (f = 0; f < steer->filters; f++)
		n += steer->filter[f].is.queue == queue;
	return n;
}

/* The queue that the flow is in, if it may stay; else the one with the fewest filters. */
static uint32_t queue_for(const struct shunt_steer *steer,
			  const struct shunt_steer *old,
			  const struct shunt_ntuple *flow, uint64_t queues)
{
	uint32_t queue, best = SHUNT_QUEUE_MAX;
	size_t f;

	for (f = 0; f < old->filters; f++) {
		const struct shunt_ntuple *is = &old->filter[f].is;

		if (shunt_ntuple_same_flow(is, flow) && is->queue < SHUNT_QUEUE_MAX &&
		    queues >> is->queue & 1)
			return is->queue;
	}
	for (queue = 0; queue < SHUNT_QUEUE_MAX; queue++)
		if (queues >> queue & 1 &&
		    (best == SHUNT_QUEUE_MAX ||
		     filters_to(steer, queue) < filters_to(steer, best)))
			best = queue;
	return best;
}

static int want_rule(struct shunt_steer *steer, const struct shunt_steer_wish *wish,
		     const struct shunt_policy_rule *rule, uint64_t queues)
{
	struct shunt_ntuple filter[SHUNT_STEER_OF_RULE];
	struct shunt_err why;
	int i, n = shunt_steer_flows(rule, filter, &why);

	if (n < 0)
		shunt_reply_warn(wish->notes, "%s: its packets are not steered",
				 why.message);
	for (i = 0; i < n; i++) {
		struct shunt_steer_filter *add;
		uint32_t queue = queue_for(steer, wish->old, &filter[i], queues);

		if (shunt_steer_has_flow(steer, &filter[i]))
			continue; /* an earlier rule's, which decides */
		add = shunt_steer_add_filter(steer);
		if (!add)
			return -ENOMEM;
		memcpy(add->rule, rule->name, sizeof(add->rule));
		memcpy(add->consumer, wish->policy->consumer[rule->arg].name,
		       sizeof(add->consumer));
		add->is = filter[i];
		add->is.queue = queue;
	}
	return 0;
}

static int want_filters(struct shunt_steer *steer, const struct shunt_steer_wish *wish)
{
	const struct shunt_policy *policy = wish->policy;
	uint64_t queues = queues_of(wish);
	size_t r, c;
	int ret = 0;

	for (c = 0; c < policy->consumers; c++)
		if (policy->consumer[c].steer && !(policy->consumer[c].queues & queues))
			shunt_reply_warn(
				wish->notes,
				"consumer %s: none of its queues exists on %s: "
				"nothing is steered to it",
				policy->consumer[c].name, wish->interface);
	for (r = 0; !ret && r < policy->rules; r++) {
		const struct shunt_policy_rule *rule = &policy->rule[r];
		uint64_t served;

		if (!shunt_steer_wanted(policy, rule) ||
		    !is_meant(rule, wish->interface))
			continue;
		served = policy->consumer[rule->arg].queues & queues;
		if (served)
			ret = want_rule(steer, wish, rule, served);
	}
	return ret;
}

/* --- settings ---------------------------------------------------------------- */

static bool is_set(const uint64_t cpus[SHUNT_CPU_WORDS])
{
	uint64_t any = 0;
	size_t w;

	for (w = 0; w < SHUNT_CPU_WORDS; w++)
		any |= cpus[w];
	return any;
}

static int want_cpus(struct shunt_steer *steer, enum shunt_steer_what what,
		     const uint64_t cpus[][SHUNT_CPU_WORDS])
{
	uint32_t queue;

	for (queue = 0; queue < SHUNT_QUEUE_MAX; queue++) {
		struct shunt_steer_setting *add;

		if (!is_set(cpus[queue]))
			continue;
		add = shunt_steer_add_setting(steer);
		if (!add)
			return -ENOMEM;
		add->what = what;
		add->queue = queue;
		shunt_cpus_format(cpus[queue], add->is);
	}
	return 0;
}

static int want_settings(struct shunt_steer *steer,
			 const struct shunt_policy_queues *queues)
{
	struct shunt_steer_setting *count;
	int ret;

	if (queues->count) {
		count = shunt_steer_add_setting(steer);
		if (!count)
			return -ENOMEM;
		count->what = SHUNT_STEER_COUNT;
		snprintf(count->is, sizeof(count->is), "%u", queues->count);
	}
	ret = want_cpus(steer, SHUNT_STEER_RPS, queues->rps);
	return ret ? ret : want_cpus(steer, SHUNT_STEER_XPS, queues->xps);
}

int shunt_steer_want(struct shunt_steer *steer, const struct shunt_steer_wish *wish,
		     struct shunt_err *err)
{
	const struct shunt_policy *policy = wish->policy;
	int ret = policy->queues ? want_settings(steer, policy->queues) : 0;

	if (!ret && wish->sockets)
		ret = want_filters(steer, wish);
	return ret ? shunt_fail_errno(err, ret, "see what is to be steered") : 0;
}
