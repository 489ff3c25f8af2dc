/* SPDX-License-Identifier: BSD-2-Clause */
/* The loaded programs against the naive model, over random policies and packets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "loader/program.h"
#include "loader/sets.h"
#include "tests/model/author.h"
#include "tests/model/fixture.h"
#include "tests/model/rig.h"
#include "tests/model/shrink.h"
#include "tests/model/traffic.h"
#include "user/base/cleanup.h"

#define PER_POLICY 2000 /* packets; one in 4 goes through TC */
#define DYNAMIC 4	/* sets d0 to d3 of the author's policies */

struct tally {
	uint64_t decisions, by_rule, by_default, malformed, hook[SHUNT_HOOK_MAX];
	uint64_t policies, rules, rules_hit, faults[SHUNT_FAULT_COUNT];
};

/* What `shunt set add` would have put into the sets that the policy does not fill. */
struct members {
	struct shunt_prefix at[64];
	size_t n;
};

static struct shunt_rig rig;

/* --- one decision ---------------------------------------------------------- */

/* Everything that the program said about the packet, against what should be. */
static bool agrees(const struct shunt_policy *policy, enum shunt_hook hook,
		   const struct shunt_model_frame *frame, const struct shunt_trace *got,
		   struct shunt_outcome *want)
{
	size_t i, named;

	shunt_outcome_of(policy, hook, frame, want);
	if (got->reason != want->reason || got->verdict != want->verdict)
		return false;
	if (frame->reason != SHUNT_FRAME_SOUND)
		return got->counted == 0;
	named = want->model.counted < SHUNT_TRACE_COUNTED ? want->model.counted
							  : SHUNT_TRACE_COUNTED;
	for (i = 0; i < named; i++)
		if (got->counted_rule[i] != want->model.counted_rule[i])
			return false;
	return got->rule == want->model.rule && got->counted == want->model.counted &&
	       got->hook == hook && got->generation == rig.state->generation &&
	       shunt_frame_holds(frame, &got->pkt);
}

/* --- making a failure small ------------------------------------------------ */

struct failure {
	enum shunt_hook hook;
	const struct shunt_model_frame *frame;
	struct shunt_outcome want;
	struct shunt_trace got;
};

/* A policy that is refused, or answered rightly, does not fail. */
static bool still_fails(void *arg, const cJSON *json)
{
	_free_ char *text = cJSON_PrintUnformatted(json);
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };
	struct failure *f = arg, now = *f;
	bool fails = false;

	if (!shunt_policy_read(&policy, text, strlen(text), NULL, &diags) &&
	    !shunt_rig_apply(&rig, policy, NULL) &&
	    !shunt_rig_trace(&rig, f->hook, f->frame->bytes, f->frame->len, &now.got))
		fails = !agrees(policy, f->hook, f->frame, &now.got, &now.want);
	if (fails)
		*f = now;
	shunt_diags_free(&diags);
	shunt_policy_free(policy);
	return fails;
}

/* Members that came later are written into the policy, so that it stands alone. */
static cJSON *standing_alone(const struct shunt_policy *policy)
{
	cJSON *json = cJSON_Parse(policy->text), *sets, *set, *list;
	char text[SHUNT_PREFIX_TEXT];
	size_t s, e;

	sets = cJSON_GetObjectItem(json, "sets");
	for (s = 0; s < policy->sets; s++) {
		set = cJSON_GetObjectItem(sets, policy->set[s].name);
		if (!policy->set[s].dynamic || !policy->set[s].elements)
			continue;
		list = cJSON_AddArrayToObject(set, "elements");
		for (e = 0; e < policy->set[s].elements; e++)
			cJSON_AddItemToArray(
				list, cJSON_CreateString(shunt_prefix_format(
					      &policy->set[s].element[e], text)));
	}
	return json;
}

static void report(const struct shunt_policy *policy, struct failure *f, uint64_t seed)
{
	_json_ cJSON *small = standing_alone(policy), *fixture = NULL;
	_free_ char *text = NULL;
	char path[64];
	FILE *file;

	if (still_fails(f, small))
		shunt_shrink(small, still_fails, f);
	else
		print_error("it fails only after the policies before it\n");
	fixture = shunt_fixture_json(small, f->hook, f->frame, &f->want);
	text = cJSON_Print(fixture);
	print_error("seed %#llx: the program says rule %u, reason %u, verdict %u; "
		    "a fixture with what it should say:\n%s\n",
		    (unsigned long long)seed, f->got.rule, f->got.reason,
		    f->got.verdict, text);
	mkdir("build/fixtures", 0777);
	snprintf(path, sizeof(path), "build/fixtures/%llx.json",
		 (unsigned long long)seed);
	file = fopen(path, "we");
	if (file) {
		fprintf(file, "%s\n", text);
		fclose(file);
		print_error("written to %s\n", path);
	}
	fail_msg("the program and the model disagree");
}

