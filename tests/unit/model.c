/* SPDX-License-Identifier: BSD-2-Clause */
/* The naive model against rows written by hand, and what random policies come to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/model/fixture.h"
#include "tests/model/frame.h"
#include "tests/model/tally.h"
#include "tests/model/text.h"
#include "tests/model/traffic.h"
#include "user/base/cleanup.h"

/* --- one rule and one packet ----------------------------------------------- */

/* From 192.0.2.1, port 1024, to 192.0.2.2, port 53: 62 bytes. */
static const struct shunt_frame_spec dns = {
	.l3 = SHUNT_L3_IP4,
	.src = { 192, 0, 2, 1 },
	.dst = { 192, 0, 2, 2 },
	.mac = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } },
	.proto = 17,
	.sport = 1024,
	.dport = 53,
	.dscp = 46,
	.payload = 20,
};

/* From 2001:db8::1 to 2001:db8::2, VLAN 100 in 200. */
static const struct shunt_frame_spec syn6 = {
	.l3 = SHUNT_L3_IP6,
	.tags = 2,
	.tag = { { 0x88a8, 200 }, { 0x8100, 100 } },
	.src = { 0x20, 1, 0xd, 0xb8, [15] = 1 },
	.dst = { 0x20, 1, 0xd, 0xb8, [15] = 2 },
	.proto = 6,
	.sport = 1024,
	.dport = 443,
	.flags = 2,
};

static const struct shunt_frame_spec arp = { .l3 = SHUNT_L3_NONE, .eth_type = 0x0806 };

enum packet { DNS, SYN6, ARP, VXLAN_DNS, GRE_SYN6 };

static void build(enum packet which, struct shunt_model_frame *frame)
{
	struct shunt_frame_spec inner = dns, outer = dns;

	switch (which) {
	case DNS:
		break;
	case SYN6:
		outer = syn6;
		break;
	case ARP:
		outer = arp;
		break;
	case VXLAN_DNS:
		inner.dst[3] = 77;
		shunt_frame_carry(&outer, SHUNT_TUNNEL_VXLAN, 5000, &inner);
		break;
	case GRE_SYN6:
		inner = syn6;
		inner.bare = 1;
		inner.tags = 0;
		outer.no_key = 1;
		shunt_frame_carry(&outer, SHUNT_TUNNEL_GRE, 0, &inner);
	}
	shunt_frame_build(&outer, frame);
	assert_int_equal(frame->reason, SHUNT_FRAME_SOUND);
}

struct row {
	const char *name, *match;
	enum packet packet;
	bool matches;
};

#define NOT(match) "\"not\":{" match "}"
#define TUNNEL(what) "\"tunnel\":{" what "}"
#define INNER(match) "\"tunnel\":{\"inner\":{" match "}}"

