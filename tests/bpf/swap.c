/* SPDX-License-Identifier: BSD-2-Clause */
/* What outlives a swap, which image rules, what a trace leaves, and damaged images. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "maps/abi.h"
#include "tests/bpf/rig_group.h"
#include "tests/model/counted.h"
#include "tests/model/fixture.h"
#include "tests/model/frame.h"
#include "tests/model/random.h"
#include "tests/model/text.h"

#define XDP SHUNT_HOOK_XDP
#define TC_IN SHUNT_HOOK_TC_INGRESS
#define PORT(n) "\"dport\":" #n
#define DROP "\"drop\""
#define PASS "\"pass\""
#define COUNT "\"count\""

#define ROOM (32u << 20) /* of the rig's images */

static struct shunt_counted before;

static void rule(const char *policy)
{
	struct shunt_policy *read = shunt_fixture_policy(policy);
	struct shunt_err err;

	assert_non_null(read);
	if (shunt_rig_apply(&rig, read, &err))
		fail_msg("%s", err.message);
	shunt_policy_free(read);
}

static void udp_to(uint16_t port, uint16_t payload, struct shunt_model_frame *frame)
{
	const struct shunt_frame_spec spec = {
		.l3 = SHUNT_L3_IP4,
		.src = { 192, 0, 2, 1 },
		.dst = { 192, 0, 2, 2 },
		.proto = 17,
		.dport = port,
		.payload = payload,
	};

	shunt_frame_build(&spec, frame);
}

static uint32_t run(enum shunt_hook hook, const struct shunt_model_frame *frame,
		    const struct shunt_trace_req *req)
{
	struct shunt_rig_run r = { .frame = frame->bytes,
				   .bytes = frame->len,
				   .req = req };
	int ret = shunt_rig_run(&rig, hook, &r);

	if (ret)
		fail_msg("hook %d: %s", hook, strerror(-ret));
	return r.code;
}

static void run_to(enum shunt_hook hook, uint16_t port, uint16_t payload)
{
	struct shunt_model_frame frame;

	udp_to(port, payload, &frame);
	run(hook, &frame, NULL);
}

static void check_counter(enum shunt_hook hook, uint32_t id, uint64_t packets,
			  uint64_t bytes)
{
	const struct shunt_counter *old = &before.at[shunt_counter_key(hook, id)], *now;
	static struct shunt_counted all;

	shunt_counted_read(&rig.maps, &all);
	now = &all.at[shunt_counter_key(hook, id)];
	assert_int_equal(now->packets - old->packets, packets);
	assert_int_equal(now->bytes - old->bytes, bytes);
}

static void expect(void)
{
	char text[512];

	if (!shunt_counted_is(&rig.maps, &before, text, sizeof(text)))
		fail_msg("%s", text);
}

/* --- counters -------------------------------------------------------------- */

static void a_count_rule_counts_and_goes_on(void **ctx)
{
	struct shunt_model_frame frame;
	struct shunt_trace trace;

	(void)ctx;
	rule(POLICY(PASSING,
		    RULES(RULE("udp", "\"proto\":\"udp\"", COUNT) "," RULE(
			    "other", PORT(54),
			    COUNT) "," RULE("all", "",
					    COUNT) "," RULE("dns", PORT(53),
							    DROP) "," RULE("behind", "",
									   COUNT))));
	shunt_counted_read(&rig.maps, &before);
	udp_to(53, 10, &frame);
	assert_int_equal(run(XDP, &frame, NULL), XDP_DROP);
	shunt_counted_add(&before, XDP, rig_counter("udp"), 1, frame.len);
	shunt_counted_add(&before, XDP, rig_counter("all"), 1, frame.len);
	shunt_counted_add(&before, XDP, rig_counter("dns"), 1, frame.len);
	shunt_counted_add(&before, XDP,
			  shunt_counter_reason_id(SHUNT_REASON_RULE,
						  SHUNT_VERDICT_DROP),
			  1, frame.len);
	expect();
	assert_int_equal(shunt_rig_trace(&rig, XDP, frame.bytes, frame.len, &trace), 0);
	assert_int_equal(trace.rule, 3);
	assert_int_equal(trace.counted, 2);
	assert_int_equal(trace.counted_rule[0], 0);
	assert_int_equal(trace.counted_rule[1], 2);
}

