/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/nsref.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "user/base/cleanup.h"

#define PATH_ROOM (64 + 2 * sizeof(((struct dirent *)0)->d_name))

/* "net:[4026531833]": how /proc names a namespace. */
static bool leads_to(const char *path, const char *name)
{
	char target[64];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		return false;
	target[n] = 0;
	return !strcmp(target, name);
}

/* Does any link in /proc/<pid>/<folder>, or <link> below its entries, lead there? */
static bool any_link(const char *pid, const char *folder, const char *below,
		     const char *name)
{
	char path[PATH_ROOM];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, folder);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/%s/%s%s", pid, folder,
			 entry->d_name, below);
		found = leads_to(path, name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* A mount of a namespace has its name as the mounted root. */
static bool is_mounted(const char *pid, const char *name)
{
	char path[PATH_ROOM], line[4096];

	snprintf(path, sizeof(path), "/proc/%s/mountinfo", pid);
	_file_ FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		const char *at = strstr(line, name);

		if (at && at > line && at[-1] == ' ' && at[strlen(name)] == ' ')
			return true;
	}
	return false;
}

/* Processes mostly share a mount namespace, in which one look is enough. */
static bool mounts_are_news(const char *pid, char last[64])
{
	char path[PATH_ROOM], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%s/ns/mnt", pid);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = 0;
	if (!strcmp(target, last))
		return false;
	memcpy(last, target, n + 1);
	return true;
}

bool shunt_nsref_any(uint64_t inode)
{
	char name[64], last[64] = "";
	struct dirent *entry;
	bool found;
	DIR *proc;

	snprintf(name, sizeof(name), "net:[%" PRIu64 "]", inode);
	found = is_mounted("self", name);
	proc = opendir("/proc");
	while (proc && !found && (entry = readdir(proc))) {
		const char *pid = entry->d_name;

		if (pid[0] < '0' || pid[0] > '9')
			continue;
		found = any_link(pid, "task", "/ns/net", name) ||
			any_link(pid, "fd", "", name) ||
			(mounts_are_news(pid, last) && is_mounted(pid, name));
	}
	if (proc)
		closedir(proc);
	return found;
}
