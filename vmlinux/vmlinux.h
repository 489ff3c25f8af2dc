/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel types that our BPF programs use, and no others. */
#pragma once

/*
 * A full vmlinux.h is 2.9 MB and clashes with the uapi headers. The context types below
 * are the kernel's stable ABI, and are not relocated; a type that is kernel-internal
 * goes behind preserve_access_index, trimmed to the fields that we read:
 *
 *     bpftool btf dump file /sys/kernel/btf/vmlinux format c | less     copy what you need
 */
typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_CPUMAP = 16,
	BPF_MAP_TYPE_XSKMAP = 17,
	BPF_MAP_TYPE_DEVMAP_HASH = 25,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
};

/* Of bpf_skb_store_bytes(), then of bpf_l4_csum_replace(). */
enum {
	BPF_F_RECOMPUTE_CSUM = 1ULL << 0,
	BPF_F_INVALIDATE_HASH = 1ULL << 1,
	BPF_F_PSEUDO_HDR = 1ULL << 4,
	BPF_F_MARK_MANGLED_0 = 1ULL << 5,
};

/* Of bpf_ringbuf_submit() and bpf_ringbuf_discard(). */
enum {
	BPF_RB_NO_WAKEUP = 1ULL << 0,
	BPF_RB_FORCE_WAKEUP = 1ULL << 1,
};

/* Of bpf_redirect_map(). */
enum {
	BPF_F_BROADCAST = 1ULL << 3,
};

enum {
	BPF_F_NO_PREALLOC = 1U << 0,
	BPF_F_MMAPABLE = 1U << 10,
	BPF_F_INNER_MAP = 1U << 12,
};

enum xdp_action {
	XDP_ABORTED = 0,
	XDP_DROP = 1,
	XDP_PASS = 2,
	XDP_TX = 3,
	XDP_REDIRECT = 4,
};

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

/* From include/uapi/linux/pkt_cls.h. */
enum {
	TC_ACT_UNSPEC = -1, /* also TCX_NEXT: on to the next program */
	TC_ACT_SHOT = 2,
};

struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol;
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5];
	__u32 hash;
	__u32 tc_classid;
	__u32 data;
	__u32 data_end;
	__u32 napi_id;
	__u32 family, remote_ip4, local_ip4;
	__u32 remote_ip6[4], local_ip6[4];
	__u32 remote_port, local_port;
	__u32 data_meta;
};

/* From include/uapi/linux/netfilter.h. */
enum {
	NF_DROP = 0,
	NF_ACCEPT = 1,
};

enum {
	NFPROTO_IPV4 = 2,
	NFPROTO_IPV6 = 10,
};

struct bpf_dynptr {
	__u64 opaque[2];
};

/* --- the kernel's own: relocated ------------------------------------------------- */

struct net {
	__u64 net_cookie;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;
} __attribute__((preserve_access_index)) possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
} __attribute__((preserve_access_index));

struct nf_hook_state {
	__u8 pf;
	struct net_device *in;
} __attribute__((preserve_access_index));

struct sk_buff {
	unsigned int len;
	int skb_iif;
	__be16 vlan_proto;
	__u16 vlan_tci;
	__u16 mac_header;
	unsigned int end; /* sk_buff_data_t, an offset on 64 bits */
	unsigned char *head;
	unsigned char *data;
} __attribute__((preserve_access_index));

/* Stands behind the packet's bytes, at head + end. */
struct skb_shared_info {
	__u8 meta_len;
} __attribute__((preserve_access_index));

/* A context: the verifier knows both of its words by their place. */
struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};
