// SPDX-License-Identifier: GPL-2.0-only
/* What holds our place among chained XDP programs until the one that judges takes it. */
#include "vmlinux/vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "maps/gen.h"

char _license[] SEC("license") = "GPL";

/*
 * Lets everything pass. It looks into the instance's map, for that is how an entry of ours
 * is known (loader/chain.h); "frags" is what libxdp notes of the place.
 */
SEC("xdp.frags")
int shunt_entry(struct xdp_md *ctx)
{
	__u32 key = 0;

	(void)ctx;
	return bpf_map_lookup_elem(&shunt_gen, &key) ? XDP_PASS : XDP_ABORTED;
}
