// SPDX-License-Identifier: GPL-2.0-only
/* Asks the programs' own search whether an address is in a set, for tests/bpf/sets.c. */
#include "bpf/lib/set.h"

char _license[] SEC("license") = "GPL";

/* Written by the test through the mapped .bss. */
struct shunt_addr6 ask_addr;
__u32 ask_id, ask_type, ask_l3, ask_service;

SEC("xdp")
int ask(struct xdp_md *ctx)
{
	struct shunt_addr6 addr = ask_addr;

	(void)ctx;
	return shunt_set_find(ask_id, ask_type, ask_l3, &addr, ask_service);
}
