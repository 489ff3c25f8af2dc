/* SPDX-License-Identifier: BSD-2-Clause */
/* A policy is tried out before it rules. */
#pragma once

/*
 * The policy is written, and the programs that are going to judge packets by it are
 * loaded. Before the flip they are test-run over
 *
 *     probe packets    that are derived from the policy's rules: do they decide what the
 *                      policy says? (loader/prove.h)
 *     the guard's      would somebody be locked out? (loader/guard.h)
 *
 * No packet of the wire meets the policy meanwhile, nothing is counted.
 */
#include "loader/guard.h"
#include "loader/instance.h"

struct shunt_rehearsal {
	const struct shunt_policy *policy;
	const struct shunt_state *state; /* the record that goes with it */
	const struct shunt_guard *guard; /* NULL: nobody is protected */
	const int *prog_fd; /* by hook, -1: none; NULL: those that sit on the hooks */
	bool idle;	    /* it stands in the idle slot; else it is the ruling one */
};

SHUNT_MUST_CHECK int shunt_rehearse(const struct shunt_instance *instance,
				    const struct shunt_rehearsal *rehearsal,
				    struct shunt_err *err);
