// SPDX-License-Identifier: GPL-2.0-only
/* The netfilter hook: IPv4 and IPv6 packets of one interface, before routing. */
#include "vmlinux/vmlinux.h"

#include "bpf/lib/act_nf.h"
#include "bpf/lib/carry.h"
#include "bpf/lib/datapath.h"
#include "bpf/lib/hand.h"
#include "bpf/lib/limit.h"
#include "maps/config.h"
#include "maps/netfilter.h"
#include "maps/scratch.h"

#define SHUNT_PARSE_COPY SHUNT_NF_FRAME /* see bpf/lib/parse_cursor.h */
#include "bpf/lib/parse.h"

char _license[] SEC("license") = "GPL";

static __always_inline struct shunt_nf_frame *shunt_nf_frame_of(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&shunt_nf_frame, &key);
}

/*
 * The parsers are global functions, as shunt_judge is: each is verified once by itself.
 * They work on the copy of the frame. Always returns 0.
 */
__noinline int shunt_inner_nf(struct shunt_pkt *pkt, __u64 off, __u32 bytes, __u32 type)
{
	struct shunt_nf_frame *frame = shunt_nf_frame_of();
	__u32 seen = frame ? frame->seen : 0;

	if (pkt && frame && seen <= SHUNT_NF_FRAME)
		shunt_parse_inner(frame->byte, frame->byte + seen, frame->hidden, pkt,
				  off, bytes, type);
	return 0;
}

/* SHUNT_PARSE_OK or the reason. */
__noinline int shunt_parse_nf(struct shunt_pkt *pkt)
{
	struct shunt_nf_frame *frame = shunt_nf_frame_of();
	struct shunt_inside in = { 0 };
	__u32 seen = frame ? frame->seen : 0;
	int code;

	if (!pkt || !frame || seen > SHUNT_NF_FRAME)
		return SHUNT_REASON_INTERNAL;
	code = shunt_parse_outer(frame->byte, frame->byte + seen, frame->hidden, pkt,
				 &in);
	if (SHUNT_HAS(TUNNEL) && in.type)
		shunt_inner_nf(pkt, in.off, in.bytes, in.type);
	return code;
}

/* Copies the start of the frame, whose IP packet has `len` bytes, and parses it. */
static __always_inline int shunt_nf_parse(struct bpf_nf_ctx *ctx, struct shunt_pkt *pkt,
					  __u32 len)
{
	struct shunt_nf_frame *frame = shunt_nf_frame_of();
	struct shunt_layer *layer = &pkt->layer[SHUNT_OUTER];
	const struct sk_buff *skb = ctx->skb;
	__u32 n = len;
	int bare, code;

	if (!frame)
		return SHUNT_REASON_INTERNAL;
	pkt->len = len + SHUNT_NF_HEADER;
	/* as in TC: the tag that has been taken off stands beside the packet */
	if (skb->vlan_proto) {
		layer->field[SHUNT_FIELD_VLAN] = (skb->vlan_tci & 0xfff) + 1;
		pkt->len += sizeof(struct shunt_vlan);
	}
	SHUNT_OPAQUE(n);
	if (n > SHUNT_NF_FRAME - SHUNT_NF_HEADER)
		n = SHUNT_NF_FRAME - SHUNT_NF_HEADER;
	bare = shunt_nf_header(ctx, (void *)frame->byte);
	if (shunt_nf_read(ctx, 0, frame->byte + SHUNT_NF_HEADER, n))
		return SHUNT_REASON_INTERNAL;
	frame->seen = n + SHUNT_NF_HEADER;
	frame->hidden = n < len;
	code = shunt_parse_nf(pkt);
	if (SHUNT_HAS(WIDE) && bare) {
		layer->wide[SHUNT_FIELD_DST_MAC - SHUNT_FIELD_NARROW] = 0;
		layer->wide[SHUNT_FIELD_SRC_MAC - SHUNT_FIELD_NARROW] = 0;
	}
	return code;
}

/*
 * A test run's request stands behind the frame. A packet that came in anywhere has the
 * number of that interface in skb_iif, a test run's has not: no other packet is looked at.
 */
static __always_inline __u64 shunt_nf_token(struct bpf_nf_ctx *ctx, __u32 len,
					    __u32 *ahead)
{
	struct shunt_trace_req req;

	if (ctx->skb->skb_iif || len < sizeof(req) ||
	    shunt_nf_read(ctx, len - sizeof(req), &req, sizeof(req)))
		return 0;
	if (!shunt_is_traced(&req))
		return 0;
	*ahead = req.idle;
	return req.token;
}

