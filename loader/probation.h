/* SPDX-License-Identifier: BSD-2-Clause */
/* Policies on trial: confirmed in time, or reverted. */
#pragma once

/*
 *     apply --confirm 30s      word = g + 1, armed; deadline = now + 30 s
 *         confirm              word = g + 1
 *         nothing              the programs themselves judge by g from the deadline on;
 *                              the next command that writes makes that g + 2
 *         rollback             g + 2 at once
 *
 * Generation g + 2 is g again: it has its slot and its image, so that nothing is compiled
 * or written, and its record, but for what the hooks have become meanwhile.
 *
 * The clock is CLOCK_MONOTONIC, in the kernel and here: setting the wall clock does not
 * touch a deadline; the time that a machine is suspended does not count.
 */
#include "loader/instance.h"

/* 0, or -EBUSY where a policy is on trial: `verb` has to wait until that is over. */
SHUNT_MUST_CHECK int shunt_probation_none(const struct shunt_instance *instance,
					  const char *verb, struct shunt_err *err);

/*
 * Where a policy is on trial, instance->state becomes the record of the one before it:
 * for those who ask what rules for good.
 */
SHUNT_MUST_CHECK int shunt_probation_skip(struct shunt_instance *instance,
					  struct shunt_err *err);

/*
 * The policy before the one that is, or was, on trial becomes a generation of its own,
 * for good. Under the lock; instance->state is then its record.
 */
SHUNT_MUST_CHECK int shunt_probation_revert(struct shunt_instance *instance,
					    struct shunt_err *err);
