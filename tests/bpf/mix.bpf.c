// SPDX-License-Identifier: GPL-2.0-only
/* The two ends of tests/bpf/mix.c: numbered frames, and what has become of them. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

#define SEEN_BITS (1u << 25) /* frames that can be told apart; a power of two */
#define TC_ACT_SHOT 2
#define TC_ACT_OK 0

/* Where things are in an Ethernet, IPv4, UDP frame without options. */
#define AT_TOS 15
#define AT_TTL 22
#define AT_SUM 24
#define AT_SPORT 34
#define AT_DPORT 36
#define AT_NUMBER 42
#define FRAME_BYTES 60

#define DPORT 5000

__u32 mix_out; /* interface */
__u16 mix_sum; /* the IPv4 header\'s checksum before it is marked, as it stands there */
__u32 mix_number;	/* of the next frame: how many were made */
__u64 mix_old, mix_new; /* frames that one policy alone has marked */
__u64 mix_mixed, mix_twice;
__u64 mix_seen[SEEN_BITS / 64];

/* Each run makes one live frame: its number, and the number's last bit as source port. */
SEC("xdp")
int mix_source(struct xdp_md *ctx)
{
	__u8 *frame = (void *)(long)ctx->data;
	__u32 number = mix_number;

	if (frame + FRAME_BYTES > (__u8 *)(long)ctx->data_end)
		return XDP_ABORTED;
	mix_number = number + 1;
	frame[AT_TOS] = 0;
	frame[AT_TTL] = 64;
	__builtin_memcpy(frame + AT_SUM, &mix_sum,
			 sizeof(mix_sum)); /* of a used page */
	frame[AT_SPORT + 1] = number & 1;
	__builtin_memcpy(frame + AT_NUMBER, &number, sizeof(number));
	return bpf_redirect(mix_out, 0);
}

/* Behind all hooks: both policies mark a frame twice, each in its own way. */
SEC("tc")
int mix_sink(struct __sk_buff *skb)
{
	__u8 frame[FRAME_BYTES];
	__u64 bit, before;
	__u32 number;

	if (bpf_skb_load_bytes(skb, 0, frame, sizeof(frame)) ||
	    frame[AT_DPORT] << 8 != (DPORT & 0xff00) ||
	    frame[AT_DPORT + 1] != (DPORT & 0xff))
		return TC_ACT_OK;
	__builtin_memcpy(&number, frame + AT_NUMBER, sizeof(number));
	number &= SEEN_BITS - 1;
	bit = 1ull << (number & 63);
	before = mix_seen[number / 64];
	mix_seen[number / 64] = before | bit; /* one CPU receives at a time */
	if (before & bit)
		mix_twice++;
	if (frame[AT_TOS] == 10 << 2 && frame[AT_TTL] == 11)
		mix_old++;
	else if (frame[AT_TOS] == 20 << 2 && frame[AT_TTL] == 21)
		mix_new++;
	else
		mix_mixed++;
	return TC_ACT_SHOT;
}
