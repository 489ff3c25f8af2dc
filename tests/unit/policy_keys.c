/* SPDX-License-Identifier: BSD-2-Clause */
/* What the keys of a policy become: spans, prefixes, actions, consumers, sets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader/policy/features.h"
#include "loader/policy/name.h"
#include "loader/policy/policy.h"
#include "loader/policy/spans.h"
#include "maps/config.h"
#include "user/base/cleanup.h"

#define HEAD "{\"schema\":\"shunt.policy/1\",\"default\":\"drop\""

static void show(const struct shunt_diags *diags)
{
	for (size_t i = 0; i < diags->n; i++)
		print_error("%s %s: %s\n", diags->at[i].warning ? "warning" : "error",
			    diags->at[i].pointer, diags->at[i].message);
}

/* Reads a policy that must be sound and without warnings. */
static struct shunt_policy *good(const char *text)
{
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };

	if (shunt_policy_read(&policy, text, strlen(text), NULL, &diags) || diags.n) {
		show(&diags);
		fail_msg("refused: %s", text);
	}
	shunt_diags_free(&diags);
	return policy;
}

static struct shunt_policy *good_match(const char *match)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 HEAD ",\"rules\":[{\"name\":\"r\",\"match\":{%s},"
		      "\"action\":\"pass\"}]}",
		 match);
	return good(text);
}

static void print_spans(const struct shunt_spans *spans, char *buf, size_t room)
{
	size_t at = 0;

	*buf = 0;
	for (size_t i = 0; i < spans->n && at < room; i++)
		at += snprintf(buf + at, room - at, "%s%ju-%ju", i ? " " : "",
			       (uintmax_t)spans->at[i].lo, (uintmax_t)spans->at[i].hi);
}

