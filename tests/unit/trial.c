/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules tried on packets: rows written by hand, and random ones against the model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader/policy/trial.h"
#include "loader/wants.h"
#include "tests/model/fixture.h"
#include "tests/model/frame.h"
#include "tests/model/kind.h"
#include "tests/model/model.h"
#include "tests/model/traffic.h"
#include "user/base/cleanup.h"

#define POLICIES 40
#define PACKETS 400

/* --- the first key that is not met ------------------------------------------- */

/* From 192.0.2.1, port 1024, to 192.0.2.2, port 53, in VLAN 7. */
static const struct shunt_frame_spec dns = {
	.l3 = SHUNT_L3_IP4,
	.tags = 1,
	.tag = { { 0x8100, 7 } },
	.src = { 192, 0, 2, 1 },
	.dst = { 192, 0, 2, 2 },
	.proto = 17,
	.sport = 1024,
	.dport = 53,
	.payload = 20,
};

struct row {
	const char *match;
	const char *key; /* NULL: it matches */
	uint32_t asks, met;
	const char *wants, *packet;
};

/* Of a tunnel of VXLAN with the network id 9 that carries `dns`. */
static const struct row rows[] = {
	{ "\"src\":\"192.0.2.0/24\",\"proto\":\"udp\"", NULL, 2, 2, NULL, NULL },
	{ "\"src\":\"192.0.2.0/25\",\"dst\":\"192.0.2.3\"", "dst", 2, 1, "192.0.2.3",
	  "192.0.2.2" },
	{ "\"src\":[\"@s\",\"10.0.0.0/8\"],\"vlan\":7", "src", 2, 1, "10.0.0.0/8 @s",
	  "192.0.2.1" },
	{ "\"src\":\"@t\",\"vlan\":7", NULL, 2, 2, NULL, NULL },
	{ "\"vlan\":7,\"not\":{\"src\":\"192.0.2.0/24\"}", "not.src", 2, 1,
	  "192.0.2.0/24", "192.0.2.1" },
	{ "\"proto\":\"udp\",\"not\":{\"dport\":[4789,5000]}", "not.dport", 2, 1,
	  "4789 5000", "4789" },
	{ "\"proto\":\"tcp\",\"tcp_flags\":\"syn/syn,ack\"", "proto", 2, 0, "tcp",
	  "udp" },
	{ "\"vlan\":7,\"proto\":\"tcp\",\"tcp_flags\":\"none/fin,rst\"", "proto", 3, 1,
	  "tcp", "udp" },
	{ "\"tcp_flags\":[\"syn/syn,ack\",\"rst\"]", "tcp_flags", 1, 0,
	  "rst/rst syn/syn,ack", NULL },
	{ "\"vlan\":7,\"tcp_flags\":\"none/fin,rst\"", "tcp_flags", 2, 1,
	  "none/fin,rst", NULL },
	{ "\"vlan\":\"none\",\"proto\":\"udp\"", "vlan", 2, 1, "none", "7" },
	{ "\"vlan\":{\"outer\":7,\"inner\":\"any\"}", "vlan.inner", 2, 1, "any",
	  "none" },
	{ "\"fragment\":\"later\",\"vlan\":7", "fragment", 2, 1, "later", "none" },
	{ "\"eth_type\":\"arp\"", "eth_type", 1, 0, "0x0806", "0x0800" },
	{ "\"dscp\":\"ef\",\"length\":\"0-60\"", "dscp", 2, 0, "46", "0" },
	{ "\"length\":\"0-60\"", "length", 1, 0, "0-60", "116" },
	{ "\"src_mac\":\"02:00:5e::/24\"", "src_mac", 1, 0, "02:00:5e:00:00:00/24",
	  "02:00:00:00:00:01" },
	{ "\"tunnel\":{\"type\":\"vxlan\",\"vni\":9}", NULL, 2, 2, NULL, NULL },
	{ "\"tunnel\":{\"vni\":\"10-20\"}", "tunnel.vni", 2, 1, "10-20", "9" },
	{ "\"tunnel\":{\"type\":\"gre\"}", "tunnel.type", 1, 0, "gre", "vxlan" },
	{ "\"not\":{\"tunnel\":{}}", "tunnel.type", 1, 0, "none", "vxlan" },
	{ "\"tunnel\":{\"inner\":{\"proto\":\"udp\",\"dport\":80}}",
	  "tunnel.inner.dport", 3, 2, "80", "53" },
	{ "\"tunnel\":{\"inner\":{\"not\":{\"src\":\"192.0.2.1\"}}}",
	  "tunnel.inner.not.src", 2, 1, "192.0.2.1", "192.0.2.1" },
	{ "\"icmp\":\"echo-request\",\"vlan\":7,\"proto\":[\"icmp\",\"icmpv6\"]",
	  "proto", 3, 1, "icmp icmpv6", "udp" },
	{ "\"iface\":\"eth*\",\"vlan\":7", NULL, 2, 2, NULL, NULL },
	{ "\"iface\":\"lan*\",\"vlan\":7", "iface", 2, 1, "lan*", "eth0" },
	{ "\"not\":{\"iface\":\"eth*\"},\"vlan\":7", "not.iface", 2, 1, "eth*",
	  "eth0" },
};

