/* SPDX-License-Identifier: BSD-2-Clause */
/* The folders in which libxdp pins the entries of its dispatchers. */
#pragma once

/*
 *     /sys/fs/bpf/xdp/dispatch-<ifindex>-<dispatcher's program id>/   progN-prog  progN-link
 *
 * An interface's number means an interface of some network namespace; which one, the
 * folder does not tell.
 */
#include <stdbool.h>
#include <stdint.h>

#include "user/base/err.h"

struct shunt_dispatch {
	unsigned int ifindex;
	uint32_t dispatcher; /* program id */
	uint32_t entry;	     /* program id of the entry that was looked for */
	unsigned int others; /* pins of further entries */
};

/* Is it what the interface of that number runs, in the calling thread's namespace? */
bool shunt_dispatch_is_on(const struct shunt_dispatch *dispatch);

/*
 * Finds folders with an entry that uses this map: at most `max` of them. Returns how
 * many.
 */
int shunt_dispatch_find(uint32_t map_id, struct shunt_dispatch *found, int max);

/* Looks into the folder of one dispatcher; false: it has no such entry. */
bool shunt_dispatch_look(uint32_t map_id, struct shunt_dispatch *dispatch);

/* The descriptor of the link in one place of a dispatcher, from 0 on; or -errno. */
int shunt_dispatch_link(const struct shunt_dispatch *dispatch, int place);

/*
 * libxdp's own lock, under which folders are made and filled: a descriptor that holds it
 * until it is closed, or -errno.
 */
int shunt_dispatch_lock(void);

/* Pins an entry, in a folder that is made where it is missing. Under the lock. */
SHUNT_MUST_CHECK int shunt_dispatch_pin(const struct shunt_dispatch *dispatch,
					int place, int prog_fd, int link_fd);

/* Unpins all that is in a folder, and removes it. */
SHUNT_MUST_CHECK int shunt_dispatch_remove(const struct shunt_dispatch *dispatch,
					   struct shunt_err *err);

/*
 * Removes folders of dispatchers that the one that is on has superseded: whose commands
 * were killed between the swap and the clearing up. They are older, and all their programs
 * run in the one that is on; one that is yet to come on is newer, and an interface of
 * the same number in another namespace has other programs. An empty one is nobody's.
 */
SHUNT_MUST_CHECK int shunt_dispatch_clear_older(unsigned int ifindex,
						struct shunt_err *err);
