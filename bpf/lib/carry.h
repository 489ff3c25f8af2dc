/* SPDX-License-Identifier: GPL-2.0-only */
/* The generation that a packet was judged by, on its way from XDP to TC and netfilter. */
#pragma once

/*
 * It travels as XDP metadata, right before the frame, which no packet of a wire can
 * write, and in front of what another program may have put there. It is marked by the
 * instance's secret, so that nothing else is taken for it. Where a driver has no room for
 * metadata, or the packet waits in the stack until the policy after the next has been
 * written over its own, the later hooks judge it by what rules then. So do they where
 * XDP is not attached: nothing else of a packet is ours to write on.
 *
 * Source: Documentation/networking/xdp-rx-metadata.rst (the metadata area).
 */
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "maps/gen.h"
#include "maps/scratch.h"

struct shunt_carry {
	__u64 mark; /* trace_cookie, negated: a request for a test run has it as it is */
	__u64 generation;
};

static __always_inline __u64 shunt_carry_mark(void)
{
	__u32 key = 0;
	struct shunt_gen *gen = bpf_map_lookup_elem(&shunt_gen, &key);

	return gen ? ~gen->trace_cookie : 0;
}

/* Of a packet that is passed on. */
static __always_inline void shunt_carry_put(struct xdp_md *ctx, __u64 generation)
{
	struct shunt_carry *carry;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*carry)))
		return;
	carry = (void *)(long)ctx->data_meta;
	if ((void *)(carry + 1) > (void *)(long)ctx->data)
		return;
	carry->mark = shunt_carry_mark();
	carry->generation = generation;
}

/* 0: no earlier hook has judged this packet. */
static __always_inline __u64 shunt_carry_get(const struct __sk_buff *skb)
{
	const struct shunt_carry *carry = (void *)(long)skb->data_meta;

	if ((void *)(carry + 1) > (void *)(long)skb->data ||
	    carry->mark != shunt_carry_mark())
		return 0;
	return carry->generation;
}

/* The same in netfilter, where the metadata lies right before the MAC header. */
static __always_inline __u64 shunt_carry_read(const struct sk_buff *skb)
{
	const struct skb_shared_info *info = (void *)(skb->head + skb->end);
	struct shunt_carry carry;
	__u8 bytes;

	if (bpf_core_read(&bytes, sizeof(bytes), &info->meta_len) ||
	    bytes < sizeof(carry) ||
	    bpf_probe_read_kernel(&carry, sizeof(carry),
				  skb->head + skb->mac_header - bytes) ||
	    carry.mark != shunt_carry_mark())
		return 0;
	return carry.generation;
}
