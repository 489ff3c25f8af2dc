// SPDX-License-Identifier: GPL-2.0-only
/* The TC hooks, ingress and egress. */
#include "vmlinux/vmlinux.h"

#include "bpf/lib/act_tc.h"
#include "bpf/lib/carry.h"
#include "bpf/lib/datapath.h"
#include "bpf/lib/hand.h"
#include "bpf/lib/limit.h"
#include "bpf/lib/parse.h"
#include "maps/config.h"
#include "maps/scratch.h"
#include "maps/target.h"

char _license[] SEC("license") = "GPL";

/* Headers are pulled into the linear part up to here; nothing legitimate has more. */
#define SHUNT_TC_PULL 512u

/*
 * The parsers are global functions, as shunt_judge is: each is verified once by itself.
 * Always returns 0.
 */
__noinline int shunt_inner_tc(struct __sk_buff *skb, struct shunt_pkt *pkt, __u64 off,
			      __u32 bytes, __u32 type)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (pkt)
		shunt_parse_inner(data, end, skb->len > (__u64)(end - data), pkt, off,
				  bytes, type);
	return 0;
}

/* SHUNT_PARSE_OK or the reason. */
__noinline int shunt_parse_tc(struct __sk_buff *skb, struct shunt_pkt *pkt)
{
	__u32 want = skb->len < SHUNT_TC_PULL ? skb->len : SHUNT_TC_PULL;
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct shunt_inside in = { 0 };
	int code;

	if (!pkt)
		return SHUNT_REASON_INTERNAL;
	if (end - data < want)
		bpf_skb_pull_data(skb, want);
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	pkt->len = skb->len;
	/* The tag that the kernel or the NIC has taken off stands beside the packet. */
	if (skb->vlan_present) {
		pkt->layer[SHUNT_OUTER].field[SHUNT_FIELD_VLAN] =
			(skb->vlan_tci & 0xfff) + 1;
		pkt->len += sizeof(struct shunt_vlan);
	}
	code = shunt_parse_outer(data, end, skb->len > (__u64)(end - data), pkt, &in);
	if (SHUNT_HAS(TUNNEL) && in.type)
		shunt_inner_tc(skb, pkt, in.off, in.bytes, in.type);
	return code;
}

static __always_inline __u64 shunt_tc_token(struct __sk_buff *skb,
					    struct shunt_scratch *s)
{
	struct shunt_trace_req req = {
		.cookie = skb->cb[0] | (__u64)skb->cb[1] << 32,
		.token = skb->cb[2] | (__u64)skb->cb[3] << 32,
	};

	if (!shunt_is_traced(&req))
		return 0;
	s->ahead = skb->cb[4];
	return req.token;
}

static __always_inline int shunt_tc_swap(struct __sk_buff *skb)
{
	struct shunt_eth eth;
	__u8 swapped[12];

	if (bpf_skb_load_bytes(skb, 0, &eth, sizeof(eth)))
		return -1;
	__builtin_memcpy(swapped, eth.src, 6);
	__builtin_memcpy(swapped + 6, eth.dst, 6);
	return bpf_skb_store_bytes(skb, 0, swapped, sizeof(swapped), 0);
}

