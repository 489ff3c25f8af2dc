// SPDX-License-Identifier: GPL-2.0-only
/* The XDP hook. */
#include "vmlinux/vmlinux.h"

#include "bpf/lib/act_xdp.h"
#include "bpf/lib/carry.h"
#include "bpf/lib/datapath.h"
#include "bpf/lib/frags.h"
#include "bpf/lib/hand.h"
#include "bpf/lib/limit.h"
#include "bpf/lib/parse.h"
#include "maps/config.h"
#include "maps/consumer.h"
#include "maps/scratch.h"
#include "maps/target.h"

char _license[] SEC("license") = "GPL";

/* Linux 6.8; the driver says what the NIC has taken off this packet. */
extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md *ctx, __be16 *proto,
					__u16 *tci) __ksym __weak;

/*
 * The parsers are global functions, as shunt_judge is: each is verified once by itself.
 * Always returns 0.
 */
__noinline int shunt_inner_xdp(struct xdp_md *ctx, struct shunt_pkt *pkt, __u64 off,
			       __u32 bytes, __u32 type)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (pkt)
		shunt_parse_inner(data, end,
				  bpf_xdp_get_buff_len(ctx) > (__u64)(end - data), pkt,
				  off, bytes, type);
	return 0;
}

/* SHUNT_PARSE_OK or the reason. Where a tag is gone, its id is in pkt already. */
__noinline int shunt_parse_xdp(struct xdp_md *ctx, struct shunt_pkt *pkt)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct shunt_inside in = { 0 };
	__u32 len;
	int code;

	if (!pkt)
		return SHUNT_REASON_INTERNAL;
	len = bpf_xdp_get_buff_len(ctx);
	pkt->len = len;
	if (pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN])
		pkt->len += sizeof(struct shunt_vlan);
	code = shunt_parse_outer(data, end, len > (__u64)(end - data), pkt, &in);
	if (SHUNT_HAS(TUNNEL) && in.type)
		shunt_inner_xdp(ctx, pkt, in.off, in.bytes, in.type);
	return code;
}

static __always_inline __u64 shunt_xdp_token(struct xdp_md *ctx,
					     struct shunt_scratch *s)
{
	void *data = (void *)(long)ctx->data;
	struct shunt_trace_req *req = (void *)(long)ctx->data_meta;

	if ((void *)(req + 1) > data || !shunt_is_traced(req))
		return 0;
	s->ahead = req->idle;
	return req->token;
}

static __always_inline int shunt_xdp_swap(struct xdp_md *ctx)
{
	struct shunt_eth *eth = (void *)(long)ctx->data;
	__u16 *mac = (void *)eth;
	int i;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return -1;
	for (i = 0; i < 3; i++) {
		__u16 half = mac[i];

		mac[i] = mac[i + 3];
		mac[i + 3] = half;
	}
	return 0;
}

/* What the rule wants is impossible here: the packet takes this way instead. */
static __always_inline int shunt_xdp_cannot(struct shunt_trace *t, __u32 verdict)
{
	t->reason = SHUNT_REASON_HOOK_CANNOT;
	t->verdict = verdict;
	return verdict == SHUNT_VERDICT_PASS ? XDP_PASS : XDP_DROP;
}

/* Into the socket of this queue, or the consumer's ring, whichever serves it. */
static __always_inline int shunt_xdp_consume(struct xdp_md *ctx, struct shunt_trace *t,
					     __u32 live)
{
	const struct shunt_image_rule *rule = &t->rule_data;
	int down = rule->if_down == SHUNT_VERDICT_PASS ? XDP_PASS : XDP_DROP,
	    code = down;
	__u32 queue = ctx->rx_queue_index;

	if (SHUNT_HAS(RING) && rule->kind == SHUNT_CONSUMER_RING) {
		if (shunt_hand_ring(ctx, t, (shunt_emit *)shunt_xdp_emit, live))
			return XDP_DROP;
	} else {
		if (!shunt_frags_to_xsk() && shunt_has_frags(ctx))
			return shunt_xdp_cannot(t, rule->if_down);
		if (queue < SHUNT_QUEUE_MAX)
			code = bpf_redirect_map(
				&shunt_xsk, shunt_consumer_key(rule->arg, queue), down);
		if (code == XDP_REDIRECT && !shunt_is_stalled(rule->arg, queue, 1)) {
			if (live)
				shunt_hand(rule->arg, queue);
			return code;
		}
		if (code == XDP_REDIRECT)
			t->reason = SHUNT_REASON_CONSUMER_STALLED;
	}
	return shunt_consumer_down(t) ? XDP_PASS : XDP_DROP;
}

