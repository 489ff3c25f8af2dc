/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/history.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "user/base/cleanup.h"

void shunt_history_path(char path[SHUNT_PIN_MAX], const char *instance,
			uint64_t generation)
{
	char leaf[24];

	snprintf(leaf, sizeof(leaf), "%llu", (unsigned long long)generation);
	shunt_pin_path(path, instance, "history", leaf);
}

int shunt_history_keep(const char *instance, uint64_t generation, struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];

	shunt_pin_path(path, instance, "state", NULL);
	_fd_ int fd = bpf_obj_get(path);
	if (fd < 0)
		return shunt_fail_errno(err, fd, "open the state record %s", path);
	shunt_history_path(path, instance, generation);
	unlink(path); /* a killed command may have got this far */
	return shunt_pin_put(fd, path, err);
}

int shunt_history_list(const char *instance, uint64_t before,
		       uint64_t generation[SHUNT_HISTORY_MAX + 1],
		       struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	struct dirent *entry;
	int n = 0, i;
	DIR *dir;

	shunt_pin_path(path, instance, "history", NULL);
	dir = opendir(path);
	if (!dir && errno != ENOENT)
		return shunt_fail_errno(err, -errno, "list the records in %s", path);
	while (dir && (entry = readdir(dir))) {
		char *end;
		uint64_t one = strtoull(entry->d_name, &end, 10);

		if (*end || !one || one >= before)
			continue;
		/* into its place; the oldest falls off the end */
		for (i = n; i > 0 && generation[i - 1] < one; i--)
			if (i <= SHUNT_HISTORY_MAX)
				generation[i] = generation[i - 1];
		if (i <= SHUNT_HISTORY_MAX)
			generation[i] = one;
		n += n <= SHUNT_HISTORY_MAX;
	}
	if (dir)
		closedir(dir);
	return n;
}

int shunt_history_trim(const char *instance, uint64_t ruling, struct shunt_err *err)
{
	uint64_t generation[SHUNT_HISTORY_MAX + 1] = { 0 };
	char path[SHUNT_PIN_MAX];
	int n;

	/* one at most is too many, for each swap adds one; a kill may have left two */
	while ((n = shunt_history_list(instance, ruling, generation, err)) >
	       SHUNT_HISTORY_MAX) {
		shunt_history_path(path, instance, generation[SHUNT_HISTORY_MAX]);
		if (unlink(path))
			return shunt_fail_errno(err, -errno, "forget %s", path);
	}
	return n < 0 ? n : 0;
}