/* clang-format off */
static const struct row rows[] = {
	{"an empty match takes every packet", "", ARP, true},
	{"source inside a prefix", "\"src\":\"192.0.2.0/24\"", DNS, true},
	{"source just outside", "\"src\":\"192.0.2.0/32\"", DNS, false},
	{"the other side's address", "\"src\":\"192.0.2.2\"", DNS, false},
	{"IPv6 prefix of IPv4's first bytes", "\"src\":\"c000::/8\"", DNS, false},
	{"IPv6 source", "\"src\":\"2001:db8::1\"", SYN6, true},
	{"no address is in a prefix of everything", "\"src\":[\"0.0.0.0/0\",\"::/0\"]", ARP, false},
	{"excluded address", NOT("\"src\":\"192.0.2.1\""), DNS, false},
	{"another one excluded", NOT("\"src\":\"192.0.2.7\""), DNS, true},
	{"no address is not in an exclusion", NOT("\"src\":[\"0.0.0.0/0\",\"::/0\"]"), ARP, true},
	{"in the prefix, and excluded", "\"src\":\"192.0.2.0/24\"," NOT("\"src\":\"192.0.2.1\""),
	 DNS, false},
	{"in the prefix, not excluded", "\"src\":\"192.0.2.0/24\"," NOT("\"src\":\"192.0.2.3\""),
	 DNS, true},
	{"in a set of addresses", "\"dst\":\"@hosts\"", DNS, true},
	{"not in a set of addresses", "\"src\":\"@hosts\"", DNS, false},
	{"in a set of prefixes", "\"src\":\"@nets\"", SYN6, true},
	{"excluded by a set", NOT("\"dst\":\"@hosts\""), DNS, false},
	{"not excluded by a set", NOT("\"dst\":\"@hosts\""), SYN6, true},
	{"port", "\"dport\":53", DNS, true},
	{"first of a range", "\"sport\":\"1024-2000\"", DNS, true},
	{"behind a range", "\"sport\":\"1000-1023\"", DNS, false},
	{"port of a packet without one", "\"dport\":\"0-65535\"", ARP, false},
	{"excluded port", NOT("\"dport\":53"), DNS, false},
	{"no port is not excluded", NOT("\"dport\":\"0-65535\""), ARP, true},
	{"named list of ports", "\"dport\":\"@web\"", SYN6, true},
	{"TCP flags", "\"tcp_flags\":\"syn/syn,ack\"", SYN6, true},
	{"DSCP", "\"dscp\":\"ef\"", DNS, true},
	{"another DSCP", "\"dscp\":\"0-45\"", DNS, false},
	{"length", "\"length\":62", DNS, true},
	{"one byte less", "\"length\":\"0-61\"", DNS, false},
	{"MAC address", "\"src_mac\":\"02:00:00:00:00:01\"", DNS, true},
	{"MAC prefix", "\"dst_mac\":\"02:00::/16\"", DNS, true},
	{"excluded MAC prefix", NOT("\"dst_mac\":\"02:00::/16\""), DNS, false},
	{"outer tag", "\"vlan\":200", SYN6, true},
	{"inner tag", "\"vlan\":{\"inner\":100}", SYN6, true},
	{"excluded inner tag", NOT("\"vlan\":{\"inner\":100}"), SYN6, false},
	{"no tag is not excluded", NOT("\"vlan\":{\"inner\":100}"), DNS, true},
	{"interface", "\"iface\":\"eth0\"", DNS, true},
	{"pattern of interfaces", "\"iface\":[\"lo\",\"eth*\"]", DNS, true},
	{"another interface", "\"iface\":\"eth1\"", DNS, false},
	{"excluded interface", NOT("\"iface\":\"e*\""), DNS, false},
	{"another interface excluded", NOT("\"iface\":\"lo\""), DNS, true},
	{"any tunnel", TUNNEL(""), VXLAN_DNS, true},
	{"no tunnel", TUNNEL(""), DNS, false},
	{"excluded tunnel", NOT(TUNNEL("")), GRE_SYN6, false},
	{"type of tunnel", TUNNEL("\"type\":[\"vxlan\",\"gre\"]"), GRE_SYN6, true},
	{"another type", TUNNEL("\"type\":\"geneve\""), VXLAN_DNS, false},
	{"network id", TUNNEL("\"vni\":\"4000-5000\""), VXLAN_DNS, true},
	{"another network id", TUNNEL("\"vni\":5001"), VXLAN_DNS, false},
	{"GRE without a key", TUNNEL("\"key\":\"0-4294967295\""), GRE_SYN6, false},
	{"inner destination", INNER("\"dst\":\"192.0.2.77\""), VXLAN_DNS, true},
	{"the outer destination is not the inner one", INNER("\"dst\":\"192.0.2.2\""), VXLAN_DNS,
	 false},
	{"outer destination", "\"dst\":\"192.0.2.2\"," INNER("\"dport\":53"), VXLAN_DNS, true},
	{"inner flags", INNER("\"tcp_flags\":\"syn\""), GRE_SYN6, true},
	{"inner flags of a packet that has none", INNER("\"tcp_flags\":\"syn\""), VXLAN_DNS, false},
	{"inner port excluded", INNER(NOT("\"dport\":53")), VXLAN_DNS, false},
	{"inner set", INNER("\"src\":\"@nets\""), GRE_SYN6, true},
	{"inner exclusion needs a tunnel, too", INNER(NOT("\"dport\":53")), DNS, false},
};
/* clang-format on */

#define SETS                                                                           \
	"\"sets\":{\"hosts\":{\"type\":\"address\",\"elements\":[\"192.0.2.2\"]},"     \
	"\"nets\":{\"type\":\"prefix\",\"elements\":[\"2001:db8::/32\"]}},"            \
	"\"ports\":{\"web\":[80,443]},"

