/* SPDX-License-Identifier: BSD-2-Clause */
/* Frame in, verdict and whole frame out: what each action does, and what it counts. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/netfilter.h>
#include <linux/pkt_cls.h>

#include "maps/target.h"
#include "tests/bpf/rig_group.h"
#include "tests/model/counted.h"
#include "tests/model/fixture.h"
#include "tests/model/frame.h"
#include "tests/model/text.h"
#include "user/base/cleanup.h"
#include "user/io/xsk.h"

#define XDP SHUNT_HOOK_XDP
#define TC_IN SHUNT_HOOK_TC_INGRESS
#define TC_OUT SHUNT_HOOK_TC_EGRESS
#define NF SHUNT_HOOK_NETFILTER
#define JUMBO 9000

static struct shunt_counted before;

/* A UDP datagram to port 53 in IPv4, 62 bytes long. */
static const struct shunt_frame_spec dns = {
	.l3 = SHUNT_L3_IP4,
	.src = { 192, 0, 2, 1 },
	.dst = { 192, 0, 2, 2 },
	.proto = 17,
	.sport = 1024,
	.dport = 53,
	.payload = 20,
};

/* --- doing ----------------------------------------------------------------- */

/* Puts a policy of these rules in force, and notes what is counted by now. */
static void rule(const char *policy)
{
	struct shunt_policy *read = shunt_fixture_policy(policy);
	struct shunt_err err;

	assert_non_null(read);
	if (shunt_rig_apply(&rig, read, &err))
		fail_msg("%s", err.message);
	shunt_policy_free(read);
	shunt_counted_read(&rig.maps, &before);
}

#define DNS "\"proto\":\"udp\",\"dport\":53"
#define CONSUMER(if_down)                                                              \
	"\"consumers\":{\"c\":{\"kind\":\"xsk\",\"if_down\":\"" if_down "\"}}"

/* Runs a frame; `out` has room for all of it. */
static uint32_t run(enum shunt_hook hook, const uint8_t *bytes, size_t len,
		    uint8_t *out)
{
	struct shunt_rig_run r = {
		.frame = bytes,
		.bytes = len,
		.out = out,
		.out_room = len + 64,
	};
	int ret = shunt_rig_run(&rig, hook, &r);

	if (ret)
		fail_msg("hook %d, %zu bytes: %s", hook, len, strerror(-ret));
	assert_int_equal(r.out_bytes, len);
	return r.code;
}

/* The id under which a rule of the ruling policy is counted. */
/* --- every action in every hook -------------------------------------------- */

enum out { SAME, SWAPPED };

struct row {
	const char *name, *policy;
	enum shunt_hook hook;
	uint32_t code;
	const char *rule; /* that counts it; NULL: the default */
	uint32_t reason, verdict;
	enum out out;
	enum shunt_map gone; /* this map is emptied first; 0 (gen): none is */
};

#define ACTION(action) POLICY(PASSING, RULES(RULE("r", DNS, action)))
#define REWRITING(action) ACTION(action ",\"rewrite\":{\"dscp\":1}")
#define TO_LO ACTION("{\"redirect\":{\"interface\":\"lo\"}}")
#define TO_CPU ACTION("{\"redirect\":{\"cpu\":0}}")
#define TO_CONSUMER(if_down)                                                           \
	POLICY(PASSING, CONSUMER(if_down) "," RULES(RULE(                              \
				"r", DNS, "{\"redirect\":{\"consumer\":\"c\"}}")))
#define UNSPEC ((uint32_t)TC_ACT_UNSPEC)
#define R(reason, verdict) SHUNT_REASON_##reason, SHUNT_VERDICT_##verdict

