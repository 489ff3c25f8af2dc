/* SPDX-License-Identifier: BSD-2-Clause */
/* What rules do with packets besides their verdict: rewrites, copies, rings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "loader/rings.h"
#include "tests/bpf/ring_reader.h"
#include "tests/bpf/rig_group.h"
#include "tests/model/counted.h"
#include "tests/model/fixture.h"
#include "tests/model/frame.h"
#include "tests/model/random.h"
#include "tests/model/sums.h"
#include "tests/model/text.h"
#include "user/io/ring.h"

#define XDP SHUNT_HOOK_XDP
#define TC_IN SHUNT_HOOK_TC_INGRESS
#define TC_OUT SHUNT_HOOK_TC_EGRESS
#define RING_BYTES (1u << 20)
#define ROOM (SHUNT_FRAME_ROOM + 64)

static const char *const hook_name[] = { "xdp", "tc-ingress", "tc-egress" };

/* --- doing ----------------------------------------------------------------- */

/* Policy texts put in force, their first rule changed by hand where that is wanted. */
static void apply(const char *text, const struct shunt_policy_rewrite *rewrite)
{
	struct shunt_policy *policy = shunt_fixture_policy(text);
	struct shunt_err err;

	assert_non_null(policy);
	if (rewrite)
		policy->rule[0].rewrite = *rewrite;
	if (shunt_rig_apply(&rig, policy, &err))
		fail_msg("%s", err.message);
	shunt_policy_free(policy);
}

static uint32_t run(enum shunt_hook hook, const uint8_t *bytes, size_t len,
		    uint8_t *out, size_t *out_len)
{
	struct shunt_rig_run r = {
		.frame = bytes, .bytes = len, .out = out, .out_room = len + 64
	};
	int ret = shunt_rig_run(&rig, hook, &r);

	if (ret)
		fail_msg("%s, %zu bytes: %s", hook_name[hook], len, strerror(-ret));
	if (out_len)
		*out_len = r.out_bytes;
	return r.code;
}

/* --- rewrites, at random --------------------------------------------------- */

#define ALL_TO_RING                                                                    \
	POLICY(PASSING, RULES("{\"name\":\"r\",\"match\":{},\"action\":\"pass\","      \
			      "\"mirror\":\"ring\"}"))

static void fill(struct shunt_random *random, void *at, size_t n)
{
	uint8_t *byte = at;

	while (n--)
		*byte++ = shunt_random_next(random);
}

static void draw_addr(struct shunt_random *random, struct shunt_prefix *addr)
{
	addr->family = shunt_random_one_in(random, 2) ? 4 : 6;
	addr->bits = addr->family == 4 ? 32 : 128;
	fill(random, addr->addr, addr->family == 4 ? 4 : 16);
}

static void draw_rewrite(struct shunt_random *random, struct shunt_policy_rewrite *rw)
{
	static const uint32_t vlan[] = { 0, 0, SHUNT_REWRITE_VLAN_PUSH,
					 SHUNT_REWRITE_VLAN_POP,
					 SHUNT_REWRITE_VLAN_SET };

	memset(rw, 0, sizeof(*rw));
	do {
		rw->bits = shunt_random_next(random) & ~SHUNT_REWRITE_VLAN & 0xfff;
		if (shunt_random_one_in(random, 3))
			rw->bits &= shunt_random_next(random);
		rw->bits |= shunt_random_of(random, vlan);
	} while (!rw->bits);
	fill(random, rw->mac, sizeof(rw->mac));
	rw->vlan = shunt_random_below(random, 4095);
	rw->dscp = shunt_random_below(random, 64);
	rw->ttl = shunt_random_in(random, 1, 255);
	draw_addr(random, &rw->addr[0]);
	draw_addr(random, &rw->addr[1]);
	rw->port[0] = shunt_random_next(random);
	rw->port[1] = shunt_random_next(random);
}

