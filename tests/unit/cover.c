/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules that are never reached, by hand and against the naive model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader/policy/compile.h"
#include "loader/policy/cover.h"
#include "tests/model/author.h"
#include "tests/model/model.h"
#include "tests/model/random.h"
#include "tests/model/traffic.h"
#include "user/base/cleanup.h"

static struct shunt_policy *read_policy(const char *text)
{
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };

	if (shunt_policy_read(&policy, text, strlen(text), NULL, &diags))
		fail_msg("%s: %s in %s", diags.at[0].pointer, diags.at[0].message,
			 text);
	shunt_diags_free(&diags);
	return policy;
}

static void find(const struct shunt_policy *policy, uint32_t *by)
{
	static const struct shunt_binding unbound;
	struct shunt_compiled compiled;
	struct shunt_err err;

	if (shunt_compile(policy, &unbound, &compiled, &err))
		fail_msg("%s", err.message);
	assert_int_equal(shunt_policy_covers(policy, compiled.image, by), 0);
	free(compiled.image);
}

/* Does the first rule of two cover the second? */
static const struct row {
	const char *name, *first, *second;
	bool covered;
} rows[] = {
	{ "a wider prefix", "\"src\":\"10.0.0.0/8\"",
	  "\"src\":\"10.1.0.0/16\",\"proto\":\"tcp\"", true },
	{ "a narrower prefix", "\"src\":\"10.1.0.0/16\"", "\"src\":\"10.0.0.0/8\"",
	  false },
	{ "another family", "\"src\":\"::/0\"", "\"src\":\"10.0.0.0/8\"", false },
	{ "a list that holds both", "\"src\":[\"10.0.0.0/8\",\"2001:db8::/32\"]",
	  "\"src\":[\"10.2.0.0/16\",\"2001:db8:1::/48\"]", true },
	{ "a list that holds one", "\"src\":[\"10.0.0.0/8\"]",
	  "\"src\":[\"10.2.0.0/16\",\"192.0.2.1\"]", false },
	{ "nothing asked", "", "\"dport\":80,\"proto\":\"tcp\"", true },
	{ "nothing asked by the second", "\"proto\":\"tcp\"", "", false },
	{ "ports inside a range", "\"proto\":\"tcp\",\"dport\":\"1-1024\"",
	  "\"proto\":\"tcp\",\"dport\":[22,\"80-90\"]", true },
	{ "ports that leave the range", "\"proto\":\"tcp\",\"dport\":\"1-1024\"",
	  "\"proto\":\"tcp\",\"dport\":[22,\"1000-1025\"]", false },
	{ "the same set", "\"src\":\"@s\"", "\"src\":\"@s\",\"proto\":\"udp\"", true },
	{ "a set against its element", "\"src\":\"@s\"", "\"src\":\"192.0.2.1\"",
	  false },
	{ "a set against anything", "\"src\":\"0.0.0.0/0\"", "\"src\":\"@s\"", false },
	{ "out of a narrower prefix", "\"not\":{\"src\":\"10.1.0.0/16\"}",
	  "\"not\":{\"src\":\"10.0.0.0/8\"}", true },
	{ "out of a wider prefix", "\"not\":{\"src\":\"10.0.0.0/8\"}",
	  "\"not\":{\"src\":\"10.1.0.0/16\"}", false },
	{ "a port that is not another", "\"not\":{\"dport\":22}",
	  "\"proto\":\"tcp\",\"dport\":80", true },
	{ "the inner packet", "\"tunnel\":{\"inner\":{\"dst\":\"10.0.0.0/8\"}}",
	  "\"tunnel\":{\"vni\":7,\"inner\":{\"dst\":\"10.1.2.3\"}}", true },
	{ "the inner packet against the outer",
	  "\"tunnel\":{\"inner\":{\"dst\":\"10.0.0.0/8\"}}", "\"dst\":\"10.1.2.3\"",
	  false },
	{ "a MAC prefix", "\"src_mac\":\"02:00:00:00:00:00/24\"",
	  "\"src_mac\":\"02:00:00:00:00:07\"", true },
	{ "another interface", "\"iface\":\"eth0\"", "\"iface\":\"eth1\"", false },
	{ "the same interface", "\"iface\":\"eth*\"",
	  "\"iface\":\"eth*\",\"proto\":\"udp\"", true },
};

static void a_rule_is_covered_by_a_wider_one(void **ctx)
{
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[1024];
		struct shunt_policy *policy;
		uint32_t by[3];

		snprintf(
			text, sizeof(text),
			"{\"schema\":\"shunt.policy/1\",\"default\":\"pass\",\"sets\":{"
			"\"s\":{\"type\":\"address\",\"elements\":[\"192.0.2.1\"]}},"
			"\"rules\":["
			"{\"name\":\"c\",\"match\":{},\"action\":\"count\"},"
			"{\"name\":\"a\",\"match\":{%s},\"action\":\"drop\"},"
			"{\"name\":\"b\",\"match\":{%s},\"action\":\"pass\"}]}",
			rows[i].first, rows[i].second);
		policy = read_policy(text);
		find(policy, by);
		assert_int_equal(by[0], SHUNT_COVER_NONE);
		assert_int_equal(by[1], SHUNT_COVER_NONE);
		if (by[2] != (rows[i].covered ? 1 : SHUNT_COVER_NONE))
			fail_msg("%s: %u", rows[i].name, by[2]);
		shunt_policy_free(policy);
	}
}

/* Whatever is said to be covered decides no packet; and it is found again by pairs. */
static void what_is_covered_decides_nothing(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(11) };
	struct shunt_author author = { .random = &r, .cpus = 1 };
	size_t round, covered = 0;

	(void)ctx;
	for (round = 0; round < 150; round++) {
		_free_ char *text = shunt_author_write(&author);
		struct shunt_policy *policy = read_policy(text);
		_free_ uint32_t *by = calloc(policy->rules + 1, sizeof(*by));
		struct shunt_model answer;
		struct shunt_pkt pkt;
		size_t i, j;

		find(policy, by);
		for (j = 0; j < policy->rules; j++) {
			for (i = 0; i < j; i++)
				if (policy->rule[i].action != SHUNT_ACTION_COUNT &&
				    shunt_rule_covers(&policy->rule[i],
						      &policy->rule[j]))
					break;
			assert_int_equal(by[j], i < j ? i : SHUNT_COVER_NONE);
			covered += i < j;
		}
		for (i = 0; i < 300; i++) {
			shunt_traffic_draw_pkt(&r, policy, &pkt);
			shunt_model_decide(policy, SHUNT_AUTHOR_IFACE, &pkt, &answer);
			assert_true(answer.rule == policy->rules ||
				    by[answer.rule] == SHUNT_COVER_NONE);
		}
		shunt_policy_free(policy);
	}
	print_message("%zu rules were covered\n", covered);
	assert_true(covered > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_is_covered_by_a_wider_one),
		cmocka_unit_test(what_is_covered_decides_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
