/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/dispatch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "loader/bpffs.h"
#include "user/base/cleanup.h"

#define FOLDERS SHUNT_BPFFS "/xdp"
#define ENTRY_MAPS 64 /* more than a program of ours uses */
#define PINS_MAX 32   /* more than two for each of ten entries */

static void folder_of(char path[SHUNT_PIN_MAX], const struct shunt_dispatch *dispatch)
{
	snprintf(path, SHUNT_PIN_MAX, FOLDERS "/dispatch-%u-%u", dispatch->ifindex,
		 dispatch->dispatcher);
}

bool shunt_dispatch_is_on(const struct shunt_dispatch *dispatch)
{
	__u32 id = 0;

	return !bpf_xdp_query_id(dispatch->ifindex, 0, &id) &&
	       id == dispatch->dispatcher;
}

/* The program that a pin, of it or of its link, stands for: its id; 0: it is neither. */
static uint32_t program_of(const char *folder, const char *leaf)
{
	struct bpf_prog_info prog = { 0 };
	struct bpf_link_info link = { 0 };
	__u32 prog_len = sizeof(prog), link_len = sizeof(link);
	char path[SHUNT_PIN_MAX + sizeof(((struct dirent *)0)->d_name) + 1];
	const char *dash = strrchr(leaf, '-');

	snprintf(path, sizeof(path), "%s/%s", folder, leaf);
	_fd_ int fd = dash ? bpf_obj_get(path) : -1;
	if (fd < 0)
		return 0;
	if (!strcmp(dash, "-prog"))
		return bpf_obj_get_info_by_fd(fd, &prog, &prog_len) ? 0 : prog.id;
	return strcmp(dash, "-link") || bpf_obj_get_info_by_fd(fd, &link, &link_len)
		       ? 0
		       : link.prog_id;
}

static bool uses(uint32_t prog_id, uint32_t map_id)
{
	__u32 map[ENTRY_MAPS] = { 0 };
	struct bpf_prog_info info = { .map_ids = (uintptr_t)map,
				      .nr_map_ids = ENTRY_MAPS };
	__u32 len = sizeof(info), i;

	_fd_ int fd = bpf_prog_get_fd_by_id(prog_id);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return false;
	for (i = 0; i < ENTRY_MAPS; i++)
		if (map[i] == map_id)
			return true;
	return false;
}

/* The programs of all pins in a folder, some of them twice; at most `max`. */
static int programs_in(const struct shunt_dispatch *dispatch, uint32_t *id, int max)
{
	char folder[SHUNT_PIN_MAX];
	struct dirent *leaf;
	int n = 0;

	folder_of(folder, dispatch);
	_dir_ DIR *dir = opendir(folder);
	while (dir && n < max && (leaf = readdir(dir))) {
		id[n] = program_of(folder, leaf->d_name);
		n += id[n] != 0;
	}
	return n;
}

bool shunt_dispatch_look(uint32_t map_id, struct shunt_dispatch *dispatch)
{
	uint32_t id[PINS_MAX];
	int n = programs_in(dispatch, id, PINS_MAX), i;

	dispatch->entry = dispatch->others = 0;
	for (i = 0; i < n; i++) {
		if (uses(id[i], map_id))
			dispatch->entry = id[i];
		else
			dispatch->others++;
	}
	return dispatch->entry != 0;
}

int shunt_dispatch_find(uint32_t map_id, struct shunt_dispatch *found, int max)
{
	_dir_ DIR *dir = opendir(FOLDERS);
	struct dirent *leaf;
	int n = 0;

	while (dir && n < max && (leaf = readdir(dir)))
		if (sscanf(leaf->d_name, "dispatch-%u-%u", &found[n].ifindex,
			   &found[n].dispatcher) == 2 &&
		    shunt_dispatch_look(map_id, &found[n]))
			n++;
	return n;
}

static void leaf_of(char path[SHUNT_PIN_MAX + 32],
		    const struct shunt_dispatch *dispatch, int place, const char *what)
{
	char folder[SHUNT_PIN_MAX];

	folder_of(folder, dispatch);
	snprintf(path, SHUNT_PIN_MAX + 32, "%s/prog%d-%s", folder, place, what);
}

int shunt_dispatch_lock(void)
{
	_fd_ int fd = open(FOLDERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX))
		return -errno;
	return shunt_steal_fd(&fd);
}

int shunt_dispatch_link(const struct shunt_dispatch *dispatch, int place)
{
	char path[SHUNT_PIN_MAX + 32];

	leaf_of(path, dispatch, place, "link");
	return bpf_obj_get(path);
}

int shunt_dispatch_pin(const struct shunt_dispatch *dispatch, int place, int prog_fd,
		       int link_fd)
{
	char path[SHUNT_PIN_MAX + 32];
	int ret;

	folder_of(path, dispatch);
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	leaf_of(path, dispatch, place, "link");
	ret = bpf_obj_pin(link_fd, path);
	if (ret)
		return ret;
	leaf_of(path, dispatch, place, "prog");
	return bpf_obj_pin(prog_fd, path);
}

int shunt_dispatch_remove(const struct shunt_dispatch *dispatch, struct shunt_err *err)
{
	char folder[SHUNT_PIN_MAX];
	struct dirent *leaf;

	folder_of(folder, dispatch);
	_dir_ DIR *dir = opendir(folder);
	while (dir && (leaf = readdir(dir)))
		if (leaf->d_name[0] != '.' && unlinkat(dirfd(dir), leaf->d_name, 0) &&
		    errno != ENOENT)
			return shunt_fail_errno(err, -errno, "unpin %s/%s", folder,
						leaf->d_name);
	if (rmdir(folder) && errno != ENOENT)
		return shunt_fail_errno(err, -errno, "remove the folder %s", folder);
	return 0;
}

static bool all_among(const uint32_t *id, int n, const uint32_t *other, int others)
{
	int i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < others && other[j] != id[i]; j++)
			;
		if (j == others)
			return false;
	}
	return true;
}

int shunt_dispatch_clear_older(unsigned int ifindex, struct shunt_err *err)
{
	struct shunt_dispatch on = { .ifindex = ifindex }, old;
	uint32_t running[PINS_MAX], id[PINS_MAX];
	struct dirent *leaf;
	int n, ret = 0;

	if (bpf_xdp_query_id(ifindex, 0, &on.dispatcher) || !on.dispatcher)
		return 0;
	_fd_ int lock = shunt_dispatch_lock();
	if (lock < 0)
		return shunt_fail_errno(err, lock, "take the lock of " FOLDERS);
	n = programs_in(&on, running, PINS_MAX);
	_dir_ DIR *dir = opendir(FOLDERS);
	while (dir && !ret && (leaf = readdir(dir)))
		if (sscanf(leaf->d_name, "dispatch-%u-%u", &old.ifindex,
			   &old.dispatcher) == 2 &&
		    old.ifindex == ifindex && old.dispatcher < on.dispatcher &&
		    all_among(id, programs_in(&old, id, PINS_MAX), running, n))
			ret = shunt_dispatch_remove(&old, err);
	return ret;
}
