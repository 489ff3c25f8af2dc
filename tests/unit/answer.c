/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers in place: whole packets, and whole packets that get none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/model/asked.h"
#include "tests/model/random.h"
#include "user/net/answer.h"

#define US "2:0:0:0:0:9"
#define PEER "2:0:0:0:0:1"
#define US4 "192.0.2.9"
#define PEER4 "192.0.2.1"
#define US6 "2001:db8::9"
#define PEER6 "2001:db8::1"
#define GROUP6 "ff02::1:ff00:9"
#define GROUP_MAC "33:33:ff:0:0:9"

static struct shunt_answerer self;

static int make_self(void **state)
{
	(void)state;
	return shunt_answerer_mac(&self, "02:00:00:00:00:09", NULL) ||
	       shunt_answerer_address(&self, US4 "/24", NULL) ||
	       shunt_answerer_address(&self, US6 "/64", NULL) ||
	       shunt_answerer_ports(&self, "7,9000-9010", NULL);
}

/* --- one packet ---------------------------------------------------------------------- */

#define ROOM 256 /* of what the table has */

struct row {
	const char *name;
	struct shunt_asked asked;
	enum shunt_answer_kind kind;
	struct shunt_asked answer; /* where kind is an answer */
};

static void check_row(const struct row *row)
{
	static uint8_t asked[SHUNT_ASKED_ROOM], want[SHUNT_ASKED_ROOM];
	uint8_t *bytes = malloc(ROOM);
	struct iovec part = { .iov_base = bytes };
	enum shunt_answer_kind kind;
	size_t len;

	part.iov_len = shunt_asked_build(&row->asked, asked);
	assert_true(part.iov_len <= ROOM);
	memcpy(bytes, asked, part.iov_len);
	len = part.iov_len;
	memcpy(want, asked, len);
	if (row->kind < SHUNT_ANSWER_NONE)
		len = shunt_asked_build(&row->answer, want);
	kind = shunt_answer(&self, &part, 1, ROOM);
	if (kind != row->kind)
		fail_msg("%s: %s, not %s", row->name, shunt_answer_name(kind),
			 shunt_answer_name(row->kind));
	if (part.iov_len != len || memcmp(bytes, want, len) != 0) {
		print_error("%s:\n", row->name);
		assert_int_equal(part.iov_len, len);
		assert_memory_equal(bytes, want, len);
	}
	free(bytes);
}

static void check_rows(const struct row *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		check_row(&rows[i]);
}

/* A row says what is otherwise than in these. */
#pragma GCC diagnostic ignored "-Woverride-init"
/* clang-format off */
#define ARP(...) { .kind = SHUNT_ASKED_ARP, .src = PEER4, .dst = US4, __VA_ARGS__ }
#define IP4(...) { .dst_mac = US, .kind = SHUNT_ASKED_IP, .src = PEER4, .dst = US4, \
		   __VA_ARGS__ }
#define IP6(...) { .dst_mac = US, .kind = SHUNT_ASKED_IP, .src = PEER6, .dst = US6, \
		   __VA_ARGS__ }
/* What comes back from us. */
#define BACK .dst_mac = PEER, .src_mac = US
#define BACK4 BACK, .src = US4, .dst = PEER4
#define BACK6 BACK, .src = US6, .dst = PEER6
#define PING4 .proto = 1, .type = 8, .payload = 48
#define PONG4 .proto = 1, .type = 0, .payload = 48
#define PING6 .proto = 58, .type = 128, .payload = 49
#define PONG6 .proto = 58, .type = 129, .payload = 49
#define UDP .proto = 17, .sport = 40000, .dport = 7
#define UDP_BACK .proto = 17, .sport = 7, .dport = 40000
#define SOLICIT .proto = 58, .type = 135, .hops = 255, .target = US6
#define ADVERTISE .proto = 58, .type = 136, .hops = 255, .target = US6, .option_mac = US
/* clang-format on */

