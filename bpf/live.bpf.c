// SPDX-License-Identifier: GPL-2.0-only
/* The source of `run generate --live`: live frames of a test run, out of an interface. */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "bpf/lib/csum.h"
#include "maps/live.h"

char _license[] SEC("license") = "GPL";

/* Set before loading: what flows differ in, and where numbers go. */
const volatile struct shunt_live_plan shunt_live_plan;

/* Written by user space before the first run, through the mapped .bss. */
__u32 shunt_live_head[SHUNT_LIVE_FLOWS][SHUNT_LIVE_WORDS];

/* Written by the program: frames made so far; read by user space. One CPU at a time. */
__u64 shunt_live_made;
__u32 shunt_live_flow;

static __always_inline int put_number(__u8 *data, __u8 *end, __u64 number)
{
	const volatile struct shunt_live_plan *plan = &shunt_live_plan;
	__u64 wire = __builtin_bswap64(number), change;
	__u8 *to = data + (plan->payload & SHUNT_LIVE_OFFSET_MASK) + 8;
	__u8 *check = data + (plan->check & SHUNT_LIVE_OFFSET_MASK);

	if (to + 8 > end || check + 2 > end)
		return -1;
	change = (wire & 0xffff) + (wire >> 16 & 0xffff) + (wire >> 32 & 0xffff) +
		 (wire >> 48);
	__builtin_memcpy(to, &wire, sizeof(wire));
	*(volatile __u16 *)check =
		plan->udp ? shunt_csum_after_udp(*(volatile __u16 *)check, change)
			  : shunt_csum_after(*(volatile __u16 *)check, change);
	return 0;
}

SEC("xdp")
int shunt_live(struct xdp_md *ctx)
{
	const volatile struct shunt_live_plan *plan = &shunt_live_plan;
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	volatile __u32 *out = data;
	__u32 flow = shunt_live_flow, w;

	if (flow >= SHUNT_LIVE_FLOWS)
		return XDP_ABORTED;
#pragma clang loop unroll(full)
	for (w = 0; w < SHUNT_LIVE_WORDS; w++) {
		if (w >= plan->words)
			break;
		if ((void *)(out + w + 1) > end)
			return XDP_ABORTED;
		out[w] = shunt_live_head[flow][w];
	}
	if (plan->payload && put_number(data, end, shunt_live_made))
		return XDP_ABORTED;
	shunt_live_made++;
	shunt_live_flow = flow + 1 < plan->flows ? flow + 1 : 0;
	return bpf_redirect(plan->ifindex, 0);
}
