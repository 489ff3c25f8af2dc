// SPDX-License-Identifier: GPL-2.0-only
/* The far end of a wire, which counts; and forwarding without user space. */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

#define CPUS 64

/* Written by bench/ports_stage.h. */
__u32 ports_out; /* interface */

/* Written by the sink, on each CPU its own line; read by user space. */
struct {
	__u64 packets;
	__u64 pad[7];
} ports_seen[CPUS];

SEC("xdp")
int ports_sink(struct xdp_md *ctx __attribute__((unused)))
{
	ports_seen[bpf_get_smp_processor_id() & (CPUS - 1)].packets++;
	return XDP_DROP;
}

SEC("xdp")
int ports_redirect(struct xdp_md *ctx __attribute__((unused)))
{
	return bpf_redirect(ports_out, 0);
}
