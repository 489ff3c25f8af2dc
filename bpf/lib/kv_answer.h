/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Questions to answers, in the packet that brought them. */
#pragma once

/*
 *     find ─▶ load ─▶ check sums ─▶ read ─▶ echo, hit or miss ─▶ turn around
 *
 * Headers and question are copied out, judged and changed there, and written back: neither
 * the compiler nor the verifier has to follow pointers into a packet that grows. Until the
 * answer is certain, the packet stays as it was.
 *
 * A sender on the same machine (veth) leaves the checksum to hardware that is not there,
 * and the sum over the pseudo header alone stands in its place: that is taken for right,
 * and the answer gets a whole one.
 */
#include <bpf/bpf_helpers.h>

#include "bpf/lib/csum.h"
#include "bpf/lib/door.h"
#include "bpf/lib/kv_question.h"

#define SHUNT_KV_LINK_MAX 22u /* Ethernet with two tags */
#define SHUNT_KV_TTL 64

/* A question while it is looked at: one a CPU. */
struct shunt_kv_room {
	__u8 bytes[SHUNT_KV_QUESTION_MAX + 8]; /* the datagram, and zeros behind it */
	struct shunt_kv_question question;
	__u8 link[32];
	union {
		struct shunt_ip4 ip4;
		struct shunt_ip6 ip6;
	};
	struct shunt_udp udp;
	__u32 len;    /* of the datagram */
	__u32 l3;     /* enum shunt_l3 */
	__u32 l3_off; /* bytes of link */
	__u32 frame;  /* bytes of all */
	__u64 sum;    /* of what the UDP checksum covers, but for the lengths */
};

/* Written and read by the program alone. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shunt_kv_room);
} shunt_kv_room SEC(".maps");

/* --- whose it is -------------------------------------------------------------------------- */

/* Nobody asks from there; and what came from here is not sent here again. */
static __always_inline int shunt_kv_is_self(const struct shunt_layer *l,
					    const struct shunt_eth *eth)
{
	const __u32 *from = l->addr[SHUNT_SIDE_SRC], *to = l->addr[SHUNT_SIDE_DST];
	__u32 first = shunt_be32(from[0]);

	if (eth->src[0] & 1)
		return 1;
	if (l->l3 == SHUNT_L3_IP4 ? first >= 0xe0000000 || !first : first >> 24 == 0xff)
		return 1;
	return from[0] == to[0] && from[1] == to[1] && from[2] == to[2] &&
	       from[3] == to[3];
}

/* Where its headers are; the result that it has already, or SHUNT_KV_RESULT_MAX. */
static __noinline int shunt_kv_find(struct xdp_md *ctx, struct shunt_kv_room *room)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct shunt_eth *eth = data;
	__u64 bytes = end - data;
	struct shunt_pkt pkt = { .len = bytes };
	struct shunt_layer *l = &pkt.layer[SHUNT_OUTER];
	struct shunt_inside in = { 0 };
	__u32 header;

	if (shunt_parse_outer(data, end, 0, &pkt, &in) != SHUNT_PARSE_OK)
		return SHUNT_KV_MALFORMED;
	if ((void *)(eth + 1) > end || !shunt_door_takes(&shunt_door, l, eth->dst))
		return SHUNT_KV_OTHER;
	if (l->field[SHUNT_FIELD_FRAGMENT] != SHUNT_FRAGMENT_NONE + 1)
		return SHUNT_KV_FRAGMENT;
	if (shunt_kv_is_self(l, eth))
		return SHUNT_KV_SELF;
	header = l->l3 == SHUNT_L3_IP4 ? sizeof(struct shunt_ip4)
				       : sizeof(struct shunt_ip6);
	if (l->l4_off != l->l3_off + header || l->l3_off > SHUNT_KV_LINK_MAX)
		return SHUNT_KV_OPTIONS;
	room->l3 = l->l3;
	room->l3_off = l->l3_off;
	room->frame = bytes;
	return SHUNT_KV_RESULT_MAX;
}

static __always_inline __u32 shunt_kv_l4_off(const struct shunt_kv_room *room)
{
	__u32 off =
		room->l3_off + (room->l3 == SHUNT_L3_IP4 ? sizeof(struct shunt_ip4)
							 : sizeof(struct shunt_ip6));

	SHUNT_OPAQUE(off);
	return off & 0x3f;
}

/* Bytes in front of the IP header, 14 to SHUNT_KV_LINK_MAX, as a verifier can see. */
static __always_inline __u32 shunt_kv_link(const struct shunt_kv_room *room)
{
	__u32 tags = room->l3_off - sizeof(struct shunt_eth);

	SHUNT_OPAQUE(tags);
	return sizeof(struct shunt_eth) + (tags & 15);
}