static void draw_spec(struct shunt_random *random, struct shunt_frame_spec *spec)
{
	static const uint8_t protos[] = { 6, 6, 17, 17, 17, 1, 58, 132, 89 };
	static const uint8_t exts[] = { 0, 43, 51, 60 };
	static const enum shunt_l3 l3[] = { SHUNT_L3_IP4, SHUNT_L3_IP4, SHUNT_L3_IP6,
					    SHUNT_L3_IP6, SHUNT_L3_NONE };
	unsigned int i;

	memset(spec, 0, sizeof(*spec));
	spec->tags = shunt_random_below(random, 3);
	for (i = 0; i < spec->tags; i++) {
		spec->tag[i].type = shunt_random_one_in(random, 2) ? 0x8100 : 0x88a8;
		spec->tag[i].id = shunt_random_below(random, 4096);
	}
	spec->l3 = shunt_random_of(random, l3);
	spec->eth_type = 0x0806;
	fill(random, spec->src, 16);
	fill(random, spec->dst, 16);
	if (spec->l3 == SHUNT_L3_IP4)
		spec->options = shunt_random_below(random, 11);
	else if (shunt_random_one_in(random, 2))
		spec->exts = shunt_random_below(random, 4);
	for (i = 0; i < spec->exts; i++)
		spec->ext[i] = shunt_random_of(random, exts);
	if (shunt_random_one_in(random, 3))
		spec->fragment = shunt_random_below(random, 3);
	spec->offset = shunt_random_in(random, 1, 100);
	spec->more = shunt_random_below(random, 2);
	spec->proto = shunt_random_of(random, protos);
	spec->sport = shunt_random_next(random);
	spec->dport = shunt_random_next(random);
	spec->tcp_options = shunt_random_below(random, 11);
	spec->payload = shunt_random_below(random, 200);
	spec->pad = shunt_random_below(random, 10);
}

/* A sound frame with right checksums; a UDP checksum may be left out. */
static void draw_frame(struct shunt_random *random, struct shunt_model_frame *frame)
{
	struct shunt_frame_spec spec;
	struct shunt_sums_at at;

	draw_spec(random, &spec);
	shunt_frame_build(&spec, frame);
	assert_int_equal(frame->reason, SHUNT_FRAME_SOUND);
	shunt_sums_find(frame->bytes, frame->len, &at);
	if (at.l3) {
		uint8_t *ip = frame->bytes + at.l3;

		ip[at.version == 4 ? 8 : 7] = shunt_random_one_in(random, 4)
						      ? shunt_random_below(random, 3)
						      : shunt_random_next(random);
		/* TOS, or traffic class and flow label */
		if (at.version == 6)
			ip[0] = 0x60 | shunt_random_below(random, 16);
		ip[1] = shunt_random_next(random);
		fill(random, frame->bytes + frame->len - spec.pad - spec.payload,
		     spec.payload);
	}
	if (at.check && (at.proto != 17 || !shunt_random_one_in(random, 4)))
		frame->bytes[at.check] = 1; /* there is one; which is sealed */
	shunt_sums_seal(frame->bytes, frame->len);
	assert_null(shunt_sums_fault(frame->bytes, frame->len));
}

static void show(const char *what, const uint8_t *bytes, size_t len)
{
	static char text[2 * ROOM + 1];

	shunt_frame_hex(bytes, len, text);
	print_error("%s %s\n", what, text);
}

static void same(const char *where, enum shunt_hook hook, uint32_t bits,
		 const struct shunt_model_frame *in, const uint8_t *got, size_t got_len,
		 const uint8_t *want, size_t want_len)
{
	if (got_len == want_len && !memcmp(got, want, got_len))
		return;
	show("in  ", in->bytes, in->len);
	show("got ", got, got_len);
	show("want", want, want_len);
	fail_msg("%s of %s, rewrite bits 0x%x: the frame is not what it should be",
		 where, hook_name[hook], bits);
}