static void who_has_an_address(void **state)
{
	static const struct row rows[] = {
		{ "arp to all", ARP(), SHUNT_ANSWER_ARP,
		  ARP(BACK4, .op = 2, .arp_mac = PEER) },
		{ "arp to us, padded, two tags",
		  ARP(.dst_mac = US, .tags = 2, .pad = 10), SHUNT_ANSWER_ARP,
		  ARP(BACK4, .op = 2, .arp_mac = PEER, .tags = 2, .pad = 10) },
		{ "arp probe for a taken address", ARP(.src = "0.0.0.0"),
		  SHUNT_ANSWER_ARP,
		  ARP(BACK, .src = US4, .dst = "0.0.0.0", .op = 2, .arp_mac = PEER) },
		{ "arp for another", ARP(.dst = "192.0.2.8"), SHUNT_ANSWER_FOREIGN,
		  ARP() },
		{ "arp reply", ARP(.op = 2), SHUNT_ANSWER_NEIGHBOUR, ARP() },
		{ "arp from our address", ARP(.src = US4), SHUNT_ANSWER_SOURCE, ARP() },
		{ "arp from the broadcast address", ARP(.src = "192.0.2.255"),
		  SHUNT_ANSWER_SOURCE, ARP() },
		{ "arp to a group", ARP(.dst_mac = "1:0:5e:0:0:1"), SHUNT_ANSWER_GROUP,
		  ARP() },
		{ "arp from a group", ARP(.src_mac = "3:0:0:0:0:1"),
		  SHUNT_ANSWER_SOURCE, ARP() },
		{ "arp from our own MAC", ARP(.src_mac = US), SHUNT_ANSWER_SOURCE,
		  ARP() },
	};

	(void)state;
	check_rows(rows, sizeof(rows) / sizeof(*rows));
}

static void who_has_an_ip6_address(void **state)
{
	static const struct row rows[] = {
		{ "solicitation to the group",
		  IP6(SOLICIT, .dst = GROUP6, .dst_mac = GROUP_MAC, .option_mac = PEER),
		  SHUNT_ANSWER_NDP, IP6(BACK6, ADVERTISE, .ndp_flags = 0x60000000) },
		{ "solicitation to us, one tag", IP6(SOLICIT, .tags = 1),
		  SHUNT_ANSWER_NDP,
		  IP6(BACK6, ADVERTISE, .ndp_flags = 0x60000000, .tags = 1) },
		{ "duplicate address detection",
		  IP6(SOLICIT, .src = "::", .dst = GROUP6, .dst_mac = GROUP_MAC),
		  SHUNT_ANSWER_NDP,
		  IP6(ADVERTISE, .dst_mac = "33:33:0:0:0:1", .src_mac = US, .src = US6,
		      .dst = "ff02::1", .ndp_flags = 0x20000000) },
		{ "detection with a source MAC",
		  IP6(SOLICIT, .src = "::", .dst = GROUP6, .dst_mac = GROUP_MAC,
		      .option_mac = PEER),
		  SHUNT_ANSWER_NEIGHBOUR, IP6() },
		{ "detection to us alone", IP6(SOLICIT, .src = "::"),
		  SHUNT_ANSWER_NEIGHBOUR, IP6() },
		{ "solicitation from a router away", IP6(SOLICIT, .hops = 254),
		  SHUNT_ANSWER_NEIGHBOUR, IP6() },
		{ "solicitation with a code", IP6(SOLICIT, .code = 1),
		  SHUNT_ANSWER_NEIGHBOUR, IP6() },
		{ "solicitation with bytes that are no option",
		  IP6(SOLICIT, .payload = 7), SHUNT_ANSWER_NEIGHBOUR, IP6() },
		{ "solicitation for another", IP6(SOLICIT, .target = "2001:db8::8"),
		  SHUNT_ANSWER_FOREIGN, IP6() },
		{ "solicitation to all nodes",
		  IP6(SOLICIT, .dst = "ff02::1", .dst_mac = "33:33:0:0:0:1"),
		  SHUNT_ANSWER_FOREIGN, IP6() },
		{ "solicitation to the group by another MAC",
		  IP6(SOLICIT, .dst = GROUP6, .dst_mac = "33:33:ff:0:0:8"),
		  SHUNT_ANSWER_FOREIGN, IP6() },
		{ "solicitation from us", IP6(SOLICIT, .src = US6), SHUNT_ANSWER_SOURCE,
		  IP6() },
		{ "solicitation with a wrong sum",
		  IP6(SOLICIT, .fault = SHUNT_ASKED_BAD_L4), SHUNT_ANSWER_BAD_ICMP6,
		  IP6() },
		{ "advertisement", IP6(ADVERTISE, .ndp_flags = 0x60000000),
		  SHUNT_ANSWER_OTHER, IP6() },
	};

	(void)state;
	check_rows(rows, sizeof(rows) / sizeof(*rows));
}