/* clang-format off */
static const struct row rows[] = {
	{"xdp: pass", ACTION("\"pass\""), XDP, XDP_PASS, "r", R(RULE, PASS)},
	{"xdp: drop", ACTION("\"drop\""), XDP, XDP_DROP, "r", R(RULE, DROP)},
	{"xdp: tx swaps the MAC addresses", ACTION("\"tx\""), XDP, XDP_TX, "r", R(RULE, TX),
	 SWAPPED},
	{"xdp: to an interface", TO_LO, XDP, XDP_REDIRECT, "r", R(RULE, INTERFACE)},
	{"xdp: to an interface that is gone", TO_LO, XDP, XDP_DROP, "r", R(TARGET_DOWN, DROP),
	 SAME, SHUNT_MAP_DEV},
	{"xdp: to a CPU", TO_CPU, XDP, XDP_REDIRECT, "r", R(RULE, CPU)},
	{"xdp: to a CPU that is gone", TO_CPU, XDP, XDP_DROP, "r", R(TARGET_DOWN, DROP), SAME,
	 SHUNT_MAP_CPU},
	{"xdp: consumer down, pass", TO_CONSUMER("pass"), XDP, XDP_PASS, "r",
	 R(CONSUMER_DOWN, PASS)},
	{"xdp: consumer down, drop", TO_CONSUMER("drop"), XDP, XDP_DROP, "r",
	 R(CONSUMER_DOWN, DROP)},
	{"xdp: default pass", POLICY(PASSING, RULES("")), XDP, XDP_PASS, NULL,
	 R(DEFAULT, PASS)},
	{"xdp: default drop", POLICY(DROPPING, RULES("")), XDP, XDP_DROP, NULL,
	 R(DEFAULT, DROP)},
	{"tc: pass leaves it to the next filter", ACTION("\"pass\""), TC_IN, UNSPEC, "r",
	 R(RULE, PASS)},
	{"tc: drop", ACTION("\"drop\""), TC_IN, TC_ACT_SHOT, "r", R(RULE, DROP)},
	{"tc: tx swaps the MAC addresses", ACTION("\"tx\""), TC_IN, TC_ACT_REDIRECT, "r",
	 R(RULE, TX), SWAPPED},
	{"tc: to an interface", TO_LO, TC_IN, TC_ACT_REDIRECT, "r", R(RULE, INTERFACE)},
	{"tc: to an interface that is gone", TO_LO, TC_IN, TC_ACT_SHOT, "r",
	 R(TARGET_DOWN, DROP), SAME, SHUNT_MAP_DEV},
	{"tc: to a CPU cannot be", TO_CPU, TC_IN, UNSPEC, "r", R(HOOK_CANNOT, PASS)},
	{"tc: consumer down, pass", TO_CONSUMER("pass"), TC_IN, UNSPEC, "r",
	 R(CONSUMER_DOWN, PASS)},
	{"tc: consumer down, drop", TO_CONSUMER("drop"), TC_IN, TC_ACT_SHOT, "r",
	 R(CONSUMER_DOWN, DROP)},
	{"tc: default pass", POLICY(PASSING, RULES("")), TC_IN, UNSPEC, NULL,
	 R(DEFAULT, PASS)},
	{"tc: default drop", POLICY(DROPPING, RULES("")), TC_IN, TC_ACT_SHOT, NULL,
	 R(DEFAULT, DROP)},
	{"egress: pass", ACTION("\"pass\""), TC_OUT, UNSPEC, "r", R(RULE, PASS)},
	{"egress: drop", ACTION("\"drop\""), TC_OUT, TC_ACT_SHOT, "r", R(RULE, DROP)},
	{"egress: tx cannot be", ACTION("\"tx\""), TC_OUT, UNSPEC, "r", R(HOOK_CANNOT, PASS)},
	{"egress: to an interface", TO_LO, TC_OUT, TC_ACT_REDIRECT, "r", R(RULE, INTERFACE)},
	{"egress: consumer down", TO_CONSUMER("drop"), TC_OUT, TC_ACT_SHOT, "r",
	 R(CONSUMER_DOWN, DROP)},
	{"egress: default drop", POLICY(DROPPING, RULES("")), TC_OUT, TC_ACT_SHOT, NULL,
	 R(DEFAULT, DROP)},
	{"netfilter: pass", ACTION("\"pass\""), NF, NF_ACCEPT, "r", R(RULE, PASS)},
	{"netfilter: drop", ACTION("\"drop\""), NF, NF_DROP, "r", R(RULE, DROP)},
	{"netfilter: tx cannot be", ACTION("\"tx\""), NF, NF_ACCEPT, "r", R(HOOK_CANNOT, PASS)},
	{"netfilter: to an interface cannot be", TO_LO, NF, NF_ACCEPT, "r",
	 R(HOOK_CANNOT, PASS)},
	{"netfilter: to a CPU cannot be", TO_CPU, NF, NF_ACCEPT, "r", R(HOOK_CANNOT, PASS)},
	{"netfilter: consumer down, pass", TO_CONSUMER("pass"), NF, NF_ACCEPT, "r",
	 R(CONSUMER_DOWN, PASS)},
	{"netfilter: consumer down, drop", TO_CONSUMER("drop"), NF, NF_DROP, "r",
	 R(CONSUMER_DOWN, DROP)},
	{"netfilter: a rewrite cannot be", REWRITING("\"pass\""), NF, NF_ACCEPT, "r",
	 R(HOOK_CANNOT, PASS)},
	{"netfilter: a rewrite for a consumer cannot be",
	 POLICY(PASSING, CONSUMER("drop") "," RULES(RULE("r", DNS,
		"{\"redirect\":{\"consumer\":\"c\"}},\"rewrite\":{\"dscp\":1}"))),
	 NF, NF_DROP, "r", R(HOOK_CANNOT, DROP)},
	{"netfilter: default pass", POLICY(PASSING, RULES("")), NF, NF_ACCEPT, NULL,
	 R(DEFAULT, PASS)},
	{"netfilter: default drop", POLICY(DROPPING, RULES("")), NF, NF_DROP, NULL,
	 R(DEFAULT, DROP)},
};
/* clang-format on */

