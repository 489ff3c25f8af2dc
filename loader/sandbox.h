/* SPDX-License-Identifier: BSD-2-Clause */
/* A pair of veths in a network namespace of their own, to try things on. */
#pragma once

#include "user/base/err.h"

/* The pair's names, and their numbers in the namespace. */
#define SHUNT_SANDBOX_VETH "shunt0"
#define SHUNT_SANDBOX_PEER "shunt1"

struct shunt_sandbox {
	unsigned int veth, peer;
};

/*
 * Runs try() on a thread that lives in a new network namespace with the pair, both of
 * them up. The namespace has no name and goes with the thread: nothing is left, whatever
 * ends the process. -EPERM and others: it could not be made.
 */
SHUNT_MUST_CHECK int shunt_sandbox_run(void (*try)(const struct shunt_sandbox *sandbox,
						   void *ctx),
				       void *ctx, struct shunt_err *err);
