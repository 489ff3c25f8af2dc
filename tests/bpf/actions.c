/* SPDX-License-Identifier: BSD-2-Clause */
/* What rules do with packets besides their verdict: rewrites, copies, rings. */
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
#include "tests/model/counted.h"
#include "tests/model/fixture.h"
#include "tests/model/frame.h"
#include "tests/model/random.h"
#include "tests/model/rig.h"
#include "tests/model/sums.h"
#include "tests/model/text.h"
#include "user/io/ring.h"

#define XDP SHUNT_HOOK_XDP
#define TC_IN SHUNT_HOOK_TC_INGRESS
#define TC_OUT SHUNT_HOOK_TC_EGRESS
#define RING_BYTES (1u << 20)
#define ROOM (SHUNT_FRAME_ROOM + 64)

static struct shunt_rig rig;

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

struct reader {
	int claim, fd;
	uint32_t place;
	struct shunt_ring *ring;
};

static void reader_open(struct reader *reader, uint32_t place, uint32_t bytes)
{
	struct shunt_err err;

	reader->place = place;
	reader->claim = shunt_ring_claim(&rig.maps, place, &err);
	if (reader->claim < 0)
		fail_msg("%s", err.message);
	reader->fd = shunt_ring_make(bytes, &err);
	if (reader->fd < 0 || shunt_ring_open(&reader->ring, reader->fd, &err) ||
	    shunt_ring_feed(&rig.maps, place, reader->fd, &err))
		fail_msg("%s", err.message);
}

static void reader_close(struct reader *reader)
{
	shunt_ring_starve(&rig.maps, reader->place);
	shunt_ring_close(reader->ring);
	close(reader->fd);
	close(reader->claim);
}

struct seen {
	struct shunt_ring_event event;
	uint8_t frame[SHUNT_RING_FRAME_MAX];
};

/* The next record, copied; false: there is none. */
static bool next(struct reader *reader, struct seen *seen)
{
	struct shunt_ring_record record;

	if (!shunt_ring_rx(reader->ring, &record, 1))
		return false;
	seen->event = *record.event;
	memcpy(seen->frame, record.frame, record.event->captured);
	shunt_ring_release(reader->ring);
	return true;
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

		ip[at.version == 4 ? 8 : 7] =
			shunt_random_one_in(random, 4)
				? shunt_random_below(random, 3)
				: shunt_random_next(random);
		if (at.version == 4)
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

static int open_rig(void **ctx)
{
	struct shunt_err err;

	(void)ctx;
	if (!shunt_rig_open(&rig, &err))
		return 0;
	print_error("%s\n", err.message);
	return -1;
}

static int close_rig(void **ctx)
{
	(void)ctx;
	shunt_rig_close(&rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			rewritten_frames_are_what_a_naive_rewrite_makes_of_them),
	};

	return cmocka_run_group_tests(tests, open_rig, close_rig);
}
