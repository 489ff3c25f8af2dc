/* SPDX-License-Identifier: BSD-2-Clause */
/* Limits, samples, mirrors, rewrites, rings: what the reader makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/policy_text.h"

#define PASS "\"action\":\"pass\","
#define MATCH(keys) "\"match\":{" keys "},"
#define REWRITE(keys) "\"rewrite\":{" keys "}"
#define LIMIT(keys) "\"limit\":{" keys "}"

static struct shunt_policy *good_rule(const char *inside)
{
	char text[1024];

	return good(rule_text(text, sizeof(text), inside));
}

/* --- limit ------------------------------------------------------------------- */

static const struct {
	const char *keys;
	struct shunt_policy_limit want;
} limits[] = {
	{ "\"packets\":1000",
	  { .rate = 1000, .burst = 1000, .over = SHUNT_VERDICT_DROP } },
	{ "\"packets\":1", { .rate = 1, .burst = 1, .over = SHUNT_VERDICT_DROP } },
	{ "\"packets\":1000000000,\"burst\":1",
	  { .rate = 1000000000, .burst = 1, .over = SHUNT_VERDICT_DROP } },
	{ "\"bytes\":125000",
	  { .rate = 125000,
	    .burst = 125000,
	    .bytes = true,
	    .over = SHUNT_VERDICT_DROP } },
	{ "\"bytes\":100",
	  { .rate = 100, .burst = 1514, .bytes = true, .over = SHUNT_VERDICT_DROP } },
	{ "\"bytes\":100000000000,\"burst\":1514",
	  { .rate = 100000000000,
	    .burst = 1514,
	    .bytes = true,
	    .over = SHUNT_VERDICT_DROP } },
	{ "\"packets\":10,\"burst\":36000,\"per\":\"source\"",
	  { .rate = 10,
	    .burst = 36000,
	    .by = SHUNT_LIMIT_SRC,
	    .bits4 = 32,
	    .bits6 = 64,
	    .size = 65536,
	    .over = SHUNT_VERDICT_DROP } },
	{ "\"packets\":10,\"per\":\"destination\",\"prefix\":{\"ipv4\":24},"
	  "\"size\":1048576",
	  { .rate = 10,
	    .burst = 10,
	    .by = SHUNT_LIMIT_DST,
	    .bits4 = 24,
	    .bits6 = 64,
	    .size = 1048576,
	    .over = SHUNT_VERDICT_DROP } },
	{ "\"packets\":10,\"per\":\"source\",\"prefix\":{\"ipv4\":1,\"ipv6\":128},"
	  "\"size\":1",
	  { .rate = 10,
	    .burst = 10,
	    .by = SHUNT_LIMIT_SRC,
	    .bits4 = 1,
	    .bits6 = 128,
	    .size = 1,
	    .over = SHUNT_VERDICT_DROP } },
};

static void check_limit(const struct shunt_policy_limit *got,
			const struct shunt_policy_limit *want)
{
	assert_true(got->rate == want->rate && got->burst == want->burst);
	assert_int_equal(got->bytes, want->bytes);
	assert_int_equal(got->by, want->by);
	assert_int_equal(got->bits4, want->bits4);
	assert_int_equal(got->bits6, want->bits6);
	assert_int_equal(got->size, want->size);
	assert_int_equal(got->over, want->over);
}

static void limits_are_what_they_say(void **ctx)
{
	char text[512];
	struct shunt_policy *p;

	(void)ctx;
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		snprintf(text, sizeof(text), PASS LIMIT("%s"), limits[i].keys);
		p = good_rule(text);
		check_limit(&p->rule[0].limit, &limits[i].want);
		shunt_policy_free(p);
	}
	p = good_rule("\"action\":\"drop\"," LIMIT("\"packets\":5,\"over\":\"pass\""));
	assert_int_equal(p->rule[0].limit.over, SHUNT_VERDICT_PASS);
	shunt_policy_free(p);
	p = good_rule("\"action\":\"drop\"");
	check_limit(&p->rule[0].limit, &(struct shunt_policy_limit){ 0 });
	shunt_policy_free(p);
}

