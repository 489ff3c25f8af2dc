/* SPDX-License-Identifier: BSD-2-Clause */
/* The watchdog: whether a consumer gets a packet, by what stands in its seat. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/netfilter.h>
#include <linux/pkt_cls.h>

#include "loader/percpu.h"
#include "maps/handed.h"
#include "maps/seat.h"
#include "tests/bpf/ring_reader.h"
#include "tests/model/counted.h"
#include "tests/model/fixture.h"
#include "tests/model/frame.h"
#include "tests/model/text.h"
#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/io/xsk.h"

#define NS_PER_S INT64_C(1000000000)
#define RING_BYTES (1u << 20)

static struct shunt_seat *seats; /* the map, in memory as a consumer has it */
static struct shunt_model_frame in;

/* Where a consumer of the policy below gets the packets of a hook. */
static const struct way {
	const char *name;
	const char *kind;
	enum shunt_hook hook;
	uint32_t taken, passed, dropped; /* what the program returns */
	uint32_t place, lane;
} ways[] = {
	{ "xdp, socket", "xsk", SHUNT_HOOK_XDP, XDP_REDIRECT, XDP_PASS, XDP_DROP, 0,
	  0 },
	{ "xdp, ring", "ring", SHUNT_HOOK_XDP, XDP_DROP, XDP_PASS, XDP_DROP,
	  SHUNT_SEAT_RING, SHUNT_LANE_RING + SHUNT_HOOK_XDP },
	{ "tc ingress", "xsk", SHUNT_HOOK_TC_INGRESS, TC_ACT_SHOT,
	  (uint32_t)TC_ACT_UNSPEC, TC_ACT_SHOT, SHUNT_SEAT_RING,
	  SHUNT_LANE_RING + SHUNT_HOOK_TC_INGRESS },
	{ "tc egress", "ring", SHUNT_HOOK_TC_EGRESS, TC_ACT_SHOT,
	  (uint32_t)TC_ACT_UNSPEC, TC_ACT_SHOT, SHUNT_SEAT_RING,
	  SHUNT_LANE_RING + SHUNT_HOOK_TC_EGRESS },
	{ "netfilter", "ring", SHUNT_HOOK_NETFILTER, NF_DROP, NF_ACCEPT, NF_DROP,
	  SHUNT_SEAT_RING, SHUNT_LANE_RING + SHUNT_HOOK_NETFILTER },
};

/* When a heartbeat is due, beside the clock at that moment. */
static const struct stamp {
	const char *name;
	int64_t ns; /* from now on; from 0 on where it is absolute */
	int absolute;
	int stalled;
} stamps[] = {
	{ "never written: not watched", 0, 1, 0 },
	{ "the first nanosecond of the clock", 1, 1, 1 },
	{ "an hour ago", -3600 * NS_PER_S, 0, 1 },
	{ "a second ago", -NS_PER_S, 0, 1 },
	{ "a moment ago", -1, 0, 1 },
	{ "in ten seconds", 10 * NS_PER_S, 0, 0 },
	{ "in a year", 365 * 86400 * NS_PER_S, 0, 0 },
	{ "the middle of the clock", INT64_MAX, 1, 0 },
	{ "the last nanosecond of the clock", -1, 1, 0 },
};

/* --- doing --------------------------------------------------------------------- */

static uint32_t slot(void)
{
	return rig.state->consumer[0].slot;
}

static struct shunt_seat *seat_of(const struct way *way)
{
	return &seats[shunt_seat_key(slot(), way->place)];
}

static void set_due(const struct way *way, uint64_t due_ns)
{
	__atomic_store_n(&seat_of(way)->due_ns, due_ns, __ATOMIC_RELEASE);
}

static void apply(const char *kind, const char *if_down)
{
	char text[512];
	struct shunt_policy *policy;
	struct shunt_err err;

	snprintf(text, sizeof(text),
		 POLICY(PASSING,
			"\"consumers\":{\"c\":{\"kind\":\"%s\",\"if_down\":\"%s\"}}"
			"," RULES(RULE("r", "\"dport\":53",
				       "{\"redirect\":{\"consumer\":\"c\"}}"))),
		 kind, if_down);
	policy = shunt_fixture_policy(text);
	assert_non_null(policy);
	if (shunt_rig_apply(&rig, policy, &err))
		fail_msg("%s", err.message);
	shunt_policy_free(policy);
}

