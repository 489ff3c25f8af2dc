/* SPDX-License-Identifier: BSD-2-Clause */
/* The network namespaces that there are, and working inside of them. */
#pragma once

/*
 * The kernel has no list of them. They are looked for where one is kept alive: by a
 * thread that lives in it, a descriptor of it, or a mount (those of `ip netns` and of
 * container engines). One that nothing but a socket keeps is not found. A process that
 * may not be looked at, as those around a sandbox, is taken for one that keeps none.
 */
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"

/*
 * Calls visit() inside each namespace, in a thread of its own, until it says true.
 * Returns whether it did.
 */
bool shunt_namespaces_walk(bool (*visit)(void *ctx), void *ctx);

/* Is the namespace with this inode number kept alive? */
bool shunt_namespaces_has(uint64_t inode);

/*
 * Calls work() inside the namespace that an instance's name tells: in the caller's
 * thread if that is it. Its return value; -ESRCH: there is no such namespace any more.
 */
SHUNT_MUST_CHECK int shunt_namespaces_inside(const char *instance, int (*work)(void *),
					     void *ctx);