static void echo_by_icmp(void **state)
{
	static const struct row rows[] = {
		{ "ping", IP4(PING4), SHUNT_ANSWER_ICMP, IP4(BACK4, PONG4) },
		{ "ping with one hop left, tags and padding",
		  IP4(PING4, .hops = 1, .tags = 2, .pad = 3), SHUNT_ANSWER_ICMP,
		  IP4(BACK4, PONG4, .tags = 2, .pad = 3) },
		{ "ping of 6", IP6(PING6), SHUNT_ANSWER_ICMP6, IP6(BACK6, PONG6) },
		{ "ping of 6, tag", IP6(PING6, .tags = 1, .hops = 3),
		  SHUNT_ANSWER_ICMP6, IP6(BACK6, PONG6, .tags = 1) },
		{ "wrong sum", IP4(PING4, .fault = SHUNT_ASKED_BAD_L4),
		  SHUNT_ANSWER_BAD_ICMP, IP4() },
		{ "wrong sum of 6", IP6(PING6, .fault = SHUNT_ASKED_BAD_L4),
		  SHUNT_ANSWER_BAD_ICMP6, IP6() },
		{ "wrong sum of the header", IP4(PING4, .fault = SHUNT_ASKED_BAD_IP),
		  SHUNT_ANSWER_BAD_IP4, IP4() },
		{ "reply", IP4(PONG4), SHUNT_ANSWER_OTHER, IP4() },
		{ "code", IP4(PING4, .code = 1), SHUNT_ANSWER_OTHER, IP4() },
		{ "timestamp", IP4(.proto = 1, .type = 13, .payload = 12),
		  SHUNT_ANSWER_OTHER, IP4() },
		{ "ICMPv6 in IPv4", IP4(PING6), SHUNT_ANSWER_OTHER, IP4() },
		{ "first fragment", IP4(PING4, .fault = SHUNT_ASKED_FIRST),
		  SHUNT_ANSWER_FRAGMENT, IP4() },
		{ "later fragment", IP4(PING4, .fault = SHUNT_ASKED_LATER),
		  SHUNT_ANSWER_FRAGMENT, IP4() },
		{ "first fragment of 6",
		  IP6(PING6, .payload = 48, .fault = SHUNT_ASKED_FIRST),
		  SHUNT_ANSWER_FRAGMENT, IP6() },
		{ "fragment header of a whole one",
		  IP6(PING6, .fault = SHUNT_ASKED_ATOMIC), SHUNT_ANSWER_OPTIONS,
		  IP6() },
		{ "options", IP4(PING4, .fault = SHUNT_ASKED_OPTIONS),
		  SHUNT_ANSWER_OPTIONS, IP4() },
		{ "extension header", IP6(PING6, .fault = SHUNT_ASKED_EXTENSION),
		  SHUNT_ANSWER_OPTIONS, IP6() },
	};

	(void)state;
	check_rows(rows, sizeof(rows) / sizeof(*rows));
}

