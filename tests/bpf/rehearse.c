/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A policy that stands in the idle slot is rehearsed: what is wrong with its image, and whom
 * it locks out, is found before it rules, and the other slot goes on ruling.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader/plan.h"
#include "loader/program.h"
#include "loader/prove.h"
#include "loader/rehearse.h"
#include "tests/model/fixture.h"
#include "tests/model/rig.h"

#define RULES(rules)                                                                   \
	"{\"schema\":\"shunt.policy/1\",\"default\":\"pass\",\"rules\":[" rules "]}"

/* Programs and maps are those of the first, whose image is the larger one. */
static const char ruling[] = RULES(
	"{\"name\":\"telnet\",\"match\":{\"proto\":\"tcp\",\"dport\":[23,25,80]},"
	"\"action\":\"drop\"},"
	"{\"name\":\"lan\",\"match\":{\"src\":\"10.0.0.0/8\",\"proto\":\"udp\"},"
	"\"action\":\"drop\"},"
	"{\"name\":\"seen\",\"match\":{\"src\":\"192.0.2.0/24\"},"
	"\"action\":\"count\"},"
	"{\"name\":\"host\",\"match\":{\"dst\":\"192.0.2.7\",\"dport\":\"99-200\"},"
	"\"action\":\"drop\"}");
static const char next[] =
	RULES("{\"name\":\"ssh\",\"match\":{\"proto\":\"tcp\",\"dport\":22},"
	      "\"action\":\"drop\"},"
	      "{\"name\":\"seen\",\"match\":{\"src\":\"10.0.0.0/8\"},"
	      "\"action\":\"count\"},"
	      "{\"name\":\"net\",\"match\":{\"src\":\"10.1.0.0/16\",\"proto\":\"tcp\"},"
	      "\"action\":\"drop\"}");

/* One policy rules, another is written. */
struct stage {
	const char *hook;
	struct shunt_policy *policy, *before;
	struct shunt_explain *explain;
	struct shunt_plan plan;
	struct shunt_image *idle;
	uint64_t word;
};

/* Does this kernel have the hook? Netfilter's came with Linux 6.4. */
static bool has(const char *hook)
{
	return shunt_rig_has((enum shunt_hook)shunt_hook_find(hook, NULL));
}

static uint64_t word_of(const struct stage *stage)
{
	return stage->explain->instance.maps.gen->word;
}

static void set_up(struct stage *stage, const char *hook)
{
	struct shunt_instance *instance;
	struct shunt_err err;

	*stage = (struct stage){
		.hook = hook,
		.before = shunt_fixture_policy(ruling),
		.policy = shunt_fixture_policy(next),
	};
	if (shunt_explain_open_for(&stage->explain, stage->before, hook, "lo", &err))
		fail_msg("%s", err.message);
	instance = &stage->explain->instance;
	if (shunt_plan_make(&stage->plan, stage->policy, "lo", instance->state, true,
			    &err) ||
	    shunt_plan_write(&stage->plan, &instance->maps, &err))
		fail_msg("%s", err.message);
	assert_true(shunt_plan_needs(&stage->plan).image_bytes <=
		    instance->maps.image_bytes);
	stage->idle = shunt_maps_image(&instance->maps, stage->plan.next->generation);
	stage->word = word_of(stage);
}

static int rehearse(const struct stage *stage, const struct shunt_guard *guard,
		    struct shunt_err *err)
{
	int prog_fd[SHUNT_HOOK_MAX] = { [0 ... SHUNT_HOOK_MAX - 1] = -1 };
	const struct shunt_rehearsal rehearsal = {
		.policy = stage->policy,
		.state = stage->plan.next,
		.guard = guard,
		.prog_fd = prog_fd,
		.idle = true,
	};

	prog_fd[stage->explain->hook] = stage->explain->prog_fd;
	return shunt_rehearse(&stage->explain->instance, &rehearsal, err);
}

/* Of the policy that ruled before the rehearsal, and rules. */
static void tear_down(struct stage *stage)
{
	struct shunt_err err;
	size_t proved;

	assert_int_equal(word_of(stage), stage->word);
	if (shunt_prove(stage->explain, stage->before, 256, &proved, &err))
		fail_msg("%s", err.message);
	assert_true(proved > 10);
	shunt_plan_free(&stage->plan);
	shunt_explain_close(stage->explain);
	shunt_policy_free(stage->policy);
	shunt_policy_free(stage->before);
}

static struct shunt_image_rule *rules_of(struct shunt_image *image)
{
	return (struct shunt_image_rule *)((uint8_t *)image + image->rule);
}

static void a_sound_image_passes(void **ctx)
{
	static const char *const hooks[] = { "xdp", "tc-ingress", "tc-egress",
					     "netfilter" };
	struct shunt_err err;
	struct stage stage;
	size_t h;

	(void)ctx;
	for (h = 0; h < sizeof(hooks) / sizeof(*hooks); h++) {
		if (!has(hooks[h]))
			continue;
		set_up(&stage, hooks[h]);
		if (rehearse(&stage, NULL, &err))
			fail_msg("%s: %s", hooks[h], err.message);
		tear_down(&stage);
	}
}

