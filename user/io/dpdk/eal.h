/* SPDX-License-Identifier: BSD-2-Clause */
/* DPDK's environment (EAL): begun once in a process, by the first port. */
#pragma once

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "user/base/err.h"
#include "user/io/dpdk/options.h"

/*
 * Begins it unless it has begun: memory of ordinary pages (huge=on: of huge pages), no
 * files that outlive the process, no threads but the one that it needs for interrupts,
 * and no PCI devices but `pci` (NULL: none). The caller's CPU affinity stays as it is.
 * A start that failed cannot be repeated: all later ports get the same answer.
 */
SHUNT_MUST_CHECK int shunt_dpdk_begin(const struct shunt_dpdk_opts *opts,
				      const char *pci, struct shunt_err *err);

/* What DPDK has said before does not matter any more. */
void shunt_dpdk_listen(void);

/* A call of DPDK failed: the sentence, with what DPDK itself had to say first. */
int shunt_dpdk_fail(struct shunt_err *err, int code, const char *fmt, ...)
	SHUNT_PRINTF(3, 4);

/* Adds {"memory_bytes": …, "huge_pages": …, "version": "DPDK 22.11"}; false: no memory. */
bool shunt_dpdk_describe_eal(cJSON *json);