static void echo_by_udp(void **state)
{
	static const struct row rows[] = {
		{ "datagram", IP4(UDP, .payload = 33), SHUNT_ANSWER_UDP,
		  IP4(BACK4, UDP_BACK, .payload = 33, .hops = 63) },
		{ "empty, last port of a range", IP4(UDP, .dport = 9010),
		  SHUNT_ANSWER_UDP, IP4(BACK4, UDP_BACK, .sport = 9010, .hops = 63) },
		{ "of 6, tags", IP6(UDP, .payload = 11, .tags = 2, .hops = 255),
		  SHUNT_ANSWER_UDP,
		  IP6(BACK6, UDP_BACK, .payload = 11, .tags = 2, .hops = 254) },
		{ "no sum stays none",
		  IP4(UDP, .payload = 5, .fault = SHUNT_ASKED_NO_SUM), SHUNT_ANSWER_UDP,
		  IP4(BACK4, UDP_BACK, .payload = 5, .hops = 63,
		      .fault = SHUNT_ASKED_NO_SUM) },
		{ "sum left to a NIC",
		  IP4(UDP, .payload = 5, .fault = SHUNT_ASKED_PARTIAL),
		  SHUNT_ANSWER_UDP_PARTIAL,
		  IP4(BACK4, UDP_BACK, .payload = 5, .hops = 63) },
		{ "sum left to a NIC, of 6",
		  IP6(UDP, .payload = 8, .fault = SHUNT_ASKED_PARTIAL),
		  SHUNT_ANSWER_UDP_PARTIAL,
		  IP6(BACK6, UDP_BACK, .payload = 8, .hops = 63) },
		{ "no sum in 6", IP6(UDP, .payload = 5, .fault = SHUNT_ASKED_NO_SUM),
		  SHUNT_ANSWER_BAD_UDP, IP6() },
		{ "wrong sum", IP4(UDP, .payload = 5, .fault = SHUNT_ASKED_BAD_L4),
		  SHUNT_ANSWER_BAD_UDP, IP4() },
		{ "port that is not served", IP4(UDP, .dport = 8), SHUNT_ANSWER_PORT,
		  IP4() },
		{ "port behind the range", IP4(UDP, .dport = 9011), SHUNT_ANSWER_PORT,
		  IP4() },
		{ "from port 0", IP4(UDP, .sport = 0), SHUNT_ANSWER_SOURCE, IP4() },
		{ "last hop", IP4(UDP, .hops = 1), SHUNT_ANSWER_HOPS, IP4() },
	};

	(void)state;
	check_rows(rows, sizeof(rows) / sizeof(*rows));
}

static void nobody_is_answered_who_did_not_ask_us(void **state)
{
	static const struct row rows[] = {
		{ "to another address", IP4(PING4, .dst = "192.0.2.8"),
		  SHUNT_ANSWER_FOREIGN, IP4() },
		{ "to another MAC", IP4(PING4, .dst_mac = "2:0:0:0:0:8"),
		  SHUNT_ANSWER_FOREIGN, IP4() },
		{ "our address in a broadcast frame", IP4(PING4, .dst_mac = NULL),
		  SHUNT_ANSWER_GROUP, IP4() },
		{ "our network's broadcast",
		  IP4(PING4, .dst_mac = NULL, .dst = "192.0.2.255"), SHUNT_ANSWER_GROUP,
		  IP4() },
		{ "all nodes", IP6(PING6, .dst_mac = "33:33:0:0:0:1", .dst = "ff02::1"),
		  SHUNT_ANSWER_GROUP, IP6() },
		{ "all nodes, to our MAC", IP6(PING6, .dst = "ff02::1"),
		  SHUNT_ANSWER_FOREIGN, IP6() },
		{ "from our own address", IP4(UDP, .src = US4), SHUNT_ANSWER_SOURCE,
		  IP4() },
		{ "from our own address, 6", IP6(UDP, .src = US6), SHUNT_ANSWER_SOURCE,
		  IP6() },
		{ "from a broadcast", IP4(PING4, .src = "192.0.2.255"),
		  SHUNT_ANSWER_SOURCE, IP4() },
		{ "from the network's own address", IP4(PING4, .src = "192.0.2.0"),
		  SHUNT_ANSWER_SOURCE, IP4() },
		{ "from everybody", IP4(PING4, .src = "255.255.255.255"),
		  SHUNT_ANSWER_SOURCE, IP4() },
		{ "from a group", IP4(PING4, .src = "224.0.0.1"), SHUNT_ANSWER_SOURCE,
		  IP4() },
		{ "from loopback", IP4(PING4, .src = "127.0.0.1"), SHUNT_ANSWER_SOURCE,
		  IP4() },
		{ "from nowhere", IP4(PING4, .src = "0.0.0.0"), SHUNT_ANSWER_SOURCE,
		  IP4() },
		{ "from a group, 6", IP6(PING6, .src = "ff02::1"), SHUNT_ANSWER_SOURCE,
		  IP6() },
		{ "from loopback, 6", IP6(PING6, .src = "::1"), SHUNT_ANSWER_SOURCE,
		  IP6() },
		{ "from nowhere, 6", IP6(PING6, .src = "::"), SHUNT_ANSWER_SOURCE,
		  IP6() },
		{ "TCP", IP4(.proto = 6, .payload = 40), SHUNT_ANSWER_MALFORMED,
		  IP4() },
		{ "a protocol without ports", IP4(.proto = 253, .payload = 40),
		  SHUNT_ANSWER_OTHER, IP4() },
	};

	(void)state;
	check_rows(rows, sizeof(rows) / sizeof(*rows));
}