static void a_wrong_action_is_found(void **ctx)
{
	struct shunt_err err;
	struct stage stage;
	size_t r;

	(void)ctx;
	set_up(&stage, "xdp");
	for (r = 0; r <= stage.policy->rules; r++) {
		struct shunt_image_rule *rule = &rules_of(stage.idle)[r];
		uint8_t was = rule->action;

		rule->action = SHUNT_VERDICT_TX;
		assert_int_equal(rehearse(&stage, NULL, &err), -EBADMSG);
		assert_non_null(
			strstr(err.message, "does not do what the policy says"));
		assert_non_null(strstr(err.message, r < stage.policy->rules
							    ? stage.policy->rule[r].name
							    : "the default"));
		rule->action = was;
	}
	assert_int_equal(rehearse(&stage, NULL, &err), 0);
	tear_down(&stage);
}

static void a_flipped_bit_of_the_vectors_is_found(void **ctx)
{
	size_t v, found = 0, tried = 0;
	struct stage stage;
	uint64_t *vector;
	uint32_t bit;

	(void)ctx;
	set_up(&stage, "tc-ingress");
	assert_int_equal(stage.idle->words.words, 0);
	vector = (uint64_t *)((uint8_t *)stage.idle + stage.idle->vectors.vector);
	for (v = 0; v < stage.idle->vectors.vectors; v++) {
		for (bit = 0; bit < stage.idle->vectors.rules; bit++, tried++) {
			int ret;

			vector[v * SHUNT_IMAGE_WORDS] ^= 1ull << bit;
			ret = rehearse(&stage, NULL, NULL);
			vector[v * SHUNT_IMAGE_WORDS] ^= 1ull << bit;
			assert_true(ret == 0 || ret == -EBADMSG);
			found += ret == -EBADMSG;
		}
	}
	print_message("%zu of %zu flipped bits are found\n", found, tried);
	/* the others belong to classes that no packet has together */
	assert_true(tried > 10 && found * 10 >= tried * 7);
	tear_down(&stage);
}

/* The other slot's image is nobody's business. */
static void the_ruling_image_is_not_asked(void **ctx)
{
	struct shunt_image_rule *rule;
	struct stage stage;
	uint8_t was;

	(void)ctx;
	set_up(&stage, "xdp");
	rule = rules_of(shunt_maps_image(&stage.explain->instance.maps,
					 stage.explain->instance.state->generation));
	was = rule->action;
	rule->action = SHUNT_VERDICT_TX;
	assert_int_equal(rehearse(&stage, NULL, NULL), 0);
	rule->action = was;
	tear_down(&stage);
}

/* Each way is asked for where it is seen, and of the policy that is written. */
static void a_guard_is_asked(void **ctx)
{
	static const struct {
		const char *hook, *packet, *rule; /* NULL: it passes */
	} row[] = {
		{ "xdp", "proto=tcp,dport=22", "ssh" },
		{ "xdp", "proto=tcp,dport=23", NULL },
		{ "xdp", "proto=tcp,sport=22,dport=9", NULL },
		{ "xdp", "src=10.1.2.3,proto=tcp", "net" },
		{ "xdp", "src=10.2.2.3,proto=tcp", NULL },
		{ "tc-egress", "proto=tcp,dport=22", NULL },
		{ "tc-egress", "proto=tcp,sport=22,dport=9", "ssh" },
		{ "tc-egress", "dst=10.1.2.3,proto=tcp", "net" },
		{ "netfilter", "proto=tcp,dport=22", "ssh" },
		{ "netfilter", "eth_type=arp", NULL }, /* which it never sees */
	};
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct shunt_guard guard = { 0 };
		struct shunt_err err;
		struct stage stage;
		int ret;

		if (!has(row[i].hook))
			continue;
		set_up(&stage, row[i].hook);
		if (shunt_guard_make(&guard, "lo", NULL, &row[i].packet, 1, &err))
			fail_msg("%s: %s", row[i].packet, err.message);
		ret = rehearse(&stage, &guard, &err);
		if (ret != (row[i].rule ? -EACCES : 0))
			fail_msg("%s, %s: %d", row[i].hook, row[i].packet, ret);
		if (row[i].rule && (!strstr(err.message, row[i].packet) ||
				    !strstr(err.message, row[i].rule)))
			fail_msg("%s", err.message);
		shunt_guard_free(&guard);
		tear_down(&stage);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_image_passes),
		cmocka_unit_test(a_wrong_action_is_found),
		cmocka_unit_test(a_flipped_bit_of_the_vectors_is_found),
		cmocka_unit_test(the_ruling_image_is_not_asked),
		cmocka_unit_test(a_guard_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