/* Spans are indices: value + 1. */
static const struct {
	const char *match;
	enum shunt_field field;
	const char *want;
} spans_rows[] = {
	{ "", SHUNT_FIELD_DPORT, "" },
	{ "\"dport\":53", SHUNT_FIELD_DPORT, "54-54" },
	{ "\"dport\":53", SHUNT_FIELD_SPORT, "" },
	{ "\"dport\":53", SHUNT_FIELD_PROTO, "" },
	{ "\"sport\":\"0-65535\"", SHUNT_FIELD_SPORT, "1-65536" },
	{ "\"sport\":[0,65535,\"7\"]", SHUNT_FIELD_SPORT, "1-1 8-8 65536-65536" },
	{ "\"dport\":[80,\"20-30\",81,\"10-25\",31,80]", SHUNT_FIELD_DPORT,
	  "11-32 81-82" },
	{ "\"dport\":5.3e1", SHUNT_FIELD_DPORT, "54-54" },
	{ "\"proto\":\"tcp\"", SHUNT_FIELD_PROTO, "7-7" },
	{ "\"proto\":[\"udp\",6,0,255]", SHUNT_FIELD_PROTO, "1-1 7-7 18-18 256-256" },
	{ "\"eth_type\":\"ipv4\"", SHUNT_FIELD_ETH_TYPE, "2049-2049" },
	{ "\"eth_type\":\"ipv6\"", SHUNT_FIELD_ETH_TYPE, "34526-34526" },
	{ "\"eth_type\":[\"arp\",\"0x88CC\",1536]", SHUNT_FIELD_ETH_TYPE,
	  "1537-1537 2055-2055 35021-35021" },
	{ "\"vlan\":\"none\"", SHUNT_FIELD_VLAN, "0-0" },
	{ "\"vlan\":\"any\"", SHUNT_FIELD_VLAN, "1-4096" },
	{ "\"vlan\":[\"none\",0]", SHUNT_FIELD_VLAN, "0-1" },
	{ "\"vlan\":[\"none\",\"any\"]", SHUNT_FIELD_VLAN, "0-4096" },
	{ "\"vlan\":[\"none\",\"10-20\",4095]", SHUNT_FIELD_VLAN,
	  "0-0 11-21 4096-4096" },
	{ "\"vlan\":10", SHUNT_FIELD_VLAN_INNER, "" },
	{ "\"vlan\":{\"inner\":[3,5]}", SHUNT_FIELD_VLAN_INNER, "4-4 6-6" },
	{ "\"vlan\":{\"inner\":3}", SHUNT_FIELD_VLAN, "" },
	{ "\"vlan\":{\"outer\":7,\"inner\":\"none\"}", SHUNT_FIELD_VLAN, "8-8" },
	{ "\"vlan\":{\"outer\":7,\"inner\":\"none\"}", SHUNT_FIELD_VLAN_INNER, "0-0" },
	{ "\"fragment\":\"none\"", SHUNT_FIELD_FRAGMENT, "1-1" },
	{ "\"fragment\":\"first\"", SHUNT_FIELD_FRAGMENT, "2-2" },
	{ "\"fragment\":\"later\"", SHUNT_FIELD_FRAGMENT, "3-3" },
	{ "\"fragment\":\"any\"", SHUNT_FIELD_FRAGMENT, "2-3" },
	{ "\"fragment\":[\"none\",\"later\"]", SHUNT_FIELD_FRAGMENT, "1-1 3-3" },
	{ "\"tcp_flags\":\"fin,syn,rst,psh,ack,urg,ece,cwr\"", SHUNT_FIELD_TCP_FLAGS,
	  "256-256" },
	{ "\"tcp_flags\":\"none/fin,syn,rst,psh,ack,urg,ece,cwr\"",
	  SHUNT_FIELD_TCP_FLAGS, "1-1" },
	{ "\"tcp_flags\":\"cwr\"", SHUNT_FIELD_TCP_FLAGS, "129-256" },
	{ "\"tcp_flags\":\"none/cwr\"", SHUNT_FIELD_TCP_FLAGS, "1-128" },
	{ "\"tcp_flags\":[\"cwr\",\"none/cwr\"]", SHUNT_FIELD_TCP_FLAGS, "1-256" },
	{ "\"tcp_flags\":\"ece,cwr/syn,ece,cwr\"", SHUNT_FIELD_TCP_FLAGS,
	  "193-194 197-198 201-202 205-206 209-210 213-214 217-218 221-222 225-226 "
	  "229-230 "
	  "233-234 237-238 241-242 245-246 249-250 253-254" },
	{ "\"icmp\":\"echo-request\"", SHUNT_FIELD_ICMP, "2049-2304 98305-98560" },
	{ "\"icmp\":\"echo-request\",\"proto\":\"icmp\"", SHUNT_FIELD_ICMP,
	  "2049-2304" },
	{ "\"icmp\":\"echo-request\",\"proto\":\"icmpv6\"", SHUNT_FIELD_ICMP,
	  "98305-98560" },
	{ "\"icmp\":\"echo-request\",\"proto\":[\"icmpv6\",\"tcp\",1]",
	  SHUNT_FIELD_ICMP, "2049-2304 98305-98560" },
	{ "\"icmp\":\"packet-too-big\"", SHUNT_FIELD_ICMP, "66049-66304" },
	{ "\"icmp\":8,\"proto\":1", SHUNT_FIELD_ICMP, "2049-2304" },
	{ "\"icmp\":[0,255],\"proto\":\"icmpv6\"", SHUNT_FIELD_ICMP,
	  "65537-65792 130817-131072" },
	{ "\"icmp\":{\"type\":3,\"code\":[4,0,5]},\"proto\":\"icmp\"", SHUNT_FIELD_ICMP,
	  "769-769 773-774" },
	{ "\"icmp\":{\"type\":\"dest-unreachable\",\"code\":4}", SHUNT_FIELD_ICMP,
	  "773-773 65797-65797" },
};

static void keys_become_exactly_these_spans(void **ctx)
{
	(void)ctx;
	for (size_t i = 0; i < sizeof(spans_rows) / sizeof(*spans_rows); i++) {
		struct shunt_policy *policy = good_match(spans_rows[i].match);
		char got[512];

		print_spans(
			&policy->rule[0].layer[SHUNT_OUTER].field[spans_rows[i].field],
			got, sizeof(got));
		if (strcmp(got, spans_rows[i].want) != 0)
			fail_msg("%s: wanted %s, got %s", spans_rows[i].match,
				 spans_rows[i].want, got);
		shunt_policy_free(policy);
	}
}

static void append_flags(char *text, int bits)
{
	const char *join = "";

	for (const struct shunt_name *f = shunt_tcp_flag_names; f->name; f++) {
		if (!(f->value & bits))
			continue;
		strcat(strcat(text, join), f->name);
		join = ",";
	}
}