/* One frame through one hook: the mirrored frame and what comes out. */
static void check_frame(struct reader *reader, enum shunt_hook hook,
			const struct shunt_policy_rewrite *rw,
			const struct shunt_model_frame *in, uint8_t *want,
			size_t want_len)
{
	static uint8_t out[ROOM + 64];
	static struct seen seen;
	struct shunt_trace trace;
	uint32_t code;
	size_t len;

	code = run(hook, in->bytes, in->len, out, &len);
	if (shunt_rig_trace(&rig, hook, in->bytes, in->len, &trace))
		fail_msg("%s: no trace", hook_name[hook]);
	if (!want_len) {
		assert_int_equal(code, hook == XDP ? XDP_DROP : TC_ACT_SHOT);
		assert_int_equal(trace.reason, SHUNT_REASON_TTL);
		assert_int_equal(trace.verdict, SHUNT_VERDICT_DROP);
		assert_false(next(reader, &seen));
		return;
	}
	assert_int_equal(code, hook == XDP ? XDP_PASS : (uint32_t)TC_ACT_UNSPEC);
	assert_int_equal(trace.reason, SHUNT_REASON_RULE);
	if (!next(reader, &seen))
		fail_msg("%s: the frame was not mirrored", hook_name[hook]);
	assert_int_equal(seen.event.len, want_len);
	same("the copy", hook, rw->bits, in, seen.frame, seen.event.captured, want,
	     want_len);
	/* a tag that TC pushes, or moves in popping, stands beside the packet */
	if (hook == XDP || !(rw->bits & SHUNT_REWRITE_VLAN))
		same("the frame out", hook, rw->bits, in, out, len, want, want_len);
	/* a traced run copies nothing */
	assert_false(next(reader, &seen));
}

static void rewritten_frames_are_what_a_naive_rewrite_makes_of_them(void **ctx)
{
	struct shunt_random random = { shunt_random_seed(20) };
	uint64_t policies = shunt_random_cases(150), p;
	struct shunt_policy_rewrite rw;
	struct shunt_model_frame in;
	static uint8_t want[ROOM];
	struct reader reader;
	int i, hook;

	(void)ctx;
	reader_open(&reader, SHUNT_RING_COPIES, RING_BYTES);
	for (p = 0; p < policies; p++) {
		draw_rewrite(&random, &rw);
		apply(ALL_TO_RING, &rw);
		for (i = 0; i < 60; i++) {
			size_t len;

			draw_frame(&random, &in);
			memcpy(want, in.bytes, in.len);
			len = shunt_sums_rewrite(&rw, want, in.len);
			if (len)
				assert_null(shunt_sums_fault(want, len));
			for (hook = XDP; hook <= TC_OUT; hook++)
				check_frame(&reader, hook, &rw, &in, want, len);
		}
	}
	reader_close(&reader);
}

/* The one port with which the datagram's checksum comes out as 0, and is sent as ffff. */
static uint16_t port_for_zero(const struct shunt_model_frame *in,
			      struct shunt_policy_rewrite *rw)
{
	static uint8_t want[ROOM];
	struct shunt_sums_at at;
	uint32_t port;

	shunt_sums_find(in->bytes, in->len, &at);
	for (port = 0; port < 65536; port++) {
		memcpy(want, in->bytes, in->len);
		rw->port[1] = port;
		shunt_sums_rewrite(rw, want, in->len);
		if (want[at.check] == 0xff && want[at.check + 1] == 0xff)
			return port;
	}
	fail_msg("no port makes the checksum 0");
	return 0;
}

static void a_udp_checksum_of_zero_is_sent_as_its_other_form(void **ctx)
{
	static const enum shunt_l3 l3[] = { SHUNT_L3_IP4, SHUNT_L3_IP6 };
	struct shunt_policy_rewrite rw = { .bits = SHUNT_REWRITE_DPORT };
	static uint8_t want[ROOM];
	struct shunt_sums_at at;
	struct reader reader;
	int i, hook;

	(void)ctx;
	reader_open(&reader, SHUNT_RING_COPIES, RING_BYTES);
	for (i = 0; i < 2; i++) {
		struct shunt_frame_spec spec = { .l3 = l3[i],
						 .proto = 17,
						 .payload = 9 };
		struct shunt_model_frame in;

		shunt_frame_build(&spec, &in);
		shunt_sums_find(in.bytes, in.len, &at);
		in.bytes[at.check] = 1;
		shunt_sums_seal(in.bytes, in.len);
		rw.port[1] = port_for_zero(&in, &rw);
		apply(ALL_TO_RING, &rw);
		memcpy(want, in.bytes, in.len);
		assert_int_equal(shunt_sums_rewrite(&rw, want, in.len), in.len);
		for (hook = XDP; hook <= TC_OUT; hook++)
			check_frame(&reader, hook, &rw, &in, want, in.len);
	}
	reader_close(&reader);
}