static void empty(enum shunt_map map)
{
	uint32_t key = map == SHUNT_MAP_CPU ? 0 : 1; /* CPU 0; loopback is 1 */

	if (map != SHUNT_MAP_GEN)
		assert_int_equal(bpf_map_delete_elem(rig.maps.fd[map], &key), 0);
}

/* One packet more: under its reason and verdict, under its rule, and nowhere else. */
static void check_counted(const struct row *row, uint32_t bytes)
{
	uint32_t id = row->rule ? rig_counter(row->rule) : SHUNT_COUNTER_DEFAULT;
	char text[512];

	shunt_counted_add(&before, row->hook,
			  shunt_counter_reason_id(row->reason, row->verdict), 1, bytes);
	if (row->reason < SHUNT_REASON_INTERNAL)
		shunt_counted_add(&before, row->hook, id, 1, bytes);
	if (!shunt_counted_is(&rig.maps, &before, text, sizeof(text)))
		fail_msg("%s: %s", row->name, text);
}

static void check_row(const struct row *row, const uint8_t *bytes, size_t len)
{
	static uint8_t out[JUMBO + 64], want[JUMBO];
	uint32_t code;

	memcpy(want, bytes, len);
	if (row->out == SWAPPED) {
		memcpy(want, bytes + 6, 6);
		memcpy(want + 6, bytes, 6);
	}
	empty(row->gone);
	code = run(row->hook, bytes, len, out);
	if (code != row->code)
		fail_msg("%s: the program returned %d", row->name, code);
	if (memcmp(out, want, len))
		fail_msg("%s: the frame behind it is not what it should be", row->name);
	check_counted(row, len);
}

static void every_action_does_and_counts_what_it_should(void **ctx)
{
	struct shunt_model_frame frame;
	size_t i;

	(void)ctx;
	shunt_frame_build(&dns, &frame);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (!shunt_rig_has(rows[i].hook))
			continue;
		rule(rows[i].policy);
		check_row(&rows[i], frame.bytes, frame.len);
	}
}

