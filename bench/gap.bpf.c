// SPDX-License-Identifier: GPL-2.0-only
/* The two ends of bench/gap.h: numbered frames, and when they come out again. */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

#define FRAME_BYTES 60
#define AT_STAMP 42 /* behind Ethernet, IPv4 and UDP */
#define DPORT 5000

/* Written by bench/gap.h through the mapped .bss. */
__u32 gap_out;	 /* interface */
__u32 gap_pause; /* no frames now */
__u64 gap_since; /* ns of CLOCK_MONOTONIC: gaps that began earlier do not count */

/* Written by the programs, which run on one CPU. */
__u64 gap_sent;	   /* frames; the number of the next one */
__u64 gap_seen;	   /* that came out */
__u64 gap_missing; /* numbers that were left out */
__u64 gap_again;   /* frames that came late, or twice */
__u64 gap_longest; /* ns between one frame and the next */
__u64 gap_held;	   /* that of it in which the next one was there already */
__u64 gap_next;	   /* the number that is due */
__u64 gap_last;	   /* ns, of the last frame */

struct gap_stamp {
	__u64 number;
	__u64 born; /* ns */
};

struct gap_packet { /* from the IPv4 header on */
	__u8 ip[20];
	__be16 sport, dport, len, sum;
	struct gap_stamp stamp;
} __attribute__((packed));

SEC("xdp")
int gap_source(struct xdp_md *ctx)
{
	__u8 *frame = (void *)(long)ctx->data;
	struct gap_stamp stamp = { gap_sent, bpf_ktime_get_ns() };

	if (gap_pause || frame + FRAME_BYTES > (__u8 *)(long)ctx->data_end)
		return XDP_DROP;
	gap_sent = stamp.number + 1;
	__builtin_memcpy(frame + AT_STAMP, &stamp, sizeof(stamp));
	return bpf_redirect(gap_out, 0);
}

static __always_inline void note_gap(__u64 now, __u64 born)
{
	__u64 from = gap_last > born ? gap_last : born;

	if (gap_last < gap_since)
		return;
	if (now - gap_last > gap_longest)
		gap_longest = now - gap_last;
	if (now - from > gap_held)
		gap_held = now - from;
}

/* Behind everything that is compared. */
SEC("netfilter")
int gap_sink(struct bpf_nf_ctx *ctx)
{
	__u64 now = bpf_ktime_get_ns();
	struct gap_packet packet;

	if (bpf_probe_read_kernel(&packet, sizeof(packet), ctx->skb->data) ||
	    packet.dport != __builtin_bswap16(DPORT))
		return 1; /* NF_ACCEPT */
	note_gap(now, packet.stamp.born);
	if (packet.stamp.number < gap_next)
		gap_again++;
	else
		gap_missing += packet.stamp.number - gap_next;
	gap_next = packet.stamp.number + 1;
	gap_last = now;
	gap_seen++;
	return 0; /* NF_DROP */
}
