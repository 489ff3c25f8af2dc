/* SPDX-License-Identifier: BSD-2-Clause */
/* Policies to images: the classifier over compiled images against the naive model. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader/policy/compile.h"
#include "loader/policy/judge.h"
#include "loader/policy/sweep.h"
#include "maps/counter.h"
#include "tests/model/kind.h"
#include "tests/model/model.h"
#include "tests/model/tally.h"
#include "tests/model/traffic.h"
#include "user/base/cleanup.h"

/* Sets as they would stand in the kernel: found by id, searched by brute force. */
static const struct shunt_policy *in_force;
static struct shunt_bound_rule bound[SHUNT_RULE_MAX];
static struct shunt_binding binding = { .rule = bound };

static bool set_has(void *self, uint32_t id, uint32_t type, uint32_t l3,
		    const uint32_t addr[4], uint32_t service)
{
	const struct shunt_policy_set *set = in_force->set;
	size_t i, e;

	(void)self;
	for (i = 0; i < in_force->sets && binding.set_id[i] != id; i++)
		set++;
	assert_true(i < in_force->sets);
	assert_int_equal(set->type, type);
	for (e = 0; e < set->elements; e++) {
		const struct shunt_prefix *p = &set->element[e];
		int bytes = p->bits / 8, rest = p->bits % 8;
		uint8_t diff;

		if (p->family != l3 || memcmp(p->addr, addr, bytes))
			continue;
		if (set->type == SHUNT_SET_SERVICE &&
		    service != SHUNT_SERVICE(p->proto, p->port))
			continue;
		diff = rest ? p->addr[bytes] ^ ((const uint8_t *)addr)[bytes] : 0;
		if (!(diff >> (8 - rest)))
			return 1;
	}
	return 0;
}

/* --- policies -------------------------------------------------------------- */

static struct shunt_policy *read_policy(const char *text)
{
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };
	size_t i;

	if (shunt_policy_read(&policy, text, strlen(text), NULL, &diags)) {
		for (i = 0; i < diags.n; i++)
			print_error("%s: %s\n", diags.at[i].pointer,
				    diags.at[i].message);
		fail_msg("refused: %s", text);
	}
	shunt_diags_free(&diags);
	return policy;
}

static int compile(const struct shunt_policy *policy, struct shunt_compiled *compiled,
		   struct shunt_err *err)
{
	size_t i;

	for (i = 0; i < policy->rules; i++) {
		bound[i].counter = SHUNT_COUNTER_RULES + i;
		bound[i].dead =
			!shunt_model_meant(&policy->rule[i], SHUNT_AUTHOR_IFACE);
	}
	for (i = 0; i < SHUNT_SET_MAX; i++) /* ids that are not places */
		binding.set_id[i] = (i * 7 + 3) % SHUNT_SET_IDS;
	in_force = policy;
	return shunt_compile(policy, &binding, compiled, err);
}

static struct shunt_image *in_slot(struct shunt_compiled *compiled)
{
	return compiled->image;
}

/* --- decisions ------------------------------------------------------------- */

static void decide(const struct shunt_image *image, const struct shunt_pkt *pkt,
		   struct shunt_model *answer)
{
	struct shunt_judge judge = { .image = image, .set_has = set_has };
	struct shunt_judged judged;
	const struct shunt_image_rule *rule;
	size_t i;

	assert_int_equal(shunt_judge_packet(&judge, pkt, &judged), 0);
	answer->counted = judged.counted;
	for (i = 0; i < judged.counted; i++)
		answer->counted_rule[i] = judged.counted_rule[i];
	rule = (const void *)((const char *)image + image->rule);
	answer->rule = judged.rule;
	answer->action = rule[judged.rule].action;
}

static bool same(const struct shunt_model *a, const struct shunt_model *b)
{
	return a->rule == b->rule && a->action == b->action &&
	       a->counted == b->counted &&
	       !memcmp(a->counted_rule, b->counted_rule,
		       a->counted * sizeof(*a->counted_rule));
}

