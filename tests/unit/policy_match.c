/* SPDX-License-Identifier: BSD-2-Clause */
/* Match keys: wide fields, named ports, tunnels, interfaces, and what "not" makes of
 * each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "loader/policy/spans.h"
#include "tests/unit/policy_text.h"

#define OUT(match) "\"not\":{" match "}"
#define INNER(match) "\"tunnel\":{\"inner\":{" match "}}"
#define TUNNEL(keys) "\"tunnel\":{" keys "}"

/* --- fields ------------------------------------------------------------------ */

/* Spans are indices: value + 1, and 0 is a packet without the field. */
static const struct {
	const char *match;
	enum shunt_layer_id layer;
	enum shunt_field field;
	const char *want;
} rows[] = {
	{ "\"dscp\":46", 0, SHUNT_FIELD_DSCP, "47-47" },
	{ "\"dscp\":\"ef\"", 0, SHUNT_FIELD_DSCP, "47-47" },
	{ "\"dscp\":[\"cs0\",\"le\",\"af43\",\"cs7\",\"60-63\",\"5\"]", 0,
	  SHUNT_FIELD_DSCP, "1-2 6-6 39-39 57-57 61-64" },
	{ "\"length\":[64,\"1515-65535\"]", 0, SHUNT_FIELD_LENGTH, "65-65 1516-65536" },
	{ "\"src_mac\":\"02:00:00:00:00:01\"", 0, SHUNT_FIELD_SRC_MAC,
	  "2199023255554-2199023255554" },
	{ "\"dst_mac\":\"FF:ff:ff:ff:ff:ff\"", 0, SHUNT_FIELD_DST_MAC,
	  "281474976710656-281474976710656" },
	{ "\"dst_mac\":\"00:00:00:00:00:00\"", 0, SHUNT_FIELD_DST_MAC, "1-1" },
	{ "\"src_mac\":[\"02:00:00::/24\",\"80::/1\"]", 0, SHUNT_FIELD_SRC_MAC,
	  "2199023255553-2199040032768 140737488355329-281474976710656" },
	{ "\"src_mac\":\"00:00:00:00:01:00/40\"", 0, SHUNT_FIELD_SRC_MAC, "257-512" },
	{ "\"src_mac\":\"00::/0\"", 0, SHUNT_FIELD_SRC_MAC, "1-281474976710656" },

	{ OUT("\"dport\":80"), 0, SHUNT_FIELD_DPORT, "0-80 82-65536" },
	{ OUT("\"dport\":[0,65535]"), 0, SHUNT_FIELD_DPORT, "0-0 2-65535" },
	{ OUT("\"dport\":\"0-65535\""), 0, SHUNT_FIELD_DPORT, "0-0" },
	{ OUT("\"dport\":80"), 0, SHUNT_FIELD_PROTO, "" },
	{ "\"dport\":\"79-81\"," OUT("\"dport\":80"), 0, SHUNT_FIELD_DPORT,
	  "80-80 82-82" },
	{ "\"dport\":[\"1-10\",\"20-30\"]," OUT("\"dport\":[\"5-25\",28]"), 0,
	  SHUNT_FIELD_DPORT, "2-5 27-28 30-31" },
	{ "\"dport\":[1,2,3]," OUT("\"dport\":9"), 0, SHUNT_FIELD_DPORT, "2-4" },
	{ OUT("\"proto\":[\"tcp\",255]"), 0, SHUNT_FIELD_PROTO, "0-6 8-255" },
	{ OUT("\"eth_type\":\"ipv4\""), 0, SHUNT_FIELD_ETH_TYPE, "0-2048 2050-65536" },
	{ OUT("\"vlan\":\"any\""), 0, SHUNT_FIELD_VLAN, "0-0" },
	{ OUT("\"vlan\":\"none\""), 0, SHUNT_FIELD_VLAN, "1-4096" },
	{ OUT("\"vlan\":10"), 0, SHUNT_FIELD_VLAN, "0-10 12-4096" },
	{ OUT("\"vlan\":{\"inner\":[\"none\",4095]}"), 0, SHUNT_FIELD_VLAN_INNER,
	  "1-4095" },
	{ OUT("\"vlan\":{\"inner\":1}"), 0, SHUNT_FIELD_VLAN, "" },
	{ OUT("\"fragment\":\"any\""), 0, SHUNT_FIELD_FRAGMENT, "0-1" },
	{ OUT("\"tcp_flags\":\"none/cwr\""), 0, SHUNT_FIELD_TCP_FLAGS, "0-0 129-256" },
	{ OUT("\"dscp\":[\"cs0\",\"2-63\"]"), 0, SHUNT_FIELD_DSCP, "0-0 2-2" },
	{ OUT("\"length\":\"0-1513\""), 0, SHUNT_FIELD_LENGTH, "0-0 1515-65536" },
	{ OUT("\"src_mac\":\"00::/1\""), 0, SHUNT_FIELD_SRC_MAC,
	  "0-0 140737488355329-281474976710656" },
	{ "\"proto\":\"icmp\"," OUT("\"icmp\":8"), 0, SHUNT_FIELD_ICMP,
	  "0-2048 2305-131072" },
	{ OUT("\"icmp\":\"echo-request\""), 0, SHUNT_FIELD_ICMP,
	  "0-2048 2305-98304 98561-131072" },
	{ OUT("\"icmp\":\"echo-request\",\"proto\":[\"tcp\"]"), 0, SHUNT_FIELD_ICMP,
	  "0-2048 2305-98304 98561-131072" },

	{ TUNNEL(""), 0, SHUNT_FIELD_TUNNEL, "1-8" },
	{ TUNNEL("\"type\":\"vxlan\""), 0, SHUNT_FIELD_TUNNEL, "1-1" },
	{ TUNNEL("\"type\":[\"geneve\",\"gre\",\"ipip\"]"), 0, SHUNT_FIELD_TUNNEL,
	  "2-4" },
	{ TUNNEL("\"vni\":5"), 0, SHUNT_FIELD_TUNNEL, "1-2" },
	{ TUNNEL("\"vni\":[5,\"16777214-16777215\"]"), 0, SHUNT_FIELD_KEY,
	  "6-6 16777215-16777216" },
	{ TUNNEL("\"type\":\"geneve\",\"vni\":0"), 0, SHUNT_FIELD_TUNNEL, "2-2" },
	{ TUNNEL("\"type\":\"geneve\",\"vni\":0"), 0, SHUNT_FIELD_KEY, "1-1" },
	{ TUNNEL("\"key\":\"0-4294967295\""), 0, SHUNT_FIELD_KEY, "1-4294967296" },
	{ TUNNEL("\"key\":7"), 0, SHUNT_FIELD_TUNNEL, "3-3" },
	{ TUNNEL("\"type\":\"gre\"," OUT("\"key\":7")), 0, SHUNT_FIELD_KEY,
	  "0-7 9-4294967296" },
	{ TUNNEL("\"vni\":\"1-9\"," OUT("\"vni\":\"3-9\"")), 0, SHUNT_FIELD_KEY,
	  "2-3" },
	{ TUNNEL(OUT("\"type\":\"gre\"")), 0, SHUNT_FIELD_TUNNEL, "1-2 4-8" },
	{ OUT(TUNNEL("")), 0, SHUNT_FIELD_TUNNEL, "0-0" },
	{ OUT(TUNNEL("\"type\":\"vxlan\"")), 0, SHUNT_FIELD_TUNNEL, "0-0 2-8" },
	{ TUNNEL("") "," OUT(TUNNEL("\"type\":[\"vxlan\",\"gre\"]")), 0,
	  SHUNT_FIELD_TUNNEL, "2-2 4-8" },
	{ INNER("\"dport\":53"), 1, SHUNT_FIELD_DPORT, "54-54" },
	{ INNER("\"dport\":53"), 0, SHUNT_FIELD_DPORT, "" },
	{ INNER("\"dport\":53"), 0, SHUNT_FIELD_TUNNEL, "1-8" },
	{ "\"dport\":4789," INNER("\"dport\":53"), 0, SHUNT_FIELD_DPORT, "4790-4790" },
	{ INNER(OUT("\"dport\":53")), 1, SHUNT_FIELD_DPORT, "0-53 55-65536" },
	{ INNER("\"length\":\"0-99\",\"dscp\":0"), 1, SHUNT_FIELD_LENGTH, "1-100" },
	{ INNER("\"proto\":\"icmpv6\",\"icmp\":{\"type\":1,\"code\":0}"), 1,
	  SHUNT_FIELD_ICMP, "65793-65793" },
	{ INNER("\"vlan\":{\"outer\":1,\"inner\":2}"), 1, SHUNT_FIELD_VLAN_INNER,
	  "3-3" },
};

