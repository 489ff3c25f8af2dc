/* SPDX-License-Identifier: BSD-2-Clause */
/* Taking hooks off, and clearing away what nobody rules any more. */
#pragma once

#include "loader/instance.h"
#include "maps/limit.h"

/* Takes one hook's program off and unpins it. What is not there is fine. */
int shunt_residue_unhook(struct shunt_instance *instance, enum shunt_hook hook,
			 struct shunt_err *err);

/*
 * Brings hooks and record together, which is the commit of an attach and of a detach: a
 * hook that it does not name is taken off, one that has left is struck off (the last
 * one excepted: that is a dead instance), a pin that is missing is made anew. A new name
 * of the interface is noted. Under the lock, of an opened instance.
 */
SHUNT_MUST_CHECK int shunt_residue_settle(struct shunt_instance *instance,
					  struct shunt_err *err);

/* What is it that the above would do for a hook? */
enum shunt_residue_hook {
	SHUNT_RESIDUE_SOUND,
	SHUNT_RESIDUE_UNRECORDED, /* it is on, or half on, and the record does not say so */
	SHUNT_RESIDUE_UNPINNED, /* it is on, and its program or link has no pin */
	SHUNT_RESIDUE_LOST,	/* it is off, and the record says that it is on */
};
enum shunt_residue_hook shunt_residue_hook(const struct shunt_instance *instance,
					   enum shunt_hook hook);

/* The kernel's ids of what an instance consisted of. */
struct shunt_residue {
	uint32_t map[SHUNT_MAP_COUNT + SHUNT_COUNTER_MAPS +
		     SHUNT_SETS_KINDS * (SHUNT_SET_IDS + 1) + SHUNT_LIMIT_BY_IDS];
	size_t maps;
};

/* Takes all off and removes every pin. `ifindex` 0: the interface is gone. */
SHUNT_MUST_CHECK int shunt_residue_remove(const char *name, unsigned int ifindex,
					  struct shunt_residue *residue,
					  struct shunt_err *err);

/*
 * The kernel frees programs and maps a moment after their last user has gone. Returns
 * when it has, so that a look behind a detach finds nothing; after a second in any
 * case, for another process may hold a map. The caller must have closed the instance.
 */
void shunt_residue_wait(const struct shunt_residue *residue);

/*
 * Removes an instance that judges no packets any more: its interface is gone (another
 * may have its name now), or its attach was killed half-way. Under the lock. *cleared
 * says whether there was one. An instance that lives is left alone.
 */
SHUNT_MUST_CHECK int shunt_residue_clear(const char *name, unsigned int ifindex,
					 bool *cleared, struct shunt_err *err);
