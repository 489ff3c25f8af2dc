/* SPDX-License-Identifier: BSD-2-Clause */
/* Rule sets that are made up: what their makers promise, and that policies say the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/lib/wire.h"
#include "loader/policy/policy.h"
#include "tests/model/classbench.h"
#include "tests/model/model.h"
#include "user/base/cleanup.h"

#define EACH_SET(family, ip)                                                           \
	for (int family = 0; family < SHUNT_CLASSBENCH_FAMILY_COUNT; family++)         \
		for (int ip = 4; ip <= 6; ip += 2)

static struct shunt_classbench_rule *make(int family, int ip, size_t n, uint64_t seed)
{
	struct shunt_classbench_rule *rules = NULL;

	assert_int_equal(shunt_classbench_make(family, ip, n, seed, &rules), 0);
	assert_non_null(rules);
	return rules;
}

static void a_seed_is_a_set(void **state)
{
	(void)state;
	EACH_SET(family, ip)
	{
		_free_ struct shunt_classbench_rule *a = make(family, ip, 500, 1);
		_free_ struct shunt_classbench_rule *b = make(family, ip, 500, 1);
		_free_ struct shunt_classbench_rule *c = make(family, ip, 500, 2);

		assert_memory_equal(a, b, 500 * sizeof(*a));
		assert_memory_not_equal(a, c, 500 * sizeof(*a));
	}
}

static void no_rule_stands_behind_one_that_covers_it(void **state)
{
	const size_t n = 1500;

	(void)state;
	EACH_SET(family, ip)
	{
		_free_ struct shunt_classbench_rule *rules = make(family, ip, n, 3);
		size_t overlaps = 0, nested = 0;

		for (size_t i = 0; i < n; i++) {
			for (size_t j = i + 1; j < n; j++) {
				assert_false(
					shunt_classbench_cover(&rules[i], &rules[j]));
				overlaps +=
					shunt_classbench_overlap(&rules[i], &rules[j]);
				nested += shunt_classbench_cover(&rules[j], &rules[i]);
			}
		}
		assert_true(overlaps > n && nested > n / 10 && nested < overlaps);
	}
}

/* Distinct prefixes of one side around `net`, itself and any address included. */
static size_t depth(const struct shunt_classbench_rule *rules, size_t n, bool dst,
		    const struct shunt_classbench_net *net)
{
	struct shunt_classbench_rule inner = { .src = *net,
					       .sport = { 0, 65535 },
					       .dport = { 0, 65535 } };
	bool seen[129] = { true };
	size_t i, count = 0;

	for (i = 0; i < n; i++) {
		struct shunt_classbench_rule outer = inner;

		outer.src = dst ? rules[i].dst : rules[i].src;
		if (shunt_classbench_cover(&outer, &inner))
			seen[outer.src.bits] = true;
	}
	for (i = 0; i <= 128; i++)
		count += seen[i];
	return count;
}

static void prefixes_nest_as_deep_as_the_family_does(void **state)
{
	static const size_t most[SHUNT_CLASSBENCH_FAMILY_COUNT][2] = { { 5, 4 },
								       { 4, 4 },
								       { 6, 6 } };
	const size_t n = 1000;

	(void)state;
	EACH_SET(family, ip)
	{
		_free_ struct shunt_classbench_rule *rules = make(family, ip, n, 4);
		size_t deepest[2] = { 0 };

		for (size_t i = 0; i < n; i++) {
			for (int dst = 0; dst < 2; dst++) {
				size_t d = depth(rules, n, dst,
						 dst ? &rules[i].dst : &rules[i].src);

				if (d > deepest[dst])
					deepest[dst] = d;
			}
		}
		for (int dst = 0; dst < 2; dst++)
			assert_in_range(deepest[dst], 3, most[family][dst]);
	}
}

struct shares {
	double any_src, any_dst, hosts, tcp, flags, exact, drop;
};

static struct shares shares_of(const struct shunt_classbench_rule *rules, size_t n)
{
	struct shares s = { 0 };