/* --- sets that are filled later -------------------------------------------- */

static bool has(const struct members *m, const struct shunt_prefix *p)
{
	size_t i;

	for (i = 0; i < m->n; i++)
		if (!memcmp(&m->at[i], p, sizeof(*p)))
			return true;
	return false;
}

/* Something that packets of this policy may come from: a rule's prefix, or part of it. */
static bool draw_member(struct shunt_random *r, const struct shunt_policy *policy,
			enum shunt_set_type type, struct shunt_prefix *p)
{
	const struct shunt_addrs *addrs;

	if (!policy->rules)
		return false;
	addrs = &policy->rule[shunt_random_below(r, policy->rules)]
			 .layer[SHUNT_OUTER]
			 .side[shunt_random_below(r, 2)];
	if (!addrs->in.prefixes)
		return false;
	*p = addrs->in.prefix[shunt_random_below(r, addrs->in.prefixes)];
	if (type == SHUNT_SET_ADDRESS)
		p->bits = p->family == 4 ? 32 : 128;
	return true;
}

static void edit(struct shunt_random *r, const struct shunt_policy *policy, size_t at,
		 struct members *m)
{
	const struct shunt_policy_set *set = &policy->set[at];
	struct shunt_set_ref ref = {
		.name = set->name,
		.id = shunt_state_set(rig.state, set->name)->id,
		.type = set->type,
		.size = set->size,
	};
	struct shunt_prefix p;
	size_t changed;

	if (m->n && shunt_random_one_in(r, 3)) {
		size_t i = shunt_random_below(r, m->n);

		assert_int_equal(shunt_set_change(&rig.maps, &ref, false, &m->at[i], 1,
						  &changed, NULL),
				 0);
		assert_int_equal(changed, 1);
		m->at[i] = m->at[--m->n];
	} else if (m->n < 64 && draw_member(r, policy, set->type, &p)) {
		bool there = has(m, &p);

		assert_int_equal(shunt_set_change(&rig.maps, &ref, true, &p, 1,
						  &changed, NULL),
				 0);
		assert_int_equal(changed, !there);
		if (!there)
			m->at[m->n++] = p;
	}
}

/* Edits the sets, and tells the model what they hold. */
static void edit_sets(struct shunt_random *r, struct shunt_policy *policy,
		      struct members dynamic[DYNAMIC])
{
	bool named[DYNAMIC] = { false };
	size_t s, i;

	for (s = 0; s < policy->sets; s++) {
		struct shunt_policy_set *set = &policy->set[s];
		struct members *m;

		if (!set->dynamic)
			continue;
		named[set->name[1] - '0'] = true;
		m = &dynamic[set->name[1] - '0'];
		for (i = shunt_random_below(r, 12); i; i--)
			edit(r, policy, s, m);
		free(set->element);
		set->element = malloc((m->n + 1) * sizeof(*set->element));
		memcpy(set->element, m->at, m->n * sizeof(*set->element));
		set->elements = m->n;
	}
	for (i = 0; i < DYNAMIC; i++)
		if (!named[i]) /* a set that a policy does not name is gone */
			dynamic[i].n = 0;
}

/* --- many decisions -------------------------------------------------------- */

static void count(struct tally *t, const struct failure *f, bool *hit,
		  const struct shunt_frame_spec *spec)
{
	t->decisions++;
	t->hook[f->hook]++;
	t->faults[spec->fault]++;
	if (f->frame->reason != SHUNT_FRAME_SOUND)
		t->malformed++;
	else if (f->want.model.rule == rig.state->rules)
		t->by_default++;
	else
		t->by_rule++;
	if (f->frame->reason == SHUNT_FRAME_SOUND)
		hit[f->want.model.rule] = true;
}

/* Every fourth goes through TC, where the kernel test-runs no cut IP header. */
static enum shunt_hook hook_of(size_t i, const struct shunt_frame_spec *spec)
{
	if (i % 4 || spec->fault == SHUNT_FAULT_IP4_CUT ||
	    spec->fault == SHUNT_FAULT_IP6_CUT)
		return SHUNT_HOOK_XDP;
	return i % 8 ? SHUNT_HOOK_TC_INGRESS : SHUNT_HOOK_TC_EGRESS;
}