/* A frame in fragments of a page each: headers in the first, all bytes counted. */
static bool is_before(unsigned int major, unsigned int minor)
{
	unsigned int is_major = 0, is_minor = 0;
	struct utsname name;

	assert_int_equal(uname(&name), 0);
	assert_int_equal(sscanf(name.release, "%u.%u", &is_major, &is_minor), 2);
	return is_major < major || (is_major == major && is_minor < minor);
}

/* What becomes of a frame in several buffers: older kernels cannot redirect it
 * (bpf/lib/frags.h). */
static struct row in_buffers(struct row row)
{
	if ((row.verdict == SHUNT_VERDICT_INTERFACE || row.gone == SHUNT_MAP_DEV) &&
	    is_before(6, 3)) {
		row.code = XDP_PASS;
		row.verdict = SHUNT_VERDICT_PASS;
		row.reason = SHUNT_REASON_HOOK_CANNOT;
	}
	if (row.reason == SHUNT_REASON_CONSUMER_DOWN && is_before(6, 6))
		row.reason = SHUNT_REASON_HOOK_CANNOT;
	return row;
}

static void a_frame_of_9000_bytes_is_like_any_other(void **ctx)
{
	static uint8_t big[JUMBO];
	struct shunt_model_frame frame;
	size_t i;

	(void)ctx;
	shunt_frame_build(&dns, &frame);
	for (i = 0; i < JUMBO; i++)
		big[i] = i * 7;
	memcpy(big, frame.bytes, frame.len);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct row row = in_buffers(rows[i]);

		if (row.hook != XDP)
			continue;
		rule(row.policy);
		check_row(&row, big, JUMBO);
	}
}

static void a_consumer_that_is_there_gets_its_packets(void **ctx)
{
	static const struct row up = {
		"xdp: consumer up", TO_CONSUMER("drop"), XDP, XDP_REDIRECT, "r",
		R(RULE, CONSUMER)
	};
	struct shunt_port_stats count = { 0 };
	struct shunt_model_frame frame;
	struct shunt_memory *memory;
	struct shunt_xsk *xsk;
	struct shunt_err err;

	(void)ctx;
	/* newer kernels take bound sockets only: bind it to a loopback of our own */
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	if (shunt_memory_open(&memory, NULL, &err) ||
	    shunt_xsk_open(&xsk, memory, "lo", 0, NULL, &count, &err))
		fail_msg("%s", err.message);
	shunt_frame_build(&dns, &frame);
	rule(up.policy);
	assert_int_equal(shunt_xsk_register(xsk, rig.maps.fd[SHUNT_MAP_XSK],
					    rig.state->consumer[0].slot, &err),
			 0);
	check_row(&up, frame.bytes, frame.len);
	shunt_xsk_close(xsk);
	assert_int_equal(shunt_memory_free_frames(memory), memory->frames);
	shunt_memory_close(memory);
}

/* --- malformed packets ----------------------------------------------------- */

static bool runs_in_tc(enum shunt_fault fault)
{
	return fault != SHUNT_FAULT_IP4_CUT && fault != SHUNT_FAULT_IP6_CUT;
}

/* A frame that this fault can be made in. */
static void faulty(enum shunt_fault fault, struct shunt_model_frame *frame)
{
	static const uint8_t protos[] = { 17, 6, 132, 1, 58 };
	struct shunt_frame_spec s = dns;
	unsigned int i;

	/* tags, l3, fragment and protocol count up until the fault fits */
	for (i = 0; i < 2 * 3 * 3 * 5 * 2; i++) {
		s.tags = i % 2;
		s.tag[0].type = 0x8100;
		s.l3 = i / 2 % 3 == 2 ? SHUNT_L3_NONE : 4 + 2 * (i / 2 % 3);
		s.eth_type = 0x0806;
		s.fragment = i / 6 % 3;
		s.offset = 1;
		s.more = 1;
		s.proto = protos[i / 18 % 5];
		s.atomic = i / 90;
		s.fault = fault;
		if (shunt_frame_can_fail(&s, fault))
			break;
	}
	assert_true(i < 180);
	shunt_frame_build(&s, frame);
}

