// SPDX-License-Identifier: GPL-2.0-only
/* The source of bench/rules.c: live frames, each with the next of the prepared packets. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

#define FLOWS 4096 /* power of two: the verifier sees a masked index */
#define WORDS 16   /* of 4 bytes: what follows the Ethernet header */
#define ETH_BYTES 14

/* Written by bench/rules.c through the mapped .bss. */
__u32 rules_flow[FLOWS][WORDS];
__u32 rules_next;
__u32 rules_out; /* interface */

SEC("xdp")
int rules_gen(struct xdp_md *ctx)
{
	volatile __u32 *out = (void *)(long)ctx->data + ETH_BYTES;
	__u32 flow = rules_next++ & (FLOWS - 1);
	int w;

	if ((void *)(out + WORDS) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
#pragma clang loop unroll(full)
	for (w = 0; w < WORDS; w++)
		out[w] = rules_flow[flow][w];
	return bpf_redirect(rules_out, 0);
}