	for (size_t i = 0; i < n; i++) {
		const struct shunt_classbench_rule *r = &rules[i];
		unsigned int host = r->ip == 6 ? 128 : 32;

		s.any_src += 1.0 / n * !r->src.bits;
		s.any_dst += 1.0 / n * !r->dst.bits;
		s.hosts += 1.0 / n * (r->src.bits == host && r->dst.bits == host);
		s.tcp += 1.0 / n * (r->proto == SHUNT_IP_TCP);
		s.flags += 1.0 / n * !!r->flag_mask;
		s.exact += 1.0 / n * (r->dport[0] == r->dport[1]);
		s.drop += 1.0 / n * r->drop;
	}
	return s;
}

static void assert_about(double is, double want)
{
	if (is < want - 0.08 || is > want + 0.08)
		fail_msg("%.3f is not about %.3f", is, want);
}

static void shares_are_those_of_the_family(void **state)
{
	static const struct shares want[SHUNT_CLASSBENCH_FAMILY_COUNT] = {
		{ 0.18, 0.00, 0.40, 0.78, 0.09, 0.58, 0.30 },
		{ 0.47, 0.31, 0.12, 0.48, 0.04, 0.50, 0.40 },
		{ 0.10, 0.09, 0.27, 0.48, 0.03, 0.38, 0.35 },
	};
	const size_t n = 4000;

	(void)state;
	EACH_SET(family, ip)
	{
		_free_ struct shunt_classbench_rule *rules = make(family, ip, n, 5);
		struct shares is = shares_of(rules, n);

		assert_about(is.any_src, want[family].any_src);
		assert_about(is.any_dst, want[family].any_dst);
		assert_about(is.hosts, want[family].hosts);
		assert_about(is.tcp, want[family].tcp);
		assert_about(is.flags, want[family].flags);
		assert_about(is.exact, want[family].exact);
		assert_about(is.drop, want[family].drop);
	}
}

/* The policy that is written, read and asked says what the rules say. */
static void check_packets(int family, int ip, size_t n)
{
	_free_ struct shunt_classbench_rule *rules = make(family, ip, n, 6);
	_free_ char *text = shunt_classbench_policy(rules, n);
	struct shunt_random random = { shunt_random_seed(7) };
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };
	size_t i, by_rule = 0;

	assert_non_null(text);
	if (shunt_policy_read(&policy, text, strlen(text), NULL, &diags))
		fail_msg("%s: %s", diags.at[0].pointer, diags.at[0].message);
	assert_int_equal(policy->rules, n);
	for (i = 0; i < 4000; i++) {
		struct shunt_model_frame frame;
		struct shunt_model got;
		struct shunt_frame_spec spec;
		size_t want;

		shunt_classbench_draw(&random, rules, n, &spec);
		want = shunt_classbench_match(rules, n, &spec);
		shunt_frame_build(&spec, &frame);
		assert_int_equal(frame.reason, SHUNT_FRAME_SOUND);
		shunt_model_decide(policy, &frame.pkt, &got);
		assert_int_equal(got.rule, want);
		if (want < n)
			assert_int_equal(got.action == SHUNT_VERDICT_DROP,
					 rules[want].drop);
		by_rule += want < n;
	}
	assert_in_range(by_rule, 2000, 3999);
	shunt_policy_free(policy);
	shunt_diags_free(&diags);
}

static void policies_say_what_the_rules_say(void **state)
{
	(void)state;
	EACH_SET(family, ip)
	check_packets(family, ip, 256);
}

static void the_largest_set_can_be_made(void **state)
{
	_free_ struct shunt_classbench_rule *rules =
		make(SHUNT_CLASSBENCH_FW, 6, 16384, 8);
	_free_ char *text = shunt_classbench_policy(rules, 16384);

	(void)state;
	assert_non_null(strstr(text, "\"name\": \"r16383\""));
}

static void families_have_names(void **state)
{
	(void)state;
	assert_int_equal(shunt_classbench_family("fw"), SHUNT_CLASSBENCH_FW);
	assert_string_equal(shunt_classbench_name(SHUNT_CLASSBENCH_IPC), "ipc");
	assert_true(shunt_classbench_family("nat") < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_is_a_set),
		cmocka_unit_test(no_rule_stands_behind_one_that_covers_it),
		cmocka_unit_test(prefixes_nest_as_deep_as_the_family_does),
		cmocka_unit_test(shares_are_those_of_the_family),
		cmocka_unit_test(policies_say_what_the_rules_say),
		cmocka_unit_test(the_largest_set_can_be_made),
		cmocka_unit_test(families_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
