/* SPDX-License-Identifier: BSD-2-Clause */
/* Where an instance's interface is now: renamed, or moved to another namespace. */
#pragma once

/*
 * An instance's folder is named after its interface, but programs stay on the device
 * when that is renamed, and links when it is moved (a clsact filter is not kept then).
 * Then the folder follows it, by one rename(2), and the record after that: whichever
 * step is the last one of a killed process, the next command goes on from there.
 */
#include "loader/instance.h"

struct shunt_whereabouts {
	char instance[SHUNT_INSTANCE_MAX]; /* what the instance should be called */
	char interface[IF_NAMESIZE];
	unsigned int ifindex;
};

/*
 * Looks for the interface that has the programs of an opened instance, in the calling
 * thread's namespace and, with `everywhere`, in all others. -ENOENT: none has.
 */
SHUNT_MUST_CHECK int shunt_whereabouts(const struct shunt_instance *instance,
				       bool everywhere, struct shunt_whereabouts *at);

/*
 * Gives an instance's folder its new name. The caller holds the locks of both. What is
 * dead and has that name is cleared away; what lives there changes places with it.
 */
SHUNT_MUST_CHECK int shunt_whereabouts_follow(const char *instance,
					      const struct shunt_whereabouts *to,
					      struct shunt_err *err);

/*
 * The name of the instance whose programs an interface of the calling thread's
 * namespace has, though it is called after another. -ENOENT: there is none.
 */
SHUNT_MUST_CHECK int shunt_whereabouts_find(char name[SHUNT_INSTANCE_MAX],
					    unsigned int ifindex,
					    struct shunt_err *err);