static void print_layer(const char *name, const struct shunt_layer *l)
{
	int i;

	print_error("%s: l3 %u src %08x %08x %08x %08x dst %08x %08x %08x %08x fields",
		    name, l->l3, l->addr[0][0], l->addr[0][1], l->addr[0][2],
		    l->addr[0][3], l->addr[1][0], l->addr[1][1], l->addr[1][2],
		    l->addr[1][3]);
	for (i = 0; i < SHUNT_FIELD_NARROW; i++)
		print_error(" %u", l->field[i]);
	for (i = 0; i < SHUNT_FIELD_WIDE; i++)
		print_error(" %#llx", (unsigned long long)l->wide[i]);
	print_error("\n");
}

/* The policy may be too long to be printed. Returns where it is. */
static const char *keep(const struct shunt_policy *policy)
{
	static const char path[] = "build/classifier-failed.json";
	FILE *file = fopen(path, "we");

	if (file) {
		fputs(policy->text, file);
		fclose(file);
	}
	return path;
}

static void report(const struct shunt_policy *policy, const struct shunt_pkt *pkt,
		   const struct shunt_model *got, const struct shunt_model *want)
{
	print_layer("outer", &pkt->layer[SHUNT_OUTER]);
	print_layer("inner", &pkt->layer[SHUNT_INNER]);
	fail_msg("rule %zu instead of %zu, %zu counted instead of %zu, under %s",
		 got->rule, want->rule, got->counted, want->counted, keep(policy));
}

static void compare(struct shunt_random *r, const struct shunt_policy *policy,
		    const struct shunt_image *image, uint32_t packets,
		    enum shunt_kind kind, struct shunt_tally *tally)
{
	_free_ bool *hit = calloc(policy->rules + 1, sizeof(*hit));
	struct shunt_model want, got;
	struct shunt_pkt pkt;

	assert_non_null(hit);
	while (packets--) {
		shunt_traffic_draw_pkt(r, policy, &pkt);
		shunt_model_decide(policy, SHUNT_AUTHOR_IFACE, &pkt, &want);
		decide(image, &pkt, &got);
		if (!same(&want, &got))
			report(policy, &pkt, &got, &want);
		shunt_tally_add(tally, kind, policy, &want, hit);
	}
	shunt_tally_policy(tally, kind, policy, hit);
}

static void the_classifier_decides_as_the_model_does(void **ctx)
{
	const uint64_t seed = shunt_random_seed(0x5348554e54);
	const uint64_t cases = shunt_random_cases(500000);
	struct shunt_random r = { seed };
	struct shunt_author author = { .random = &r,
				       .cpus = 4,
				       .without = SHUNT_KIND_WITHOUT };
	struct shunt_tally tally = { 0 };
	uint32_t engine = 0;
	int ret;
	struct shunt_err err;
	const char *gap;

	(void)ctx;
	while (shunt_tally_decisions(&tally) < cases) {
		enum shunt_kind kind = shunt_tally_next(&tally);
		_free_ char *text = shunt_kind_write(kind, &author);
		struct shunt_policy *policy = read_policy(text);
		struct shunt_compiled compiled;
		struct shunt_image *image;

		binding.vector_max = engine++ % 2; /* each in turn */
		ret = compile(policy, &compiled, &err);
		if (ret == -E2BIG) {
			shunt_tally_refused(&tally, kind);
			shunt_policy_free(policy);
			continue;
		}
		if (ret)
			fail_msg("%s: %s", err.message, keep(policy));
		image = in_slot(&compiled);
		compare(&r, policy, image, shunt_kind_rows[kind].packets, kind, &tally);
		free(image);
		shunt_policy_free(policy);
	}
	binding.vector_max = 0;
	shunt_tally_print(&tally, seed);
	gap = shunt_tally_gap(&tally, SHUNT_KIND_WITHOUT);
	if (gap)
		fail_msg("%s was not tried enough", gap);
}