static void a_limit_that_changes_nothing_is_a_warning(void **ctx)
{
	static const char *const rules[] = {
		"\"action\":\"drop\"," LIMIT("\"packets\":5"),
		PASS LIMIT("\"packets\":5,\"over\":\"pass\""),
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		struct shunt_policy *policy = NULL;
		struct shunt_diags diags = { 0 };
		char text[512];

		rule_text(text, sizeof(text), rules[i]);
		assert_int_equal(shunt_policy_read(&policy, text, strlen(text), NULL,
						   &diags),
				 0);
		assert_int_equal(diags.n, 1);
		assert_true(diags.at[0].warning);
		assert_string_equal(diags.at[0].pointer, "/rules/0/limit");
		assert_non_null(strstr(diags.at[0].message, "changes nothing"));
		shunt_policy_free(policy);
		shunt_diags_free(&diags);
	}
	shunt_policy_free(good_rule(
		PASS LIMIT("\"packets\":5,\"over\":\"pass\"") ",\"mirror\":\"ring\""));
}

/* --- sample, mirror, rings --------------------------------------------------- */

static void samples_and_mirrors_are_what_they_say(void **ctx)
{
	struct shunt_policy *p = good_rule(
		PASS "\"sample\":{\"one_in\":1000,\"bytes\":128},\"mirror\":\"ring\"");

	(void)ctx;
	assert_int_equal(p->rule[0].sample.one_in, 1000);
	assert_int_equal(p->rule[0].sample.bytes, 128);
	assert_int_equal(p->rule[0].mirror.to, SHUNT_MIRROR_RING);
	assert_int_equal(p->ring_bytes, 1 << 20);
	shunt_policy_free(p);
	p = good_rule("\"action\":\"drop\",\"sample\":{\"one_in\":1},"
		      "\"mirror\":{\"interface\":\"eth1\"}");
	assert_int_equal(p->rule[0].sample.one_in, 1);
	assert_int_equal(p->rule[0].sample.bytes, 0);
	assert_int_equal(p->rule[0].mirror.to, SHUNT_MIRROR_INTERFACE);
	assert_string_equal(p->rule[0].mirror.target, "eth1");
	shunt_policy_free(p);
}

static void rings_have_the_size_that_they_are_given(void **ctx)
{
	struct shunt_policy *p = good(
		HEAD
		",\"ring\":{\"bytes\":4096,\"description\":\"small\"},"
		"\"consumers\":{\"a\":{\"kind\":\"ring\",\"bytes\":8192,"
		"\"if_down\":\"pass\"},\"b\":{\"kind\":\"ring\"},\"c\":{\"kind\":"
		"\"xsk\"}},\"rules\":["
		"{\"name\":\"a\",\"action\":{\"redirect\":{\"consumer\":\"a\"}},"
		"\"sample\":{\"one_in\":9}},"
		"{\"name\":\"b\",\"action\":{\"redirect\":{\"consumer\":\"b\"}}},"
		"{\"name\":\"c\",\"action\":{\"redirect\":{\"consumer\":\"c\"}}}]}");

	(void)ctx;
	assert_int_equal(p->ring_bytes, 4096);
	assert_int_equal(p->consumer[0].kind, SHUNT_CONSUMER_RING);
	assert_int_equal(p->consumer[0].ring_bytes, 8192);
	assert_int_equal(p->consumer[0].if_down, SHUNT_VERDICT_PASS);
	assert_true(p->consumer[0].queues == UINT64_MAX);
	assert_int_equal(p->consumer[1].ring_bytes, 1 << 20);
	assert_int_equal(p->consumer[2].kind, SHUNT_CONSUMER_XSK);
	assert_int_equal(p->consumer[2].ring_bytes, 0);
	shunt_policy_free(p);
}

/* --- rewrite ----------------------------------------------------------------- */