static void keys_become_exactly_these_spans(void **ctx)
{
	(void)ctx;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[1024], got[512];
		struct shunt_policy *policy =
			good(match_text(text, sizeof(text), rows[i].match));

		print_spans(&policy->rule[0].layer[rows[i].layer].field[rows[i].field],
			    got, sizeof(got));
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("%s: wanted %s, got %s", rows[i].match, rows[i].want,
				 got);
		shunt_policy_free(policy);
	}
}

static uint64_t state = 88172645463325252;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

#define LAST 63

static uint64_t draw_spans(struct shunt_spans *spans)
{
	uint64_t bits = 0;

	for (uint64_t n = draw() % 6; n; n--) {
		uint64_t lo = draw() % (LAST + 1), hi = lo + draw() % 12;

		hi = hi > LAST ? LAST : hi;
		assert_int_equal(shunt_spans_add(spans, lo, hi), 0);
		for (uint64_t i = lo; i <= hi; i++)
			bits |= 1ull << i;
	}
	shunt_spans_settle(spans);
	return bits;
}

static void exclusion_is_that_of_a_set_of_numbers(void **ctx)
{
	size_t empty = 0;

	(void)ctx;
	for (int round = 0; round < 20000; round++) {
		struct shunt_spans in = { 0 }, out = { 0 };
		uint64_t want = draw_spans(&in), got = 0;

		want = (in.n ? want : UINT64_MAX) & ~draw_spans(&out);
		assert_int_equal(shunt_spans_exclude(&in, &out, LAST), 0);
		for (size_t i = 0; i < in.n; i++) {
			assert_true(in.at[i].lo <= in.at[i].hi);
			assert_true(!i || in.at[i].lo > in.at[i - 1].hi + 1);
			for (uint64_t at = in.at[i].lo; at <= in.at[i].hi; at++)
				got |= 1ull << at;
		}
		assert_true(got == want);
		empty += !in.n;
		shunt_spans_free(&in);
		shunt_spans_free(&out);
	}
	assert_in_range(empty, 100, 10000);
}