/* Does what the rule wants; where that cannot be, says what became of the packet. */
static __always_inline int shunt_xdp_act(struct xdp_md *ctx, struct shunt_trace *t,
					 __u32 live)
{
	const struct shunt_image_rule *rule = &t->rule_data;
	int code;

	t->verdict = rule->action;
	switch (rule->action) {
	case SHUNT_VERDICT_PASS:
		return XDP_PASS;
	case SHUNT_VERDICT_TX:
		return XDP_TX;
	case SHUNT_VERDICT_INTERFACE:
		if (!shunt_frags_to_dev() && shunt_has_frags(ctx))
			return shunt_xdp_cannot(t, SHUNT_VERDICT_PASS);
		code = bpf_redirect_map(&shunt_dev, rule->arg, XDP_DROP);
		break;
	case SHUNT_VERDICT_CPU:
		code = bpf_redirect_map(&shunt_cpu, rule->arg, XDP_DROP);
		break;
	case SHUNT_VERDICT_CONSUMER:
		return shunt_xdp_consume(ctx, t, live);
	default:
		t->verdict = SHUNT_VERDICT_DROP;
		return XDP_DROP;
	}
	if (code == XDP_REDIRECT)
		return code;
	t->reason = SHUNT_REASON_TARGET_DOWN;
	t->verdict = SHUNT_VERDICT_DROP;
	return XDP_DROP;
}

/*
 * What comes before the rule's action: its limit, and changes. SHUNT_REASON_RULE, or
 * another reason, by which the packet ends here with the trace's verdict.
 */
static __always_inline int shunt_xdp_change(struct xdp_md *ctx, struct shunt_trace *t,
					    __u32 live, const __u32 tags)
{
	int code = SHUNT_REASON_RULE;

	if (SHUNT_HAS(LIMIT) && shunt_has_mods(t) && shunt_limit_stops(t, live))
		return SHUNT_REASON_LIMITED;
	if (t->rule_data.action == SHUNT_VERDICT_TX && shunt_xdp_swap(ctx))
		code = SHUNT_REASON_REWRITE;
	if (code == SHUNT_REASON_RULE && SHUNT_HAS(REWRITE) && shunt_has_mods(t))
		code = tags ? shunt_xdp_rewrite(ctx, t)
			    : shunt_xdp_rewrite_still(ctx, t);
	if (code != SHUNT_REASON_RULE) {
		t->reason = code;
		t->verdict = SHUNT_VERDICT_DROP;
	}
	return code;
}

static __always_inline int shunt_xdp_do(struct xdp_md *ctx, struct shunt_trace *t,
					__u32 live, const __u32 tags)
{
	int code;

	if (shunt_xdp_change(ctx, t, live, tags) != SHUNT_REASON_RULE)
		return t->verdict == SHUNT_VERDICT_PASS ? XDP_PASS : XDP_DROP;
	code = shunt_xdp_act(ctx, t, live);
	if ((SHUNT_HAS(MIRROR) || SHUNT_HAS(SAMPLE)) && live && shunt_has_mods(t))
		shunt_xdp_copies(ctx, t);
	return code;
}

static __always_inline int shunt_xdp_run(struct xdp_md *ctx, struct shunt_scratch *s,
					 const __u32 tags)
{
	__u64 token = shunt_xdp_token(ctx, s);
	struct shunt_trace *t = &s->trace;
	int code = shunt_parse_xdp(ctx, &t->pkt);

	t->reason = code < 0 ? SHUNT_REASON_RULE : code;
	shunt_judge(s, !token);
	code = shunt_xdp_do(ctx, t, !token, tags);
	/* in a dispatcher, the kernel lets no entry change where the frame begins */
	if (SHUNT_HAS(CARRY) && tags && code == XDP_PASS && !token)
		shunt_carry_put(ctx, t->generation);
	shunt_exit(t, token);
	return code;
}

SEC("xdp.frags")
int shunt_xdp(struct xdp_md *ctx)
{
	struct shunt_scratch *s = shunt_scratch_take(SHUNT_HOOK_XDP);

	return s ? shunt_xdp_run(ctx, s, 1) : XDP_PASS;
}

/*
 * The same for a place among chained programs (loader/chain.h), which are loaded as
 * freplace programs. Newer kernels refuse one that contains a call which moves the frame's
 * start, even where it is never reached: this one cannot push or pop VLAN tags.
 */
SEC("?xdp")
int shunt_xdp_chain(struct xdp_md *ctx)
{
	struct shunt_scratch *s = shunt_scratch_take(SHUNT_HOOK_XDP);

	return s ? shunt_xdp_run(ctx, s, 0) : XDP_PASS;
}

/*
 * The same for a NIC that takes the VLAN tag off: bound to a device, whose driver is asked
 * for the tag. The kernel refuses the call in any other program, even where it is never
 * reached, and makes no test run of this one. Hence two programs.
 */
SEC("?xdp.frags")
int shunt_xdp_tag(struct xdp_md *ctx)
{
	struct shunt_scratch *s = shunt_scratch_take(SHUNT_HOOK_XDP);
	__be16 proto;
	__u16 tci;

	if (!s)
		return XDP_PASS;
	if (bpf_xdp_metadata_rx_vlan_tag &&
	    !bpf_xdp_metadata_rx_vlan_tag(ctx, &proto, &tci))
		s->trace.pkt.layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN] =
			(tci & 0xfff) + 1;
	return shunt_xdp_run(ctx, s, 1);
}