static void rewrites_are_what_they_say(void **ctx)
{
	static const uint8_t src[] = { 2, 0, 0, 0, 0, 1 };
	static const uint8_t dst[] = { 0xff, 0xfe, 0x12, 0x34, 0x56, 0x78 };
	struct shunt_policy *p =
		good_rule(PASS MATCH("\"src\":\"10.0.0.0/"
				     "8\",\"proto\":[\"tcp\",\"udp\"]")
				  REWRITE("\"src_mac\":\"02:00:00:00:00:01\","
					  "\"dst_mac\":\"ff:fe:12:34:56:78\",\"vlan\":{"
					  "\"push\":10},"
					  "\"dscp\":\"af41\",\"src\":\"192.0.2.1\","
					  "\"dst\":\"192.0.2.2\","
					  "\"sport\":1,\"dport\":65535,\"ttl\":64"));
	const struct shunt_policy_rewrite *rewrite = &p->rule[0].rewrite;

	(void)ctx;
	assert_int_equal(rewrite->bits,
			 SHUNT_REWRITE_SRC_MAC | SHUNT_REWRITE_DST_MAC |
				 SHUNT_REWRITE_VLAN_PUSH | SHUNT_REWRITE_DSCP |
				 SHUNT_REWRITE_SRC | SHUNT_REWRITE_DST |
				 SHUNT_REWRITE_SPORT | SHUNT_REWRITE_DPORT |
				 SHUNT_REWRITE_TTL_SET);
	assert_memory_equal(rewrite->mac[SHUNT_SIDE_SRC], src, 6);
	assert_memory_equal(rewrite->mac[SHUNT_SIDE_DST], dst, 6);
	assert_int_equal(rewrite->vlan, 10);
	assert_int_equal(rewrite->dscp, 34);
	assert_int_equal(rewrite->ttl, 64);
	assert_memory_equal(rewrite->addr[SHUNT_SIDE_SRC].addr, "\xc0\x00\x02\x01", 4);
	assert_memory_equal(rewrite->addr[SHUNT_SIDE_DST].addr, "\xc0\x00\x02\x02", 4);
	assert_int_equal(rewrite->addr[SHUNT_SIDE_DST].bits, 32);
	assert_int_equal(rewrite->port[SHUNT_SIDE_SRC], 1);
	assert_int_equal(rewrite->port[SHUNT_SIDE_DST], 65535);
	shunt_policy_free(p);
}

static void each_rewrite_sets_its_own_bit(void **ctx)
{
	static const struct {
		const char *match, *keys;
		uint32_t bits;
	} rows[] = {
		{ "", "\"vlan\":\"pop\"", SHUNT_REWRITE_VLAN_POP },
		{ "\"vlan\":[\"none\",1]", "\"vlan\":{\"set\":0}",
		  SHUNT_REWRITE_VLAN_SET },
		{ "\"vlan\":\"none\"", "\"vlan\":{\"push\":4094}",
		  SHUNT_REWRITE_VLAN_PUSH },
		{ "", "\"ttl\":\"decrement\"", SHUNT_REWRITE_TTL_DEC },
		{ "", "\"ttl\":1", SHUNT_REWRITE_TTL_SET },
		{ "", "\"dscp\":0", SHUNT_REWRITE_DSCP },
		{ "", "\"src_mac\":\"02:00:00:00:00:01\"", SHUNT_REWRITE_SRC_MAC },
		{ "\"eth_type\":\"ipv6\"", "\"dst\":\"::1\"", SHUNT_REWRITE_DST },
		{ "\"dst\":\"::/0\"", "\"src\":\"::1\"", SHUNT_REWRITE_SRC },
		{ "\"proto\":\"icmp\",\"icmp\":8", "\"dst\":\"192.0.2.1\"",
		  SHUNT_REWRITE_DST },
		{ "\"tcp_flags\":\"syn\"", "\"dport\":0", SHUNT_REWRITE_DPORT },
		{ "\"proto\":17", "\"sport\":9", SHUNT_REWRITE_SPORT },
		{ "\"eth_type\":[\"ipv4\",\"arp\"],\"dscp\":0", "\"src\":\"192.0.2.1\"",
		  SHUNT_REWRITE_SRC },
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_policy *p;
		char text[512];

		snprintf(text, sizeof(text), PASS MATCH("%s") REWRITE("%s"),
			 rows[i].match, rows[i].keys);
		p = good_rule(text);
		assert_int_equal(p->rule[0].rewrite.bits, rows[i].bits);
		shunt_policy_free(p);
	}
}

