/* SPDX-License-Identifier: BSD-2-Clause */
/* diff: packets through two programs, and what becomes of them otherwise. */
#include "loader/texts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/explain.h"
#include "loader/pkt_json.h"
#include "loader/policy/witness.h"
#include "loader/program.h"
#include "maps/reason.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"

#define PROBES 4096    /* for each of the policies */
#define BUCKETS 4096   /* a power of two */
#define GROUPS_MAX 256 /* groups that a reply lists; how many there are is said */
#define HEX_MAX 9216   /* bytes of an example */

/* Behind the default's place. */
#define MALFORMED(policy) ((policy)->rules + 1)

struct side {
	const struct shunt_policy *policy;
	struct shunt_explain *explain;
	const cJSON **rule; /* of its text, by place */
};

/* Packets that one rule decided before, and another one decides now. */
struct group {
	size_t rule[2];
	uint32_t verdict[2];
	bool alike;
	uint64_t packets;
	uint64_t example; /* its place among the packets, from 1 */
	struct shunt_pkt pkt;
	uint8_t *frame;
	size_t bytes;
	struct group *next;
};

struct shunt_diff {
	struct side side[2];
	struct shunt_texts texts;
	struct group *bucket[BUCKETS];
	size_t groups;
	uint64_t packets, refused, otherwise, moved;
	bool probed; /* the packets are probes */
};

/* --- opening ----------------------------------------------------------------- */

/* What `apply` does: a dynamic set of the same type and size keeps its members. */
static int keep_members(const struct shunt_policy *old, struct shunt_policy *new,
			struct shunt_err *err)
{
	size_t s, o;

	for (s = 0; s < new->sets; s++) {
		struct shunt_policy_set *to = &new->set[s];

		for (o = 0; o < old->sets; o++) {
			const struct shunt_policy_set *from = &old->set[o];

			if (strcmp(from->name, to->name) != 0 || !from->dynamic ||
			    !to->dynamic || from->type != to->type ||
			    from->size != to->size || to->elements || !from->elements)
				continue;
			free(to->element);
			to->element = calloc(from->elements, sizeof(*to->element));
			if (!to->element)
				return shunt_fail(err, -ENOMEM, "diff: out of memory");
			memcpy(to->element, from->element,
			       from->elements * sizeof(*to->element));
			to->elements = from->elements;
		}
	}
	return 0;
}

static int open_side(struct side *side, const struct shunt_policy *policy,
		     const cJSON *text, const char *hook, const char *iface,
		     struct shunt_err *err)
{
	const cJSON *rule;
	size_t r = 0;

	side->policy = policy;
	side->rule = calloc(policy->rules + 2, sizeof(*side->rule));
	if (!side->rule)
		return shunt_fail(err, -ENOMEM, "diff: out of memory");
	cJSON_ArrayForEach(rule, cJSON_GetObjectItemCaseSensitive(
					 text, "rules")) if (r < policy->rules)
		side->rule[r++] = rule;
	return shunt_explain_open_for(&side->explain, policy, hook, iface, err);
}

static int open_both(struct shunt_diff *diff, const struct shunt_policy *old,
		     struct shunt_policy *new, const char *hook, const char *iface,
		     struct shunt_err *err)
{
	int ret = keep_members(old, new, err);

	if (!ret)
		ret = shunt_texts_read(&diff->texts, old, new, err);
	if (!ret)
		ret = open_side(&diff->side[0], old, diff->texts.old, hook, iface, err);
	if (!ret)
		ret = open_side(&diff->side[1], new, diff->texts.new, hook, iface, err);
	return ret;
}

int shunt_diff_open(struct shunt_diff **diff, const struct shunt_policy *old,
		    struct shunt_policy *new, const char *hook, const char *iface,
		    struct shunt_err *err)
{
	int ret;

	*diff = calloc(1, sizeof(**diff));
	if (!*diff)
		return shunt_fail(err, -ENOMEM, "diff: out of memory");
	ret = open_both(*diff, old, new, hook, iface ? iface : "", err);
	if (ret) {
		shunt_diff_close(*diff);
		*diff = NULL;
	}
	return ret;
}

void shunt_diff_close(struct shunt_diff *diff)
{
	size_t i;

	if (!diff)
		return;
	for (i = 0; i < BUCKETS; i++) {
		while (diff->bucket[i]) {
			struct group *group = diff->bucket[i];

			diff->bucket[i] = group->next;
			free(group->frame);
			free(group);
		}
	}
	for (i = 0; i < 2; i++) {
		shunt_explain_close(diff->side[i].explain);
		free(diff->side[i].rule);
	}
	shunt_texts_free(&diff->texts);
	free(diff);
}