static void a_policy_without_rules_is_its_default(void **ctx)
{
	struct shunt_policy *policy = read_policy(
		"{\"schema\":\"shunt.policy/1\",\"default\":\"drop\",\"rules\":[]}");
	struct shunt_pkt pkt = { .layer[SHUNT_OUTER].l3 = SHUNT_L3_IP4 };
	struct shunt_compiled compiled;
	struct shunt_model answer;
	struct shunt_image *image;

	(void)ctx;
	assert_int_equal(compile(policy, &compiled, NULL), 0);
	image = in_slot(&compiled);
	decide(image, &pkt, &answer);
	assert_int_equal(answer.rule, 0);
	assert_int_equal(answer.action, SHUNT_VERDICT_DROP);
	free(image);
	shunt_policy_free(policy);
}

/* Every port boundary of every rule: 256 rules, rule r takes port 257 r alone. */
static void each_of_256_rules_gets_its_own_port(void **ctx)
{
	_free_ char *text = malloc(1 << 16);
	struct shunt_compiled compiled;
	struct shunt_policy *policy;
	struct shunt_image *image;
	int n, r;

	(void)ctx;
	n = sprintf(text, "{\"schema\":\"shunt.policy/1\",\"default\":\"pass\","
			  "\"rules\":[");
	for (r = 0; r < 256; r++)
		n += sprintf(text + n,
			     "%s{\"name\":\"r%d\",\"match\":{\"dport\":%d},"
			     "\"action\":\"drop\"}",
			     r ? "," : "", r, 257 * r);
	strcpy(text + n, "]}");
	policy = read_policy(text);
	assert_int_equal(compile(policy, &compiled, NULL), 0);
	image = in_slot(&compiled);
	for (r = 0; r < 256; r++) {
		struct shunt_pkt pkt = { .layer[SHUNT_OUTER].l3 = SHUNT_L3_IP4 };
		struct shunt_model answer;

		pkt.layer[SHUNT_OUTER].field[SHUNT_FIELD_DPORT] = 257 * r + 1;
		decide(image, &pkt, &answer);
		assert_int_equal(answer.rule, r);
		pkt.layer[SHUNT_OUTER].field[SHUNT_FIELD_DPORT] = 257 * r + 2;
		decide(image, &pkt, &answer);
		assert_int_equal(answer.rule, 256);
		pkt.layer[SHUNT_OUTER].field[SHUNT_FIELD_DPORT] = 257 * r;
		decide(image, &pkt, &answer);
		assert_int_equal(answer.rule, 256);
	}
	free(image);
	shunt_policy_free(policy);
}

/* --- sweeps and vectors ---------------------------------------------------- */

static shunt_u128 draw_u128(struct shunt_random *r)
{
	switch (shunt_random_below(r, 4)) {
	case 0:
		return 0;
	case 1:
		return (shunt_u128)-1;
	case 2:
		return shunt_random_below(r, 16);
	default:
		return (shunt_u128)shunt_random_next(r) << 64 |
		       shunt_random_below(r, 8);
	}
}

static void vector_at(const struct shunt_allow *allow, size_t n, const uint64_t *base,
		      shunt_u128 at, uint64_t *v)
{
	size_t i;

	memcpy(v, base, 4 * sizeof(*v));
	for (i = 0; i < n; i++)
		if (allow[i].lo <= at && at <= allow[i].hi)
			shunt_bit_set(v, allow[i].bit);
}

static void check_sweep(const struct shunt_allow *allow, size_t n, const uint64_t *base)
{
	_free_ struct shunt_interval *interval = NULL;
	struct shunt_vectors pool = { .words = 4 };
	uint64_t want[4];
	size_t count, i;

	assert_int_equal(shunt_sweep(allow, n, base, &pool, &interval, &count), 0);
	assert_true(count > 0 && interval[0].start == 0);
	for (i = 0; i < count; i++) {
		shunt_u128 last =
			i + 1 < count ? interval[i + 1].start - 1 : (shunt_u128)-1;

		assert_true(interval[i].start <= last);
		if (i)
			assert_true(interval[i].class != interval[i - 1].class);
		vector_at(allow, n, base, interval[i].start, want);
		assert_memory_equal(&pool.at[4 * interval[i].class], want,
				    sizeof(want));
		vector_at(allow, n, base, last, want);
		assert_memory_equal(&pool.at[4 * interval[i].class], want,
				    sizeof(want));
	}
	shunt_vectors_free(&pool);
}

