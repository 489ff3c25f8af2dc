/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/plan.h"

#include <assert.h>
#include <errno.h>
#include <fnmatch.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "loader/counters.h"
#include "loader/gen.h"
#include "loader/limits.h"
#include "loader/percpu.h"
#include "loader/rings.h"
#include "loader/sets.h"
#include "maps/consumer.h"
#include "maps/counter.h"
#include "maps/target.h"
#include "user/base/cleanup.h"

/* --- names to ids ------------------------------------------------------------ */

/* The lowest free id, which is then taken; there is always one: ids are for two
 * policies. */
static uint32_t take_id(bool *taken)
{
	uint32_t id = 0;

	while (taken[id])
		id++;
	taken[id] = true;
	return id;
}

/* A counter is a rule's for as long as it counts the same: decisions, or mere passers-by. */
static int bind_counters(struct shunt_plan *plan, const struct shunt_state *old,
			 struct shunt_err *err)
{
	_free_ bool *taken = calloc(SHUNT_COUNTER_MAX - SHUNT_COUNTER_RULES, 1);
	uint32_t free_id = 0;
	size_t r;

	if (!taken)
		return shunt_fail(err, -ENOMEM, "plan the policy: out of memory");
	for (r = 0; old && r < old->rules; r++)
		taken[old->rule[r].counter - SHUNT_COUNTER_RULES] = true;
	for (r = 0; r < plan->policy->rules; r++) {
		const struct shunt_policy_rule *rule = &plan->policy->rule[r];
		const struct shunt_state_rule *same =
			old ? shunt_state_rule(old, rule->name) : NULL;
		bool kept = same && (same->action == SHUNT_ACTION_COUNT) ==
					    (rule->action == SHUNT_ACTION_COUNT);

		while (!kept && taken[free_id])
			free_id++;
		plan->binding.rule[r].counter =
			kept ? same->counter : SHUNT_COUNTER_RULES + free_id++;
	}
	return 0;
}

/* A set that the policy fills gets a new id; one that `shunt set` fills keeps its own. */
static void bind_sets(struct shunt_plan *plan, const struct shunt_state *old)
{
	bool taken[SHUNT_SET_IDS] = { false };
	size_t s;

	for (s = 0; old && s < old->sets; s++)
		taken[old->set[s].id] = true;
	for (s = 0; s < plan->policy->sets; s++) {
		const struct shunt_policy_set *set = &plan->policy->set[s];
		const struct shunt_state_set *same =
			old ? shunt_state_set(old, set->name) : NULL;
		struct shunt_state_set *next = &plan->next->set[plan->next->sets++];
		bool kept = same && set->dynamic && !set->given && same->dynamic &&
			    same->type == set->type && same->size == set->size;

		plan->kept_set[s] = kept;
		strcpy(next->name, set->name);
		next->type = set->type;
		next->size = set->size;
		next->dynamic = set->dynamic;
		next->id = kept ? same->id : take_id(taken);
		plan->binding.set_id[s] = next->id;
	}
}

static void bind_consumers(struct shunt_plan *plan, const struct shunt_state *old)
{
	bool taken[SHUNT_CONSUMER_SLOTS] = { false };
	size_t c;

	for (c = 0; old && c < old->consumers; c++)
		taken[old->consumer[c].slot] = true;
	for (c = 0; c < plan->policy->consumers; c++) {
		const struct shunt_policy_consumer *consumer =
			&plan->policy->consumer[c];
		const struct shunt_state_consumer *same =
			old ? shunt_state_consumer(old, consumer->name) : NULL;
		struct shunt_state_consumer *next =
			&plan->next->consumer[plan->next->consumers++];

		strcpy(next->name, consumer->name);
		next->queues = consumer->queues;
		next->if_down = consumer->if_down;
		next->heartbeat_ns = consumer->heartbeat_ns;
		next->kind = consumer->kind;
		next->ring_bytes = consumer->ring_bytes;
		next->slot = same ? same->slot : take_id(taken);
		plan->kept_slot[c] = same;
	}
}

