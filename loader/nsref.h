/* SPDX-License-Identifier: BSD-2-Clause */
/* Does anybody still have a network namespace, by which it can be reached? */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Looks for a process in it, a mount of it (`ip netns add` makes one), or an open
 * descriptor of it, by its inode number. A process that may not be looked at, as those
 * around a sandbox, is taken for one that has nothing to do with it.
 */
bool shunt_nsref_any(uint64_t inode);