static void a_sweep_cuts_exactly_where_a_rule_changes_its_mind(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(1) };
	struct shunt_allow allow[40];
	int round;

	(void)ctx;
	for (round = 0; round < 20000; round++) {
		size_t n = shunt_random_below(&r, 40), i;
		uint64_t base[4] = { 0 };

		for (i = 0; i < n; i++) {
			shunt_u128 a = draw_u128(&r), b = draw_u128(&r);

			allow[i].lo = a < b ? a : b;
			allow[i].hi = a < b ? b : a;
			allow[i].bit = shunt_random_of(
				&r, ((const uint16_t[]){ 0, 1, 63, 64, 127, 255 }));
		}
		shunt_bit_set(base, 128);
		check_sweep(allow, n, base);
	}
}

static void equal_vectors_have_one_class_and_there_are_at_most_65536(void **ctx)
{
	struct shunt_vectors pool = { .words = 4 };
	uint64_t v[4] = { 0 };
	uint32_t i;

	(void)ctx;
	for (i = 0; i < SHUNT_CLASS_MAX; i++) {
		v[0] = i;
		v[3] = ~(uint64_t)i << 40;
		assert_int_equal(shunt_vectors_class(&pool, v), i);
	}
	for (i = 0; i < SHUNT_CLASS_MAX; i += 7) {
		v[0] = i;
		v[3] = ~(uint64_t)i << 40;
		assert_int_equal(shunt_vectors_class(&pool, v), i);
	}
	v[1] = 1;
	assert_int_equal(shunt_vectors_class(&pool, v), -E2BIG);
	shunt_vectors_free(&pool);
}

/* --- what does not fit ----------------------------------------------------- */

/* `lists` rules of `n` addresses each, no two of which are in the same 64 KiB. */
static char *long_lists(int lists, int n)
{
	char *text = malloc((size_t)lists * n * 48 + 4096);
	int at, r, i;

	assert_non_null(text);
	at = sprintf(text, "{\"schema\":\"shunt.policy/1\",\"default\":\"pass\","
			   "\"rules\":[");
	for (r = 0; r < lists; r++) {
		at += sprintf(text + at, "%s{\"name\":\"r%d\",\"match\":{\"src\":[",
			      r ? "," : "", r);
		for (i = 0; i < n; i++)
			at += sprintf(text + at, "%s\"2001:%x:%x::%x\"", i ? "," : "",
				      i & 0xffff, r, i >> 16);
		at += sprintf(text + at, "]},\"action\":\"drop\"}");
	}
	strcpy(text + at, "]}");
	return text;
}

/* `n` rules that only count. */
static char *counting(int n)
{
	char *text = malloc((size_t)n * 80 + 256);
	int at, r;

	assert_non_null(text);
	at = sprintf(text, "{\"schema\":\"shunt.policy/1\",\"default\":\"pass\","
			   "\"rules\":[");
	for (r = 0; r < n; r++)
		at += sprintf(text + at,
			      "%s{\"name\":\"r%d\",\"match\":{\"dport\":%d},"
			      "\"action\":\"count\"}",
			      r ? "," : "", r, r);
	strcpy(text + at, "]}");
	return text;
}

static void a_policy_that_does_not_fit_is_refused_with_its_numbers(void **ctx)
{
	_free_ char *text = counting(300);
	struct shunt_policy *policy = read_policy(text);
	struct shunt_compiled compiled = { 0 };
	struct shunt_err err = { "" };

	(void)ctx;
	assert_int_equal(compile(policy, &compiled, &err), -E2BIG);
	assert_null(compiled.image);
	assert_non_null(strstr(err.message, "300 rules have the action \"count\""));
	assert_non_null(strstr(err.message, "there is room for 256"));
	shunt_policy_free(policy);
}

