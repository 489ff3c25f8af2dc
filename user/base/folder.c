/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/base/folder.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/cleanup.h"

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int shunt_folder_read(struct shunt_folder *folder, const char *path)
{
	int n = scandir(path, &folder->entry, is_visible, alphasort);

	if (n < 0) {
		folder->entry = NULL;
		folder->n = 0;
		return -errno;
	}
	folder->n = n;
	return 0;
}

void shunt_folder_free(struct shunt_folder *folder)
{
	int i;

	for (i = 0; i < folder->n; i++)
		free(folder->entry[i]);
	free(folder->entry);
}

static bool walk(const char *folder, const char *first,
		 bool (*each)(void *ctx, const char *path), void *ctx)
{
	_dir_ DIR *dir = opendir(folder);
	char path[PATH_MAX];
	struct dirent *entry;
	bool stopped = false;

	while (dir && !stopped && (entry = readdir(dir)))
		if (is_visible(entry) && (!first || strchr(first, entry->d_name[0])) &&
		    snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) <
			    (int)sizeof(path))
			stopped = each(ctx, path);
	return stopped;
}

bool shunt_folder_walk(const char *path, bool (*each)(void *ctx, const char *path),
		       void *ctx)
{
	return walk(path, NULL, each, ctx);
}

bool shunt_processes_walk(bool (*each)(void *ctx, const char *path), void *ctx)
{
	return walk("/proc", "123456789", each, ctx);
}
