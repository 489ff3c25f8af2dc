/* SPDX-License-Identifier: BSD-2-Clause */
/* An attached interface: its pins, opened. */
#pragma once

#include <stdbool.h>

#include "loader/bpffs.h"
#include "loader/gen.h"
#include "loader/maps.h"
#include "loader/state.h"
#include "user/base/err.h"

struct shunt_instance {
	char name[SHUNT_INSTANCE_MAX];
	unsigned int ifindex; /* of the interface now; 0: there is none */
	int lock;	      /* -1 in a reader */
	struct shunt_maps maps;
	struct shunt_state *state; /* of the generation that rules */
	struct shunt_gen_view gen; /* when the state was read */
};

/*
 * Opens the instance of an interface of the calling thread's network namespace. A
 * writer takes the lock and first ends what a killed one has left. -ENOENT: nothing is
 * attached.
 */
SHUNT_MUST_CHECK int shunt_instance_open(struct shunt_instance *instance,
					 const char *interface, bool write,
					 struct shunt_err *err);

/* Opens it by its own name (a folder of the tree), to read. */
SHUNT_MUST_CHECK int shunt_instance_open_named(struct shunt_instance *instance,
					       const char *name, struct shunt_err *err);

/*
 * The rest of opening to write, for one whose name, ifindex and lock are set: ends what
 * a killed writer has begun, and mends what has lost its pins or its name. -ENOENT:
 * there is nothing, or no more than residue. -ESTALE: the folder was that of an
 * interface which has another name now; it has followed it.
 */
SHUNT_MUST_CHECK int shunt_instance_load(struct shunt_instance *instance,
					 struct shunt_err *err);

/*
 * Does an error of opening one say that what is pinned is not, or not all, what this
 * version of Shunt pins? Others say that it could not be asked just now.
 */
bool shunt_instance_is_broken(int error);

/* Closes all but the lock. */
void shunt_instance_forget(struct shunt_instance *instance);

/* Fine on one that failed to open. */
void shunt_instance_close(struct shunt_instance *instance);

#define _instance_ __attribute__((cleanup(shunt_instance_close)))
#define SHUNT_INSTANCE_NONE                                                            \
	{                                                                              \
		.lock = -1, .maps = SHUNT_MAPS_NONE                                    \
	}

/* Is there a folder for this instance? */
bool shunt_instance_exists(const char *name);

/*
 * Does any of its hooks sit on this interface of the calling thread's namespace? What
 * cannot be asked is taken to.
 */
bool shunt_instance_sits(const struct shunt_instance *instance, unsigned int ifindex);

/* Does any of its hooks still judge packets, wherever its interface is? */
bool shunt_instance_alive(const struct shunt_instance *instance);
