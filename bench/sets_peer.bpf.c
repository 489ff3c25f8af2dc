// SPDX-License-Identifier: GPL-2.0-only
/* What bench/sets.c sets beside each other: one lookup of a changing address a run. */

/*
 * Every program takes the next address of the same table, and does nothing but look it
 * up in its own structure. bench_none is the floor: it takes the address, too.
 */
#include "bpf/lib/set.h"
#include "maps/pkt.h"

char _license[] SEC("license") = "GPL";

#define ADDRS (1u << 20) /* power of two: the verifier sees a masked index */

/* Written by bench/sets.c through the mapped .bss. */
__u32 bench_addr[ADDRS][4]; /* network order */
__u32 bench_next, bench_mask;
__u64 bench_hits;

struct bench_lpm4 {
	__u32 bits, addr;
};

struct bench_lpm6 {
	__u32 bits, addr[4];
};

#define BENCH_MAP(name, kind, flags, key_t)                                            \
	struct {                                                                       \
		__uint(type, kind);                                                    \
		__uint(max_entries, 1);                                                \
		__uint(map_flags, flags);                                              \
		__uint(key_size, sizeof(key_t));                                       \
		__uint(value_size, sizeof(__u32));                                     \
	} name SEC(".maps")

BENCH_MAP(bench_lpm4, BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, struct bench_lpm4);
BENCH_MAP(bench_lpm6, BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, struct bench_lpm6);
BENCH_MAP(bench_hash4, BPF_MAP_TYPE_HASH, 0, __u32);
BENCH_MAP(bench_hash6, BPF_MAP_TYPE_HASH, 0, struct shunt_addr6);

static __always_inline const __u32 *next_addr(void)
{
	return bench_addr[bench_next++ & bench_mask & (ADDRS - 1)];
}

static __always_inline int told(int in)
{
	bench_hits += in;
	return XDP_DROP;
}

SEC("xdp")
int bench_none(struct xdp_md *ctx)
{
	const __u32 *addr = next_addr();

	(void)ctx;
	return told((addr[0] ^ addr[3]) & 1);
}

SEC("xdp")
int bench_set4(struct xdp_md *ctx)
{
	const __u32 *from = next_addr();
	struct shunt_addr6 addr = { { from[0], 0, 0, 0 } };

	(void)ctx;
	return told(shunt_set_find(0, SHUNT_SET_PREFIX, SHUNT_L3_IP4, &addr,
				   SHUNT_SERVICE_NONE));
}

SEC("xdp")
int bench_set6(struct xdp_md *ctx)
{
	const __u32 *from = next_addr();
	struct shunt_addr6 addr = { { from[0], from[1], from[2], from[3] } };

	(void)ctx;
	return told(shunt_set_find(0, SHUNT_SET_PREFIX, SHUNT_L3_IP6, &addr,
				   SHUNT_SERVICE_NONE));
}

SEC("xdp")
int bench_trie4(struct xdp_md *ctx)
{
	const __u32 *from = next_addr();
	struct bench_lpm4 key = { 32, from[0] };

	(void)ctx;
	return told(!!bpf_map_lookup_elem(&bench_lpm4, &key));
}

SEC("xdp")
int bench_trie6(struct xdp_md *ctx)
{
	const __u32 *from = next_addr();
	struct bench_lpm6 key = { 128, { from[0], from[1], from[2], from[3] } };

	(void)ctx;
	return told(!!bpf_map_lookup_elem(&bench_lpm6, &key));
}

SEC("xdp")
int bench_table4(struct xdp_md *ctx)
{
	__u32 key = next_addr()[0];

	(void)ctx;
	return told(!!bpf_map_lookup_elem(&bench_hash4, &key));
}

SEC("xdp")
int bench_table6(struct xdp_md *ctx)
{
	const __u32 *from = next_addr();
	struct shunt_addr6 key = { { from[0], from[1], from[2], from[3] } };

	(void)ctx;
	return told(!!bpf_map_lookup_elem(&bench_hash6, &key));
}
