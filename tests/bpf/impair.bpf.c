// SPDX-License-Identifier: GPL-2.0-only
/* One direction of a wire that loses, doubles and reorders packets: no kernel needs netem. */
#include "vmlinux/vmlinux.h"

/*
 *     interface ─▶ impair_in ─▶ devmap: once, twice or thrice the same interface
 *                                  └▶ impair_out, for each copy ─▶ the other interface
 *
 * A packet that is held back lies in a slot until a later one leaves. That one leaves three
 * times: the first copy as it is, the second with its bytes replaced by those of the slot,
 * and the third, which is the frame itself and may have no room to grow, is dropped.
 *
 * What becomes of a packet is drawn from the seed and the packet's number, so that it does
 * not depend on time.
 */
#include <bpf/bpf_helpers.h>

#include "bpf/lib/parse.h"
#include "tests/transport/impair_state.h"

char _license[] SEC("license") = "GPL";

const volatile struct impair_plan impair_plan;
struct impair_state impair_state;

struct impair_devmap {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct impair_target);
};

/* Filled by user space before it attaches: 1, 2 and 3 times the same interface. */
struct impair_devmap impair_once SEC(".maps");
struct impair_devmap impair_twice SEC(".maps");
struct impair_devmap impair_thrice SEC(".maps");

/* In front of a packet behind which the packet of a slot goes. */
struct mark {
	__u32 slot;
};

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014), scaled to 0 .. IMPAIR_ALL - 1 */
static __always_inline __u32 draw(__u64 number)
{
	__u64 z = impair_plan.seed + number * 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return (z >> 32) * IMPAIR_ALL >> 32;
}

static __always_inline int is_judged(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 port = impair_plan.port + 1;
	struct shunt_pkt pkt = { .len = end - data };
	struct shunt_layer *l = &pkt.layer[SHUNT_OUTER];
	struct shunt_inside in = { 0 };

	if (shunt_parse_outer(data, end, 0, &pkt, &in) != SHUNT_PARSE_OK)
		return 0;
	if (l->field[SHUNT_FIELD_PROTO] != SHUNT_IP_UDP + 1 &&
	    l->field[SHUNT_FIELD_PROTO] != SHUNT_IP_TCP + 1)
		return 0;
	return port == 1 || l->field[SHUNT_FIELD_SPORT] == port ||
	       l->field[SHUNT_FIELD_DPORT] == port;
}

/* The compiler is not to subtract as 32 bits what to the verifier are pointers. */
static __always_inline __u32 length(const struct xdp_md *ctx)
{
	__u64 bytes = (void *)(long)ctx->data_end - (void *)(long)ctx->data;

	SHUNT_OPAQUE(bytes);
	return bytes;
}

/* 0: it lies in a slot; else there is no room. */
static __always_inline int hold(struct xdp_md *ctx, __u64 number)
{
	struct impair_state *s = &impair_state;
	struct impair_slot *slot = &s->slot[s->tail % IMPAIR_SLOTS];
	__u32 last = length(ctx) - 1;

	if (s->tail - s->head >= IMPAIR_SLOTS || slot->state != IMPAIR_FREE ||
	    last >= IMPAIR_FRAME_MAX)
		return -1;
	SHUNT_OPAQUE(last);
	last &= IMPAIR_FRAME_MAX - 1;
	if (bpf_xdp_load_bytes(ctx, 0, slot->bytes, last + 1))
		return -1;
	slot->len = last + 1;
	slot->due = number + impair_plan.behind;
	slot->since_ns = bpf_ktime_get_ns();
	slot->visits = 0;
	/* what user space sees of a slot that it finds held is whole */
	__sync_lock_test_and_set(&slot->state, IMPAIR_HELD);
	s->tail++;
	return 0;
}

/* The oldest slot, if it goes behind this packet: its number, else IMPAIR_SLOTS. */
static __always_inline __u32 take_due(__u64 number)
{
	struct impair_state *s = &impair_state;
	__u32 at = s->head % IMPAIR_SLOTS;
	struct impair_slot *slot = &s->slot[at];

	if (s->head == s->tail)
		return IMPAIR_SLOTS;
	if (slot->state == IMPAIR_HELD && slot->due > number)
		return IMPAIR_SLOTS;
	s->head++;
	/* or user space has it */
	if (__sync_val_compare_and_swap(&slot->state, IMPAIR_HELD, IMPAIR_LEAVING) !=
	    IMPAIR_HELD)
		return IMPAIR_SLOTS;
	return at;
}

static __always_inline int pass(struct xdp_md *ctx, __u64 number)
{
	__u32 slot = take_due(number);
	struct mark *mark;

	if (slot == IMPAIR_SLOTS)
		return bpf_redirect_map(&impair_once, 0, 0);
	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*mark)))
		return XDP_ABORTED;
	mark = (void *)(long)ctx->data_meta;
	if ((void *)(mark + 1) > (void *)(long)ctx->data)
		return XDP_ABORTED;
	mark->slot = slot;
	return bpf_redirect_map(&impair_thrice, 0, BPF_F_BROADCAST);
}

SEC("xdp")
int impair_in(struct xdp_md *ctx)
{
	struct impair_state *s = &impair_state;
	const struct impair_rates rates = s->rates;
	__u64 number;
	__u32 drawn;

	if (!is_judged(ctx)) {
		s->count.other++;
		return bpf_redirect_map(&impair_once, 0, 0);
	}
	number = s->count.judged++;
	drawn = draw(number);
	if (drawn < rates.loss) {
		s->count.lost++;
		return XDP_DROP;
	}
	drawn -= rates.loss;
	if (drawn < rates.duplicate) {
		s->count.doubled++;
		return bpf_redirect_map(&impair_twice, 0, BPF_F_BROADCAST);
	}
	drawn -= rates.duplicate;
	if (drawn < rates.reorder) {
		if (!hold(ctx, number)) {
			s->count.held++;
			return XDP_DROP;
		}
		s->count.unheld++;
	}
	return pass(ctx, number);
}

/* 0: the packet is that of the slot now. */
static __always_inline int replace(struct xdp_md *ctx, struct impair_slot *slot)
{
	__u32 last = slot->len - 1;

	SHUNT_OPAQUE(last);
	last &= IMPAIR_FRAME_MAX - 1;
	if (bpf_xdp_adjust_tail(ctx, (int)(last + 1 - length(ctx))))
		return -1;
	return bpf_xdp_store_bytes(ctx, 0, slot->bytes, last + 1);
}

SEC("xdp/devmap")
int impair_out(struct xdp_md *ctx)
{
	struct impair_state *s = &impair_state;
	const struct mark *mark = (void *)(long)ctx->data_meta;
	struct impair_slot *slot;

	if ((void *)(mark + 1) > (void *)(long)ctx->data)
		return XDP_PASS;
	slot = &s->slot[mark->slot % IMPAIR_SLOTS];
	bpf_xdp_adjust_meta(ctx, sizeof(*mark));
	switch (slot->visits++) {
	case 0:
		return XDP_PASS;
	case 1:
		if (!replace(ctx, slot)) {
			s->count.reordered++;
			return XDP_PASS;
		}
		s->count.failed++;
		return XDP_DROP;
	default:
		__sync_lock_test_and_set(&slot->state, IMPAIR_FREE);
		return XDP_DROP;
	}
}
