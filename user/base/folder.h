/* SPDX-License-Identifier: BSD-2-Clause */
/* What is in a folder, at one moment: entries may come and go while it is gone through. */
#pragma once

/*
 *     _folder_ struct shunt_folder folder = { 0 };
 *     int i, ret = shunt_folder_read(&folder, path);
 *
 *     for (i = 0; !ret && i < folder.n; i++)
 *             … folder.entry[i]->d_name …
 */
#include <dirent.h>
#include <stdbool.h>

#include "user/base/err.h"

struct shunt_folder {
	struct dirent **entry; /* by name; those that begin with a dot are left out */
	int n;
};

/* 0 or -errno; after that, there are no entries. */
SHUNT_MUST_CHECK int shunt_folder_read(struct shunt_folder *folder, const char *path);

/* Fine on a zeroed one. */
void shunt_folder_free(struct shunt_folder *folder);

#define _folder_ __attribute__((cleanup(shunt_folder_free)))

/*
 * Calls each() with the path of every entry but those that begin with a dot, in no order,
 * until it says true. Returns whether it did. A path that is longer than PATH_MAX is left
 * out, as is a folder that cannot be read.
 */
bool shunt_folder_walk(const char *path, bool (*each)(void *ctx, const char *path),
		       void *ctx);

/* Such a walk over the processes that there are: "/proc/17". */
bool shunt_processes_walk(bool (*each)(void *ctx, const char *path), void *ctx);
