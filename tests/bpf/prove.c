/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs proved against their policies; and policies that programs do not keep. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader/policy/witness.h"
#include "loader/prove.h"
#include "tests/model/fixture.h"
#include "tests/model/kind.h"
#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/base/json.h"

#define POLICIES 12 /* a program is loaded for each */

static struct shunt_explain *open_policy(const struct shunt_policy *policy,
					 const char *hook)
{
	struct shunt_explain *explain;
	struct shunt_err err;

	if (shunt_explain_open_for(&explain, policy, hook, SHUNT_AUTHOR_IFACE, &err))
		fail_msg("%s", err.message);
	return explain;
}

/* --- what holds -------------------------------------------------------------- */

static void prove(const struct shunt_policy *policy, const char *hook, size_t frames,
		  size_t *proved)
{
	struct shunt_explain *explain = open_policy(policy, hook);
	uint64_t start = shunt_now_ns();
	struct shunt_err err;

	if (shunt_prove(explain, policy, frames, proved, &err))
		fail_msg("%s: %s: %s", hook, err.message, policy->text);
	print_message("%s: %zu rules, %zu proved, %llu us\n", hook, policy->rules,
		      *proved, (unsigned long long)(shunt_now_ns() - start) / 1000);
	shunt_explain_close(explain);
}

static void programs_do_what_random_policies_say(void **ctx)
{
	static const char *const hooks[] = { "xdp", "tc-ingress", "tc-egress" };
	struct shunt_random r = { shunt_random_seed(0x50524f5645) };
	struct shunt_author author = { .random = &r, .cpus = 1 };
	size_t i, proved;

	(void)ctx;
	for (i = 0; i < shunt_random_cases(POLICIES); i++) {
		enum shunt_kind kind = i % 4 == 3 ? SHUNT_KIND_FW : SHUNT_KIND_FEW;
		_free_ char *text = shunt_kind_write(kind, &author);
		struct shunt_policy *policy = shunt_fixture_policy(text);

		prove(policy, hooks[i % 3], SHUNT_PROVE_FRAMES, &proved);
		assert_true(proved > 5);
		assert_true(proved >= policy->rules || policy->rules > 100);
		shunt_policy_free(policy);
	}
}

/* --- what does not ----------------------------------------------------------- */

static const char few[] =
	"{\"schema\":\"shunt.policy/1\",\"default\":\"pass\",\"rules\":["
	"{\"name\":\"ssh\",\"match\":{\"proto\":\"tcp\",\"dport\":22},\"action\":"
	"\"drop\"},"
	"{\"name\":\"seen\",\"match\":{\"src\":\"10.0.0.0/8\"},\"action\":\"count\"},"
	"{\"name\":\"net\",\"match\":{\"src\":\"10.1.0.0/16\",\"proto\":\"tcp\"},"
	"\"action\":\"drop\"},"
	"{\"name\":\"six\",\"match\":{\"dst\":\"2001:db8::/"
	"32\"},\"action\":\"drop\"}]}";

static struct shunt_image *image_of(struct shunt_explain *explain)
{
	return shunt_maps_image(&explain->instance.maps,
				explain->instance.state->generation);
}

static struct shunt_image_rule *rules_of(struct shunt_image *image)
{
	return (struct shunt_image_rule *)((uint8_t *)image + image->rule);
}

static void every_changed_action_is_found(void **ctx)
{
	struct shunt_policy *policy = shunt_fixture_policy(few);
	struct shunt_explain *explain = open_policy(policy, "xdp");
	struct shunt_image *image = image_of(explain);
	struct shunt_err err;
	size_t r, proved;

	(void)ctx;
	for (r = 0; r <= policy->rules; r++) {
		struct shunt_image_rule *rule = &rules_of(image)[r];
		uint8_t was = rule->action;

		rule->action = SHUNT_VERDICT_TX;
		assert_int_equal(shunt_prove(explain, policy, 256, NULL, &err),
				 -EBADMSG);
		print_message("%s\n", err.message);
		assert_non_null(strstr(err.message, "tx"));
		assert_non_null(strstr(err.message, r < policy->rules
							    ? policy->rule[r].name
							    : "the default"));
		rule->action = was;
	}
	assert_int_equal(shunt_prove(explain, policy, 256, &proved, &err), 0);
	assert_true(proved > 30);
	shunt_explain_close(explain);
	shunt_policy_free(policy);
}

/* Each bit of the vectors lets a rule match what it should not, or the other way round. */
static void damaged_vectors_are_found(void **ctx)
{
	struct shunt_policy *policy = shunt_fixture_policy(few);
	struct shunt_explain *explain = open_policy(policy, "tc-ingress");
	struct shunt_image *image = image_of(explain);
	uint64_t *vector = (uint64_t *)((uint8_t *)image + image->vectors.vector);
	size_t v, found = 0, tried = 0;
	uint32_t bit;

	(void)ctx;
	assert_int_equal(image->words.words, 0);
	for (v = 0; v < image->vectors.vectors; v++) {
		for (bit = 0; bit < image->vectors.rules; bit++) {
			int ret;

			vector[v * SHUNT_IMAGE_WORDS] ^= 1ull << bit;
			ret = shunt_prove(explain, policy, 256, NULL, NULL);
			vector[v * SHUNT_IMAGE_WORDS] ^= 1ull << bit;
			assert_true(ret == 0 || ret == -EBADMSG);
			found += ret == -EBADMSG;
			tried++;
		}
	}
	print_message("%zu of %zu flipped bits are found\n", found, tried);
	/* the others belong to classes that no packet has together */
	assert_true(tried > 10 && found * 10 >= tried * 7);
	shunt_explain_close(explain);
	shunt_policy_free(policy);
}

/* --- whose answer it is ------------------------------------------------------ */

/* The answer is the program's, even where it is wrong, and the reply says that it is. */
static void explain_tells_what_the_program_does_and_that_it_is_wrong(void **ctx)
{
	struct shunt_policy *policy = shunt_fixture_policy(few);
	struct shunt_explain *explain = open_policy(policy, "xdp");
	struct shunt_roll roll = shunt_roll_of_policy(policy);
	struct shunt_witnesses all;
	size_t i, wrong = 0;

	(void)ctx;
	assert_int_equal(shunt_witness_make(&all, &explain->trials, &roll, 64, NULL),
			 0);
	rules_of(image_of(explain))[0].action = SHUNT_VERDICT_TX;
	for (i = 0; i < all.n; i++) {
		bool is_ssh = all.at[i].want.rule == 0;
		_json_ cJSON *reply = NULL;
		const cJSON *disagrees;

		assert_int_equal(shunt_explain_frame(explain, i + 1, all.at[i].frame,
						     all.at[i].bytes, &reply, NULL),
				 0);
		disagrees = cJSON_GetObjectItem(reply, "disagrees");
		assert_int_equal(!!disagrees, is_ssh);
		if (!is_ssh)
			continue;
		assert_string_equal(shunt_json_str(reply, "verdict"), "tx");
		assert_string_equal(shunt_json_str(disagrees, "action"), "drop");
		wrong++;
	}
	assert_true(wrong > 2 && wrong < all.n);
	shunt_witness_free(&all);
	shunt_explain_close(explain);
	shunt_policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_changed_action_is_found),
		cmocka_unit_test(damaged_vectors_are_found),
		cmocka_unit_test(
			explain_tells_what_the_program_does_and_that_it_is_wrong),
		cmocka_unit_test(programs_do_what_random_policies_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