/* --- what the policy says is what is done ---------------------------------- */

/* A UDP datagram to port 53 in IPv4, 62 bytes long, its checksum there. */
static void build_dns(struct shunt_model_frame *frame)
{
	static const struct shunt_frame_spec dns = {
		.l3 = SHUNT_L3_IP4,
		.src = { 192, 0, 2, 1 },
		.dst = { 192, 0, 2, 2 },
		.proto = 17,
		.sport = 1024,
		.dport = 53,
		.payload = 20,
	};

	shunt_frame_build(&dns, frame);
	frame->bytes[40] = 1;
	shunt_sums_seal(frame->bytes, frame->len);
}

#define DNS "\"eth_type\":\"ipv4\",\"proto\":\"udp\",\"dport\":53"
#define WITH(action, mods)                                                             \
	"{\"name\":\"r\",\"match\":{" DNS "},\"action\":" action "," mods "}"
#define ONE(mods) POLICY(PASSING, RULES(WITH("\"pass\"", mods)))

static void a_policy_s_rewrite_is_the_one_that_is_done(void **ctx)
{
	struct shunt_model_frame in;
	static uint8_t want[ROOM], out[ROOM];
	size_t len;
	int hook;

	(void)ctx;
	build_dns(&in);
	apply(POLICY(PASSING,
		     RULES(WITH("\"tx\"", "\"rewrite\":{\"src\":\"198.51.100.7\","
					  "\"dport\":5353,\"dscp\":46,\"ttl\":9,"
					  "\"dst_mac\":\"02:00:00:00:00:99\"}"))),
	      NULL);
	memcpy(want, in.bytes, in.len);
	memcpy(want, "\x02\0\0\0\0\x99", 6); /* over the swapped one */
	memcpy(want + 6, in.bytes, 6);
	want[15] = 46 << 2;
	want[22] = 9;
	memcpy(want + 26, "\xc6\x33\x64\x07", 4);
	want[36] = 5353 >> 8;
	want[37] = 5353 & 255;
	shunt_sums_seal(want, in.len);
	for (hook = XDP; hook <= TC_IN; hook++) {
		assert_int_equal(run(hook, in.bytes, in.len, out, &len),
				 hook == XDP ? XDP_TX : TC_ACT_REDIRECT);
		assert_int_equal(len, in.len);
		assert_memory_equal(out, want, in.len);
	}
}

/* --- copies ---------------------------------------------------------------- */

static const struct shunt_state_rule *rule_r(void)
{
	const struct shunt_state_rule *rule = shunt_state_rule(rig.state, "r");

	assert_non_null(rule);
	return rule;
}

static void a_sample_says_whose_packet_it_is_and_what_became_of_it(void **ctx)
{
	struct shunt_model_frame in;
	struct reader reader;
	struct seen seen;
	int hook;

	(void)ctx;
	build_dns(&in);
	reader_open(&reader, SHUNT_RING_COPIES, RING_BYTES);
	apply(POLICY(PASSING, RULES("{\"name\":\"other\",\"match\":{\"dport\":1,"
				    "\"proto\":\"tcp\"},\"action\":\"pass\"}," WITH(
					    "\"drop\"",
					    "\"sample\":{\"one_in\":1,\"bytes\":34}"))),
	      NULL);
	for (hook = XDP; hook <= TC_OUT; hook++) {
		run(hook, in.bytes, in.len, NULL, NULL);
		assert_true(next(&reader, &seen));
		assert_int_equal(seen.event.kind, SHUNT_RING_SAMPLE);
		assert_int_equal(seen.event.hook, hook);
		assert_int_equal(seen.event.rule, 1);
		assert_int_equal(seen.event.counter, rule_r()->counter);
		assert_int_equal(seen.event.verdict, SHUNT_VERDICT_DROP);
		assert_int_equal(seen.event.reason, SHUNT_REASON_RULE);
		assert_int_equal(seen.event.generation, rig.state->generation);
		assert_int_equal(seen.event.len, in.len);
		assert_int_equal(seen.event.captured, 34);
		assert_memory_equal(seen.frame, in.bytes, 34);
		assert_false(next(&reader, &seen));
	}
	reader_close(&reader);
}