static void flags_and_mask_match_the_bytes_that_they_say(void **ctx)
{
	(void)ctx;
	for (int mask = 1; mask < 256; mask += 7) {
		for (int set = 0; set < 256; set++) {
			char text[128] = "\"tcp_flags\":\"";
			struct shunt_policy *policy;
			const struct shunt_spans *spans;

			if (set & ~mask)
				continue;
			append_flags(text, set);
			strcat(text, set ? "/" : "none/");
			append_flags(text, mask);
			policy = good_match(strcat(text, "\""));
			spans = &policy->rule[0]
					 .layer[SHUNT_OUTER]
					 .field[SHUNT_FIELD_TCP_FLAGS];
			for (int flags = 0; flags < 256; flags++)
				assert_int_equal(shunt_spans_have(spans, flags + 1),
						 (flags & mask) == set);
			shunt_policy_free(policy);
		}
	}
}

static void addresses_and_sets_are_kept_apart(void **ctx)
{
	struct shunt_policy *p = good(
		HEAD
		",\"sets\":{\"a\":{\"type\":\"prefix\"},\"b\":{\"type\":\"address\"}},"
		"\"rules\":[{\"name\":\"r\",\"match\":{\"src\":\"@b\",\"dst\":[\"@b\","
		"\"2001:db8::/32\",\"@a\",\"10.0.0.0/8\",\"10.0.0.0/8\",\"@b\"]},"
		"\"action\":\"drop\"}]}");
	const struct shunt_addrs *src =
		&p->rule[0].layer[SHUNT_OUTER].side[SHUNT_SIDE_SRC];
	const struct shunt_addrs *dst =
		&p->rule[0].layer[SHUNT_OUTER].side[SHUNT_SIDE_DST];
	char text[SHUNT_PREFIX_TEXT];

	(void)ctx;
	assert_int_equal(src->in.prefixes, 0);
	assert_int_equal(src->in.sets, 1);
	assert_int_equal(src->in.set[0], 1);
	assert_int_equal(dst->in.prefixes, 2);
	assert_string_equal(shunt_prefix_format(&dst->in.prefix[0], text),
			    "10.0.0.0/8");
	assert_string_equal(shunt_prefix_format(&dst->in.prefix[1], text),
			    "2001:db8::/32");
	assert_int_equal(dst->in.sets, 2);
	assert_int_equal(dst->in.set[0], 1);
	assert_int_equal(dst->in.set[1], 0);
	shunt_policy_free(p);
}

static void actions_are_what_they_say(void **ctx)
{
	static const struct {
		const char *text, *target;
		uint8_t action;
		uint32_t arg;
	} rows[] = {
		{ "\"pass\"", "", SHUNT_VERDICT_PASS, 0 },
		{ "\"drop\"", "", SHUNT_VERDICT_DROP, 0 },
		{ "\"tx\"", "", SHUNT_VERDICT_TX, 0 },
		{ "\"count\"", "", SHUNT_ACTION_COUNT, 0 },
		{ "{\"redirect\":{\"interface\":\"eth1.100\"}}", "eth1.100",
		  SHUNT_VERDICT_INTERFACE, 0 },
		{ "{\"redirect\":{\"cpu\":255}}", "", SHUNT_VERDICT_CPU, 255 },
		{ "{\"redirect\":{\"consumer\":\"b\"}}", "", SHUNT_VERDICT_CONSUMER,
		  1 },
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_policy *p;
		char text[512];

		snprintf(text, sizeof(text),
			 HEAD ",\"consumers\":{\"a\":{\"kind\":\"xsk\"},\"b\":{"
			      "\"kind\":\"xsk\"}},"
			      "\"rules\":[{\"name\":\"a\",\"action\":{\"redirect\":{"
			      "\"consumer\":"
			      "\"a\"}}},{\"name\":\"b\",\"action\":{\"redirect\":{"
			      "\"consumer\":"
			      "\"b\"}}},{\"name\":\"r\",\"action\":%s}]}",
			 rows[i].text);
		p = good(text);
		assert_int_equal(p->rules, 3);
		assert_int_equal(p->rule[2].action, rows[i].action);
		assert_int_equal(p->rule[2].arg, rows[i].arg);
		assert_string_equal(p->rule[2].target, rows[i].target);
		shunt_policy_free(p);
	}
}