/* --- what is wrong ----------------------------------------------------------- */

#define AT "/rules/0/"
#define IP4 MATCH("\"eth_type\":\"ipv4\"")

static const struct {
	const char *rule, *pointer, *part;
} wrong[] = {
	{ PASS LIMIT(""), AT "limit", "exactly one of \"packets\" and \"bytes\"" },
	{ PASS LIMIT("\"packets\":1,\"bytes\":1"), AT "limit", "exactly one of" },
	{ PASS LIMIT("\"packets\":0"), AT "limit/packets", "from 1 to 1000000000" },
	{ PASS LIMIT("\"bytes\":1e12"), AT "limit/bytes", "from 1 to 100000000000" },
	{ PASS LIMIT("\"bytes\":9000,\"burst\":1513"), AT "limit/burst",
	  "from 1514 to 32400000" },
	{ PASS LIMIT("\"packets\":1,\"burst\":3601"), AT "limit/burst",
	  "from 1 to 3600" },
	{ PASS LIMIT("\"packets\":1,\"burst\":0"), AT "limit/burst", "from 1" },
	{ PASS LIMIT("\"packets\":1,\"per\":\"src\""), AT "limit/per",
	  "there are \"source\", \"destination\"" },
	{ PASS LIMIT("\"packets\":1,\"prefix\":{}"), AT "limit/prefix", "add \"per\"" },
	{ PASS LIMIT("\"packets\":1,\"size\":9"), AT "limit/size", "add \"per\"" },
	{ PASS LIMIT("\"packets\":1,\"per\":\"source\",\"size\":1048577"),
	  AT "limit/size", "from 1 to 1048576" },
	{ PASS LIMIT("\"packets\":1,\"per\":\"source\",\"prefix\":{\"ipv4\":33}"),
	  AT "limit/prefix/ipv4", "from 1 to 32" },
	{ PASS LIMIT("\"packets\":1,\"per\":\"source\",\"prefix\":{\"ipv6\":0}"),
	  AT "limit/prefix/ipv6", "from 1 to 128" },
	{ PASS LIMIT("\"packets\":1,\"per\":\"source\",\"prefix\":24"),
	  AT "limit/prefix", "must be an object" },
	{ PASS LIMIT("\"packets\":1,\"over\":\"tx\""), AT "limit/over",
	  "is not \"pass\" or \"drop\"" },
	{ PASS LIMIT("\"packet\":1,\"bytes\":1"), AT "limit/packet", "did you mean" },
	{ PASS "\"limit\":1", AT "limit", "must be an object" },
	{ PASS "\"sample\":{}", AT "sample", "\"one_in\" is missing" },
	{ PASS "\"sample\":{\"one_in\":0}", AT "sample/one_in", "from 1 to" },
	{ PASS "\"sample\":{\"one_in\":1,\"bytes\":13}", AT "sample/bytes",
	  "from 14 to 65535" },
	{ PASS "\"mirror\":\"eth1\"", AT "mirror", "{ \"interface\": \"eth1\" }" },
	{ PASS "\"mirror\":{}", AT "mirror", "\"interface\" is missing" },
	{ PASS "\"mirror\":{\"interface\":\"a/b\"}", AT "mirror/interface",
	  "cannot be the name" },
	{ "\"action\":\"count\"," LIMIT("\"packets\":1"), AT "limit",
	  "\"count\" decides nothing" },
	{ "\"action\":\"count\",\"mirror\":\"ring\"", AT "mirror",
	  "\"count\" decides nothing" },
	{ "\"action\":\"drop\"," REWRITE("\"ttl\":1"), AT "rewrite", "goes nowhere" },
	{ PASS REWRITE(""), AT "rewrite", "names nothing" },
	{ PASS REWRITE("\"mac\":1"), AT "rewrite/mac", "unknown key" },
	{ PASS REWRITE("\"src_mac\":\"03:00:00:00:00:01\""), AT "rewrite/src_mac",
	  "address of a group" },
	{ PASS REWRITE("\"dst_mac\":\"02::/8\""), AT "rewrite/dst_mac", "is a prefix" },
	{ PASS REWRITE("\"vlan\":10"), AT "rewrite/vlan", "{ \"push\": 10 }" },
	{ PASS REWRITE("\"vlan\":{\"push\":1,\"set\":1}"), AT "rewrite/vlan",
	  "must be { \"push\": 10 }" },
	{ PASS REWRITE("\"vlan\":{\"push\":4095}"), AT "rewrite/vlan/push",
	  "from 0 to 4094" },
	{ PASS MATCH("\"vlan\":\"none\"") REWRITE("\"vlan\":\"pop\""),
	  AT "rewrite/vlan", "no tag to pop" },
	{ PASS MATCH("\"not\":{\"vlan\":\"any\"}") REWRITE("\"vlan\":{\"set\":1}"),
	  AT "rewrite/vlan", "no tag to set" },
	{ PASS REWRITE("\"dscp\":64"), AT "rewrite/dscp", "from 0 to 63" },
	{ PASS REWRITE("\"ttl\":0"), AT "rewrite/ttl", "from 1 to 255" },
	{ PASS REWRITE("\"ttl\":\"dec\""), AT "rewrite/ttl", "\"decrement\"" },
	{ PASS MATCH("\"eth_type\":\"arp\"") REWRITE("\"ttl\":1"), AT "rewrite/ttl",
	  "no packet of IPv4 or IPv6" },
	{ PASS REWRITE("\"src\":\"192.0.2.1\""), AT "rewrite/src",
	  "add \"eth_type\": \"ipv4\"" },
	{ PASS MATCH("\"eth_type\":[\"ipv4\",\"arp\"]")
		  REWRITE("\"src\":\"192.0.2.1\""),
	  AT "rewrite/src", "admits others" },
	{ PASS MATCH("\"dst\":\"10.0.0.0/8\"") REWRITE("\"dst\":\"::1\""),
	  AT "rewrite/dst", "add \"eth_type\": \"ipv6\"" },
	{ PASS IP4 REWRITE("\"dst\":\"10.0.0.0/8\""), AT "rewrite/dst", "is a prefix" },
	{ PASS IP4 REWRITE("\"dst\":\"@a\""), AT "rewrite/dst",
	  "is not an IPv4 or IPv6 address" },
	{ PASS REWRITE("\"dport\":80"), AT "rewrite/dport", "add \"proto\"" },
	{ PASS MATCH("\"dport\":80") REWRITE("\"dport\":81"), AT "rewrite/dport",
	  "admits others" },
	{ PASS MATCH("\"proto\":[\"tcp\",\"sctp\"]") REWRITE("\"sport\":81"),
	  AT "rewrite/sport", "admits others" },
	{ PASS MATCH("\"proto\":\"tcp\"") REWRITE("\"sport\":\"80\""),
	  AT "rewrite/sport", "a whole number" },
};

