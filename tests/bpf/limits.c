/* SPDX-License-Identifier: BSD-2-Clause */
/* Limits: rate and burst as the policy says them, by rule and by address, on all CPUs. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "bpf/lib/limit.h"
#include "loader/policy/mods.h"
#include "tests/bpf/rig_group.h"
#include "tests/model/fixture.h"
#include "tests/model/frame.h"
#include "tests/model/text.h"
#include "tests/patience.h"
#include "user/base/clock.h"

#define XDP SHUNT_HOOK_XDP
#define TC_IN SHUNT_HOOK_TC_INGRESS
#define NS_PER_S 1000000000ull

static void apply(const char *text)
{
	struct shunt_policy *policy = shunt_fixture_policy(text);
	struct shunt_err err;

	assert_non_null(policy);
	if (shunt_rig_apply(&rig, policy, &err))
		fail_msg("%s", err.message);
	shunt_policy_free(policy);
}

#define LIMITED(name, match, limit)                                                    \
	"{\"name\":\"" name "\",\"match\":{" match                                     \
	"},\"action\":\"pass\",\"limit\":{" limit "}}"
#define ONE(limit) POLICY(DROPPING, RULES(LIMITED("r", "", limit)))

#define FULL 1514 /* bytes of a full frame */

/* A UDP datagram from 10.0.0.0 + source, in a frame of so many bytes. */
static void build(struct shunt_model_frame *frame, uint32_t source, unsigned int bytes)
{
	struct shunt_frame_spec spec = {
		.l3 = SHUNT_L3_IP4,
		.src = { 10, source >> 16, source >> 8, source },
		.dst = { 192, 0, 2, 2 },
		.proto = 17,
		.payload = bytes - 42,
	};

	shunt_frame_build(&spec, frame);
	assert_int_equal(frame->len, bytes);
}

static bool passes(enum shunt_hook hook, const struct shunt_model_frame *frame)
{
	struct shunt_rig_run r = { .frame = frame->bytes, .bytes = frame->len };

	assert_int_equal(shunt_rig_run(&rig, hook, &r), 0);
	return hook == XDP ? r.code == XDP_PASS : r.code == (uint32_t)TC_ACT_UNSPEC;
}

/* --- the arithmetic -------------------------------------------------------- */

static void the_cost_of_a_packet_is_right_to_a_thousandth(void **ctx)
{
	static const uint64_t rates[] = { 1,	       3,	    7,
					  999,	       1000003,	    99999999,
					  100000000,   999999999,   12500000000,
					  33333333333, 49999999999, 50000000000,
					  77777777777, 100000000000 };
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		struct shunt_policy_rule rule = {
			.limit = { .rate = rates[i], .burst = rates[i] * 3600 }
		};
		struct shunt_image_mods mods;
		double cost, exact = NS_PER_S * 65536.0 / rates[i];

		assert_true(shunt_mods_of(&rule, NULL, &mods));
		cost = mods.limit.cost;
		assert_true(cost / exact > 0.999 && cost / exact < 1.001);
		assert_int_equal(mods.limit.units, rule.limit.burst);
		assert_int_equal(mods.limit.burst, mods.limit.cost * mods.limit.units);
		assert_true(mods.limit.burst < 1ull << 62);
	}
}

/* Whatever the clock says, and also where it comes round. */
static void a_bucket_gives_its_burst_then_its_rate(void **ctx)
{
	static const uint64_t starts[] = { 0, 1, 1ull << 63, -5000ull, -1ull };
	struct shunt_image_limit limit = { .cost = 1000, .burst = 10000 };
	__u64 now, tat;
	size_t i;
	int n;

	(void)ctx;
	for (i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		now = starts[i];
		tat = now - (12ull << 40);
		for (n = 0; n < 10; n++)
			assert_true(shunt_limit_step(&limit, tat, now, 1000, &tat));
		assert_false(shunt_limit_step(&limit, tat, now, 1000, &tat));
		assert_false(shunt_limit_step(&limit, tat, now + 999, 1000, &tat));
		assert_true(shunt_limit_step(&limit, tat, now + 1000, 1000, &tat));
		/* a CPU whose clock was read a little earlier does not refill it */
		assert_false(shunt_limit_step(&limit, tat, now - 1000, 1000, &tat));
		/* long after, it is full and no fuller */
		for (n = 0; n < 10; n++)
			assert_true(
				shunt_limit_step(&limit, tat, now + 60000, 1000, &tat));
		assert_false(shunt_limit_step(&limit, tat, now + 60000, 1000, &tat));
	}
}