static void check_malformed(const char *policy, uint32_t verdict)
{
	static const uint32_t codes[][2] = { [XDP] = { XDP_PASS, XDP_DROP },
					     [TC_IN] = { UNSPEC, TC_ACT_SHOT },
					     [TC_OUT] = { UNSPEC, TC_ACT_SHOT },
					     [NF] = { NF_ACCEPT, NF_DROP } };
	static uint8_t out[SHUNT_FRAME_ROOM + 64];
	struct shunt_model_frame frame;
	char text[512];
	int fault, hook;

	rule(policy);
	for (fault = 1; fault < SHUNT_FAULT_COUNT; fault++) {
		faulty(fault, &frame);
		for (hook = XDP; hook <= NF; hook++) {
			if (hook != XDP && !runs_in_tc(fault))
				continue;
			if (!shunt_rig_takes(hook, frame.bytes, frame.len))
				continue;
			assert_int_equal(run(hook, frame.bytes, frame.len, out),
					 codes[hook][verdict]);
			assert_memory_equal(out, frame.bytes, frame.len);
			shunt_counted_add(&before, hook,
					  shunt_counter_reason_id(frame.reason,
								  verdict),
					  1, frame.len);
		}
	}
	if (!shunt_counted_is(&rig.maps, &before, text, sizeof(text)))
		fail_msg("%s", text);
}

#define ALL_RULES RULES(RULE("all", "", "\"tx\""))

static void malformed_packets_are_asked_no_rule(void **ctx)
{
	(void)ctx;
	check_malformed(POLICY(PASSING, ALL_RULES), SHUNT_VERDICT_DROP);
	check_malformed(POLICY(PASSING ",\"malformed\":\"drop\"", ALL_RULES),
			SHUNT_VERDICT_DROP);
	check_malformed(POLICY(DROPPING ",\"malformed\":\"pass\"", ALL_RULES),
			SHUNT_VERDICT_PASS);
}

/* Two extension headers of 2 KiB: TCP lies where XDP cannot look. */
static void headers_behind_the_first_page_are_too_deep(void **ctx)
{
	static uint8_t big[JUMBO], out[JUMBO + 64];
	struct shunt_frame_spec spec = { .l3 = SHUNT_L3_IP6, .proto = 6 };
	struct shunt_model_frame frame;
	char text[512];

	(void)ctx;
	shunt_frame_build(&spec, &frame);
	memcpy(big, frame.bytes, 54);
	big[18] = (JUMBO - 54) >> 8;
	big[19] = (JUMBO - 54) & 255;
	big[20] = big[54] = 60;
	big[54 + 2048] = 6;
	big[55] = big[54 + 2048 + 1] = 255;
	rule(POLICY(PASSING, ALL_RULES));
	assert_int_equal(run(XDP, big, JUMBO, out), XDP_DROP);
	assert_memory_equal(out, big, JUMBO);
	shunt_counted_add(&before, XDP,
			  shunt_counter_reason_id(SHUNT_REASON_DEEP,
						  SHUNT_VERDICT_DROP),
			  1, JUMBO);
	if (!shunt_counted_is(&rig.maps, &before, text, sizeof(text)))
		fail_msg("%s", text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_action_does_and_counts_what_it_should),
		cmocka_unit_test(a_frame_of_9000_bytes_is_like_any_other),
		cmocka_unit_test(a_consumer_that_is_there_gets_its_packets),
		cmocka_unit_test(malformed_packets_are_asked_no_rule),
		cmocka_unit_test(headers_behind_the_first_page_are_too_deep),
	};

	return cmocka_run_group_tests(tests, open_rig, close_rig);
}