/* A socket in the map is all that the program sees of a consumer. Linux 7.3 takes bound ones
 * only: it is bound to a loopback of our own. */
static struct {
	struct shunt_memory *memory;
	struct shunt_port_stats count;
	struct shunt_xsk *xsk;
} consumer;

static int open_consumer(void)
{
	struct shunt_err err;

	if (unshare(CLONE_NEWNET)) {
		perror("a network namespace");
		return -1;
	}
	if (!shunt_memory_open(&consumer.memory, NULL, &err) &&
	    !shunt_xsk_open(&consumer.xsk, consumer.memory, "lo", 0, NULL,
			    &consumer.count, &err))
		return 0;
	print_error("%s\n", err.message);
	return -1;
}

static void close_consumer(void)
{
	if (consumer.xsk)
		shunt_xsk_close(consumer.xsk);
	if (consumer.memory)
		shunt_memory_close(consumer.memory);
}

/* Packets handed to the seat so far. */
static uint64_t handed(const struct way *way)
{
	_free_ uint64_t *sum = calloc(SHUNT_HANDED_MAX, sizeof(*sum));

	assert_int_equal(shunt_percpu_sum(rig.maps.fd[SHUNT_MAP_HANDED], sum,
					  SHUNT_HANDED_MAX, NULL),
			 0);
	return sum[shunt_handed_key(slot(), way->lane)];
}

struct served {
	bool ring;
	struct reader reader;
	uint64_t handed; /* to the seat, before */
};

static void serve(struct served *served, const struct way *way)
{
	uint32_t key = shunt_consumer_key(slot(), 0);
	int fd = shunt_xsk_fd(consumer.xsk);

	served->ring = way->place == SHUNT_SEAT_RING;
	served->handed = handed(way);
	if (served->ring)
		reader_open(&served->reader, shunt_ring_place(slot()), RING_BYTES);
	else
		assert_int_equal(bpf_map_update_elem(rig.maps.fd[SHUNT_MAP_XSK], &key,
						     &fd, BPF_ANY),
				 0);
}

/* In a ring, what was handed over is there, and nothing else. */
static void leave(struct served *served, const struct way *way)
{
	uint32_t key = shunt_consumer_key(slot(), 0);
	static struct seen seen;
	uint64_t n = 0;

	if (served->ring) {
		while (next(&served->reader, &seen))
			n++;
		assert_int_equal(n, handed(way) - served->handed);
		reader_close(&served->reader);
		return;
	}
	bpf_map_delete_elem(rig.maps.fd[SHUNT_MAP_XSK], &key);
}

/* A live packet and a traced one, which must agree. */
static void expect(const struct way *way, const char *what, uint32_t code,
		   uint32_t reason, uint32_t verdict)
{
	struct shunt_rig_run run = { .frame = in.bytes, .bytes = in.len };
	struct shunt_trace trace;
	uint64_t before = handed(way);
	uint64_t gets = verdict == SHUNT_VERDICT_CONSUMER;

	assert_int_equal(shunt_rig_trace(&rig, way->hook, in.bytes, in.len, &trace), 0);
	if (trace.reason != reason || trace.verdict != verdict)
		fail_msg("%s, %s: %s, verdict %u", way->name, what,
			 shunt_fixture_reason(trace.reason), trace.verdict);
	assert_int_equal(handed(way), before);
	assert_int_equal(shunt_rig_run(&rig, way->hook, &run), 0);
	if (run.code != code)
		fail_msg("%s, %s: the program says %u", way->name, what, run.code);
	if (handed(way) != before + gets)
		fail_msg("%s, %s: %ju packets were handed over", way->name, what,
			 (uintmax_t)(handed(way) - before));
}

static void expect_taken(const struct way *way, const char *what)
{
	expect(way, what, way->taken, SHUNT_REASON_RULE, SHUNT_VERDICT_CONSUMER);
}

/* --- tests --------------------------------------------------------------------- */