/* --- packets ----------------------------------------------------------------- */

static size_t decided_by(const struct side *side, const struct shunt_trace *trace)
{
	if (shunt_reason_is_malformed(trace->reason))
		return MALFORMED(side->policy);
	return trace->rule < side->policy->rules ? trace->rule : side->policy->rules;
}

/* The rule's text; NULL for the default and for what is malformed. */
static const cJSON *text_of(const struct side *side, size_t rule)
{
	return rule < side->policy->rules ? side->rule[rule] : NULL;
}

static bool is_alike(const struct shunt_diff *diff, const struct group *group)
{
	const struct side *side = diff->side;

	if (group->verdict[0] != group->verdict[1])
		return false;
	if (group->rule[0] == MALFORMED(side[0].policy))
		return true;
	return shunt_texts_alike(&diff->texts, text_of(&side[0], group->rule[0]),
				 text_of(&side[1], group->rule[1]));
}

/* The group of two answers; a new one takes this packet as its example. */
static struct group *group_of(struct shunt_diff *diff, const struct shunt_trace *trace,
			      const void *frame, size_t bytes)
{
	struct group now = { .pkt = trace[1].pkt, .example = diff->packets }, *group;
	struct group **at;
	int i;

	for (i = 0; i < 2; i++) {
		now.rule[i] = decided_by(&diff->side[i], &trace[i]);
		now.verdict[i] = trace[i].verdict;
	}
	at = &diff->bucket[(now.rule[0] * 31 + now.rule[1]) % BUCKETS];
	for (group = *at; group; group = group->next)
		if (!memcmp(group->rule, now.rule, sizeof(now.rule)) &&
		    !memcmp(group->verdict, now.verdict, sizeof(now.verdict)))
			return group;
	group = malloc(sizeof(*group));
	now.frame = malloc(bytes);
	if (!group || !now.frame) {
		free(group);
		free(now.frame);
		return NULL;
	}
	memcpy(now.frame, frame, bytes);
	now.bytes = bytes;
	now.alike = is_alike(diff, &now);
	now.next = *at;
	*group = now;
	*at = group;
	diff->groups += !now.alike;
	return group;
}

/* The same rule, or none in both. */
static bool is_same_rule(const struct shunt_diff *diff, const struct group *group)
{
	const cJSON *a = text_of(&diff->side[0], group->rule[0]);
	const cJSON *b = text_of(&diff->side[1], group->rule[1]);

	if (!a || !b)
		return a == b;
	return !strcmp(shunt_json_str(a, "name"), shunt_json_str(b, "name"));
}

int shunt_diff_frame(struct shunt_diff *diff, const void *frame, size_t bytes,
		     struct shunt_err *err)
{
	struct shunt_trace trace[2];
	struct group *group;
	int i, ret = bytes < 14 ? -EINVAL : 0;

	diff->packets++;
	for (i = 0; !ret && i < 2; i++)
		ret = shunt_explain_run(diff->side[i].explain, frame, bytes, &trace[i],
					err);
	if (shunt_explain_refused(ret, bytes)) {
		diff->refused++;
		return 0;
	}
	if (ret)
		return ret;
	group = group_of(diff, trace, frame, bytes);
	if (!group)
		return shunt_fail(err, -ENOMEM, "diff: out of memory");
	group->packets++;
	diff->otherwise += !group->alike;
	diff->moved += group->alike && !is_same_rule(diff, group);
	return 0;
}

static int probe_side(struct shunt_diff *diff, const struct side *side,
		      struct shunt_err *err)
{
	struct shunt_roll roll = shunt_roll_of_policy(side->policy);
	struct shunt_witnesses all;
	size_t i;
	int ret = shunt_witness_make(&all, &side->explain->trials, &roll, PROBES, err);

	for (i = 0; !ret && i < all.n; i++)
		ret = shunt_diff_frame(diff, all.at[i].frame, all.at[i].bytes, err);
	shunt_witness_free(&all);
	return ret;
}

int shunt_diff_probes(struct shunt_diff *diff, struct shunt_err *err)
{
	int ret = probe_side(diff, &diff->side[0], err);

	diff->probed = true;
	return ret ? ret : probe_side(diff, &diff->side[1], err);
}

/* --- the reply --------------------------------------------------------------- */

