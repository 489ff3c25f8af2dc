/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/base/folder.h"

#include <errno.h>
#include <stdlib.h>

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