/* --- addresses, ports, interfaces -------------------------------------------- */

static void addresses_are_ruled_out_beside_those_asked_for(void **ctx)
{
	struct shunt_policy *p = good(
		HEAD
		",\"sets\":{\"a\":{\"type\":\"prefix\"},\"b\":{\"type\":\"address\"},"
		"\"c\":{\"type\":\"prefix\"}},\"rules\":[{\"name\":\"r\","
		"\"action\":\"drop\",\"match\":{\"src\":\"10.0.0.0/8\",\"not\":{"
		"\"src\":[\"10.1.0.0/16\",\"@b\"],\"dst\":\"@a\"},\"tunnel\":{"
		"\"inner\":{\"src\":\"::/0\",\"not\":{\"dst\":\"@c\"}}}}}]}");
	const struct shunt_addrs *outer = p->rule[0].layer[SHUNT_OUTER].side;
	const struct shunt_addrs *inner = p->rule[0].layer[SHUNT_INNER].side;

	(void)ctx;
	assert_int_equal(outer[SHUNT_SIDE_SRC].in.prefixes, 1);
	assert_int_equal(outer[SHUNT_SIDE_SRC].in.sets, 0);
	assert_int_equal(outer[SHUNT_SIDE_SRC].out.prefixes, 1);
	assert_int_equal(outer[SHUNT_SIDE_SRC].out.prefix[0].bits, 16);
	assert_int_equal(outer[SHUNT_SIDE_SRC].out.sets, 1);
	assert_int_equal(outer[SHUNT_SIDE_SRC].out.set[0], 1);
	assert_int_equal(outer[SHUNT_SIDE_DST].in.sets, 0);
	assert_int_equal(outer[SHUNT_SIDE_DST].out.set[0], 0);
	assert_int_equal(inner[SHUNT_SIDE_SRC].in.prefix[0].family, 6);
	assert_int_equal(inner[SHUNT_SIDE_DST].out.set[0], 2);
	shunt_policy_free(p);
}