static void consumers_and_defaults_are_what_they_say(void **ctx)
{
	struct shunt_policy *p = NULL;
	struct shunt_diags diags = { 0 };
	const char *text =
		HEAD ",\"consumers\":{\"a\":{\"kind\":\"xsk\"},\"b\":{\"kind\":"
		     "\"xsk\",\"queues\":[0,63],\"if_down\":\"pass\"}}}";

	(void)ctx;
	assert_int_equal(shunt_policy_read(&p, text, strlen(text), NULL, &diags), 0);
	assert_int_equal(diags.n, 2); /* nobody uses them */
	assert_int_equal(diags.errors, 0);
	assert_string_equal(p->text, text);
	assert_int_equal(p->default_action, SHUNT_VERDICT_DROP);
	assert_int_equal(p->malformed, SHUNT_VERDICT_DROP);
	assert_int_equal(p->rules, 0);
	assert_int_equal(p->consumers, 2);
	assert_true(p->consumer[0].queues == UINT64_MAX);
	assert_int_equal(p->consumer[0].if_down, SHUNT_VERDICT_DROP);
	assert_true(p->consumer[1].queues == (1ull << 63 | 1));
	assert_int_equal(p->consumer[1].if_down, SHUNT_VERDICT_PASS);
	shunt_policy_free(p);
	shunt_diags_free(&diags);
}

static void a_heartbeat_is_the_time_that_is_written(void **ctx)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} rows[] = {
		{ "", 1000000000 },
		{ ",\"heartbeat\":\"off\"", 0 },
		{ ",\"heartbeat\":\"20ms\"", 20000000 },
		{ ",\"heartbeat\":\"600000ms\"", 600000000000 },
		{ ",\"heartbeat\":\"7s\"", 7000000000 },
		{ ",\"heartbeat\":\"10m\"", 600000000000 },
	};
	char text[512];

	(void)ctx;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct shunt_policy *p;

		snprintf(text, sizeof(text),
			 HEAD ",\"consumers\":{\"a\":{\"kind\":\"xsk\"%s}},"
			      "\"rules\":[{\"name\":\"r\",\"action\":{\"redirect\":{"
			      "\"consumer\":\"a\"}}}]}",
			 rows[i].text);
		p = good(text);
		assert_true(p->consumer[0].heartbeat_ns == rows[i].ns);
		/* who need not watch pays nothing */
		assert_int_equal(!!(shunt_policy_features(p) & SHUNT_HAS_HEARTBEAT),
				 !!rows[i].ns);
		shunt_policy_free(p);
	}
}

/* --- sets -------------------------------------------------------------------- */

static void sets_have_room_for_twice_their_elements(void **ctx)
{
	static const struct {
		unsigned int elements, size;
	} rows[] = { { 1, 1024 },    { 512, 1024 },  { 513, 2048 },
		     { 1024, 2048 }, { 1025, 4096 }, { 30000, 65536 } };

	(void)ctx;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		_free_ char *text = malloc(1 << 20);
		struct shunt_policy *p;
		size_t at;

		at = sprintf(text, HEAD
			     ",\"rules\":[{\"name\":\"r\",\"match\":{\"src\":\"@s\"},"
			     "\"action\":\"pass\"}],\"sets\":{\"s\":{\"type\":"
			     "\"address\",\"elements\":[");
		for (unsigned int e = 0; e < rows[i].elements; e++)
			at += sprintf(text + at, "%s\"10.0.%u.%u\"", e ? "," : "",
				      e >> 8, e & 255);
		strcpy(text + at, "]}}}");
		p = good(text);
		assert_int_equal(p->set[0].elements, rows[i].elements);
		assert_int_equal(p->set[0].size, rows[i].size);
		assert_false(p->set[0].dynamic);
		shunt_policy_free(p);
	}
}

static void a_set_without_elements_is_dynamic(void **ctx)
{
	struct shunt_policy *p = good(
		HEAD ",\"rules\":[{\"name\":\"r\",\"match\":{\"src\":[\"@d\",\"@e\"]},"
		     "\"action\":\"pass\"}],\"sets\":{\"d\":{\"type\":\"prefix\"},"
		     "\"e\":{\"type\":\"address\",\"size\":1048576}}}");

	(void)ctx;
	assert_true(p->set[0].dynamic && p->set[1].dynamic);
	assert_int_equal(p->set[0].type, SHUNT_SET_PREFIX);
	assert_int_equal(p->set[0].size, 1024);
	assert_int_equal(p->set[1].type, SHUNT_SET_ADDRESS);
	assert_int_equal(p->set[1].size, 1048576);
	shunt_policy_free(p);
}