static void a_policy_with_long_lists_still_decides(void **ctx)
{
	_free_ char *text = long_lists(2, 24000);
	struct shunt_policy *policy = read_policy(text);
	struct shunt_random r = { shunt_random_seed(2) };
	struct shunt_tally tally = { 0 };
	struct shunt_compiled compiled;
	struct shunt_image *image;

	(void)ctx;
	assert_int_equal(compile(policy, &compiled, NULL), 0);
	assert_true(compiled.image->bytes > 1 << 20);
	image = in_slot(&compiled);
	compare(&r, policy, image, 200, SHUNT_KIND_FEW, &tally);
	free(image);
	shunt_policy_free(policy);
}

/* --- damage ---------------------------------------------------------------- */

/* Words of the image's head. An offset that 8 does not divide is BPF's to read, not
 * C's. */
static const struct {
	size_t at;
	bool offset;
} words[] = {
	{ offsetof(struct shunt_image, rules), false },
	{ offsetof(struct shunt_image, rule), true },
	{ offsetof(struct shunt_image, vectors.rules), false },
	{ offsetof(struct shunt_image, vectors.place), true },
	{ offsetof(struct shunt_image, vectors.vector), true },
	{ offsetof(struct shunt_image, vectors.tables.slots), false },
	{ offsetof(struct shunt_image, vectors.tables.narrows), false },
	{ offsetof(struct shunt_image, vectors.tables.narrow[0].table), true },
	{ offsetof(struct shunt_image, vectors.tables.narrow[0].word), false },
	{ offsetof(struct shunt_image, vectors.tables.narrow[1].table), true },
	{ offsetof(struct shunt_image, vectors.tables.side[0].root4), true },
	{ offsetof(struct shunt_image, vectors.tables.side[0].root6), true },
	{ offsetof(struct shunt_image, vectors.tables.side[0].none), false },
	{ offsetof(struct shunt_image, vectors.tables.side[1].root4), true },
	{ offsetof(struct shunt_image, vectors.tables.side[1].root6), true },
};

static void decide_damaged(struct shunt_random *r, const struct shunt_policy *policy,
			   struct shunt_image *image)
{
	size_t which = shunt_random_below(r, sizeof(words) / sizeof(*words));
	uint32_t *place = (uint32_t *)((uint8_t *)image + words[which].at);
	uint32_t old = *place, word = shunt_random_next(r);
	struct shunt_judge judge = { .image = image, .set_has = set_has };
	struct shunt_judged judged;
	struct shunt_pkt pkt;
	int ret;

	word = shunt_random_one_in(r, 2) ? word : word & (2 * SHUNT_IMAGE_BYTES - 1);
	*place = words[which].offset ? word & ~7u : word;
	shunt_traffic_draw_pkt(r, policy, &pkt);
	ret = shunt_judge_packet(&judge, &pkt, &judged);
	assert_true(ret == -1 || judged.rule <= image->rules);
	*place = old;
}

/* Any image, however damaged, gives an answer or -1. */
static void a_damaged_image_is_never_read_outside(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(3) };
	struct shunt_author author = { .random = &r, .without = SHUNT_KIND_WITHOUT };
	int round, n;

	(void)ctx;
	for (round = 0; round < 200; round++) {
		_free_ char *text = shunt_author_write(&author);
		struct shunt_policy *policy = read_policy(text);
		struct shunt_compiled compiled;
		struct shunt_image *image;

		assert_int_equal(compile(policy, &compiled, NULL), 0);
		image = in_slot(&compiled);
		for (n = 0; n < 500; n++)
			decide_damaged(&r, policy, image);
		free(image);
		shunt_policy_free(policy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_classifier_decides_as_the_model_does),
		cmocka_unit_test(a_policy_without_rules_is_its_default),
		cmocka_unit_test(each_of_256_rules_gets_its_own_port),
		cmocka_unit_test(a_sweep_cuts_exactly_where_a_rule_changes_its_mind),
		cmocka_unit_test(
			equal_vectors_have_one_class_and_there_are_at_most_65536),
		cmocka_unit_test(
			a_policy_that_does_not_fit_is_refused_with_its_numbers),
		cmocka_unit_test(a_policy_with_long_lists_still_decides),
		cmocka_unit_test(a_damaged_image_is_never_read_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
