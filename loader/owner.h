/* SPDX-License-Identifier: BSD-2-Clause */
/* Who owns what is in our way: a foreign program, a shared qdisc. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"

#define SHUNT_OWNER_TEXT 512

/*
 * "\"xdp_pass\" (id 12), loaded by uid 0, held by process 321 (xdp-loader), pinned at
 * …": what the kernel, /proc and bpffs tell. Returns text.
 */
const char *shunt_owner_describe(uint32_t prog_id, char text[SHUNT_OWNER_TEXT]);

/* Has the interface a clsact (or ingress) qdisc? */
SHUNT_MUST_CHECK int shunt_clsact_exists(unsigned int ifindex, bool *exists,
					 struct shunt_err *err);

/* Has the interface's clsact qdisc any filter, on either side? */
SHUNT_MUST_CHECK int shunt_clsact_in_use(unsigned int ifindex, bool *in_use,
					 struct shunt_err *err);
