/* SPDX-License-Identifier: BSD-2-Clause */
/* Who has programs, maps and links: trees of pins, and processes. */
#pragma once

/*
 * A tree is visible in the mount namespace that its bpffs is mounted in. All of those
 * are looked into, by way of their processes' roots: what a container pins is no residue.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum shunt_object {
	SHUNT_OBJECT_PROGRAM,
	SHUNT_OBJECT_MAP,
	SHUNT_OBJECT_LINK,
	SHUNT_OBJECT_KINDS,
};

/* What a descriptor stands for, by kind; 0: nothing. A link tells its program as well. */
struct shunt_fdinfo {
	uint32_t id[SHUNT_OBJECT_KINDS];
};

/* Reads a file of /proc/PID/fdinfo. */
void shunt_fdinfo_read(struct shunt_fdinfo *info, const char *path);

struct shunt_holder {
	enum shunt_object kind;
	uint32_t id;
	int pid; /* 0: a pin in a tree */
};

struct shunt_holders {
	struct shunt_holder *list;
	size_t count;
	ino_t mount[64]; /* mount namespaces whose trees were looked into */
	size_t mounts;
};

/* Processes first, then pins: what moves from one to the other meanwhile is seen. */
void shunt_holders_find(struct shunt_holders *holders);
void shunt_holders_free(struct shunt_holders *holders);

/* A holder of the object: a pin, if there is one. NULL: nobody has it. */
const struct shunt_holder *shunt_holder_of(const struct shunt_holders *holders,
					   enum shunt_object kind, uint32_t id);

/* Is there a folder for the instance in a tree of any mount namespace? */
bool shunt_holders_know(const char *instance);

/* How many file systems lie over each other where the tree is: more than 1 hide one. */
int shunt_holders_mounts(void);
