/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/netns.h"
#include "user/base/cleanup.h"
#include "user/base/folder.h"

#define PATH_ROOM (PATH_MAX + 16)

/* One walk: which namespaces were visited already, by inode. */
struct walk {
	const struct stat *sought; /* NULL: each is entered and visited */
	bool (*visit)(void *ctx);
	void *ctx;
	ino_t *seen;
	size_t seens;
	bool found;
};

/* --- one namespace ----------------------------------------------------------- */

static bool is_new(struct walk *walk, ino_t inode)
{
	ino_t *grown;
	size_t i;

	for (i = 0; i < walk->seens; i++)
		if (walk->seen[i] == inode)
			return false;
	grown = realloc(walk->seen, (walk->seens + 1) * sizeof(*grown));
	if (!grown)
		return false;
	walk->seen = grown;
	walk->seen[walk->seens++] = inode;
	return true;
}

static void try(struct walk *walk, const char *path)
{
	struct stat st;

	if (walk->found)
		return;
	if (walk->sought) {
		walk->found = !stat(path, &st) && st.st_ino == walk->sought->st_ino &&
			      st.st_dev == walk->sought->st_dev;
		return;
	}
	_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && !fstat(fd, &st) && is_new(walk, st.st_ino) &&
	    !setns(fd, CLONE_NEWNET))
		walk->found = walk->visit(walk->ctx);
}

/* --- where they are kept ----------------------------------------------------- */

/*
 * Those that a file stands for, as one mount namespace has them: the fifth field of a
 * line is where it is mounted, the fourth tells what.
 */
static void of_mounts(struct walk *walk, const char *process)
{
	char path[PATH_ROOM + 1024], at[1024];
	_free_ char *line = NULL;
	size_t room = 0;

	snprintf(path, sizeof(path), "%s/mountinfo", process);
	_file_ FILE *file = fopen(path, "re");
	while (file && getline(&line, &room, file) > 0) {
		if (!strstr(line, " - nsfs ") ||
		    sscanf(line, "%*s %*s %*s net:%*s %1023s", at) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/root%s", process, at);
		try(walk, path);
	}
}

static bool of_thread(void *ctx, const char *path)
{
	struct walk *walk = ctx;
	char at[PATH_ROOM];

	snprintf(at, sizeof(at), "%s/ns/net", path);
	try(walk, at);
	return walk->found;
}

static bool of_descriptor(void *ctx, const char *path)
{
	struct walk *walk = ctx;
	char target[16] = "";

	if (readlink(path, target, sizeof(target) - 1) > 0 &&
	    !strncmp(target, "net:[", 5))
		try(walk, path);
	return walk->found;
}

static bool of_process(void *ctx, const char *path)
{
	struct walk *walk = ctx;
	char folder[PATH_ROOM];
	struct stat mounts;

	snprintf(folder, sizeof(folder), "%s/ns/mnt", path);
	if (!stat(folder, &mounts) && is_new(walk, mounts.st_ino))
		of_mounts(walk, path);
	snprintf(folder, sizeof(folder), "%s/task", path);
	if (!walk->found)
		shunt_folder_walk(folder, of_thread, walk);
	snprintf(folder, sizeof(folder), "%s/fd", path);
	if (!walk->found)
		shunt_folder_walk(folder, of_descriptor, walk);
	return walk->found;
}

static void everywhere(struct walk *walk)
{
	try(walk, "/proc/thread-self/ns/net");
	of_mounts(walk, "/proc/self");
	if (!walk->found)
		shunt_processes_walk(of_process, walk);
}

static void *live(void *walk)
{
	everywhere(walk);
	return NULL;
}

bool shunt_namespaces_walk(bool (*visit)(void *ctx), void *ctx)
{
	struct walk walk = { .visit = visit, .ctx = ctx };
	pthread_t thread;

	if (!pthread_create(&thread, NULL, live, &walk))
		pthread_join(thread, NULL);
	free(walk.seen);
	return walk.found;
}

bool shunt_namespaces_has(uint64_t inode)
{
	struct stat sought;
	struct walk walk = { .sought = &sought };

	if (stat("/proc/thread-self/ns/net", &sought))
		return true; /* in doubt */
	sought.st_ino = inode;
	everywhere(&walk);
	free(walk.seen);
	return walk.found;
}

/* --- that of an instance ----------------------------------------------------- */

struct inside {
	const char *instance;
	int (*work)(void *);
	void *ctx;
	int ret;
};

static bool work_if_here(void *ctx)
{
	struct inside *inside = ctx;

	if (!shunt_netns_is_of(inside->instance))
		return false;
	inside->ret = inside->work(inside->ctx);
	return true;
}

int shunt_namespaces_inside(const char *instance, int (*work)(void *), void *ctx)
{
	struct inside inside = { instance, work, ctx, -ESRCH };

	if (shunt_netns_is_of(instance))
		return work(ctx);
	return shunt_namespaces_walk(work_if_here, &inside) ? inside.ret : -ESRCH;
}
