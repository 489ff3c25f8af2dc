/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/bpffs.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <bpf/bpf.h>

#include "loader/netns.h"
#include "loader/program.h"
#include "user/base/cleanup.h"

static const char *const folders[] = { "links", "progs", "maps", "history" };

/* The number of a mount: no two mount namespaces have one in common. */
static bool first_mount(const char *mountinfo, unsigned int *number)
{
	_file_ FILE *file = fopen(mountinfo, "re");

	return file && fscanf(file, "%u", number) == 1;
}

/* Told by the mounts, for not even root may look at ns/mnt of every PID 1. */
static bool same_mounts_as_host(void)
{
	unsigned int own, host;

	return first_mount("/proc/self/mountinfo", &own) &&
	       first_mount("/proc/1/mountinfo", &host) && own == host;
}

int shunt_bpffs_ready(bool mnt, bool *mounted, struct shunt_err *err)
{
	struct statfs fs;

	*mounted = false;
	if (!statfs(SHUNT_BPFFS, &fs) && fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (!same_mounts_as_host())
		return shunt_fail(
			err, -ENOENT,
			SHUNT_BPFFS
			" is no bpffs in this mount namespace, so "
			"that pins would be lost with it. Under `ip netns exec` "
			"leave that out and say `shunt … --netns NAME`; elsewhere "
			"run `mount -t bpf bpf " SHUNT_BPFFS "` first");
	if (!mnt)
		return shunt_fail(err, -ENOENT,
				  SHUNT_BPFFS " is no bpffs: nothing is attached here. "
					      "`mount -t bpf bpf " SHUNT_BPFFS
					      "` mounts it");
	if (mount("bpf", SHUNT_BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "mode=0700"))
		return shunt_fail(err, -errno,
				  SHUNT_BPFFS
				  " is no bpffs, and mounting one failed: %s; "
				  "run `mount -t bpf bpf " SHUNT_BPFFS "`",
				  strerror(errno));
	*mounted = true;
	return 0;
}

int shunt_instance_name(char name[SHUNT_INSTANCE_MAX], const char *interface,
			struct shunt_err *err)
{
	size_t n = 0;

	if (!*interface || strlen(interface) >= IF_NAMESIZE || strchr(interface, '/'))
		return shunt_fail(
			err, -EINVAL,
			"interface \"%s\": a name has 1 to 15 bytes and no '/'",
			interface);
	if (!shunt_netns_is_host()) {
		uint64_t cookie;
		int ret = shunt_netns_cookie(&cookie, err);

		if (ret)
			return ret;
		n = snprintf(name, SHUNT_INSTANCE_MAX,
			     "ns%llu:", (unsigned long long)cookie);
	}
	for (; *interface; interface++)
		n += snprintf(name + n, SHUNT_INSTANCE_MAX - n,
			      *interface == '.' || *interface == '%' ? "%%%02x" : "%c",
			      *interface);
	return 0;
}

void shunt_instance_interface(char interface[IF_NAMESIZE], const char *instance)
{
	const char *colon = strchr(instance, ':');
	size_t n = 0;

	for (instance = colon ? colon + 1 : instance; *instance && n < IF_NAMESIZE - 1;
	     n++) {
		unsigned int byte = (unsigned char)*instance;
		int taken = 1;

		if (*instance == '%' && sscanf(instance, "%%%2x", &byte) == 1)
			taken = 3;
		interface[n] = byte;
		instance += taken;
	}
	interface[n] = 0;
}

void shunt_pin_path(char path[SHUNT_PIN_MAX], const char *instance, const char *folder,
		    const char *leaf)
{
	snprintf(path, SHUNT_PIN_MAX, SHUNT_BPFFS_TREE "/%s%s%s%s%s", instance,
		 folder ? "/" : "", folder ? folder : "", leaf ? "/" : "",
		 leaf ? leaf : "");
}

static int make_dir(const char *path, struct shunt_err *err)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return shunt_fail_errno(err, -errno, "make the folder %s", path);
	return 0;
}

int shunt_pin_mkdirs(const char *instance, struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	size_t i;
	int ret = make_dir(SHUNT_BPFFS_ROOT, err);

	if (!ret)
		ret = make_dir(SHUNT_BPFFS_TREE, err);
	shunt_pin_path(path, instance, NULL, NULL);
	if (!ret)
		ret = make_dir(path, err);
	for (i = 0; !ret && i < sizeof(folders) / sizeof(*folders); i++) {
		shunt_pin_path(path, instance, folders[i], NULL);
		ret = make_dir(path, err);
	}
	return ret;
}

static int remove_dir(const char *path, struct shunt_err *err)
{
	if (rmdir(path) && errno != ENOENT)
		return shunt_fail_errno(err, -errno, "remove the folder %s", path);
	return 0;
}

/* Unpins every file of one folder, then removes it. */
static int empty_dir(const char *path, struct shunt_err *err)
{
	_dir_ DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return errno == ENOENT ? 0
				       : shunt_fail_errno(err, -errno,
							  "open the folder %s", path);
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (entry->d_type == DT_DIR)
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) && errno != ENOENT)
			return shunt_fail_errno(err, -errno, "unpin %s/%s", path,
						entry->d_name);
	}
	return remove_dir(path, err);
}

int shunt_pin_remove_all(const char *instance, struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < sizeof(folders) / sizeof(*folders); i++) {
		shunt_pin_path(path, instance, folders[i], NULL);
		ret = empty_dir(path, err);
	}
	shunt_pin_path(path, instance, NULL, NULL);
	if (!ret)
		ret = empty_dir(path, err);
	if (ret)
		return ret;
	/* the last instance takes the tree with it; otherwise these are not empty */
	if (!rmdir(SHUNT_BPFFS_TREE))
		rmdir(SHUNT_BPFFS_ROOT);
	return 0;
}

bool shunt_pin_is_link(const char *leaf)
{
	static const char *const more[] = { "netfilter6", "netfilter_next",
					    "netfilter6_next" };
	size_t i;

	for (i = 0; i < sizeof(more) / sizeof(*more); i++)
		if (!strcmp(leaf, more[i]))
			return true;
	return shunt_hook_find(leaf, NULL) >= 0 || !strncmp(leaf, "watch_", 6);
}

bool shunt_pin_foreign(const char *instance)
{
	struct dirent *entry;
	bool foreign = false;
	char path[SHUNT_PIN_MAX];

	shunt_pin_path(path, instance, "links", NULL);
	_dir_ DIR *dir = opendir(path);
	if (!dir && errno != ENOENT)
		return true; /* in doubt */
	while (dir && (entry = readdir(dir)))
		foreign |= entry->d_name[0] != '.' && !shunt_pin_is_link(entry->d_name);
	return foreign;
}

int shunt_pin_put(int fd, const char *path, struct shunt_err *err)
{
	int ret = bpf_obj_pin(fd, path);

	return ret ? shunt_fail_errno(err, ret, "pin %s", path) : 0;
}