/* 256 rules that only count: all do, then the default decides; a trace names eight. */
static void all_256_rules_may_be_count_rules(void **ctx)
{
	char *text = malloc(1 << 16);
	struct shunt_model_frame frame;
	struct shunt_trace trace;
	int n, r;

	(void)ctx;
	n = sprintf(text, "{\"schema\":\"shunt.policy/1\",\"default\":\"drop\","
			  "\"rules\":[");
	for (r = 0; r < 256; r++)
		n += sprintf(text + n, "%s{\"name\":\"c%d\",\"action\":\"count\"}",
			     r ? "," : "", r);
	strcpy(text + n, "]}");
	rule(text);
	free(text);
	shunt_counted_read(&rig.maps, &before);
	udp_to(53, 0, &frame);
	assert_int_equal(run(TC_IN, &frame, NULL), TC_ACT_SHOT);
	for (r = 0; r < 256; r++)
		shunt_counted_add(&before, TC_IN, rig.state->rule[r].counter, 1,
				  frame.len);
	shunt_counted_add(&before, TC_IN, SHUNT_COUNTER_DEFAULT, 1, frame.len);
	shunt_counted_add(&before, TC_IN,
			  shunt_counter_reason_id(SHUNT_REASON_DEFAULT,
						  SHUNT_VERDICT_DROP),
			  1, frame.len);
	expect();
	assert_int_equal(shunt_rig_trace(&rig, TC_IN, frame.bytes, frame.len, &trace),
			 0);
	assert_int_equal(trace.rule, 256);
	assert_int_equal(trace.counted, 256);
	for (r = 0; r < SHUNT_TRACE_COUNTED; r++)
		assert_int_equal(trace.counted_rule[r], r);
}

static void counters_go_on_by_name_and_end_in_retired(void **ctx)
{
	uint32_t a, b;

	(void)ctx;
	rule(POLICY(PASSING,
		    RULES(RULE("a", PORT(1), DROP) "," RULE("b", PORT(2), DROP))));
	a = rig_counter("a");
	b = rig_counter("b");
	shunt_counted_read(&rig.maps, &before);
	run_to(XDP, 1, 0);
	run_to(XDP, 1, 8);
	run_to(TC_IN, 1, 0);
	run_to(XDP, 2, 0);
	check_counter(XDP, a, 2, 42 + 50);

	/* "a" goes, "b" moves to another place and keeps its id, "c" is new */
	rule(POLICY(PASSING,
		    RULES(RULE("c", PORT(3), DROP) "," RULE("b", PORT(2), PASS))));
	assert_int_equal(rig_counter("b"), b);
	assert_int_not_equal(rig_counter("c"), a);
	run_to(XDP, 2, 8);
	check_counter(XDP, b, 2, 42 + 50);
	check_counter(XDP, rig_counter("c"), 0, 0);
	check_counter(XDP, a, 0, 0);
	check_counter(XDP, SHUNT_COUNTER_RETIRED, 2, 42 + 50);
	check_counter(TC_IN, SHUNT_COUNTER_RETIRED, 1, 42);

	/* an id that is free again starts at nothing */
	rule(POLICY(PASSING,
		    RULES(RULE("d", PORT(4), DROP) "," RULE("b", PORT(2), PASS))));
	run_to(XDP, 4, 0);
	check_counter(XDP, rig_counter("d"), 1, 42);
	check_counter(XDP, b, 2, 42 + 50);
}

/* --- which image rules ----------------------------------------------------- */

static void the_generation_word_says_which_image_rules(void **ctx)
{
	struct shunt_model_frame frame;
	struct shunt_trace trace;
	uint64_t now;

	(void)ctx;
	udp_to(53, 0, &frame);
	rule(POLICY(DROPPING, RULES("")));
	rule(POLICY(PASSING, RULES("")));
	now = rig.maps.gen->word;
	assert_int_equal(now, rig.state->generation);
	assert_int_equal(run(XDP, &frame, NULL), XDP_PASS);
	rig.maps.gen->word = now - 1;
	assert_int_equal(run(XDP, &frame, NULL), XDP_DROP);
	assert_int_equal(run(TC_IN, &frame, NULL), TC_ACT_SHOT);
	assert_int_equal(shunt_rig_trace(&rig, XDP, frame.bytes, frame.len, &trace), 0);
	assert_int_equal(trace.generation, now - 1);
	rig.maps.gen->word = now;
	assert_int_equal(run(XDP, &frame, NULL), XDP_PASS);
}

