/* SPDX-License-Identifier: BSD-2-Clause */
/* Traffic that shows every frame that is lost, and every moment without one. */
#pragma once

/*
 *     CPU 1: live, numbered frames ─▶ veth ─▶ softirq: what is measured ─▶ sink
 *     CPU 0: the caller, and the commands that it starts
 *
 * On the stage of bench/wire.h, but for NAPI's thread: source, softirq and sink take
 * turns on one CPU, so that the queue between them is never the bottleneck, and what a
 * command computes on the other one delays nothing. The sink is a netfilter program
 * right behind the raw tables. Numbers tell what is missing; the veth tells what of that
 * it has thrown away itself, its queue being full.
 */
#include <netinet/in.h> /* else the next one brings its own of it */

#include <linux/netfilter.h>

#include "bench/wire.h"
#include "gap.skel.h"
#include "loader/netfilter.h"
#include "user/base/clock.h"

#define GAP_BEHIND_RAW (-290) /* priority */
#define GAP_WAIT_NS 5000000000ull
#define GAP_NEVER UINT64_MAX

struct bench_gap {
	struct gap_bpf *ends;
	int link; /* of the sink */
	pid_t source;
	uint64_t missing, thrown; /* at the last look */
};

static inline uint64_t gap_read(const __u64 *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

/* UDP over IPv4 to port 5000. Does not return. */
static inline void gap_send(const struct bench_gap *gap, const struct bench_wire *wire)
{
	static const uint8_t head[] = { 2,   0, 0,  0,	0,    1,    2,	  0,	0, 0,
					0,   2, 8,  0,	0x45, 0,    0,	  46,	0, 0,
					0,   0, 64, 17, 0xf6, 0xbb, 192,  0,	2, 1,
					192, 0, 2,  2,	0x0f, 0xa0, 0x13, 0x88, 0, 26 };
	uint8_t frame[60] = { 0 };
	struct xdp_md context = { .data_end = sizeof(frame) };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = sizeof(frame), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = INT32_MAX,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = WIRE_BATCH);
	int ret = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memcpy(frame, head, sizeof(head));
	wire_pin(1);
	if (setns(wire->space, CLONE_NEWNET))
		_exit(1);
	gap->ends->bss->gap_out = if_nametoindex(WIRE_B);
	while (!ret)
		ret = bpf_prog_test_run_opts(
			bpf_program__fd(gap->ends->progs.gap_source), &opts);
	_exit(1);
}

/* Frames that found the veth's queue full, so far. */
static inline uint64_t gap_thrown(void)
{
	FILE *in = popen("ethtool -S " WIRE_A, "r");
	unsigned long long sum = 0, n;
	char line[256];

	while (in && fgets(line, sizeof(line), in))
		if (!strstr(line, "peer_tx_") && strstr(line, "xmit_err") &&
		    sscanf(strchr(line, ':'), ": %llu", &n) == 1)
			sum += n;
	if (in)
		pclose(in);
	return sum;
}

/* Until so many frames have come out; false: they do not. */
static inline bool gap_await(const struct bench_gap *gap, uint64_t seen)
{
	uint64_t start = shunt_now_ns();

	while (gap_read(&gap->ends->bss->gap_seen) < seen)
		if (shunt_now_ns() - start > GAP_WAIT_NS)
			return false;
	return true;
}

/* Frames flow, from now on; what is set up before passes them. */
static inline int gap_flow(struct bench_gap *gap, struct shunt_err *err)
{
	struct gap_bpf__bss *bss = gap->ends->bss;

	bss->gap_next = bss->gap_sent;
	__atomic_store_n(&bss->gap_pause, 0, __ATOMIC_RELEASE);
	if (!gap_await(gap, gap_read(&bss->gap_seen) + 10000))
		return shunt_fail(err, -EIO, "no frames come through");
	gap->missing = gap_read(&bss->gap_missing);
	gap->thrown = gap_thrown();
	return 0;
}

/* The longest time without a frame, in ns, and with one that was there and not let out. */
struct gap_found {
	uint64_t longest, held;
};

/* Watches for gaps that begin from now on. */
static inline void gap_begin(struct bench_gap *gap)
{
	__atomic_store_n(&gap->ends->bss->gap_held, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&gap->ends->bss->gap_longest, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&gap->ends->bss->gap_since, shunt_now_ns(), __ATOMIC_RELEASE);
}

/* Since then; a gap that is not over yet is awaited. */
static inline struct gap_found gap_end(struct bench_gap *gap)
{
	struct gap_bpf__bss *bss = gap->ends->bss;

	gap_await(gap, gap_read(&bss->gap_seen) + 2);
	__atomic_store_n(&bss->gap_since, GAP_NEVER, __ATOMIC_RELEASE);
	return (struct gap_found){ gap_read(&bss->gap_longest),
				   gap_read(&bss->gap_held) };
}

/*
 * Ends the flow; *lost are frames that somebody other than the veth has dropped since it
 * began, *thrown those that found its queue full. Frames in the queue come out first.
 */
static inline int gap_stop(struct bench_gap *gap, uint64_t *lost, uint64_t *thrown,
			   struct shunt_err *err)
{
	struct gap_bpf__bss *bss = gap->ends->bss;
	uint64_t start = shunt_now_ns(), sent, missing;

	__atomic_store_n(&bss->gap_pause, 1, __ATOMIC_RELEASE);
	usleep(1000); /* batches that are under way */
	sent = gap_read(&bss->gap_sent);
	do {
		/* the last frames' being lost shows in no number after theirs */
		missing = gap_read(&bss->gap_missing) - gap->missing + sent -
			  gap_read(&bss->gap_next);
		*thrown = gap_thrown() - gap->thrown;
	} while (missing > *thrown && shunt_now_ns() - start < GAP_WAIT_NS / 5);
	*lost = missing > *thrown ? missing - *thrown : 0;
	return gap_read(&bss->gap_again)
		       ? shunt_fail(err, -EBADMSG, "frames came twice, or out of order")
		       : 0;
}

/* The wire is open; the caller closes, also after a failure. */
static inline int gap_open(struct bench_gap *gap, const struct bench_wire *wire,
			   struct shunt_err *err)
{
	int ret = wire_command("echo 0 >/sys/class/net/" WIRE_A "/threaded", err);

	gap->link = -1;
	gap->ends = gap_bpf__open();
	if (ret)
		return ret;
	if (!gap->ends)
		return shunt_fail_errno(err, -errno, "open the ends of the wire");
	shunt_nf_type(gap->ends->progs.gap_sink);
	ret = gap_bpf__load(gap->ends);
	if (!ret)
		ret = gap->link =
			shunt_nf_link(bpf_program__fd(gap->ends->progs.gap_sink),
				      NFPROTO_IPV4, GAP_BEHIND_RAW);
	if (ret < 0)
		return shunt_fail_errno(err, ret, "put up the sink");
	gap->ends->bss->gap_pause = 1;
	gap->ends->bss->gap_since = GAP_NEVER;
	wire_pin(0);
	gap->source = fork();
	if (!gap->source)
		gap_send(gap, wire);
	return gap->source < 0 ? shunt_fail_errno(err, -errno, "start the source") : 0;
}

static inline void gap_close(struct bench_gap *gap)
{
	if (gap->source > 0) {
		kill(gap->source, SIGKILL);
		waitpid(gap->source, NULL, 0);
	}
	if (gap->link >= 0)
		close(gap->link);
	gap_bpf__destroy(gap->ends);
}
