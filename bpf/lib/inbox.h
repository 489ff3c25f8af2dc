/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames into an inbox (maps/inbox.h): what the hooks share. */
#pragma once

#include <bpf/bpf_helpers.h>

#include "bpf/lib/compiler.h"
#include "maps/inbox.h"

static __always_inline int shunt_inbox_lose(__u32 why)
{
	__u64 *count = bpf_map_lookup_elem(&shunt_inbox_loss, &why);

	if (count)
		(*count)++;
	return -1;
}

/* Wakes who sleeps, by a record that nobody sees: the frame's own may have come too early. */
static __always_inline void shunt_inbox_wake(void)
{
	void *nothing;

	if (!*(volatile __u32 *)&shunt_inbox_state.asleep ||
	    !__sync_lock_test_and_set(&shunt_inbox_state.asleep, 0))
		return;
	nothing = bpf_ringbuf_reserve(&shunt_inbox, 8, 0);
	if (nothing)
		bpf_ringbuf_discard(nothing, BPF_RB_FORCE_WAKEUP);
}

/* A hook's own way to read the first bytes of a frame; 0, or not. */
typedef long shunt_inbox_load(void *ctx, void *to, __u32 bytes);

static __always_inline int shunt_inbox_fill(void *ctx, shunt_inbox_load *load,
					    __u32 bytes, const __u32 room)
{
	const __u32 most = room - sizeof(struct shunt_inbox_record);
	struct shunt_inbox_record *record = bpf_ringbuf_reserve(&shunt_inbox, room, 0);
	__u32 last = bytes - 1;

	if (!record)
		return shunt_inbox_lose(SHUNT_INBOX_FULL);
	/* shown to the verifier where it is used */
	SHUNT_OPAQUE(last);
	if (last >= most || load(ctx, record->frame, last + 1)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return shunt_inbox_lose(SHUNT_INBOX_LONG);
	}
	record->len = last + 1;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	shunt_inbox_wake();
	return 0;
}

/* 0; or the frame is lost, and counted. */
static __always_inline int shunt_inbox_put(void *ctx, shunt_inbox_load *load,
					   __u32 bytes)
{
	if (bytes <= SHUNT_INBOX_SMALL - sizeof(struct shunt_inbox_record))
		return shunt_inbox_fill(ctx, load, bytes, SHUNT_INBOX_SMALL);
	if (bytes <= SHUNT_INBOX_LARGE - sizeof(struct shunt_inbox_record))
		return shunt_inbox_fill(ctx, load, bytes, SHUNT_INBOX_LARGE);
	if (bytes <= SHUNT_INBOX_FRAME_MAX)
		return shunt_inbox_fill(ctx, load, bytes, SHUNT_INBOX_HUGE);
	return shunt_inbox_lose(SHUNT_INBOX_LONG);
}

static __always_inline long shunt_inbox_load_xdp(void *ctx, void *to, __u32 bytes)
{
	return bpf_xdp_load_bytes(ctx, 0, to, bytes);
}

static __always_inline long shunt_inbox_load_tc(void *ctx, void *to, __u32 bytes)
{
	return bpf_skb_load_bytes(ctx, 0, to, bytes);
}
