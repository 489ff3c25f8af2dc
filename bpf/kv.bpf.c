// SPDX-License-Identifier: GPL-2.0-only
/* A server in the kernel: echoes and values, answered where the packet comes in. */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "bpf/lib/inbox.h"
#include "bpf/lib/kv_answer.h"

char _license[] SEC("license") = "GPL";

const volatile struct shunt_kv_plan shunt_kv_plan;

static __always_inline int answer(struct xdp_md *ctx, struct shunt_kv_room *room)
{
	const struct shunt_kv_answer *value;

	switch (room->question.kind) {
	case SHUNT_KV_ASKS_ECHO:
		return shunt_kv_echo(ctx, room, shunt_kv_word(SHUNT_KV_SAID_VERB),
				     SHUNT_KV_ECHO);
	case SHUNT_KV_ASKS_ALL:
		/* another such server, maybe */
		if (!room->question.at && room->udp.sport == room->udp.dport)
			return SHUNT_KV_SELF;
		return shunt_kv_echo(ctx, room, 0, SHUNT_KV_ECHO);
	case SHUNT_KV_ASKS_VALUE:
		value = bpf_map_lookup_elem(&shunt_kv_map, &room->question.key);
		if (value)
			return shunt_kv_hit(ctx, room, value);
		if (shunt_kv_plan.modes & SHUNT_KV_WITH_MISS)
			return shunt_kv_echo(ctx, room,
					     shunt_kv_word(SHUNT_KV_NON_VERB),
					     SHUNT_KV_MISS);
		return SHUNT_KV_ABSENT;
	default:
		return SHUNT_KV_UNKNOWN;
	}
}

static __always_inline int serve(struct xdp_md *ctx, struct shunt_kv_room *room)
{
	int result = shunt_kv_find(ctx, room);

	if (result == SHUNT_KV_RESULT_MAX)
		result = shunt_kv_load(ctx, room);
	if (result != SHUNT_KV_RESULT_MAX)
		return result;
	if (!shunt_kv_sums(room))
		return SHUNT_KV_CHECKSUM;
	shunt_kv_read(&room->question, room->bytes, room->len, shunt_kv_plan.modes);
	return answer(ctx, room);
}

/* Is it left to user space? */
static __always_inline int is_up(int result)
{
	return shunt_kv_plan.modes & SHUNT_KV_WITH_INBOX && shunt_kv_is_up(result);
}

SEC("xdp")
int shunt_kv(struct xdp_md *ctx)
{
	struct shunt_kv_room *room;
	__u32 zero = 0, result, up;
	__u64 *count, bytes = (void *)(long)ctx->data_end - (void *)(long)ctx->data;

	room = bpf_map_lookup_elem(&shunt_kv_room, &zero);
	if (!room)
		return XDP_ABORTED;
	result = serve(ctx, room);
	up = is_up(result);
	SHUNT_OPAQUE(bytes);
	if (up && shunt_inbox_put(ctx, shunt_inbox_load_xdp, bytes))
		result = SHUNT_KV_LOST;
	count = bpf_map_lookup_elem(&shunt_kv_count, &result);
	if (count)
		(*count)++;
	if (up || result == SHUNT_KV_LOST)
		return XDP_DROP;
	if (result != SHUNT_KV_ECHO && result != SHUNT_KV_HIT &&
	    result != SHUNT_KV_MISS)
		return XDP_PASS;
	return shunt_kv_plan.modes & SHUNT_KV_WITH_REDIRECT
		       ? bpf_redirect(ctx->ingress_ifindex, 0)
		       : XDP_TX;
}
