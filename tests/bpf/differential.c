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
#include "tests/bpf/rig_group.h"
#include "tests/model/fixture.h"
#include "tests/model/members.h"
#include "tests/model/shrink.h"
#include "tests/model/tally.h"
#include "tests/model/traffic.h"
#include "user/base/cleanup.h"

#define CASES 1050000 /* decisions */

struct totals {
	struct shunt_tally tally;
	uint64_t hook[SHUNT_HOOK_MAX], faults[2][SHUNT_FAULT_COUNT];
	uint64_t reason[SHUNT_REASON_MAX];
};

/* --- one decision ---------------------------------------------------------- */

/* Everything that the program said about the packet, against what should be. */
static bool agrees(const struct shunt_policy *policy, enum shunt_hook hook,
		   const struct shunt_model_frame *frame, const struct shunt_trace *got,
		   struct shunt_outcome *want)
{
	size_t i, named;

	shunt_outcome_of(policy, SHUNT_RIG_IFACE, hook, frame, want);
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

/* What the parser found, where it is not what was put into the frame. */
static void print_difference(const struct shunt_pkt *got, const struct shunt_pkt *want)
{
	int i, f;

	for (i = 0; i < SHUNT_LAYERS; i++) {
		const struct shunt_layer *g = &got->layer[i], *w = &want->layer[i];
		const char *name = i ? "inner" : "outer";

		if (g->l3 != w->l3 || memcmp(g->addr, w->addr, sizeof(g->addr)))
			print_error("%s: another address, l3 %u instead of %u\n", name,
				    g->l3, w->l3);
		for (f = 0; f < SHUNT_FIELD_NARROW; f++)
			if (g->field[f] != w->field[f])
				print_error("%s: field %d has index %u instead of %u\n",
					    name, f, g->field[f], w->field[f]);
		for (f = 0; f < SHUNT_FIELD_WIDE; f++)
			if (g->wide[f] != w->wide[f])
				print_error("%s: field %d has index %llu instead of "
					    "%llu\n",
					    name, f + SHUNT_FIELD_NARROW,
					    (unsigned long long)g->wide[f],
					    (unsigned long long)w->wide[f]);
	}
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
	if (f->frame->reason == SHUNT_FRAME_SOUND)
		print_difference(&f->got.pkt, &f->frame->pkt);
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

/* --- many decisions -------------------------------------------------------- */

/*
 * Every fourth goes through TC, where the kernel test-runs no cut IP header; every fourth
 * through netfilter, if netfilter sees it at all.
 */
static enum shunt_hook hook_of(size_t i, const struct shunt_frame_spec *spec,
			       const struct shunt_model_frame *frame)
{
	if (i % 4 == 1 &&
	    shunt_rig_takes(SHUNT_HOOK_NETFILTER, frame->bytes, frame->len))
		return SHUNT_HOOK_NETFILTER;
	if (i % 4 || spec->fault == SHUNT_FAULT_IP4_CUT ||
	    spec->fault == SHUNT_FAULT_IP6_CUT)
		return SHUNT_HOOK_XDP;
	return i % 8 ? SHUNT_HOOK_TC_INGRESS : SHUNT_HOOK_TC_EGRESS;
}

static void try_frame(const struct shunt_policy *policy, struct failure *f,
		      uint64_t seed)
{
	int ret =
		shunt_rig_trace(&rig, f->hook, f->frame->bytes, f->frame->len, &f->got);

	if (ret)
		fail_msg("seed %#llx: %s over %zu bytes: %s", (unsigned long long)seed,
			 shunt_hook_name(f->hook), f->frame->len, strerror(-ret));
	if (!agrees(policy, f->hook, f->frame, &f->got, &f->want))
		report(policy, f, seed);
}

static void try_policy(struct shunt_random *r, const struct shunt_policy *policy,
		       enum shunt_kind kind, uint64_t seed, struct totals *t)
{
	_free_ bool *hit = calloc(policy->rules + 1, sizeof(*hit));
	struct shunt_model_frame frame;
	struct shunt_traffic traffic;
	uint32_t i;

	assert_non_null(hit);
	for (i = 0; i < shunt_kind_rows[kind].packets; i++) {
		struct failure f = { .frame = &frame };
		bool sound;

		shunt_traffic_draw_both(r, policy, &traffic);
		shunt_frame_build(&traffic.spec, &frame);
		shunt_traffic_age(r, &frame);
		f.hook = hook_of(i, &traffic.spec, &frame);
		try_frame(policy, &f, seed);
		sound = frame.reason == SHUNT_FRAME_SOUND;
		shunt_tally_add(&t->tally, kind, policy, sound ? &f.want.model : NULL,
				hit);
		t->hook[f.hook]++;
		t->reason[f.want.reason]++;
		t->faults[0][traffic.spec.fault]++;
		if (traffic.spec.inner)
			t->faults[1][traffic.inner.fault]++;
	}
	shunt_tally_policy(&t->tally, kind, policy, hit);
}

static void print_totals(const struct totals *t, uint64_t seed)
{
	shunt_tally_print(&t->tally, seed);
	printf("  xdp %llu, tc-ingress %llu, tc-egress %llu, netfilter %llu; reasons",
	       (unsigned long long)t->hook[SHUNT_HOOK_XDP],
	       (unsigned long long)t->hook[SHUNT_HOOK_TC_INGRESS],
	       (unsigned long long)t->hook[SHUNT_HOOK_TC_EGRESS],
	       (unsigned long long)t->hook[SHUNT_HOOK_NETFILTER]);
	for (int i = 0; i < SHUNT_REASON_MAX; i++)
		if (t->reason[i])
			printf(" %s: %llu", shunt_fixture_reason(i),
			       (unsigned long long)t->reason[i]);
	printf("\n");
}

/* That the random cases have been what they should be. */
static void check_totals(const struct totals *t)
{
	const char *gap = shunt_tally_gap(&t->tally, SHUNT_KIND_WITHOUT);
	int fault;

	if (gap)
		fail_msg("%s was not tried enough", gap);
	if (shunt_tally_decisions(&t->tally) < 1000000)
		return;
	for (fault = 0; fault < SHUNT_FAULT_COUNT; fault++)
		assert_true(t->faults[0][fault] > 0 && t->faults[1][fault] > 0);
}

static void the_programs_decide_as_the_model_does(void **ctx)
{
	const uint64_t seed = shunt_random_seed(0x5348554e54);
	const uint64_t cases = shunt_random_cases(CASES);
	struct shunt_random r = { seed };
	struct shunt_author author = {
		.random = &r, .cpus = 1, .dynamic = true, .without = SHUNT_KIND_WITHOUT
	};
	struct shunt_members members = { 0 };
	struct totals t = { 0 };

	(void)ctx;
	while (shunt_tally_decisions(&t.tally) < cases && !shunt_random_is_late()) {
		enum shunt_kind kind = shunt_tally_next(&t.tally);
		_free_ char *text = shunt_kind_write(kind, &author);
		struct shunt_policy *policy = shunt_fixture_policy(text);
		struct shunt_err err;
		int ret;

		assert_non_null(policy);
		ret = shunt_rig_apply(&rig, policy, &err);
		if (ret && ret != -E2BIG)
			fail_msg("seed %#llx: %s: %s", (unsigned long long)seed,
				 err.message, text);
		if (ret) {
			shunt_tally_refused(&t.tally, kind);
		} else {
			shunt_members_edit(&members, &rig, &r, policy);
			try_policy(&r, policy, kind, seed, &t);
		}
		shunt_policy_free(policy);
	}
	print_totals(&t, seed);
	check_totals(&t);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fixture_gives_what_it_says),
		cmocka_unit_test(the_programs_decide_as_the_model_does),
	};

	return cmocka_run_group_tests(tests, open_rig, close_rig);
}