/* Interfaces by name; with `offline`, loopback stands for one that there is not. */
static int find_interface(const char *name, const char *rule, const char *verb,
			  bool offline, uint32_t *ifindex, struct shunt_err *err)
{
	*ifindex = if_nametoindex(name);
	if (!*ifindex && offline)
		*ifindex = if_nametoindex("lo");
	else if (!*ifindex)
		return shunt_fail(
			err, -ENODEV,
			"rule %s %s interface %s, which does not exist in "
			"this network namespace; `ip link` lists those that do",
			rule, verb, name);
	return 0;
}

/* The modifiers' part of a rule: what its record remembers, and its mirror's target. */
static int bind_mods(struct shunt_plan *plan, size_t r, bool offline,
		     struct shunt_err *err)
{
	const struct shunt_policy_rule *rule = &plan->policy->rule[r];
	struct shunt_state_rule *next = &plan->next->rule[r];
	struct shunt_bound_rule *bound = &plan->binding.rule[r];

	next->mirror = rule->mirror;
	next->copies = rule->sample.one_in || rule->mirror.to == SHUNT_MIRROR_RING;
	next->rewrites = rule->rewrite.bits != 0;
	next->readdress = rule->rewrite.bits &
			  (SHUNT_REWRITE_SRC | SHUNT_REWRITE_DST | SHUNT_REWRITE_PORTS);
	if (rule->mirror.to != SHUNT_MIRROR_INTERFACE)
		return 0;
	return find_interface(rule->mirror.target, rule->name, "mirrors to", offline,
			      &bound->mirror, err);
}

/* Rules that are meant for other interfaces. */
static void bind_ifaces(struct shunt_plan *plan, const char *interface)
{
	size_t r, i;

	for (r = 0; r < plan->policy->rules; r++) {
		const struct shunt_policy_rule *rule = &plan->policy->rule[r];
		bool named = false;

		for (i = 0; i < rule->ifaces && !named; i++)
			named = !fnmatch(rule->iface[i], interface, 0);
		plan->binding.rule[r].dead = rule->ifaces && named == rule->iface_not;
	}
}

/* Where each rule's redirect goes; needs the consumers' slots. */
static int bind_rules(struct shunt_plan *plan, bool offline, struct shunt_err *err)
{
	size_t r;

	for (r = 0; r < plan->policy->rules; r++) {
		const struct shunt_policy_rule *rule = &plan->policy->rule[r];
		struct shunt_state_rule *next = &plan->next->rule[plan->next->rules++];
		uint32_t arg = rule->arg;
		int ret;

		strcpy(next->name, rule->name);
		strcpy(next->target, rule->target);
		if (rule->action == SHUNT_VERDICT_INTERFACE) {
			ret = find_interface(rule->target, rule->name, "redirects to",
					     offline, &arg, err);
			if (ret)
				return ret;
		} else if (rule->action == SHUNT_VERDICT_CONSUMER) {
			strcpy(next->target, plan->policy->consumer[rule->arg].name);
			arg = plan->next->consumer[rule->arg].slot;
		}
		next->action = rule->action;
		next->counter = plan->binding.rule[r].counter;
		next->arg = plan->binding.rule[r].arg = arg;
		ret = bind_mods(plan, r, offline, err);
		if (ret)
			return ret;
	}
	return 0;
}

int shunt_plan_make(struct shunt_plan *plan, const struct shunt_policy *policy,
		    const char *interface, const struct shunt_state *old, bool offline,
		    struct shunt_err *err)
{
	struct shunt_state *next = calloc(1, sizeof(*next));
	int ret;