static __always_inline int shunt_kv_load(struct xdp_md *ctx, struct shunt_kv_room *room)
{
	__u32 link = shunt_kv_link(room), l4 = shunt_kv_l4_off(room), last;

	if (bpf_xdp_load_bytes(ctx, 0, room->link, link) ||
	    bpf_xdp_load_bytes(ctx, l4, &room->udp, sizeof(room->udp)))
		return SHUNT_KV_MALFORMED;
	if (room->l3 == SHUNT_L3_IP4
		    ? bpf_xdp_load_bytes(ctx, link, &room->ip4, sizeof(room->ip4))
		    : bpf_xdp_load_bytes(ctx, link, &room->ip6, sizeof(room->ip6)))
		return SHUNT_KV_MALFORMED;
	room->len = shunt_be16(room->udp.length) - sizeof(room->udp);
	if (!room->len)
		return SHUNT_KV_UNKNOWN;
	last = room->len - 1;
	SHUNT_OPAQUE(last);
	if (last >= SHUNT_KV_QUESTION_MAX)
		return SHUNT_KV_LONG;
	if (bpf_xdp_load_bytes(ctx, l4 + sizeof(room->udp), room->bytes, last + 1))
		return SHUNT_KV_MALFORMED;
	__builtin_memset(room->bytes + last + 1, 0, 7);
	return SHUNT_KV_RESULT_MAX;
}

/* --- checksums ---------------------------------------------------------------------------- */

/* The pseudo header without the length, RFC 768 and RFC 8200 section 8.1. */
static __always_inline __u64 shunt_kv_sum_pseudo(const struct shunt_kv_room *room)
{
	const __u32 *word = room->l3 == SHUNT_L3_IP4 ? &room->ip4.src : room->ip6.src;
	__u64 sum = shunt_csum_word(0, SHUNT_IP_UDP) + (__u64)word[0] + word[1];
	int i;

	if (room->l3 == SHUNT_L3_IP6)
		for (i = 2; i < 8; i++)
			sum += word[i];
	return sum;
}

/* 512 bytes are what the kernel sums up at once. */
#define SHUNT_KV_SUM_BYTES 512u

static __always_inline __u32 shunt_kv_sum_bytes(const struct shunt_kv_room *room)
{
	__u32 sum = 0, i;

	SHUNT_NO_UNROLL
	for (i = 0; i < SHUNT_KV_QUESTION_MAX; i += SHUNT_KV_SUM_BYTES) {
		__u32 left = (room->len + 3) / 4 * 4 - i;

		if (i >= room->len)
			break;
		SHUNT_OPAQUE(left);
		if (left > SHUNT_KV_SUM_BYTES)
			left = SHUNT_KV_SUM_BYTES;
		sum = bpf_csum_diff(0, 0, (void *)(room->bytes + i), left, sum);
	}
	return sum;
}

static __always_inline __u16 shunt_kv_sum_ip4(const struct shunt_ip4 *ip)
{
	const __u32 *word = (const void *)ip;

	return shunt_csum_fold((__u64)word[0] + word[1] + word[2] + word[3] + word[4]);
}

/* Are they right? */
static __always_inline int shunt_kv_sums(struct shunt_kv_room *room)
{
	__u64 pseudo = shunt_kv_sum_pseudo(room);
	__u32 ports;

	if (room->l3 == SHUNT_L3_IP4 && shunt_kv_sum_ip4(&room->ip4) != 0xffff)
		return 0;
	__builtin_memcpy(&ports, &room->udp, sizeof(ports));
	room->sum = pseudo + ports + shunt_kv_sum_bytes(room);
	if (!room->udp.checksum)
		return room->l3 == SHUNT_L3_IP4;
	return room->udp.checksum == shunt_csum_fold(pseudo + room->udp.length) ||
	       shunt_csum_fold(room->sum + 2ull * room->udp.length +
			       room->udp.checksum) == 0xffff;
}

/* --- the way back ------------------------------------------------------------------------- */

static __always_inline void shunt_kv_turn_link(__u8 *link)
{
	__u8 mac[6];

	__builtin_memcpy(mac, link, 6);
	__builtin_memmove(link, link + 6, 6);
	__builtin_memcpy(link + 6, mac, 6);
}

static __always_inline void shunt_kv_turn_ip4(struct shunt_ip4 *ip, __u32 bytes)
{
	__be32 src = ip->src;

	ip->src = ip->dst;
	ip->dst = src;
	ip->ttl = SHUNT_KV_TTL;
	ip->length = shunt_be16(sizeof(*ip) + bytes);
	ip->checksum = 0;
	ip->checksum = ~shunt_kv_sum_ip4(ip);
}

static __always_inline void shunt_kv_turn_ip6(struct shunt_ip6 *ip, __u32 bytes)
{
	int i;

	for (i = 0; i < 4; i++) {
		__be32 src = ip->src[i];

		ip->src[i] = ip->dst[i];
		ip->dst[i] = src;
	}
	ip->hops = SHUNT_KV_TTL;
	ip->length = shunt_be16(bytes);
}

