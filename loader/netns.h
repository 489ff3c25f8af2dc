/* SPDX-License-Identifier: BSD-2-Clause */
/* Network namespaces: entering one, and telling them apart. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"

/*
 * Moves the calling thread into a namespace made by `ip netns add NAME`, or named by a
 * path with a '/' in it. Only the network namespace changes: /sys/fs/bpf stays.
 */
SHUNT_MUST_CHECK int shunt_netns_enter(const char *name, struct shunt_err *err);

/* What tells the calling thread's namespace from every other one since boot. */
SHUNT_MUST_CHECK int shunt_netns_cookie(uint64_t *cookie, struct shunt_err *err);

/* Is it the first one of this machine, the one of its boot? */
bool shunt_netns_is_host(void);