static void lists_of_ports_have_names(void **ctx)
{
	struct shunt_policy *p = good(
		HEAD ",\"ports\":{\"web\":[80,443,\"8000-8080\"],\"dns\":53},"
		     "\"rules\":[{\"name\":\"r\",\"action\":\"drop\",\"match\":{"
		     "\"dport\":[\"@web\",81,\"@dns\"],\"not\":{\"sport\":\"@web\"}}}"
		     "]}");
	char got[256];

	(void)ctx;
	print_spans(&p->rule[0].layer[0].field[SHUNT_FIELD_DPORT], got, sizeof(got));
	assert_string_equal(got, "54-54 81-82 444-444 8001-8081");
	print_spans(&p->rule[0].layer[0].field[SHUNT_FIELD_SPORT], got, sizeof(got));
	assert_string_equal(got, "0-80 82-443 445-8000 8082-65536");
	shunt_policy_free(p);
}

static void interfaces_are_names_and_patterns(void **ctx)
{
	char text[512];
	struct shunt_policy *p = good(
		match_text(text, sizeof(text), "\"iface\":[\"eth0\",\"ens[0-3]*\"]"));

	(void)ctx;
	assert_int_equal(p->rule[0].ifaces, 2);
	assert_string_equal(p->rule[0].iface[0], "eth0");
	assert_string_equal(p->rule[0].iface[1], "ens[0-3]*");
	assert_false(p->rule[0].iface_not);
	shunt_policy_free(p);
	p = good(match_text(text, sizeof(text), OUT("\"iface\":\"wlan?\"")));
	assert_int_equal(p->rule[0].ifaces, 1);
	assert_true(p->rule[0].iface_not);
	shunt_policy_free(p);
	p = good(match_text(text, sizeof(text), ""));
	assert_int_equal(p->rule[0].ifaces, 0);
	assert_false(p->rule[0].iface_not);
	shunt_policy_free(p);
}

/* --- what is wrong ----------------------------------------------------------- */

#define AT "/rules/0/match/"
#define NOTHING "could match no packet"