static cJSON *half_json(const struct side *side, size_t rule, uint32_t verdict)
{
	cJSON *json = cJSON_CreateObject();

	if (rule < side->policy->rules)
		cJSON_AddStringToObject(json, "rule", side->policy->rule[rule].name);
	else
		cJSON_AddNullToObject(json, "rule");
	cJSON_AddStringToObject(json, "verdict", shunt_action_name(verdict));
	cJSON_AddBoolToObject(json, "malformed", rule == MALFORMED(side->policy));
	return json;
}

static cJSON *example_json(const struct group *group)
{
	size_t bytes = group->bytes < HEX_MAX ? group->bytes : HEX_MAX, i;
	_free_ char *hex = calloc(bytes + 1, 2);
	cJSON *json = cJSON_CreateObject();

	for (i = 0; hex && i < bytes; i++)
		sprintf(hex + 2 * i, "%02x", group->frame[i]);
	shunt_json_add_u64(json, "packet", group->example);
	cJSON_AddStringToObject(json, "frame", hex ? hex : "");
	cJSON_AddItemToObject(json, "pkt", shunt_pkt_json(&group->pkt));
	return json;
}

/* Most packets first, then in the order in which they came. */
static int by_packets(const void *a, const void *b)
{
	const struct group *x = *(const struct group *const *)a,
			   *y = *(const struct group *const *)b;

	if (x->packets != y->packets)
		return x->packets < y->packets ? 1 : -1;
	return (x->example > y->example) - (x->example < y->example);
}

static int put_groups(cJSON *reply, const struct shunt_diff *diff)
{
	_free_ struct group **at = calloc(diff->groups + 1, sizeof(struct group *));
	cJSON *list = cJSON_AddArrayToObject(reply, "groups"), *item;
	struct group *group;
	size_t i, n = 0;

	if (!at)
		return -ENOMEM;
	for (i = 0; i < BUCKETS; i++)
		for (group = diff->bucket[i]; group; group = group->next)
			if (!group->alike)
				at[n++] = group;
	if (n)
		qsort(at, n, sizeof(struct group *), by_packets);
	for (i = 0; i < n && i < GROUPS_MAX; i++) {
		item = cJSON_CreateObject();
		cJSON_AddItemToObject(item, "old",
				      half_json(&diff->side[0], at[i]->rule[0],
						at[i]->verdict[0]));
		cJSON_AddItemToObject(item, "new",
				      half_json(&diff->side[1], at[i]->rule[1],
						at[i]->verdict[1]));
		shunt_json_add_u64(item, "packets", at[i]->packets);
		cJSON_AddItemToObject(item, "example", example_json(at[i]));
		cJSON_AddItemToArray(list, item);
	}
	cJSON_AddNumberToObject(reply, "groups_total", n);
	return 0;
}

static cJSON *side_json(const struct side *side)
{
	const char *source = side->policy->source;
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "source", source ? source : "");
	cJSON_AddNumberToObject(json, "rules", side->policy->rules);
	return json;
}

int shunt_diff_reply(const struct shunt_diff *diff, cJSON **reply,
		     struct shunt_err *err)
{
	const struct side *side = diff->side;
	cJSON *json = cJSON_CreateObject(), *packets;
	bool different;

	cJSON_AddStringToObject(json, "schema", "shunt.diff/1");
	cJSON_AddItemToObject(json, "old", side_json(&side[0]));
	cJSON_AddItemToObject(json, "new", side_json(&side[1]));
	cJSON_AddStringToObject(json, "hook", shunt_hook_name(side[0].explain->hook));
	cJSON_AddItemToObject(json, "policy",
			      shunt_texts_json(&diff->texts, side[0].policy,
					       side[1].policy, &different));
	packets = cJSON_AddObjectToObject(json, "packets");
	cJSON_AddStringToObject(packets, "from", diff->probed ? "probes" : "capture");
	shunt_json_add_u64(packets, "compared", diff->packets - diff->refused);
	shunt_json_add_u64(packets, "refused", diff->refused);
	shunt_json_add_u64(packets, "otherwise", diff->otherwise);
	shunt_json_add_u64(packets, "other_rule", diff->moved);
	cJSON_AddBoolToObject(json, "different", different || diff->otherwise);
	if (put_groups(packets, diff)) {
		cJSON_Delete(json);
		return shunt_fail(err, -ENOMEM, "diff: out of memory");
	}
	*reply = json;
	return 0;
}