/* The clock begins with the machine, which may be younger than an hour. */
static uint64_t due_at(const struct stamp *stamp)
{
	uint64_t now = stamp->absolute ? 0 : shunt_now_ns();

	if (now && stamp->ns < 0 && (uint64_t)-stamp->ns >= now)
		return 1;
	return now + (uint64_t)stamp->ns;
}

static void each_stamp(const struct way *way, int passes)
{
	struct served served;
	size_t i;

	apply(way->kind, passes ? "pass" : "drop");
	serve(&served, way);
	for (i = 0; i < sizeof(stamps) / sizeof(*stamps); i++) {
		const struct stamp *stamp = &stamps[i];

		set_due(way, due_at(stamp));
		if (stamp->stalled)
			expect(way, stamp->name, passes ? way->passed : way->dropped,
			       SHUNT_REASON_CONSUMER_STALLED,
			       passes ? SHUNT_VERDICT_PASS : SHUNT_VERDICT_DROP);
		else
			expect_taken(way, stamp->name);
	}
	/* a socket or ring that is not there is not one that has stalled */
	leave(&served, way);
	set_due(way, 1);
	expect(way, "gone", passes ? way->passed : way->dropped,
	       SHUNT_REASON_CONSUMER_DOWN,
	       passes ? SHUNT_VERDICT_PASS : SHUNT_VERDICT_DROP);
	set_due(way, 0);
}

static void what_stands_in_the_seat_decides_in_every_hook(void **ctx)
{
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (!shunt_rig_has(ways[i].hook))
			continue;
		each_stamp(&ways[i], 1);
		each_stamp(&ways[i], 0);
	}
}

static void a_heartbeat_stands_until_it_is_due_and_the_next_one_brings_packets_back(
	void **ctx)
{
	const struct way *way = &ways[0];
	struct shunt_trace trace;
	struct served served;
	uint64_t due, before;

	(void)ctx;
	apply(way->kind, "pass");
	serve(&served, way);
	due = shunt_now_ns() + 50 * 1000 * 1000;
	set_due(way, due);
	do {
		before = shunt_now_ns();
		assert_int_equal(
			shunt_rig_trace(&rig, way->hook, in.bytes, in.len, &trace), 0);
		if (trace.reason == SHUNT_REASON_CONSUMER_STALLED)
			assert_true(shunt_now_ns() > due);
		else
			assert_true(before <= due);
	} while (trace.reason != SHUNT_REASON_CONSUMER_STALLED);
	set_due(way, shunt_now_ns() + 10 * NS_PER_S);
	expect_taken(way, "the next heartbeat");
	set_due(way, 0);
	leave(&served, way);
}

static void another_consumer_or_queue_that_stalls_is_nobody_elses_business(void **ctx)
{
	const struct way *way = &ways[0];
	struct served served;
	uint32_t at;

	(void)ctx;
	apply(way->kind, "drop");
	serve(&served, way);
	for (at = 0; at < SHUNT_SEAT_MAX; at++)
		if (at != shunt_seat_key(slot(), way->place))
			seats[at].due_ns = 1;
	expect_taken(way, "all others have stalled");
	for (at = 0; at < SHUNT_SEAT_MAX; at++)
		seats[at].due_ns = 0;
	leave(&served, way);
}

/* --- all of them ----------------------------------------------------------------- */

static int open_all(void **ctx)
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

	if (open_rig(ctx) || open_consumer())
		return -1;
	shunt_frame_build(&dns, &in);
	seats = mmap(NULL, SHUNT_SEAT_MAX * sizeof(*seats), PROT_READ | PROT_WRITE,
		     MAP_SHARED, rig.maps.fd[SHUNT_MAP_SEAT], 0);
	return seats == MAP_FAILED ? -1 : 0;
}

static int close_all(void **ctx)
{
	munmap(seats, SHUNT_SEAT_MAX * sizeof(*seats));
	close_consumer();
	return close_rig(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_stands_in_the_seat_decides_in_every_hook),
		cmocka_unit_test(
			a_heartbeat_stands_until_it_is_due_and_the_next_one_brings_packets_back),
		cmocka_unit_test(
			another_consumer_or_queue_that_stalls_is_nobody_elses_business),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