static const struct {
	const char *match, *pointer, *part;
} wrong[] = {
	{ "\"dscp\":64", AT "dscp", "from 0 to 63" },
	{ "\"dscp\":\"af14\"", AT "dscp", "did you mean" },
	{ "\"dscp\":\"9-5\"", AT "dscp", "backwards" },
	{ "\"length\":65536", AT "length", "from 0 to 65535" },
	{ "\"length\":\"all\"", AT "length", "a frame's length in bytes" },
	{ "\"src_mac\":\"02:00:00:00:00\"", AT "src_mac", "is not a MAC address" },
	{ "\"src_mac\":\"02:00:00:00:00:01:02\"", AT "src_mac",
	  "is not a MAC address" },
	{ "\"src_mac\":\"2:0:0:0:0:1\"", AT "src_mac", "is not a MAC address" },
	{ "\"src_mac\":\"02::\"", AT "src_mac", "is not a MAC address" },
	{ "\"src_mac\":\"02::/49\"", AT "src_mac", "is not a MAC address" },
	{ "\"src_mac\":\"02::/08\"", AT "src_mac", "is not a MAC address" },
	{ "\"src_mac\":\"02:00:00:00:00:01::/48\"", AT "src_mac",
	  "is not a MAC address" },
	{ "\"src_mac\":[\"02:00:00:00:00:01/24\"]", AT "src_mac/0",
	  "write \"02:00:00:00:00:00/24\"" },
	{ "\"src_mac\":7", AT "src_mac", "in a string, not a number" },
	{ "\"dport\":\"@web\"", AT "dport", "there is no list of ports \"web\"" },
	{ "\"iface\":\"\"", AT "iface", "neither the name of an interface" },
	{ "\"iface\":\"a/b\"", AT "iface", "neither the name of an interface" },
	{ "\"iface\":[\"abcdefghijklmnop\"]", AT "iface/0", "at most 15 bytes" },
	{ "\"iface\":\"a b*\"", AT "iface", "neither the name of an interface" },
	{ "\"iface\":\"a\"," OUT("\"iface\":\"b\""), AT "not/iface",
	  "stands in \"match\" too" },
	{ "\"not\":[]", AT "not", "must be an object, not a list" },
	{ OUT("\"dprt\":1"), AT "not/dprt", "did you mean \"dport\"" },
	{ OUT("\"not\":{}"), AT "not/not", "unknown key" },
	{ OUT("\"dport\":[]"), AT "not/dport", "an empty list stands for no packet" },
	{ OUT("\"dport\":[1,70000]"), AT "not/dport/1", "from 0 to 65535" },
	{ OUT("\"vlan\":{\"outer\":1,\"inner\":2}"), AT "not/vlan",
	  "one tag at a time" },
	{ OUT("\"vlan\":[\"none\",\"any\"]"), AT "not/vlan",
	  "every value and the lack of one" },
	{ "\"dport\":80," OUT("\"dport\":[80,81]"), AT "not/dport", NOTHING },
	{ "\"src\":\"10.0.0.0/8\"," OUT("\"src\":\"0.0.0.0/0\""), AT "not/src",
	  NOTHING },
	{ "\"src\":\"10.0.0.0/8\"," OUT("\"src\":[\"10.128.0.0/9\",\"10.0.0.0/9\"]"),
	  AT "not/src", NOTHING },
	{ "\"src\":\"10.0.0.0/8\"," OUT("\"src\":[\"10.0.0.0/9\",\"10.192.0.0/10\"]"),
	  "", "" },
	{ "\"src\":\"10.0.0.0/8\"," OUT("\"src\":[\"::/0\",\"11.0.0.0/8\"]"), "", "" },
	{ "\"src\":\"::/0\"," OUT("\"src\":[\"::/1\",\"8000::/1\"]"), AT "not/src",
	  NOTHING },
	{ "\"proto\":\"tcp\",\"dport\":1," OUT("\"proto\":\"tcp\""), AT "not/proto",
	  NOTHING },
	{ "\"dport\":1," OUT("\"proto\":[\"tcp\",\"udp\",\"sctp\"]"), AT "dport",
	  "\"proto\" admits none" },
	{ "\"dport\":1," OUT("\"proto\":\"tcp\""), "", "" },
	{ "\"dscp\":1,\"eth_type\":\"arp\"", AT "dscp", "it needs IPv4 or IPv6" },
	{ "\"src\":\"::1\"," OUT("\"eth_type\":\"ipv6\""), AT "src", "for IPv6 only" },
	{ "\"vlan\":\"none\"," OUT("\"vlan\":{\"inner\":\"none\"}"), "/rules/0/match",
	  "no inner tag" },

	{ "\"tunnel\":\"vxlan\"", AT "tunnel", "must be an object, not a string" },
	{ TUNNEL("\"type\":\"vxlna\""), AT "tunnel/type", "did you mean \"vxlan\"" },
	{ TUNNEL("\"vni\":16777216"), AT "tunnel/vni", "from 0 to 16777215" },
	{ TUNNEL("\"key\":4294967296"), AT "tunnel/key", "from 0 to 4294967295" },
	{ TUNNEL("\"type\":\"gre\",\"vni\":1"), AT "tunnel/vni",
	  "only tunnels of the type \"vxlan\" or \"geneve\"" },
	{ TUNNEL("\"type\":[\"vxlan\",\"ipip\"],\"vni\":1"), AT "tunnel/vni",
	  "admits others" },
	{ TUNNEL("\"type\":\"vxlan\",\"key\":1"), AT "tunnel/key", "type \"gre\"" },
	{ TUNNEL(OUT("\"vni\":1")), AT "tunnel/not/vni", "add \"type\"" },
	{ TUNNEL("\"vni\":1,\"key\":1"), AT "tunnel/key", "no tunnel has both" },
	{ TUNNEL("\"vni\":1," OUT("\"vni\":1")), AT "tunnel/not/vni", NOTHING },
	{ TUNNEL(OUT("\"inner\":{}")), AT "tunnel/not/inner", "unknown key" },
	{ OUT(TUNNEL("\"vni\":1")), AT "not/tunnel/vni", "by its \"type\" alone" },
	{ OUT("\"tunnel\":1"), AT "not/tunnel", "must be an object" },
	{ TUNNEL("") "," OUT(TUNNEL("")), AT "not/tunnel", NOTHING },
	{ "\"proto\":\"tcp\"," TUNNEL("\"type\":\"vxlan\""), AT "tunnel",
	  "\"proto\" admits none" },
	{ "\"proto\":\"udp\"," TUNNEL("\"type\":\"gre\""), AT "tunnel",
	  "\"proto\" admits none" },
	{ "\"dport\":4789," TUNNEL("\"type\":\"gre\""), AT "dport",
	  "put it into the tunnel's \"inner\"" },
	{ "\"tcp_flags\":\"syn\"," TUNNEL(""), AT "tcp_flags", "\"inner\"" },
	{ "\"fragment\":\"later\"," TUNNEL(""), AT "tunnel", "later fragments" },
	{ TUNNEL("") ",\"eth_type\":\"arp\"", AT "tunnel", "it needs IPv4 or IPv6" },
	{ TUNNEL("\"type\":\"ipip\",\"inner\":{\"src_mac\":\"02::/8\"}"),
	  AT "tunnel/inner/src_mac", "no Ethernet header inside ipip" },
	{ TUNNEL("\"type\":\"ipip\",\"inner\":{\"vlan\":\"none\"}"), "", "" },
	{ INNER("\"tunnel\":{}"), AT "tunnel/inner/tunnel", "unknown key" },
	{ INNER("\"iface\":\"a\""), AT "tunnel/inner/iface", "unknown key" },
	{ INNER("\"proto\":\"udp\",\"tcp_flags\":\"syn\""), AT "tunnel/inner/tcp_flags",
	  "it needs TCP" },
	{ INNER("\"src\":\"10.0.0.1\",\"dst\":\"::1\""), AT "tunnel/inner/dst",
	  "for IPv6 only" },
	{ INNER("\"dport\":1," OUT("\"dport\":1")), AT "tunnel/inner/not/dport",
	  NOTHING },
	{ "\"tunnel\":{\"inner\":[]}", AT "tunnel/inner", "must be an object" },
};

