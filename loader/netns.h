/* SPDX-License-Identifier: BSD-2-Clause */
/* Network namespaces: telling them apart (loader/shunt.h enters one). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"

/* What tells the calling thread's namespace from every other one since boot. */
SHUNT_MUST_CHECK int shunt_netns_cookie(uint64_t *cookie, struct shunt_err *err);

/* Is it the first one of this machine, the one of its boot? */
bool shunt_netns_is_host(void);

/* Is the calling thread's namespace the one that an instance's name tells? */
bool shunt_netns_is_of(const char *instance);

/* What `ip netns` calls the calling thread's namespace; "": it has no name there. */
void shunt_netns_name(char *name, size_t room);
