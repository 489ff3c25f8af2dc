/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/holders.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "loader/bpffs.h"
#include "user/base/cleanup.h"

#define PATH_ROOM 1024

static void add(struct shunt_holders *holders, enum shunt_object kind, uint32_t id,
		int pid)
{
	struct shunt_holder *grown =
		realloc(holders->list, (holders->count + 1) * sizeof(*holders->list));

	if (!grown)
		return;
	holders->list = grown;
	grown[holders->count++] = (struct shunt_holder){ kind, id, pid };
}

/* Calls each() for the entries of a folder, with the path of each. */
static void entries(struct shunt_holders *holders, const char *folder, int value,
		    void (*each)(struct shunt_holders *, const char *path, int value))
{
	_dir_ DIR *dir = opendir(folder);
	struct dirent *entry;
	char path[PATH_ROOM];

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' ||
		    snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >=
			    (int)sizeof(path))
			continue;
		each(holders, path, value);
	}
}

/* --- processes --------------------------------------------------------------- */

static void of_descriptor(struct shunt_holders *holders, const char *path, int pid)
{
	static const char *const key[] = {
		[SHUNT_OBJECT_PROGRAM] = "prog_id: %u",
		[SHUNT_OBJECT_MAP] = "map_id: %u",
		[SHUNT_OBJECT_LINK] = "link_id: %u",
	};
	_file_ FILE *file = fopen(path, "re");
	char line[128];
	unsigned int id;
	size_t k;

	while (file && fgets(line, sizeof(line), file))
		for (k = 0; k < sizeof(key) / sizeof(*key); k++)
			if (sscanf(line, key[k], &id) == 1)
				add(holders, k, id, pid);
}

static void of_process(struct shunt_holders *holders, const char *path, int value)
{
	int pid = atoi(path + strlen("/proc/"));
	char folder[PATH_ROOM];

	(void)value;
	if (pid <= 0 || pid == getpid())
		return;
	snprintf(folder, sizeof(folder), "/proc/%d/fdinfo", pid);
	entries(holders, folder, pid, of_descriptor);
}

/* --- trees ------------------------------------------------------------------- */

static void of_pin(struct shunt_holders *holders, const char *path, int kind)
{
	union {
		struct bpf_prog_info prog;
		struct bpf_map_info map;
		struct bpf_link_info link;
	} info;
	__u32 len = kind == SHUNT_OBJECT_PROGRAM ? sizeof(info.prog)
		    : kind == SHUNT_OBJECT_MAP	 ? sizeof(info.map)
						 : sizeof(info.link);

	memset(&info, 0, sizeof(info));
	_fd_ int fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return;
	add(holders, kind,
	    kind == SHUNT_OBJECT_PROGRAM ? info.prog.id
	    : kind == SHUNT_OBJECT_MAP	 ? info.map.id
					 : info.link.id,
	    0);
}

static void of_instance(struct shunt_holders *holders, const char *path, int value)
{
	static const char *const folders[] = {
		[SHUNT_OBJECT_PROGRAM] = "progs",
		[SHUNT_OBJECT_MAP] = "maps",
		[SHUNT_OBJECT_LINK] = "links",
	};
	char folder[PATH_ROOM + 16];
	size_t k;

	(void)value;
	for (k = 0; k < sizeof(folders) / sizeof(*folders); k++) {
		snprintf(folder, sizeof(folder), "%s/%s", path, folders[k]);
		entries(holders, folder, k, of_pin);
	}
}

/* The tree as a process sees it: once a mount namespace. */
static void of_root(struct shunt_holders *holders, const char *path, int value)
{
	char at[PATH_ROOM + 64];
	struct stat st;
	size_t i;

	(void)value;
	snprintf(at, sizeof(at), "%s/ns/mnt", path);
	if (stat(at, &st))
		return;
	for (i = 0; i < holders->mounts; i++)
		if (holders->mount[i] == st.st_ino)
			return;
	if (holders->mounts < sizeof(holders->mount) / sizeof(*holders->mount))
		holders->mount[holders->mounts++] = st.st_ino;
	snprintf(at, sizeof(at), "%s/root" SHUNT_BPFFS_TREE, path);
	entries(holders, at, 0, of_instance);
}

void shunt_holders_find(struct shunt_holders *holders)
{
	memset(holders, 0, sizeof(*holders));
	entries(holders, "/proc", 0, of_process);
	of_root(holders, "/proc/self", 0);
	entries(holders, "/proc", 0, of_root);
}

void shunt_holders_free(struct shunt_holders *holders)
{
	free(holders->list);
	memset(holders, 0, sizeof(*holders));
}

const struct shunt_holder *shunt_holder_of(const struct shunt_holders *holders,
					   enum shunt_object kind, uint32_t id)
{
	const struct shunt_holder *found = NULL;
	size_t i;

	for (i = 0; i < holders->count; i++) {
		const struct shunt_holder *one = &holders->list[i];

		if (one->kind == kind && one->id == id && (!found || !one->pid))
			found = one;
	}
	return found;
}

bool shunt_holders_know(const char *instance)
{
	_dir_ DIR *proc = opendir("/proc");
	struct dirent *entry;
	char path[PATH_ROOM];
	bool known = false;

	while (proc && !known && (entry = readdir(proc)))
		known = atoi(entry->d_name) > 0 &&
			snprintf(path, sizeof(path),
				 "/proc/%.20s/root" SHUNT_BPFFS_TREE "/%s",
				 entry->d_name, instance) < (int)sizeof(path) &&
			!access(path, F_OK);
	return known;
}

int shunt_holders_mounts(void)
{
	_file_ FILE *file = fopen("/proc/self/mountinfo", "re");
	char at[PATH_ROOM], line[4 * PATH_ROOM];
	int mounts = 0;

	while (file && fgets(line, sizeof(line), file))
		mounts += strstr(line, " - bpf ") &&
			  sscanf(line, "%*s %*s %*s %*s %1023s", at) == 1 &&
			  !strcmp(at, SHUNT_BPFFS);
	return mounts;
}