static void a_rule_matches_what_it_says(void **ctx)
{
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_model_frame frame;
		struct shunt_policy *policy;
		struct shunt_model answer;
		char text[2048];

		snprintf(text, sizeof(text),
			 POLICY(PASSING, SETS RULES(RULE("r", "%s", "\"drop\""))),
			 rows[i].match);
		policy = shunt_fixture_policy(text);
		assert_non_null(policy);
		build(rows[i].packet, &frame);
		shunt_model_decide(policy, "eth0", &frame.pkt, &answer);
		if ((answer.rule == 0) != rows[i].matches)
			fail_msg("%s: %s", rows[i].name,
				 rows[i].matches ? "no match" : "a match");
		assert_int_equal(answer.action, rows[i].matches ? SHUNT_VERDICT_DROP
								: SHUNT_VERDICT_PASS);
		shunt_policy_free(policy);
	}
}

/* --- order ----------------------------------------------------------------- */

/* clang-format off */
#define ORDERED                                                                        \
	POLICY(DROPPING, RULES(                                                        \
		RULE("other", "\"dport\":54", "\"drop\"") ","                           \
		RULE("first", "\"proto\":\"udp\"", "\"count\"") ","                     \
		RULE("elsewhere", "\"iface\":\"lo\"", "\"count\"") ","                  \
		RULE("second", "", "\"count\"") ","                                       \
		RULE("one", "\"dport\":53", "\"pass\"") ","                               \
		RULE("behind", "", "\"count\"")))
/* clang-format on */

static void the_first_rule_decides_and_those_that_count_before_it_do(void **ctx)
{
	struct shunt_policy *policy = shunt_fixture_policy(ORDERED);
	struct shunt_model_frame frame;
	struct shunt_model answer;

	(void)ctx;
	assert_non_null(policy);
	build(DNS, &frame);
	shunt_model_decide(policy, "eth0", &frame.pkt, &answer);
	assert_int_equal(answer.rule, 4);
	assert_int_equal(answer.action, SHUNT_VERDICT_PASS);
	assert_int_equal(answer.counted, 2);
	assert_int_equal(answer.counted_rule[0], 1);
	assert_int_equal(answer.counted_rule[1], 3);
	build(ARP, &frame);
	shunt_model_decide(policy, "eth0", &frame.pkt, &answer);
	assert_int_equal(answer.rule, 6);
	assert_int_equal(answer.action, SHUNT_VERDICT_DROP);
	assert_int_equal(answer.counted, 2);
	assert_int_equal(answer.counted_rule[1], 5);
	shunt_policy_free(policy);
}

/* --- random policies ------------------------------------------------------- */

/* That the author's policies are accepted, and that packets meet every key. */
static void random_packets_meet_every_key(void **ctx)
{
	const uint64_t seed = shunt_random_seed(0x6d6f64656c);
	const uint64_t cases = shunt_random_cases(300000);
	struct shunt_random r = { seed };
	struct shunt_author author = { .random = &r, .cpus = 4 };
	struct shunt_tally tally = { 0 };
	const char *gap;

	(void)ctx;
	while (shunt_tally_decisions(&tally) < cases) {
		enum shunt_kind kind = shunt_random_one_in(&r, 12);
		_free_ char *text = shunt_kind_write(kind, &author);
		struct shunt_policy *policy = shunt_fixture_policy(text);
		_free_ bool *hit = policy ? calloc(policy->rules + 1, 1) : NULL;
		struct shunt_traffic traffic;
		uint32_t n;

		assert_non_null(hit);
		for (n = 0; n < 500; n++) {
			struct shunt_model_frame frame;
			struct shunt_model answer;
			bool sound;

			shunt_traffic_draw_both(&r, policy, &traffic);
			shunt_frame_build(&traffic.spec, &frame);
			sound = frame.reason == SHUNT_FRAME_SOUND;
			if (sound)
				shunt_model_decide(policy, SHUNT_AUTHOR_IFACE,
						   &frame.pkt, &answer);
			shunt_tally_add(&tally, kind, policy, sound ? &answer : NULL,
					hit);
		}
		shunt_tally_policy(&tally, kind, policy, hit);
		shunt_policy_free(policy);
	}
	shunt_tally_print(&tally, seed);
	gap = shunt_tally_gap(&tally, 0);
	if (gap)
		fail_msg("%s was not tried enough", gap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_matches_what_it_says),
		cmocka_unit_test(
			the_first_rule_decides_and_those_that_count_before_it_do),
		cmocka_unit_test(random_packets_meet_every_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