static struct shunt_policy *policy_of(const char *match)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"schema\":\"shunt.policy/1\",\"default\":\"pass\",\"sets\":{"
		 "\"s\":{\"type\":\"prefix\",\"elements\":[\"198.51.100.0/24\"]},"
		 "\"t\":{\"type\":\"prefix\",\"elements\":[\"192.0.0.0/16\"]}},"
		 "\"rules\":[{\"name\":\"r\",\"match\":{%s},\"action\":\"drop\"}]}",
		 match);
	return shunt_fixture_policy(text);
}

/* The items of a JSON array of strings, blanks between them. */
static void join(const cJSON *list, char *text, size_t room)
{
	const cJSON *item;
	size_t n = 0;

	*text = 0;
	cJSON_ArrayForEach(item, list) n +=
		snprintf(text + n, room - n, "%s%s", n ? " " : "", item->valuestring);
}

static void check_miss(const struct row *row, struct shunt_subject *subject,
		       const struct shunt_ask *ask)
{
	char key[SHUNT_WANTS_KEY], text[256];
	_json_ cJSON *wants = shunt_wants_json(subject->trials, 0, ask);
	_json_ cJSON *has = shunt_wants_packet(subject->trials, subject->pkt, ask);

	assert_string_equal(shunt_wants_key(subject->trials, 0, ask, key), row->key);
	join(wants, text, sizeof(text));
	assert_string_equal(text, row->wants);
	if (row->packet)
		assert_string_equal(cJSON_GetStringValue(has), row->packet);
	else
		assert_true(cJSON_IsNull(has));
}

static void a_rule_says_which_key_is_not_met(void **ctx)
{
	struct shunt_frame_spec inner = dns, outer = dns;
	struct shunt_model_frame frame;
	size_t i;

	(void)ctx;
	inner.tags = 0;
	shunt_frame_carry(&outer, SHUNT_TUNNEL_VXLAN, 9, &inner);
	shunt_frame_build(&outer, &frame);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_policy *policy = policy_of(rows[i].match);
		struct shunt_roll roll;
		struct shunt_trials trials;
		struct shunt_subject subject;
		struct shunt_trial trial;

		print_message("%s\n", rows[i].match);
		assert_non_null(policy);
		roll = shunt_roll_of_policy(policy);
		assert_int_equal(shunt_trials_make(&trials, policy, "eth0", NULL), 0);
		shunt_subject_begin(&subject, &trials, &roll, &frame.pkt);
		assert_int_equal(shunt_try_rule(&subject, 0, UINT32_MAX, &trial), 0);
		assert_int_equal(trial.asks, rows[i].asks);
		assert_int_equal(trial.met, rows[i].met);
		assert_int_equal(!trial.missed, !rows[i].key);
		if (trial.missed)
			check_miss(&rows[i], &subject, trial.missed);
		shunt_trials_free(&trials);
		shunt_policy_free(policy);
	}
}