/* The counters' difference of one id over one hook. */
static uint64_t counted(const struct shunt_counted *before, int hook, uint32_t id)
{
	static struct shunt_counted now;
	uint32_t key = shunt_counter_key(hook, id);

	shunt_counted_read(&rig.maps, &now);
	return now.at[key].packets - before->at[key].packets;
}

static void samples_are_one_in_n_and_all_accounted_for(void **ctx)
{
	static struct shunt_counted before;
	struct shunt_model_frame in;
	struct reader reader;
	struct seen seen;
	unsigned int i, got = 0;

	(void)ctx;
	build_dns(&in);
	apply(ONE("\"sample\":{\"one_in\":8,\"bytes\":14}"), NULL);
	reader_open(&reader, SHUNT_RING_COPIES, 4096);
	shunt_counted_read(&rig.maps, &before);
	for (i = 0; i < 20000; i++) {
		run(XDP, in.bytes, in.len, NULL, NULL);
		while (i < 16000 && next(&reader, &seen))
			got++;
	}
	/* binomial, n 16000, p 1/8: sigma is 42; six of them */
	assert_in_range(got, 2000 - 252, 2000 + 252);
	while (next(&reader, &seen))
		got++;
	assert_int_equal(counted(&before, XDP, SHUNT_COUNTER_SAMPLED), got);
	/* nobody has read the last ones: 500, of which a page holds 51 */
	assert_in_range(counted(&before, XDP, SHUNT_COUNTER_SAMPLE_LOST), 200, 800);
	reader_close(&reader);
	shunt_counted_read(&rig.maps, &before);
	for (i = 0; i < 1000; i++)
		run(XDP, in.bytes, in.len, NULL, NULL);
	assert_int_equal(counted(&before, XDP, SHUNT_COUNTER_SAMPLED), 0);
	assert_in_range(counted(&before, XDP, SHUNT_COUNTER_SAMPLE_LOST), 40, 250);
}

/* XDP has no clone; TC sends one out of loopback, which takes it. */
static void a_mirror_to_an_interface_is_for_tc(void **ctx)
{
	static struct shunt_counted before;
	struct shunt_model_frame in;

	(void)ctx;
	build_dns(&in);
	apply(ONE("\"mirror\":{\"interface\":\"lo\"}"), NULL);
	shunt_counted_read(&rig.maps, &before);
	assert_int_equal(run(XDP, in.bytes, in.len, NULL, NULL), XDP_PASS);
	assert_int_equal(run(TC_IN, in.bytes, in.len, NULL, NULL),
			 (uint32_t)TC_ACT_UNSPEC);
	assert_int_equal(counted(&before, XDP, SHUNT_COUNTER_MIRROR_LOST), 1);
	assert_int_equal(counted(&before, XDP, SHUNT_COUNTER_MIRRORED), 0);
	assert_int_equal(counted(&before, TC_IN, SHUNT_COUNTER_MIRRORED), 1);
}

/* --- consumers ------------------------------------------------------------- */

#define TO_RING(kind)                                                                  \
	POLICY(PASSING, "\"consumers\":{\"c\":{\"kind\":\"" kind                       \
			"\",\"if_down\":\"pass\"}}," RULES(RULE(                       \
				"r", DNS, "{\"redirect\":{\"consumer\":\"c\"}}")))

/* Runs and traces one frame: both say what becomes of it. */
static void expect(enum shunt_hook hook, const struct shunt_model_frame *in,
		   uint32_t code, uint32_t reason, uint32_t verdict)
{
	struct shunt_trace trace;

	assert_int_equal(shunt_rig_trace(&rig, hook, in->bytes, in->len, &trace), 0);
	assert_int_equal(trace.reason, reason);
	assert_int_equal(trace.verdict, verdict);
	assert_int_equal(run(hook, in->bytes, in->len, NULL, NULL), code);
}