static void write_file(const char *path, const void *data, size_t n)
{
	_file_ FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
}

#define SPACED "  ::1\t\r\n#\n\n10.0.0.1#x\n::1\n10.0.0.0/8"

static void set_files_are_read_line_by_line(void **ctx)
{
	char path[] = "/tmp/shunt-set-XXXXXX", want[96], longer[400];
	struct shunt_prefix *list = NULL;
	struct shunt_err err;
	size_t n = 0;
	_fd_ int fd = mkstemp(path);
	static const struct {
		const char *text;
		size_t len;
		enum shunt_set_type type;
		int line;
	} wrong[] = {
		{ "10.0.0.0/8\n\n# x\n10.0.0.1/8\n", 27, SHUNT_SET_PREFIX, 4 },
		{ "10.0.0.0/8", 10, SHUNT_SET_ADDRESS, 1 },
		{ "10.0.0.1 10.0.0.2", 17, SHUNT_SET_ADDRESS, 1 },
		{ "\n\0\n", 3, SHUNT_SET_ADDRESS, 2 },
	};

	(void)ctx;
	assert_true(fd >= 0);
	write_file(path, SPACED, strlen(SPACED));
	assert_int_equal(shunt_set_file_read(path, SHUNT_SET_PREFIX, &list, &n, &err),
			 0);
	assert_int_equal(n, 3);
	assert_int_equal(list[0].bits, 8);
	assert_int_equal(list[2].family, 6);
	free(list);
	write_file(path, "#", 1);
	assert_int_equal(shunt_set_file_read(path, SHUNT_SET_PREFIX, &list, &n, &err),
			 0);
	assert_int_equal(n, 0);
	free(list);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		write_file(path, wrong[i].text, wrong[i].len);
		assert_int_equal(shunt_set_file_read(path, wrong[i].type, &list, &n,
						     &err),
				 -EINVAL);
		snprintf(want, sizeof(want), "%s:%d: ", path, wrong[i].line);
		assert_ptr_equal(strstr(err.message, want), err.message);
	}
	memset(longer, '1', sizeof(longer));
	write_file(path, longer, sizeof(longer));
	assert_int_equal(shunt_set_file_read(path, SHUNT_SET_PREFIX, &list, &n, &err),
			 -EINVAL);
	unlink(path);
	assert_int_equal(shunt_set_file_read(path, SHUNT_SET_PREFIX, &list, &n, &err),
			 -ENOENT);
	assert_true(shunt_set_file_read("/", SHUNT_SET_PREFIX, &list, &n, &err) < 0);
	assert_true(shunt_set_file_read("/dev/zero", SHUNT_SET_PREFIX, &list, &n,
					NULL) < 0);
}

static void a_set_holds_so_many_of_each_family(void **ctx)
{
	const char *text =
		HEAD ",\"sets\":{\"s\":{\"type\":\"prefix\",\"size\":2,\"elements\":"
		     "[\"10.0.0.0/8\",\"11.0.0.0/8\",\"::/1\",\"8000::/1\"]}},"
		     "\"rules\":[{\"name\":\"r\",\"match\":{\"dst\":\"@s\"},"
		     "\"action\":\"tx\"}]}";
	struct shunt_policy *p = good(text);

	(void)ctx;
	assert_int_equal(p->set[0].size, 2);
	assert_int_equal(p->set[0].elements, 4);
	shunt_policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_become_exactly_these_spans),
		cmocka_unit_test(flags_and_mask_match_the_bytes_that_they_say),
		cmocka_unit_test(addresses_and_sets_are_kept_apart),
		cmocka_unit_test(actions_are_what_they_say),
		cmocka_unit_test(consumers_and_defaults_are_what_they_say),
		cmocka_unit_test(a_heartbeat_is_the_time_that_is_written),
		cmocka_unit_test(sets_have_room_for_twice_their_elements),
		cmocka_unit_test(a_set_without_elements_is_dynamic),
		cmocka_unit_test(a_set_holds_so_many_of_each_family),
		cmocka_unit_test(set_files_are_read_line_by_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