/* Rows without a pointer look like contradictions and are none, or are let pass. */
static void wrong_keys_are_refused_at_their_place(void **ctx)
{
	char text[1024];

	(void)ctx;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		match_text(text, sizeof(text), wrong[i].match);
		if (*wrong[i].pointer)
			bad(text, wrong[i].pointer, wrong[i].part);
		else
			shunt_policy_free(good(text));
	}
}

static void lists_of_ports_are_checked_at_their_place(void **ctx)
{
	static const struct {
		const char *ports, *pointer, *part;
	} lists[] = {
		{ "[]", "/ports", "the name of each list of ports is a key" },
		{ "{\"a\":[]}", "/ports/a", "an empty list" },
		{ "{\"a\":[1,\"x\"]}", "/ports/a/1", "is not a port" },
		{ "{\"a\":{}}", "/ports/a", "must be a port in a string" },
		{ "{\"a\":1,\"b\":\"@a\"}", "/ports/b", "cannot name another" },
		{ "{\"a b\":1}", "/ports/a b", "cannot name a list of ports" },
		{ "{\"a\":1,\"a\":2}", "/ports/a", "stands here twice" },
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		char text[256];

		snprintf(text, sizeof(text), HEAD ",\"ports\":%s}", lists[i].ports);
		bad(text, lists[i].pointer, lists[i].part);
	}
	bad(HEAD
	    ",\"ports\":{\"web\":1},\"rules\":[{\"name\":\"r\",\"action\":\"pass\","
	    "\"match\":{\"dport\":\"@wbe\"}}]}",
	    "/rules/0/match/dport", "did you mean \"web\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_become_exactly_these_spans),
		cmocka_unit_test(exclusion_is_that_of_a_set_of_numbers),
		cmocka_unit_test(addresses_are_ruled_out_beside_those_asked_for),
		cmocka_unit_test(lists_of_ports_have_names),
		cmocka_unit_test(interfaces_are_names_and_patterns),
		cmocka_unit_test(wrong_keys_are_refused_at_their_place),
		cmocka_unit_test(lists_of_ports_are_checked_at_their_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
