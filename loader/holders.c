/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/holders.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "loader/bpffs.h"
#include "user/base/cleanup.h"
#include "user/base/folder.h"

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

/* --- processes --------------------------------------------------------------- */

void shunt_fdinfo_read(struct shunt_fdinfo *info, const char *path)
{
	static const char *const key[] = {
		[SHUNT_OBJECT_PROGRAM] = "prog_id: %u",
		[SHUNT_OBJECT_MAP] = "map_id: %u",
		[SHUNT_OBJECT_LINK] = "link_id: %u",
	};
	_file_ FILE *file = fopen(path, "re");
	char line[128];
	size_t k;

	memset(info, 0, sizeof(*info));
	while (file && fgets(line, sizeof(line), file))
		for (k = 0; k < sizeof(key) / sizeof(*key); k++)
			if (sscanf(line, key[k], &info->id[k]) == 1)
				break;
}

/* A folder on the way: its entries' process, or the kind of what they are pins of. */
struct way {
	struct shunt_holders *holders;
	int value;
};

static bool of_descriptor(void *ctx, const char *path)
{
	const struct way *way = ctx;
	struct shunt_fdinfo info;
	size_t k;

	shunt_fdinfo_read(&info, path);
	for (k = 0; k < SHUNT_OBJECT_KINDS; k++)
		if (info.id[k])
			add(way->holders, k, info.id[k], way->value);
	return false;
}

static bool of_process(void *holders, const char *path)
{
	struct way way = { holders, atoi(path + strlen("/proc/")) };
	char folder[PATH_ROOM];

	if (way.value == getpid())
		return false;
	snprintf(folder, sizeof(folder), "/proc/%d/fdinfo", way.value);
	shunt_folder_walk(folder, of_descriptor, &way);
	return false;
}

/* --- trees ------------------------------------------------------------------- */

static bool of_pin(void *ctx, const char *path)
{
	const struct way *way = ctx;
	int kind = way->value;
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
		return false;
	add(way->holders, kind,
	    kind == SHUNT_OBJECT_PROGRAM ? info.prog.id
	    : kind == SHUNT_OBJECT_MAP	 ? info.map.id
					 : info.link.id,
	    0);
	return false;
}

static bool of_instance(void *holders, const char *path)
{
	static const char *const folders[] = {
		[SHUNT_OBJECT_PROGRAM] = "progs",
		[SHUNT_OBJECT_MAP] = "maps",
		[SHUNT_OBJECT_LINK] = "links",
	};
	char folder[PATH_MAX + 16];
	size_t k;

	for (k = 0; k < sizeof(folders) / sizeof(*folders); k++) {
		struct way way = { holders, k };

		snprintf(folder, sizeof(folder), "%s/%s", path, folders[k]);
		shunt_folder_walk(folder, of_pin, &way);
	}
	return false;
}

/* The tree as a process sees it: once a mount namespace. */
static bool of_root(void *ctx, const char *path)
{
	struct shunt_holders *holders = ctx;
	char at[PATH_MAX + 64];
	struct stat st;
	size_t i;

	snprintf(at, sizeof(at), "%s/ns/mnt", path);
	if (stat(at, &st))
		return false;
	for (i = 0; i < holders->mounts; i++)
		if (holders->mount[i] == st.st_ino)
			return false;
	if (holders->mounts < sizeof(holders->mount) / sizeof(*holders->mount))
		holders->mount[holders->mounts++] = st.st_ino;
	snprintf(at, sizeof(at), "%s/root" SHUNT_BPFFS_TREE, path);
	shunt_folder_walk(at, of_instance, holders);
	return false;
}

void shunt_holders_find(struct shunt_holders *holders)
{
	memset(holders, 0, sizeof(*holders));
	shunt_processes_walk(of_process, holders);
	of_root(holders, "/proc/self");
	shunt_processes_walk(of_root, holders);
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

static bool knows(void *instance, const char *path)
{
	char at[PATH_MAX + PATH_ROOM];

	snprintf(at, sizeof(at), "%s/root" SHUNT_BPFFS_TREE "/%s", path,
		 (const char *)instance);
	return !access(at, F_OK);
}

bool shunt_holders_know(const char *instance)
{
	return shunt_processes_walk(knows, (void *)instance);
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
