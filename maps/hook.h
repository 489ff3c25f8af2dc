/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The places in the kernel where a policy is judged. */
#pragma once

/* X(ENUM, value, name, BPF program): explicit, append-only; the name is also the pin's. */
#define SHUNT_HOOKS(X)                                                                 \
	X(XDP, 0, "xdp", shunt_xdp)                                                    \
	X(TC_INGRESS, 1, "tc-ingress", shunt_tc_in)                                    \
	X(TC_EGRESS, 2, "tc-egress", shunt_tc_out)                                     \
	X(NETFILTER, 3, "netfilter", shunt_nf)

enum shunt_hook {
#define X(id, value, name, prog) SHUNT_HOOK_##id = value,
	SHUNT_HOOKS(X)
#undef X
};

#define SHUNT_HOOK_MAX 4 /* exclusive bound of the values above */