/* TC serves a consumer of any kind by its ring buffer. */
static __always_inline int shunt_tc_consume(struct __sk_buff *skb,
					    struct shunt_trace *t, __u32 live)
{
	if (shunt_hand_ring(skb, t, (shunt_emit *)shunt_tc_emit, live))
		return TC_ACT_SHOT;
	return shunt_consumer_down(t) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

/* Does what the rule wants; where this hook cannot, says what became of the packet. */
static __always_inline int shunt_tc_act(struct __sk_buff *skb, struct shunt_trace *t,
					__u32 live)
{
	const struct shunt_image_rule *rule = &t->rule_data;
	__u32 ifindex = rule->arg;

	t->verdict = rule->action;
	switch (rule->action) {
	case SHUNT_VERDICT_PASS:
		return TC_ACT_UNSPEC;
	case SHUNT_VERDICT_TX:
		/* From egress it would come back to ingress, and out again, for ever. */
		if (t->hook == SHUNT_HOOK_TC_INGRESS)
			return bpf_redirect(skb->ifindex, 0);
		t->reason = SHUNT_REASON_HOOK_CANNOT;
		t->verdict = SHUNT_VERDICT_PASS;
		return TC_ACT_UNSPEC;
	case SHUNT_VERDICT_INTERFACE:
		if (bpf_map_lookup_elem(&shunt_dev, &ifindex))
			return bpf_redirect(ifindex, 0);
		t->reason = SHUNT_REASON_TARGET_DOWN;
		break;
	case SHUNT_VERDICT_CPU:
		t->reason = SHUNT_REASON_HOOK_CANNOT;
		t->verdict = SHUNT_VERDICT_PASS;
		return TC_ACT_UNSPEC;
	case SHUNT_VERDICT_CONSUMER:
		if (SHUNT_HAS(RING))
			return shunt_tc_consume(skb, t, live);
		t->reason = SHUNT_REASON_HOOK_CANNOT;
		t->verdict = rule->if_down;
		return rule->if_down == SHUNT_VERDICT_PASS ? TC_ACT_UNSPEC
							   : TC_ACT_SHOT;
	}
	t->verdict = SHUNT_VERDICT_DROP;
	return TC_ACT_SHOT;
}

/*
 * What comes before the rule's action: its limit, and changes. SHUNT_REASON_RULE, or
 * another reason, by which the packet ends here with the trace's verdict.
 */
static __always_inline int shunt_tc_change(struct __sk_buff *skb, struct shunt_trace *t,
					   __u32 live)
{
	int code = SHUNT_REASON_RULE;

	if (SHUNT_HAS(LIMIT) && shunt_has_mods(t) && shunt_limit_stops(t, live))
		return SHUNT_REASON_LIMITED;
	if (t->rule_data.action == SHUNT_VERDICT_TX &&
	    t->hook == SHUNT_HOOK_TC_INGRESS && shunt_tc_swap(skb))
		code = SHUNT_REASON_REWRITE;
	if (code == SHUNT_REASON_RULE && SHUNT_HAS(REWRITE) && shunt_has_mods(t))
		code = shunt_tc_rewrite(skb, t);
	if (code != SHUNT_REASON_RULE) {
		t->reason = code;
		t->verdict = SHUNT_VERDICT_DROP;
	}
	return code;
}

static __always_inline int shunt_tc_do(struct __sk_buff *skb, struct shunt_trace *t,
				       __u32 live)
{
	__u32 copies = live && shunt_has_mods(t);
	int code;

	if (shunt_tc_change(skb, t, live) != SHUNT_REASON_RULE)
		return t->verdict == SHUNT_VERDICT_PASS ? TC_ACT_UNSPEC : TC_ACT_SHOT;
	if (SHUNT_HAS(MIRROR) && copies)
		shunt_tc_mirror(skb, t);
	code = shunt_tc_act(skb, t, live);
	if ((SHUNT_HAS(MIRROR) || SHUNT_HAS(SAMPLE)) && copies)
		shunt_tc_copies(skb, t);
	return code;
}

static __always_inline int shunt_tc(struct __sk_buff *skb, __u32 hook)
{
	struct shunt_scratch *s = shunt_scratch_take(hook);
	struct shunt_trace *t;
	__u64 token;
	int code;

	if (!s)
		return TC_ACT_UNSPEC;
	token = shunt_tc_token(skb, s);
	t = &s->trace;
	if (SHUNT_HAS(CARRY) && hook == SHUNT_HOOK_TC_INGRESS && !token)
		s->carried = shunt_carry_get(skb);
	code = shunt_parse_tc(skb, &t->pkt);
	t->reason = code < 0 ? SHUNT_REASON_RULE : code;
	shunt_judge(s, !token);
	code = shunt_tc_do(skb, t, !token);
	shunt_exit(t, token);
	return code;
}

SEC("tc")
int shunt_tc_in(struct __sk_buff *skb)
{
	return shunt_tc(skb, SHUNT_HOOK_TC_INGRESS);
}

SEC("tc")
int shunt_tc_out(struct __sk_buff *skb)
{
	return shunt_tc(skb, SHUNT_HOOK_TC_EGRESS);
}