	memset(plan, 0, sizeof(*plan));
	plan->policy = policy;
	plan->next = next;
	if (!next)
		return shunt_fail(err, -ENOMEM, "plan the policy: out of memory");
	if (old) {
		memcpy(next->interface, old->interface, sizeof(next->interface));
		memcpy(next->netns, old->netns, sizeof(next->netns));
		memcpy(next->place, old->place, sizeof(next->place));
		next->ifindex = old->ifindex;
		next->attached_at = old->attached_at;
	}
	next->generation = old ? old->generation + 1 : 1;
	next->applied_at = time(NULL);
	next->default_action = policy->default_action;
	next->malformed = policy->malformed;
	next->origin = old ? SHUNT_ORIGIN_APPLY : SHUNT_ORIGIN_ATTACH;
	shunt_policy_hash(policy, next->hash);
	next->ring_bytes = policy->ring_bytes;
	next->text = strdup(policy->text);
	next->source = strdup(policy->source ? policy->source : "");
	next->rule = calloc(policy->rules + 1, sizeof(*next->rule));
	plan->binding.rule = calloc(policy->rules + 1, sizeof(*plan->binding.rule));
	plan->kept_limit = calloc(policy->rules + 1, sizeof(*plan->kept_limit));
	if (!next->text || !next->source || !next->rule || !plan->binding.rule ||
	    !plan->kept_limit)
		return shunt_fail(err, -ENOMEM, "plan the policy: out of memory");
	ret = bind_counters(plan, old, err);
	if (ret)
		return ret;
	bind_sets(plan, old);
	bind_consumers(plan, old);
	bind_ifaces(plan, interface);
	ret = bind_rules(plan, offline, err);
	if (!ret)
		ret = shunt_state_index(next, err);
	if (!ret)
		ret = shunt_limits_bind(plan, old, err);
	if (!ret)
		ret = shunt_compile(policy, &plan->binding, &plan->compiled, err);
	return ret;
}

struct shunt_needs shunt_plan_needs(const struct shunt_plan *plan)
{
	struct shunt_needs needs = {
		.features = plan->compiled.image->features,
		.image_bytes = plan->compiled.image->bytes,
		.counters = SHUNT_COUNTER_RULES,
	};
	size_t r;

	for (r = 0; r < plan->policy->rules; r++)
		if (plan->binding.rule[r].counter >= needs.counters)
			needs.counters = plan->binding.rule[r].counter + 1;
	return needs;
}

void shunt_plan_free(struct shunt_plan *plan)
{
	shunt_state_free(plan->next);
	free(plan->compiled.image);
	free(plan->binding.rule);
	free(plan->kept_limit);
	memset(plan, 0, sizeof(*plan));
}

/* --- writing ----------------------------------------------------------------- */

/* Fills the new sets, puts them into place, and waits for programs in doing so. */
static int write_sets(const struct shunt_plan *plan, const struct shunt_maps *maps,
		      struct shunt_err *err)
{
	struct shunt_set_new made[SHUNT_SET_MAX];
	size_t s, n = 0;
	int ret = 0;

	for (s = 0; !ret && s < plan->policy->sets; s++) {
		const struct shunt_policy_set *set = &plan->policy->set[s];

		if (plan->kept_set[s])
			continue;
		made[n].ref =
			(struct shunt_set_ref){ set->name, plan->binding.set_id[s],
						set->type, set->size };
		made[n].fd =
			shunt_set_make(&made[n].ref, set->element, set->elements, err);
		ret = made[n].fd < 0 ? made[n].fd : 0;
		n += !ret;
	}
	if (!ret)
		ret = shunt_sets_place(maps, made, n, err);
	while (n--)
		close(made[n].fd);
	return ret;
}

static int add_interface(const struct shunt_maps *maps,
			 const struct shunt_state_rule *rule, struct shunt_err *err)
{
	int ret = bpf_map_update_elem(maps->fd[SHUNT_MAP_DEV], &rule->arg, &rule->arg,
				      BPF_ANY);

	if (ret == -E2BIG)
		return shunt_fail(err, ret,
				  "rule %s: redirect to interface %s: the old policy "
				  "and the new one redirect to more than %u interfaces",
				  rule->name, rule->target, SHUNT_DEV_MAX);
	return ret ? shunt_fail_errno(err, ret, "rule %s: redirect to interface %s",
				      rule->name, rule->target)
		   : 0;
}

static int add_cpu(const struct shunt_maps *maps, const struct shunt_state_rule *rule,
		   struct shunt_err *err)
{
	uint32_t queue = SHUNT_CPU_QUEUE;
	int ret = bpf_map_update_elem(maps->fd[SHUNT_MAP_CPU], &rule->arg, &queue,
				      BPF_ANY);

	return ret ? shunt_fail(err, ret,
				"rule %s: redirect to CPU %u: %s; "
				"`nproc --all` tells how many there are",
				rule->name, rule->arg, strerror(-ret))
		   : 0;
}