static void try_policy(struct shunt_random *r, const struct shunt_policy *policy,
		       uint64_t seed, struct tally *t)
{
	static bool hit[SHUNT_RULE_MAX + 1];
	struct shunt_frame_spec spec;
	struct shunt_model_frame frame;
	size_t i;

	memset(hit, 0, sizeof(hit));
	for (i = 0; i < PER_POLICY; i++) {
		struct failure f = { .frame = &frame };
		int ret;

		shunt_traffic_draw(r, policy, &spec);
		shunt_frame_build(&spec, &frame);
		f.hook = hook_of(i, &spec);
		ret = shunt_rig_trace(&rig, f.hook, frame.bytes, frame.len, &f.got);
		if (ret)
			fail_msg("seed %#llx: %s over %zu bytes: %s",
				 (unsigned long long)seed, shunt_hook_name(f.hook),
				 frame.len, strerror(-ret));
		if (!agrees(policy, f.hook, &frame, &f.got, &f.want))
			report(policy, &f, seed);
		count(t, &f, hit, &spec);
	}
	for (i = 0; i < policy->rules; i++)
		t->rules_hit += hit[i];
	t->rules += policy->rules;
	t->policies++;
}

static void print_tally(const struct tally *t, uint64_t seed)
{
	const unsigned long long n = t->decisions;

	print_message("seed %#llx: %llu decisions (xdp %llu, tc-ingress %llu, "
		      "tc-egress %llu) under %llu policies\n",
		      (unsigned long long)seed, n,
		      (unsigned long long)t->hook[SHUNT_HOOK_XDP],
		      (unsigned long long)t->hook[SHUNT_HOOK_TC_INGRESS],
		      (unsigned long long)t->hook[SHUNT_HOOK_TC_EGRESS],
		      (unsigned long long)t->policies);
	print_message("%llu%% by a rule, %llu%% by the default, %llu%% malformed; "
		      "%llu of %llu rules decided\n",
		      (unsigned long long)t->by_rule * 100 / n,
		      (unsigned long long)t->by_default * 100 / n,
		      (unsigned long long)t->malformed * 100 / n,
		      (unsigned long long)t->rules_hit, (unsigned long long)t->rules);
}

static void the_programs_decide_as_the_model_does(void **ctx)
{
	const uint64_t seed = shunt_random_seed(0x5348554e54);
	const uint64_t cases = shunt_random_cases(1000000);
	struct shunt_random r = { seed };
	struct shunt_author author = { .random = &r, .cpus = 1, .dynamic = true };
	struct members dynamic[DYNAMIC] = { 0 };
	struct tally t = { 0 };
	int fault;

	(void)ctx;
	while (t.decisions < cases) {
		_free_ char *text = shunt_author_write(&author);
		struct shunt_policy *policy = shunt_fixture_policy(text);
		struct shunt_err err;

		assert_non_null(policy);
		if (shunt_rig_apply(&rig, policy, &err))
			fail_msg("seed %#llx: %s: %s", (unsigned long long)seed,
				 err.message, text);
		edit_sets(&r, policy, dynamic);
		try_policy(&r, policy, seed, &t);
		shunt_policy_free(policy);
	}
	print_tally(&t, seed);
	assert_true(t.by_rule * 2 > t.decisions);
	for (fault = 0; fault < SHUNT_FAULT_COUNT; fault++)
		assert_true(t.decisions < 100000 || t.faults[fault] > 0);
}

/* --- what was found once --------------------------------------------------- */

static void every_fixture_gives_what_it_says(void **ctx)
{
	struct shunt_fixture fixture;
	struct shunt_fixtures all;
	size_t done = 0;

	(void)ctx;
	assert_int_equal(shunt_fixtures_open(&all, "tests/fixtures"), 0);
	while (shunt_fixtures_next(&all, &fixture)) {
		struct shunt_trace got;
		struct shunt_err err;

		if (!fixture.policy)
			fail_msg("%s is not a fixture", fixture.path);
		if (shunt_rig_apply(&rig, fixture.policy, &err))
			fail_msg("%s: %s", fixture.path, err.message);
		assert_int_equal(shunt_rig_trace(&rig, fixture.hook, fixture.bytes,
						 fixture.len, &got),
				 0);
		if (!shunt_fixture_holds(&fixture, &got))
			fail_msg("%s: rule %u, reason %u, verdict %u", fixture.path,
				 got.rule, got.reason, got.verdict);
		shunt_fixture_free(&fixture);
		done++;
	}
	shunt_fixtures_close(&all);
	print_message("%zu fixtures\n", done);
}

static int open_rig(void **ctx)
{
	struct shunt_err err;

	(void)ctx;
	if (!shunt_rig_open(&rig, &err))
		return 0;
	print_error("%s\n", err.message);
	return -1;
}

static int close_rig(void **ctx)
{
	(void)ctx;
	shunt_rig_close(&rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fixture_gives_what_it_says),
		cmocka_unit_test(the_programs_decide_as_the_model_does),
	};

	return cmocka_run_group_tests(tests, open_rig, close_rig);
}