static void consumes(const char *policy, enum shunt_hook hook)
{
	uint32_t gone = hook == XDP ? XDP_DROP : TC_ACT_SHOT;
	uint32_t passed = hook == XDP ? XDP_PASS : (uint32_t)TC_ACT_UNSPEC;
	struct shunt_model_frame in;
	struct reader reader;
	struct seen seen;
	int n = 0;

	build_dns(&in);
	apply(policy, NULL);
	expect(hook, &in, passed, SHUNT_REASON_CONSUMER_DOWN, SHUNT_VERDICT_PASS);
	reader_open(&reader, shunt_ring_place(rig.state->consumer[0].slot), 4096);
	expect(hook, &in, gone, SHUNT_REASON_RULE, SHUNT_VERDICT_CONSUMER);
	assert_true(next(&reader, &seen));
	assert_int_equal(seen.event.kind, SHUNT_RING_CONSUMER);
	assert_int_equal(seen.event.captured, in.len);
	assert_memory_equal(seen.frame, in.bytes, in.len);
	assert_false(next(&reader, &seen));
	/* a page of records of 128 bytes each: the ring is full by then */
	while (run(hook, in.bytes, in.len, NULL, NULL) == gone)
		assert_true(++n < 40);
	assert_in_range(n, 30, 33);
	reader_close(&reader);
	expect(hook, &in, passed, SHUNT_REASON_CONSUMER_DOWN, SHUNT_VERDICT_PASS);
}

static void a_ring_takes_a_consumer_s_packets_until_it_is_full(void **ctx)
{
	int hook;

	(void)ctx;
	for (hook = XDP; hook <= TC_OUT; hook++)
		consumes(TO_RING("ring"), hook);
	/* what XDP gives to sockets, TC gives to a ring */
	consumes(TO_RING("xsk"), TC_IN);
	consumes(TO_RING("xsk"), TC_OUT);
}

static void a_ring_has_one_reader_and_outlives_applies_as_long(void **ctx)
{
	struct shunt_model_frame in;
	struct reader reader;
	struct seen seen;
	struct shunt_err err;

	(void)ctx;
	build_dns(&in);
	apply(ONE("\"mirror\":\"ring\""), NULL);
	reader_open(&reader, SHUNT_RING_COPIES, RING_BYTES);
	assert_int_equal(shunt_ring_claim(&rig.maps, SHUNT_RING_COPIES, &err), -EBUSY);
	apply(ONE("\"mirror\":\"ring\",\"sample\":{\"one_in\":1}"), NULL);
	run(XDP, in.bytes, in.len, NULL, NULL);
	assert_true(next(&reader, &seen));
	assert_int_equal(seen.event.kind, SHUNT_RING_MIRROR);
	assert_true(next(&reader, &seen));
	assert_int_equal(seen.event.kind, SHUNT_RING_SAMPLE);
	/* a reader that dies leaves the ring, which the next apply clears away */
	close(reader.claim);
	apply(ONE("\"mirror\":\"ring\""), NULL);
	run(XDP, in.bytes, in.len, NULL, NULL);
	assert_false(next(&reader, &seen));
	shunt_ring_close(reader.ring);
	close(reader.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			rewritten_frames_are_what_a_naive_rewrite_makes_of_them),
		cmocka_unit_test(a_udp_checksum_of_zero_is_sent_as_its_other_form),
		cmocka_unit_test(a_policy_s_rewrite_is_the_one_that_is_done),
		cmocka_unit_test(
			a_sample_says_whose_packet_it_is_and_what_became_of_it),
		cmocka_unit_test(samples_are_one_in_n_and_all_accounted_for),
		cmocka_unit_test(a_mirror_to_an_interface_is_for_tc),
		cmocka_unit_test(a_ring_takes_a_consumer_s_packets_until_it_is_full),
		cmocka_unit_test(a_ring_has_one_reader_and_outlives_applies_as_long),
	};

	return cmocka_run_group_tests(tests, open_rig, close_rig);
}