/* --- any length, in any parts -------------------------------------------------------- */

static const struct {
	struct shunt_asked asked, answer;
} echoes[] = {
	{ IP4(PING4), IP4(BACK4, PONG4) },
	{ IP6(PING6), IP6(BACK6, PONG6) },
	{ IP4(UDP), IP4(BACK4, UDP_BACK, .hops = 63) },
	{ IP6(UDP), IP6(BACK6, UDP_BACK, .hops = 63) },
};

/* The first part has all headers; of the rest, no length is too odd. */
static unsigned int split(struct shunt_random *r, uint8_t *bytes, size_t len,
			  struct iovec parts[4])
{
	unsigned int n = 0, most = shunt_random_in(r, 1, 4);
	size_t at = 0, room = 80;

	while (n + 1 < most && len - at > room) {
		size_t take = shunt_random_in(r, room, len - at);

		parts[n++] = (struct iovec){ bytes + at, take };
		at += take;
		room = 0;
	}
	parts[n++] = (struct iovec){ bytes + at, len - at };
	return n;
}

static void echoes_are_whole_at_any_length(void **state)
{
	static uint8_t bytes[SHUNT_ASKED_ROOM], want[SHUNT_ASKED_ROOM];
	struct shunt_random r = { shunt_random_seed(792) };
	uint64_t i, cases = shunt_random_cases(4000);

	(void)state;
	for (i = 0; i < cases; i++) {
		size_t e = shunt_random_below(&r, 4);
		struct shunt_asked asked = echoes[e].asked, answer = echoes[e].answer;
		struct iovec parts[4];
		size_t len;

		asked.payload = shunt_random_below(&r, i % 4 ? 1473 : 8900);
		asked.seed = shunt_random_next(&r);
		asked.tags = shunt_random_below(&r, 3);
		answer.payload = asked.payload;
		answer.seed = asked.seed;
		answer.tags = asked.tags;
		len = shunt_asked_build(&asked, bytes);
		shunt_asked_build(&answer, want);
		assert_true(shunt_answer(&self, parts, split(&r, bytes, len, parts),
					 len) < SHUNT_ANSWER_NONE);
		assert_memory_equal(bytes, want, len);
	}
}

/* It was answered with a checksum of 0, which is none that a kernel takes. */
static void a_reply_of_zeroes_has_a_sum(void **state)
{
	static const struct shunt_asked asked = IP4(PING4, .payload = 0);
	uint8_t bytes[SHUNT_ASKED_ROOM];
	struct iovec part = { bytes, shunt_asked_build(&asked, bytes) };
	uint8_t *icmp = bytes + 34;

	(void)state;
	memcpy(icmp, (uint8_t[]){ 8, 0, 0xf7, 0xff, 0, 0, 0, 0 }, 8);
	assert_int_equal(shunt_answer(&self, &part, 1, part.iov_len),
			 SHUNT_ANSWER_ICMP);
	assert_memory_equal(icmp, ((uint8_t[]){ 0, 0, 0xff, 0xff, 0, 0, 0, 0 }), 8);
}