/* --- rate and burst, on all CPUs -------------------------------------------- */

#define SOURCES 4
#define BYTES 62 /* of a frame */
#define THREADS 2

struct load {
	pthread_t thread;
	int cpu;
	enum shunt_hook hook;
	uint32_t sources;
	uint64_t seconds_ns;
	uint64_t before, first; /* clocks around the first run */
	uint64_t empty; /* in front of the last run that found the bucket empty */
	uint64_t after;
	uint64_t passed[SOURCES];
};

static pthread_barrier_t gate;

static bool run_once(const struct load *load, const struct shunt_model_frame *frame)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->bytes,
		    .data_size_in = frame->len, .repeat = 1);

	if (bpf_prog_test_run_opts(rig.prog[load->hook], &opts))
		abort();
	return load->hook == XDP ? opts.retval == XDP_PASS
				 : opts.retval == (uint32_t)TC_ACT_UNSPEC;
}

static void *offer(void *arg)
{
	struct shunt_model_frame frame[SOURCES];
	struct load *load = arg;
	cpu_set_t cpus;
	uint32_t s;

	CPU_ZERO(&cpus);
	CPU_SET(load->cpu, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	for (s = 0; s < load->sources; s++)
		build(&frame[s], s, BYTES);
	pthread_barrier_wait(&gate);
	load->before = shunt_now_ns();
	for (s = 0; s < load->sources; s++)
		load->passed[s] += run_once(load, &frame[s]);
	load->first = load->empty = load->after = shunt_now_ns();
	while (load->after - load->before < load->seconds_ns) {
		uint64_t now = shunt_now_ns();
		bool empty = true;

		for (s = 0; s < load->sources; s++) {
			bool passed = run_once(load, &frame[s]);

			load->passed[s] += passed;
			empty &= !passed;
		}
		load->empty = empty ? now : load->empty;
		load->after = shunt_now_ns();
	}
	return NULL;
}

/* The CPUs that this process may use, at most THREADS of them. */
static int cpus(int cpu[THREADS])
{
	cpu_set_t set;
	int i, n = 0;

	sched_getaffinity(0, sizeof(set), &set);
	for (i = 0; i < CPU_SETSIZE && n < THREADS; i++)
		if (CPU_ISSET(i, &set))
			cpu[n++] = i;
	return n;
}

/*
 * Offers more than the limit, from all CPUs, for a second and a half. A bucket loses no
 * token as long as the offer never pauses for longer than the burst lasts. What passes is
 * at least what is due from the end of the first run to the last moment at which every
 * bucket was seen empty, and at most what is due from the start of the first run to the end
 * of the last; 2 % and a packet aside. The clock is read where that is so.
 */
static void measure(enum shunt_hook hook, uint32_t sources, double rate, double burst)
{
	struct load load[THREADS] = { 0 };
	uint64_t before = UINT64_MAX, first = UINT64_MAX, empty = 0, after = 0;
	int cpu[THREADS], n = cpus(cpu), i;
	double low, high;
	uint32_t s;

	assert_true(n > 0);
	pthread_barrier_init(&gate, NULL, n);
	for (i = 0; i < n; i++) {
		load[i] = (struct load){ .cpu = cpu[i],
					 .hook = hook,
					 .sources = sources,
					 .seconds_ns = 3 * NS_PER_S / 2 };
		assert_int_equal(pthread_create(&load[i].thread, NULL, offer, &load[i]),
				 0);
	}
	for (i = 0; i < n; i++) {
		pthread_join(load[i].thread, NULL);
		before = load[i].before < before ? load[i].before : before;
		first = load[i].first < first ? load[i].first : first;
		empty = load[i].empty > empty ? load[i].empty : empty;
		after = load[i].after > after ? load[i].after : after;
	}
	pthread_barrier_destroy(&gate);
	low = burst + rate * (empty - first) / NS_PER_S;
	high = burst + rate * (after - before) / NS_PER_S;
	for (s = 0; s < sources; s++) {
		double passed = 0;

		for (i = 0; i < n; i++)
			passed += load[i].passed[s];
		print_message("source %u: %.0f passed, due %.0f to %.0f\n", s, passed,
			      low, high);
		assert_true(passed >= low * 0.98 - 1 && passed <= high * 1.02 + 1);
	}
}

/*
 * A limit of so many packets a second, or of their bytes, with a burst of half a second. Of a
 * machine that asks for patience it is lower, for that offers fewer packets, and its burst
 * longer, for that pauses for longer. Each hook has a bucket of its own, which is full.
 */
static void keeps(unsigned int rate, unsigned int bytes, unsigned int sources)
{
	unsigned int slow = patience(), burst = rate / slow / slow / 2;
	char policy[1024];

	rate = rate / slow / slow / slow;
	snprintf(policy, sizeof(policy), ONE("\"%s\":%u,\"burst\":%u%s"),
		 bytes > 1 ? "bytes" : "packets", rate * bytes, burst * bytes,
		 sources > 1 ? ",\"per\":\"source\",\"size\":1000" : "");
	apply(policy);
	measure(XDP, sources, rate, burst);
	measure(TC_IN, sources, rate, burst);
}

static void a_rule_s_limit_is_kept_by_all_cpus_together(void **ctx)
{
	(void)ctx;
	keeps(20000, 1, 1);
}

static void a_limit_of_bytes_counts_bytes(void **ctx)
{
	(void)ctx;
	keeps(20000, BYTES, 1);
}

static void each_source_has_its_own_limit(void **ctx)
{
	(void)ctx;
	keeps(2000, 1, SOURCES);
}

/* --- which packets share a bucket ------------------------------------------- */

/* One full frame passes, and the next one 25 minutes later. */
#define SLOW "\"bytes\":1,\"burst\":1514"

static void a_prefix_shares_a_bucket(void **ctx)
{
	struct shunt_model_frame a, b, c;

	(void)ctx;
	apply(ONE(SLOW ",\"per\":\"source\",\"prefix\":{\"ipv4\":24}"));
	build(&a, 0x101, FULL);
	build(&b, 0x1fe, FULL);
	build(&c, 0x201, FULL);
	assert_true(passes(XDP, &a));
	assert_true(passes(XDP, &c));
	assert_false(passes(XDP, &b));
	/* whoever looks at the destination sees but one */
	apply(ONE(SLOW ",\"per\":\"destination\",\"prefix\":{\"ipv4\":24}"));
	assert_true(passes(XDP, &a));
	assert_false(passes(XDP, &c));
}

static void ipv6_has_a_prefix_of_its_own(void **ctx)
{
	struct shunt_frame_spec spec = { .l3 = SHUNT_L3_IP6,
					 .src = { 0x20, 1, 0xd, 0xb8 },
					 .proto = 17,
					 .payload = FULL - 62 };
	struct shunt_frame_spec none = { .l3 = SHUNT_L3_NONE,
					 .eth_type = 0x88b5,
					 .payload = FULL - 17 };
	struct shunt_model_frame a, b, c, d;

	(void)ctx;
	apply(ONE(SLOW ",\"per\":\"source\",\"prefix\":{\"ipv6\":60}"));
	shunt_frame_build(&spec, &a);
	spec.src[7] = 15;
	shunt_frame_build(&spec, &b);
	spec.src[7] = 16;
	shunt_frame_build(&spec, &c);
	shunt_frame_build(&none, &d);
	assert_true(passes(XDP, &a));
	assert_false(passes(XDP, &b));
	assert_true(passes(XDP, &c));
	/* what has no address shares one */
	assert_true(passes(XDP, &d));
	assert_false(passes(XDP, &d));
}

static void as_many_prefixes_are_remembered_as_are_asked_for(void **ctx)
{
	struct shunt_model_frame frame;
	unsigned int i;

	(void)ctx;
	apply(ONE(SLOW ",\"per\":\"source\",\"size\":3000"));
	for (i = 0; i < 3000; i++) {
		build(&frame, i, FULL);
		assert_true(passes(XDP, &frame));
	}
	for (i = 0; i < 3000; i++) {
		build(&frame, i, FULL);
		assert_false(passes(XDP, &frame));
	}
}

/* --- how long a bucket lives ------------------------------------------------- */

/* How many of `offered` full frames pass. */
static unsigned int count_passing(enum shunt_hook hook, unsigned int offered)
{
	struct shunt_model_frame frame;
	unsigned int n = 0;

	build(&frame, 1, FULL);
	while (offered--)
		n += passes(hook, &frame);
	return n;
}

#define TEN "\"bytes\":5,\"burst\":15140"
#define OTHER RULE("other", "\"proto\":\"tcp\"", "\"drop\"") ","

static void a_bucket_outlives_an_apply_but_not_a_change_of_its_limit(void **ctx)
{
	(void)ctx;
	apply(ONE(TEN));
	assert_int_equal(count_passing(XDP, 30), 10);
	apply(POLICY(DROPPING, RULES(OTHER LIMITED("r", "", TEN))));
	assert_int_equal(count_passing(XDP, 30), 0);
	apply(POLICY(DROPPING, RULES(LIMITED("r", "", TEN ",\"over\":\"drop\""))));
	assert_int_equal(count_passing(XDP, 30), 0);
	apply(ONE("\"bytes\":5,\"burst\":16660"));
	assert_int_equal(count_passing(XDP, 30), 11);
	apply(ONE(TEN ",\"per\":\"source\""));
	assert_int_equal(count_passing(XDP, 30), 10);
	apply(POLICY(DROPPING,
		     RULES(OTHER LIMITED("r", "", TEN ",\"per\":\"source\""))));
	assert_int_equal(count_passing(XDP, 30), 0);
	/* an id that was somebody else's comes with a full bucket */
	apply(POLICY(DROPPING, RULES(LIMITED("s", "", TEN))));
	assert_int_equal(count_passing(XDP, 30), 10);
}

static void a_test_run_takes_nothing(void **ctx)
{
	static const char *const policies[] = { ONE(TEN),
						ONE(TEN ",\"per\":\"source\"") };
	struct shunt_model_frame frame;
	struct shunt_trace trace;
	size_t p;
	int i;

	(void)ctx;
	build(&frame, 1, FULL);
	for (p = 0; p < 2; p++) {
		apply(policies[p]);
		for (i = 0; i < 30; i++) {
			assert_int_equal(shunt_rig_trace(&rig, XDP, frame.bytes,
							 frame.len, &trace),
					 0);
			assert_int_equal(trace.reason, SHUNT_REASON_RULE);
		}
		assert_int_equal(count_passing(XDP, 30), 10);
		assert_int_equal(
			shunt_rig_trace(&rig, XDP, frame.bytes, frame.len, &trace), 0);
		assert_int_equal(trace.reason, SHUNT_REASON_LIMITED);
		assert_int_equal(trace.verdict, SHUNT_VERDICT_DROP);
	}
}

static void what_is_beyond_may_pass_and_is_not_rewritten(void **ctx)
{
	struct shunt_model_frame frame;
	static uint8_t out[FULL + 64];
	struct shunt_rig_run r = { .out = out, .out_room = sizeof(out) };
	int hook;

	(void)ctx;
	build(&frame, 1, FULL);
	for (hook = XDP; hook <= TC_IN; hook++) {
		apply(POLICY(DROPPING,
			     RULES("{\"name\":\"r\",\"match\":{},\"action\":\"pass\","
				   "\"rewrite\":{\"ttl\":3},\"limit\":{" SLOW
				   ",\"over\":\"pass\"}}")));
		r.frame = frame.bytes;
		r.bytes = frame.len;
		assert_int_equal(shunt_rig_run(&rig, hook, &r), 0);
		assert_int_equal(out[22], 3);
		assert_int_equal(shunt_rig_run(&rig, hook, &r), 0);
		assert_int_equal(r.code,
				 hook == XDP ? XDP_PASS : (uint32_t)TC_ACT_UNSPEC);
		assert_memory_equal(out, frame.bytes, frame.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cost_of_a_packet_is_right_to_a_thousandth),
		cmocka_unit_test(a_bucket_gives_its_burst_then_its_rate),
		cmocka_unit_test(a_rule_s_limit_is_kept_by_all_cpus_together),
		cmocka_unit_test(a_limit_of_bytes_counts_bytes),
		cmocka_unit_test(each_source_has_its_own_limit),
		cmocka_unit_test(a_prefix_shares_a_bucket),
		cmocka_unit_test(ipv6_has_a_prefix_of_its_own),
		cmocka_unit_test(as_many_prefixes_are_remembered_as_are_asked_for),
		cmocka_unit_test(
			a_bucket_outlives_an_apply_but_not_a_change_of_its_limit),
		cmocka_unit_test(a_test_run_takes_nothing),
		cmocka_unit_test(what_is_beyond_may_pass_and_is_not_rewritten),
	};

	return cmocka_run_group_tests(tests, open_rig, close_rig);
}
