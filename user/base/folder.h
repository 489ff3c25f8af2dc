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
