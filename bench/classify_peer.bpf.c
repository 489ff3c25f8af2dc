// SPDX-License-Identifier: GPL-2.0-only
/* What bench/classify.c and word.c set beside Shunt: changing packets, and nothing. */

/*
 * A test run repeats one buffer, and every run would see the same packet. bench_traffic
 * stands in front of the program under test: it writes the next packet of a table into
 * the buffer, then tail-calls. In front of bench_empty it is the floor.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

#define FLOWS 65536 /* power of two: the verifier sees a masked index */
#define WORDS 16    /* of 4 bytes: what follows the Ethernet header */
#define ETH_BYTES 14

/* Written through the mapped .bss. */
__u32 bench_flow[FLOWS][WORDS];
__u32 bench_flow_mask; /* flows in use - 1 */
__u32 bench_flow_next;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} bench_under SEC(".maps");

/*
 * The words stand where a 4-byte field of an IP header stands, and are written one by
 * one: a read that spans two writes would wait for both and be charged to the program.
 */
static __always_inline int next_packet(struct xdp_md *ctx)
{
	volatile __u32 *out = (void *)(long)ctx->data + ETH_BYTES;
	__u32 flow = bench_flow_next++ & bench_flow_mask & (FLOWS - 1);
	int w;

	if ((void *)(out + WORDS) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
#pragma clang loop unroll(full)
	for (w = 0; w < WORDS; w++)
		out[w] = bench_flow[flow][w];
	return 0;
}

SEC("xdp.frags")
int bench_traffic(struct xdp_md *ctx)
{
	if (!next_packet(ctx))
		bpf_tail_call_static(ctx, &bench_under, 0);
	return XDP_ABORTED;
}

/* The same for programs that leave metadata, of which the next run would find it. */
SEC("xdp.frags")
int bench_fresh(struct xdp_md *ctx)
{
	int bytes = ctx->data - ctx->data_meta;

	if (!bpf_xdp_adjust_meta(ctx, bytes) && !next_packet(ctx))
		bpf_tail_call_static(ctx, &bench_under, 0);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int bench_empty(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}