/* Netfilter serves a consumer of any kind by its ring buffer. */
static __always_inline int shunt_nf_consume(struct bpf_nf_ctx *ctx,
					    struct shunt_trace *t, __u32 live)
{
	if (shunt_hand_ring(ctx, t, (shunt_emit *)shunt_nf_emit, live))
		return NF_DROP;
	return shunt_consumer_down(t) ? NF_ACCEPT : NF_DROP;
}

/* Does what the rule wants, as far as that is to pass, to drop, or to hand over. */
static __always_inline int shunt_nf_act(struct bpf_nf_ctx *ctx, struct shunt_trace *t,
					__u32 live)
{
	const struct shunt_image_rule *rule = &t->rule_data;
	int cannot = SHUNT_HAS(REWRITE) && shunt_has_mods(t) && shunt_nf_rewrites(t);

	t->verdict = rule->action;
	if (rule->action == SHUNT_VERDICT_DROP)
		return NF_DROP;
	if (rule->action == SHUNT_VERDICT_PASS && !cannot)
		return NF_ACCEPT;
	if (SHUNT_HAS(RING) && rule->action == SHUNT_VERDICT_CONSUMER && !cannot)
		return shunt_nf_consume(ctx, t, live);
	t->reason = SHUNT_REASON_HOOK_CANNOT;
	t->verdict = rule->action == SHUNT_VERDICT_CONSUMER ? rule->if_down
							    : SHUNT_VERDICT_PASS;
	return t->verdict == SHUNT_VERDICT_PASS ? NF_ACCEPT : NF_DROP;
}

static __always_inline int shunt_nf_do(struct bpf_nf_ctx *ctx, struct shunt_trace *t,
				       __u32 live)
{
	int code;

	if (SHUNT_HAS(LIMIT) && shunt_has_mods(t) && shunt_limit_stops(t, live))
		return t->verdict == SHUNT_VERDICT_PASS ? NF_ACCEPT : NF_DROP;
	code = shunt_nf_act(ctx, t, live);
	if ((SHUNT_HAS(MIRROR) || SHUNT_HAS(SAMPLE)) && live && shunt_has_mods(t))
		shunt_nf_copies(ctx, t);
	return code;
}

static __always_inline int shunt_nf_run(struct bpf_nf_ctx *ctx, __u32 len, __u64 token,
					__u32 ahead)
{
	struct shunt_scratch *s = shunt_scratch_take(SHUNT_HOOK_NETFILTER);
	struct shunt_trace *t;
	int code;

	if (!s)
		return NF_ACCEPT;
	t = &s->trace;
	s->ahead = ahead;
	if (token)
		len -= sizeof(struct shunt_trace_req);
	else if (SHUNT_HAS(CARRY))
		s->carried = shunt_carry_read(ctx->skb);
	code = shunt_nf_parse(ctx, &t->pkt, len);
	t->reason = code < 0 ? SHUNT_REASON_RULE : code;
	shunt_judge(s, !token);
	code = shunt_nf_do(ctx, t, !token);
	shunt_exit(t, token);
	return code;
}

/* A live packet of the interface; maps/netfilter.h says what the notes are for. */
static __always_inline int shunt_nf_live(struct bpf_nf_ctx *ctx, __u32 len)
{
	__u64 packet = (__u64)ctx->skb;
	__u32 key = 0;
	struct shunt_relay *note = bpf_map_lookup_elem(&shunt_relay, &key);
	int code;

	if (!note)
		return NF_ACCEPT;
	if (note->packet == packet && note->number > shunt_nf_config.number) {
		note->packet = 0;
		return NF_ACCEPT;
	}
	code = shunt_nf_run(ctx, len, 0, 0);
	note->packet = code == NF_ACCEPT ? packet : 0;
	note->number = shunt_nf_config.number;
	return code;
}

SEC("netfilter")
int shunt_nf(struct bpf_nf_ctx *ctx)
{
	__u32 len = ctx->skb->len;
	__u32 ahead = 0;
	__u64 token = shunt_nf_token(ctx, len, &ahead);

	if (token)
		return shunt_nf_run(ctx, len, token, ahead);
	if (ctx->state->in->ifindex != (int)shunt_nf_config.ifindex)
		return NF_ACCEPT;
	return shunt_nf_live(ctx, len);
}