static void wrong_modifiers_are_refused_at_their_place(void **ctx)
{
	char text[1024];

	(void)ctx;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		bad(rule_text(text, sizeof(text), wrong[i].rule), wrong[i].pointer,
		    wrong[i].part);
}

static void a_faulty_match_or_action_has_no_consequences(void **ctx)
{
	char text[512];

	(void)ctx;
	bad(rule_text(text, sizeof(text),
		      PASS MATCH("\"src\":\"x\"") REWRITE("\"dst\":\"::1\"")),
	    "/rules/0/match/src", "is not an IPv4");
	bad(rule_text(text, sizeof(text),
		      PASS MATCH("\"prot\":\"tcp\"") REWRITE("\"dport\":1")),
	    "/rules/0/match/prot", "unknown key");
	bad(rule_text(text, sizeof(text), "\"action\":\"x\"," REWRITE("\"ttl\":1")),
	    "/rules/0/action", "is not an action");
}

static void wrong_rings_are_refused_at_their_place(void **ctx)
{
	static const struct {
		const char *keys, *pointer, *part;
	} rows[] = {
		{ "\"ring\":1", "/ring", "must be an object" },
		{ "\"ring\":{\"bytes\":4095}", "/ring/bytes", "from 4096" },
		{ "\"ring\":{\"bytes\":5000}", "/ring/bytes",
		  "not a power of two, as the size of a ring buffer must be: write "
		  "8192" },
		{ "\"ring\":{\"bytes\":2147483648}", "/ring/bytes", "to 1073741824" },
		{ "\"consumers\":{\"c\":{\"kind\":\"ring\",\"bytes\":12288}}",
		  "/consumers/c/bytes", "write 16384" },
		{ "\"consumers\":{\"c\":{\"kind\":\"ring\",\"queues\":\"all\"}}",
		  "/consumers/c/queues", "of all receive queues" },
		{ "\"consumers\":{\"c\":{\"kind\":\"xsk\",\"bytes\":4096}}",
		  "/consumers/c/bytes", "has sockets" },
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[256];

		snprintf(text, sizeof(text), HEAD ",%s}", rows[i].keys);
		bad(text, rows[i].pointer, rows[i].part);
	}
}