/* Headers for a datagram of so many bytes; room->sum is its. 0, or not. */
static __always_inline int shunt_kv_turn(struct xdp_md *ctx, struct shunt_kv_room *room,
					 __u32 len)
{
	__u32 bytes = sizeof(room->udp) + len, link = shunt_kv_link(room);
	__u32 l4 = shunt_kv_l4_off(room);
	__be16 sport = room->udp.sport, length = shunt_be16(bytes);
	__u16 check;
	int err;

	shunt_kv_turn_link(room->link);
	room->udp.sport = room->udp.dport;
	room->udp.dport = sport;
	room->udp.length = length;
	check = ~shunt_csum_fold(room->sum + 2ull * length);
	room->udp.checksum = check ? check : 0xffff;
	err = bpf_xdp_store_bytes(ctx, 0, room->link, link);
	if (room->l3 == SHUNT_L3_IP4) {
		shunt_kv_turn_ip4(&room->ip4, bytes);
		err |= bpf_xdp_store_bytes(ctx, link, &room->ip4, sizeof(room->ip4));
	} else {
		shunt_kv_turn_ip6(&room->ip6, bytes);
		err |= bpf_xdp_store_bytes(ctx, link, &room->ip6, sizeof(room->ip6));
	}
	return err | bpf_xdp_store_bytes(ctx, l4, &room->udp, sizeof(room->udp));
}

/* The frame becomes as long as that, at its end or, where there is no room, at its head. */
static __always_inline int shunt_kv_resize(struct xdp_md *ctx,
					   const struct shunt_kv_room *room, __u32 len)
{
	int more = (int)(shunt_kv_l4_off(room) + sizeof(room->udp) + len) -
		   (int)room->frame;

	if (!more || !bpf_xdp_adjust_tail(ctx, more))
		return 0;
	return more < 0 || bpf_xdp_adjust_head(ctx, -more);
}

/* --- answers ------------------------------------------------------------------------------ */

/* Another word in the datagram, at an even place, and its sum put right. */
static __always_inline void shunt_kv_put(struct shunt_kv_room *room, __u32 at,
					 __u32 word)
{
	__u8 *to = room->bytes + (at & SHUNT_WIRE_BYTES);
	__u32 before;

	__builtin_memcpy(&before, to, sizeof(before));
	__builtin_memcpy(to, &word, sizeof(word));
	room->sum = shunt_csum_change32(room->sum, before, word);
}

/* The header becomes an answer's of so many bytes without it. */
static __always_inline void shunt_kv_put_header(struct shunt_kv_room *room, __u32 len)
{
	struct shunt_wire_header *header = (void *)room->bytes;
	__u32 word;

	__builtin_memcpy(&word, header, sizeof(word));
	header->flags = SHUNT_WIRE_ANSWER;
	room->sum = shunt_csum_change32(room->sum, word, *(__u32 *)header);
	word = header->length;
	header->length = shunt_be32(len);
	room->sum = shunt_csum_change32(room->sum, word, header->length);
}

/* What came, but for its verb (0: that as well) and its header. */
static __always_inline int shunt_kv_echo(struct xdp_md *ctx, struct shunt_kv_room *room,
					 __u32 verb, int result)
{
	__u32 at = shunt_kv_l4_off(room) + sizeof(room->udp), head = room->question.at;

	if (head)
		shunt_kv_put_header(room, room->len - head);
	if (verb)
		shunt_kv_put(room, head, verb);
	if (shunt_kv_turn(ctx, room, room->len))
		return SHUNT_KV_LOST;
	if (head && bpf_xdp_store_bytes(ctx, at, room->bytes, SHUNT_WIRE_BYTES))
		return SHUNT_KV_LOST;
	if (verb && bpf_xdp_store_bytes(ctx, at + head, &verb, sizeof(verb)))
		return SHUNT_KV_LOST;
	return result;
}

static __always_inline int shunt_kv_hit(struct xdp_md *ctx, struct shunt_kv_room *room,
					const struct shunt_kv_answer *answer)
{
	__u32 head = room->question.at, last = answer->len - 1, len;
	__u32 at = shunt_kv_l4_off(room) + sizeof(room->udp), word, i;

	SHUNT_OPAQUE(last);
	if (last >= SHUNT_KV_ANSWER_MAX)
		return SHUNT_KV_UNKNOWN;
	len = last + 1;
	if (shunt_kv_resize(ctx, room, head + len))
		return SHUNT_KV_ROOM;
	if (head)
		shunt_kv_put_header(room, len);
	__builtin_memcpy(&word, &room->udp, sizeof(word));
	room->sum = shunt_kv_sum_pseudo(room) + word + answer->sum;
	for (i = 0; i < SHUNT_WIRE_BYTES && head; i += sizeof(word)) {
		__builtin_memcpy(&word, room->bytes + i, sizeof(word));
		room->sum += word;
	}
	if (shunt_kv_turn(ctx, room, head + len) ||
	    (head && bpf_xdp_store_bytes(ctx, at, room->bytes, SHUNT_WIRE_BYTES)) ||
	    bpf_xdp_store_bytes(ctx, at + head, (void *)answer->bytes, len))
		return SHUNT_KV_LOST;
	return SHUNT_KV_HIT;
}