static void an_advertisement_needs_room(void **state)
{
	static const struct shunt_asked asked = IP6(SOLICIT);
	uint8_t bytes[SHUNT_ASKED_ROOM];
	struct iovec part = { bytes, shunt_asked_build(&asked, bytes) };

	(void)state;
	assert_int_equal(shunt_answer(&self, &part, 1, part.iov_len + 7),
			 SHUNT_ANSWER_ROOM);
	assert_int_equal(shunt_answer(&self, &part, 1, part.iov_len + 8),
			 SHUNT_ANSWER_NDP);
}

/* --- who we are ---------------------------------------------------------------------- */

static void what_is_no_host_is_refused(void **state)
{
	static const char *const wrong[] = {
		"192.0.2.9/",
		"192.0.2.9/33",
		"192.0.2",
		"192.0.2.255/24",
		"192.0.2.0/24",
		"224.0.0.1",
		"0.0.0.0",
		"127.0.0.1",
		"ff02::1",
		"::",
		"::1",
		"2001:db8::9/129",
		"",
		"192.0.2.9/24x",
		"192.0.2.9 ",
		"192.0.2.9/-1",
	};
	struct shunt_answerer who = { 0 };
	struct shunt_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		if (!shunt_answerer_address(&who, wrong[i], &err))
			fail_msg("\"%s\" was taken", wrong[i]);
		assert_non_null(strstr(err.message, wrong[i]));
	}
	assert_int_equal(who.count, 0);
	assert_int_equal(shunt_answerer_address(&who, "192.0.2.0/31", &err), 0);
	assert_true(shunt_answerer_address(&who, "192.0.2.0/31", &err) < 0);
	for (i = 1; i < SHUNT_ANSWER_ADDRESSES; i++) {
		char text[32];

		snprintf(text, sizeof(text), "2001:db8::%zu", i);
		assert_int_equal(shunt_answerer_address(&who, text, &err), 0);
	}
	assert_true(shunt_answerer_address(&who, "2001:db8::99", &err) < 0);
	assert_true(shunt_answerer_mac(&who, "01:00:5e:00:00:01", &err) < 0);
	assert_true(shunt_answerer_mac(&who, "00:00:00:00:00:00", &err) < 0);
	assert_true(shunt_answerer_mac(&who, "02:00::/24", &err) < 0);
}

static void lists_of_ports_are_read(void **state)
{
	static const char *const wrong[] = { "",    "0", "65536", "7,", ",7",  "7-",
					     "9-7", "x", "7 8",	  "-7", "7--9" };
	struct shunt_answerer who = { 0 };
	struct shunt_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		if (!shunt_answerer_ports(&who, wrong[i], &err))
			fail_msg("\"%s\" was taken", wrong[i]);
	assert_int_equal(shunt_answerer_ports(&who, "1,63-64,65535", &err), 0);
	assert_int_equal(who.ports[0], UINT64_C(1) << 63 | 2);
	assert_int_equal(who.ports[1], 1);
	assert_int_equal(who.ports[1023], UINT64_C(1) << 63);
	assert_int_equal(shunt_answerer_ports(&who, NULL, &err), 0);
	assert_int_equal(who.ports[0], UINT64_MAX - 1);
	assert_int_equal(who.ports[500], UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_an_address),
		cmocka_unit_test(who_has_an_ip6_address),
		cmocka_unit_test(echo_by_icmp),
		cmocka_unit_test(echo_by_udp),
		cmocka_unit_test(nobody_is_answered_who_did_not_ask_us),
		cmocka_unit_test(echoes_are_whole_at_any_length),
		cmocka_unit_test(a_reply_of_zeroes_has_a_sum),
		cmocka_unit_test(an_advertisement_needs_room),
		cmocka_unit_test(what_is_no_host_is_refused),
		cmocka_unit_test(lists_of_ports_are_read),
	};

	return cmocka_run_group_tests(tests, make_self, NULL);
}