/* --- many rules -------------------------------------------------------------- */

/* As many as there may be; returns the text, which the caller frees. */
static char *many(size_t rules, bool last_twice)
{
	char *text = malloc(rules * 256 + 256);
	size_t at = sprintf(text, HEAD ",\"rules\":[");

	for (size_t i = 0; i < rules; i++)
		at += sprintf(
			text + at,
			"%s{\"name\":\"rule-%zu\",\"action\":\"drop\",\"match\":{"
			"\"src\":\"10.%zu.%zu.0/24\",\"dst\":[\"192.0.2.0/24\","
			"\"2001:db8::/32\"],\"proto\":\"tcp\",\"dport\":[80,"
			"\"1000-2000\"],\"not\":{\"tcp_flags\":\"syn/syn,ack\"}}}",
			i ? "," : "", last_twice && i == rules - 1 ? (size_t)0 : i,
			i >> 8, i & 255);
	strcpy(text + at, "]}");
	return text;
}

static void as_many_rules_as_there_may_be_are_read_at_once(void **ctx)
{
	struct timespec from, to;
	struct shunt_policy *p;
	char *text = many(SHUNT_RULE_MAX, false);
	double ms;

	(void)ctx;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	p = good(text);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	ms = (to.tv_sec - from.tv_sec) * 1e3 + (to.tv_nsec - from.tv_nsec) / 1e6;
	print_message("%d rules, %zu bytes: %.1f ms\n", SHUNT_RULE_MAX, strlen(text),
		      ms);
	assert_int_equal(p->rules, SHUNT_RULE_MAX);
	/* 16,384 take some 100 ms; comparing every name with every other takes seconds */
	assert_true(ms < 2000);
	shunt_policy_free(p);
	free(text);
}

static void a_name_is_found_to_stand_twice_among_many(void **ctx)
{
	char *text = many(SHUNT_RULE_MAX, true);
	char pointer[64];

	(void)ctx;
	snprintf(pointer, sizeof(pointer), "/rules/%d/name", SHUNT_RULE_MAX - 1);
	bad(text, pointer, "\"rule-0\" is the name of rule 0 already");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_what_they_say),
		cmocka_unit_test(a_limit_that_changes_nothing_is_a_warning),
		cmocka_unit_test(samples_and_mirrors_are_what_they_say),
		cmocka_unit_test(rings_have_the_size_that_they_are_given),
		cmocka_unit_test(rewrites_are_what_they_say),
		cmocka_unit_test(each_rewrite_sets_its_own_bit),
		cmocka_unit_test(wrong_modifiers_are_refused_at_their_place),
		cmocka_unit_test(a_faulty_match_or_action_has_no_consequences),
		cmocka_unit_test(wrong_rings_are_refused_at_their_place),
		cmocka_unit_test(as_many_rules_as_there_may_be_are_read_at_once),
		cmocka_unit_test(a_name_is_found_to_stand_twice_among_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