static int by_arg(const void *a, const void *b)
{
	const struct shunt_state_rule *x = *(const struct shunt_state_rule *const *)a,
				      *y = *(const struct shunt_state_rule *const *)b;
	int ret = (x->arg > y->arg) - (x->arg < y->arg);

	return ret ? ret : (x > y) - (x < y);
}

/* The first rule that redirects to each interface, or to each CPU; returns how many. */
static size_t find_targets(const struct shunt_state *state, uint8_t action,
			   const struct shunt_state_rule **first)
{
	size_t r, n = 0, some = 0;

	for (r = 0; r < state->rules; r++)
		if (state->rule[r].action == action)
			first[n++] = &state->rule[r];
	if (n)
		qsort(first, n, sizeof(*first), by_arg);
	for (r = 0; r < n; r++)
		if (!r || first[r]->arg != first[some - 1]->arg)
			first[some++] = first[r];
	return some;
}

int shunt_plan_targets(const struct shunt_maps *maps, const struct shunt_state *state,
		       struct shunt_err *err)
{
	_free_ const struct shunt_state_rule **first =
		calloc(state->rules + 1, sizeof(*first));
	size_t n, i;
	int ret = 0;

	if (!first)
		return shunt_fail(err, -ENOMEM, "fill the targets: out of memory");
	n = find_targets(state, SHUNT_VERDICT_INTERFACE, first);
	for (i = 0; !ret && maps->fd[SHUNT_MAP_DEV] >= 0 && i < n; i++)
		ret = add_interface(maps, first[i], err);
	if (ret || maps->fd[SHUNT_MAP_CPU] < 0)
		return ret;
	n = find_targets(state, SHUNT_VERDICT_CPU, first);
	for (i = 0; !ret && i < n; i++)
		ret = add_cpu(maps, first[i], err);
	return ret;
}

/* A slot that is given out anew may hold sockets of the consumer that had it before. */
static void clear_slots(const struct shunt_plan *plan, const struct shunt_maps *maps)
{
	uint32_t queue, key;
	size_t c;

	for (c = 0; c < plan->next->consumers; c++) {
		if (plan->kept_slot[c] || maps->fd[SHUNT_MAP_XSK] < 0)
			continue;
		for (queue = 0; queue < SHUNT_QUEUE_MAX; queue++) {
			key = shunt_consumer_key(plan->next->consumer[c].slot, queue);
			bpf_map_delete_elem(maps->fd[SHUNT_MAP_XSK], &key);
		}
	}
}

int shunt_plan_write(const struct shunt_plan *plan, const struct shunt_maps *maps,
		     struct shunt_err *err)
{
	uint64_t generation = plan->next->generation;
	struct shunt_image *image = shunt_maps_image(maps, generation);
	int ret = shunt_plan_targets(maps, plan->next, err);

	/* a packet between two hooks that was judged by it in the first one finds, from
	 * here on, that it is gone */
	__atomic_store_n(&image->generation, 0, __ATOMIC_RELEASE);
	clear_slots(plan, maps);
	if (!ret)
		ret = shunt_limits_write(plan, maps, err);
	if (!ret)
		ret = write_sets(plan, maps, err);
	if (ret)
		return ret;
	assert(plan->compiled.image->bytes <= maps->image_bytes);
	/* nobody reads the idle slot any more: placing the sets has waited */
	plan->compiled.image->generation = generation;
	memcpy(image, plan->compiled.image, plan->compiled.image->bytes);
	return 0;
}

void shunt_plan_flip(const struct shunt_plan *plan, const struct shunt_maps *maps)
{
	shunt_gen_set(maps->gen, plan->next->generation);
}

/* --- tidying ----------------------------------------------------------------- */

/* Which set ids the record names. */
static void find_sets(bool used[SHUNT_SET_IDS], const struct shunt_state *state)
{
	size_t i;

	memset(used, 0, SHUNT_SET_IDS * sizeof(*used));
	for (i = 0; i < state->sets; i++)
		used[state->set[i].id] = true;
}

/* The counters of rules that are gone. */
static void find_gone(const struct shunt_maps *maps, const struct shunt_state *state,
		      bool *gone)
{
	uint32_t id;
	size_t r;

	for (id = 0; id < maps->counters; id++)
		gone[id] = id >= SHUNT_COUNTER_RULES;
	for (r = 0; r < state->rules; r++)
		if (state->rule[r].counter < maps->counters)
			gone[state->rule[r].counter] = false;
}