/* --- traces ---------------------------------------------------------------- */

static bool recorded(uint64_t token)
{
	struct shunt_trace trace;

	return !bpf_map_lookup_elem(rig.maps.fd[SHUNT_MAP_TRACE], &token, &trace);
}

static void a_traced_packet_is_not_counted(void **ctx)
{
	struct shunt_model_frame frame;
	struct shunt_trace trace;
	int hook;

	(void)ctx;
	rule(POLICY(PASSING,
		    RULES(RULE("all", "", COUNT) "," RULE("r", PORT(53), DROP))));
	shunt_counted_read(&rig.maps, &before);
	udp_to(53, 0, &frame);
	for (hook = XDP; hook <= SHUNT_HOOK_TC_EGRESS; hook++) {
		assert_int_equal(
			shunt_rig_trace(&rig, hook, frame.bytes, frame.len, &trace), 0);
		assert_int_equal(trace.hook, hook);
		assert_int_equal(trace.verdict, SHUNT_VERDICT_DROP);
		assert_int_equal(trace.counted, 1);
		assert_true(shunt_frame_holds(&frame, &trace.pkt));
	}
	expect();
}

static void a_wrong_cookie_is_an_ordinary_packet(void **ctx)
{
	const uint64_t cookie = rig.maps.gen->trace_cookie;
	const struct shunt_trace_req reqs[] = {
		{ .cookie = cookie + 1, .token = 77 },
		{ .cookie = cookie ^ 1ull << 63, .token = 77 },
		{ .cookie = 0, .token = 77 },
		{ .cookie = cookie,
		  .token = 0 }, /* no token: nothing to record under */
	};
	struct shunt_model_frame frame;
	size_t i;
	int hook;

	(void)ctx;
	rule(POLICY(PASSING, RULES(RULE("r", PORT(53), DROP))));
	shunt_counted_read(&rig.maps, &before);
	udp_to(53, 0, &frame);
	for (hook = XDP; hook <= SHUNT_HOOK_TC_EGRESS; hook++) {
		for (i = 0; i < sizeof(reqs) / sizeof(*reqs); i++) {
			run(hook, &frame, &reqs[i]);
			assert_false(recorded(reqs[i].token));
			shunt_counted_add(&before, hook, rig_counter("r"), 1,
					  frame.len);
			shunt_counted_add(&before, hook,
					  shunt_counter_reason_id(SHUNT_REASON_RULE,
								  SHUNT_VERDICT_DROP),
					  1, frame.len);
		}
	}
	expect();
}

/* --- damaged images -------------------------------------------------------- */

#define DAMAGE                                                                         \
	POLICY(DROPPING, RULES(RULE("r", "\"src\":\"192.0.2.0/24\"," PORT(53), DROP)))

static struct shunt_image *ruling(void)
{
	return shunt_maps_image(&rig.maps, rig.maps.gen->word);
}

/* Passed, and counted as internal, whatever the rules would have said. */
static void check_internal(const char *what)
{
	struct shunt_model_frame frame;
	char text[512];

	shunt_counted_read(&rig.maps, &before);
	udp_to(53, 0, &frame);
	if (run(XDP, &frame, NULL) != XDP_PASS ||
	    run(TC_IN, &frame, NULL) != (uint32_t)TC_ACT_UNSPEC)
		fail_msg("%s: not passed", what);
	shunt_counted_add(&before, XDP,
			  shunt_counter_reason_id(SHUNT_REASON_INTERNAL,
						  SHUNT_VERDICT_PASS),
			  1, frame.len);
	shunt_counted_add(&before, TC_IN,
			  shunt_counter_reason_id(SHUNT_REASON_INTERNAL,
						  SHUNT_VERDICT_PASS),
			  1, frame.len);
	if (!shunt_counted_is(&rig.maps, &before, text, sizeof(text)))
		fail_msg("%s: %s", what, text);
}