/* --- against the model ------------------------------------------------------- */

static void compare(const struct shunt_policy *policy, struct shunt_subject *subject,
		    uint64_t *matches)
{
	struct shunt_decision decision;
	struct shunt_model model;
	struct shunt_trial trial;
	size_t r;

	for (r = 0; r < policy->rules; r++) {
		bool want = shunt_model_matches(policy, r, subject->pkt) &&
			    shunt_model_meant(&policy->rule[r], SHUNT_AUTHOR_IFACE);

		assert_int_equal(shunt_try_rule(subject, r, UINT32_MAX, &trial), 0);
		assert_int_equal(!trial.missed, want);
		assert_int_equal(trial.met == trial.asks, want);
		*matches += want;
	}
	shunt_model_decide(policy, SHUNT_AUTHOR_IFACE, subject->pkt, &model);
	assert_int_equal(shunt_decide(subject, &decision, NULL), 0);
	assert_int_equal(decision.rule, model.rule);
	assert_int_equal(decision.action, model.action);
	assert_int_equal(decision.counted, model.counted);
	for (r = 0; r < model.counted && r < SHUNT_TRACE_COUNTED; r++)
		assert_int_equal(decision.counted_rule[r], model.counted_rule[r]);
}

/* The list of near rules, found by trying all and sorting. */
static void compare_nearly(const struct shunt_policy *policy,
			   struct shunt_subject *subject)
{
	struct shunt_decision decision;
	struct shunt_nearly nearly;
	struct shunt_trial trial;
	size_t n = 0, total = 0, r;
	uint32_t met;

	assert_int_equal(shunt_decide(subject, &decision, &nearly), 0);
	for (met = SHUNT_ASK_KEYS * SHUNT_LAYERS; met; met--) {
		for (r = 0; r < decision.rule; r++) {
			assert_int_equal(shunt_try_rule(subject, r, UINT32_MAX, &trial),
					 0);
			if (trial.met != met || trial.asks != met + 1)
				continue;
			total++;
			if (n == SHUNT_NEARLY_MAX)
				continue;
			assert_true(n < nearly.n);
			assert_int_equal(nearly.at[n].rule, r);
			assert_ptr_equal(nearly.at[n].trial.missed, trial.missed);
			n++;
		}
	}
	assert_int_equal(nearly.n, n);
	assert_int_equal(nearly.total, total);
	assert_true(decision.rule <= policy->rules);
}

static void random_rules_match_as_the_model_says(void **ctx)
{
	struct shunt_random r = { shunt_random_seed(0x545249414c) };
	struct shunt_author author = { .random = &r, .cpus = 1 };
	uint64_t matches = 0;
	int i, p;

	(void)ctx;
	for (i = 0; i < POLICIES; i++) {
		_free_ char *text = shunt_kind_write(SHUNT_KIND_FEW, &author);
		struct shunt_policy *policy = shunt_fixture_policy(text);
		struct shunt_roll roll = shunt_roll_of_policy(policy);
		struct shunt_trials trials;

		assert_int_equal(shunt_trials_make(&trials, policy, SHUNT_AUTHOR_IFACE,
						   NULL),
				 0);
		for (p = 0; p < PACKETS; p++) {
			struct shunt_subject subject;
			struct shunt_pkt pkt;

			shunt_traffic_draw_pkt(&r, policy, &pkt);
			shunt_subject_begin(&subject, &trials, &roll, &pkt);
			compare(policy, &subject, &matches);
			if (p < 20)
				compare_nearly(policy, &subject);
		}
		shunt_trials_free(&trials);
		shunt_policy_free(policy);
	}
	assert_true(matches > (uint64_t)POLICIES * PACKETS / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_says_which_key_is_not_met),
		cmocka_unit_test(random_rules_match_as_the_model_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