void shunt_plan_lapsed(const struct shunt_maps *maps, const struct shunt_state *state,
		       bool *lapsed)
{
	/* the idle image is that of the policy that has ruled before */
	const struct shunt_image *image =
		shunt_maps_image(maps, shunt_gen_look(maps->gen).ruling + 1);
	const uint8_t *bytes = (const uint8_t *)image;
	uint32_t r;

	find_gone(maps, state, lapsed);
	for (r = 0; r < image->rules && r < SHUNT_RULE_MAX; r++) {
		uint64_t at =
			image->rule + (uint64_t)r * sizeof(struct shunt_image_rule);
		struct shunt_image_rule rule;

		if (at + sizeof(rule) > maps->image_bytes)
			return;
		memcpy(&rule, bytes + at, sizeof(rule));
		if (rule.action == SHUNT_ACTION_COUNT && rule.counter < maps->counters)
			lapsed[rule.counter] = false;
	}
}

/* Those that decided nothing are cleared, so that `retired` holds decisions alone. */
static int retire_counters(const struct shunt_maps *maps,
			   const struct shunt_state *state, struct shunt_err *err)
{
	_free_ bool *gone = calloc(maps->counters, sizeof(*gone));
	_free_ bool *lapsed = calloc(maps->counters, sizeof(*lapsed));

	if (!gone || !lapsed)
		return shunt_fail(err, -ENOMEM, "retire counters: out of memory");
	find_gone(maps, state, gone);
	shunt_plan_lapsed(maps, state, lapsed);
	return shunt_counters_retire(maps, gone, lapsed, maps->counters, err);
}

static bool targets(const struct shunt_state *state, uint8_t action, uint32_t arg)
{
	size_t r;

	for (r = 0; r < state->rules; r++)
		if (state->rule[r].action == action && state->rule[r].arg == arg)
			return true;
	return false;
}

static void tidy_targets(const struct shunt_maps *maps, const struct shunt_state *state)
{
	uint32_t gone[SHUNT_DEV_MAX], key, *at = NULL, cpu;
	uint32_t cpus = shunt_cpus();
	size_t n = 0;

	while (maps->fd[SHUNT_MAP_DEV] >= 0 && n < SHUNT_DEV_MAX &&
	       !bpf_map_get_next_key(maps->fd[SHUNT_MAP_DEV], at, &key)) {
		if (!targets(state, SHUNT_VERDICT_INTERFACE, key))
			gone[n++] = key;
		at = &key;
	}
	while (n--)
		bpf_map_delete_elem(maps->fd[SHUNT_MAP_DEV], &gone[n]);
	for (cpu = 0; maps->fd[SHUNT_MAP_CPU] >= 0 && cpu < cpus; cpu++)
		if (!targets(state, SHUNT_VERDICT_CPU, cpu))
			bpf_map_delete_elem(maps->fd[SHUNT_MAP_CPU], &cpu);
}

int shunt_plan_finish_sets(const struct shunt_maps *maps,
			   const struct shunt_state *state, struct shunt_err *err)
{
	int ret = 0;
	size_t s;

	for (s = 0; !ret && s < state->sets; s++) {
		const struct shunt_state_set *set = &state->set[s];
		struct shunt_set_ref ref = { set->name, set->id, set->type, set->size };

		ret = shunt_set_finish(maps, &ref, err);
	}
	return ret;
}

int shunt_plan_tidy(const struct shunt_maps *maps, const struct shunt_state *state,
		    bool just_flipped, struct shunt_err *err)
{
	bool used[SHUNT_SET_IDS];
	int ret = just_flipped ? shunt_sets_place(maps, NULL, 0, err) : 0;

	find_sets(used, state);
	tidy_targets(maps, state);
	shunt_rings_tidy(maps, state);
	if (!ret)
		ret = shunt_sets_drop(maps, used, err);
	if (!ret)
		ret = shunt_limits_tidy(maps, state, err);
	if (!ret)
		ret = shunt_plan_finish_sets(maps, state, err);
	return ret ? ret : retire_counters(maps, state, err);
}