static void a_damaged_image_passes_packets_as_internal(void **ctx)
{
	static const struct {
		const char *what;
		size_t at;
		uint32_t word;
	} words[] = {
		{ "no image", offsetof(struct shunt_image, abi), 0 },
		{ "another ABI", offsetof(struct shunt_image, abi), SHUNT_ABI + 1 },
		{ "rules behind the end", offsetof(struct shunt_image, rule),
		  ROOM - 11 },
		{ "rules far away", offsetof(struct shunt_image, rule), UINT32_MAX },
		{ "vectors behind the end",
		  offsetof(struct shunt_image, vectors.vector), ROOM - 31 },
		{ "vectors far away", offsetof(struct shunt_image, vectors.vector),
		  UINT32_MAX },
		{ "a field's table behind the end",
		  offsetof(struct shunt_image, vectors.tables.narrow[0].table),
		  ROOM - 1 },
		{ "a field's table far away",
		  offsetof(struct shunt_image, vectors.tables.narrow[0].table),
		  UINT32_MAX },
		{ "a root behind the end",
		  offsetof(struct shunt_image, vectors.tables.side[0].root4), ROOM },
		{ "a root far away",
		  offsetof(struct shunt_image, vectors.tables.side[0].root4),
		  UINT32_MAX },
	};
	struct shunt_model_frame frame;
	size_t i;

	(void)ctx;
	udp_to(53, 0, &frame);
	for (i = 0; i < sizeof(words) / sizeof(*words); i++) {
		rule(DAMAGE);
		assert_int_equal(run(XDP, &frame, NULL), XDP_DROP);
		*(uint32_t *)((uint8_t *)ruling() + words[i].at) = words[i].word;
		check_internal(words[i].what);
	}
}

/* A node whose bucket lies outside, or is said to be larger than any can be. */
static void a_damaged_node_passes_packets_as_internal(void **ctx)
{
	static const uint32_t nodes[] = {
		SHUNT_NODE_BUCKET | 1u << SHUNT_NODE_STEPS_SHIFT |
			SHUNT_NODE_OFFSET_MASK,
		SHUNT_NODE_BUCKET | SHUNT_NODE_OFFSET_MASK,
		SHUNT_NODE_BUCKET | 31u << SHUNT_NODE_STEPS_SHIFT | (ROOM / 8 - 1),
		SHUNT_NODE_BUCKET | 31u << SHUNT_NODE_STEPS_SHIFT,
		SHUNT_NODE_BUCKET - 1, /* a class that has no vector */
	};
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(nodes) / sizeof(*nodes); i++) {
		struct shunt_image *image;
		uint32_t *root;

		rule(DAMAGE);
		image = ruling();
		root = (uint32_t *)((uint8_t *)image +
				    image->vectors.tables.side[0].root4);
		root[192 << 8 | 0] = nodes[i];
		check_internal("a node");
	}
}

/* Whatever stands in the slot: the programs come back, and every packet is counted. */
static void random_images_do_no_harm(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(8) };
	struct shunt_model_frame frame;
	uint32_t code;
	int n, i;

	(void)ctx;
	udp_to(53, 0, &frame);
	rule(DAMAGE);
	for (n = 0; n < 2000; n++) {
		struct shunt_image *image;
		uint8_t *bytes;

		if (n % 100 == 0)
			rule(DAMAGE);
		image = ruling();
		bytes = (uint8_t *)image;
		for (i = shunt_random_in(&r, 1, 8); i; i--)
			bytes[4 + shunt_random_below(&r, sizeof(*image) - 4)] =
				shunt_random_next(&r);
		if (n % 3 == 0)
			bytes[shunt_random_in(&r, sizeof(*image), 1 << 18)] =
				shunt_random_next(&r);
		code = run(XDP, &frame, NULL);
		assert_true(code <= XDP_REDIRECT && code != XDP_ABORTED);
		(void)run(TC_IN, &frame, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_count_rule_counts_and_goes_on),
		cmocka_unit_test(all_256_rules_may_be_count_rules),
		cmocka_unit_test(counters_go_on_by_name_and_end_in_retired),
		cmocka_unit_test(the_generation_word_says_which_image_rules),
		cmocka_unit_test(a_traced_packet_is_not_counted),
		cmocka_unit_test(a_wrong_cookie_is_an_ordinary_packet),
		cmocka_unit_test(a_damaged_image_passes_packets_as_internal),
		cmocka_unit_test(a_damaged_node_passes_packets_as_internal),
		cmocka_unit_test(random_images_do_no_harm),
	};

	return cmocka_run_group_tests(tests, open_rig, close_rig);
}
