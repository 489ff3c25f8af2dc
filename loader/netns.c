/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/shunt.h"
#include "user/base/cleanup.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

int shunt_netns_enter(const char *name, struct shunt_err *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), strchr(name, '/') ? "%s" : "/run/netns/%s", name);
	_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return shunt_fail(err, -errno,
				  "enter network namespace %s: %s: %s; `ip netns list` "
				  "shows those that have a name",
				  name, path, strerror(errno));
	if (setns(fd, CLONE_NEWNET))
		return shunt_fail(err, -errno, "enter network namespace %s: %s%s", name,
				  strerror(errno),
				  errno == EPERM ? "; run this as root" : "");
	return 0;
}

int shunt_netns_cookie(uint64_t *cookie, struct shunt_err *err)
{
	_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &len))
		return shunt_fail_errno(err, -errno,
					"ask for the network namespace's cookie (needs "
					"Linux 5.14)");
	return 0;
}

/*
 * Settings of the whole machine are shown in its first namespace only. PID 1's namespace
 * cannot be compared with: in a sandbox, root may not look at it.
 */
bool shunt_netns_is_host(void)
{
	return !access("/proc/sys/net/core/netdev_max_backlog", F_OK);
}

bool shunt_netns_is_of(const char *instance)
{
	unsigned long long named;
	uint64_t cookie = 0;

	/* an interface of the host's may begin so as well, but for the colon */
	if (sscanf(instance, "ns%llu:", &named) != 1 || !strchr(instance, ':'))
		return shunt_netns_is_host();
	return !shunt_netns_is_host() && !shunt_netns_cookie(&cookie, NULL) &&
	       cookie == named;
}

/* Is the file the calling thread's namespace? */
static bool is_own(const char *path)
{
	struct stat own, st;

	if (stat("/proc/thread-self/ns/net", &own) || stat(path, &st))
		return false;
	return own.st_ino == st.st_ino && own.st_dev == st.st_dev;
}

void shunt_netns_name(char *name, size_t room)
{
	char path[sizeof("/run/netns/") + sizeof(((struct dirent *)0)->d_name)];
	_dir_ DIR *dir = opendir("/run/netns");
	struct dirent *entry;

	*name = 0;
	while (dir && !*name && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/run/netns/%s", entry->d_name);
		if (is_own(path))
			snprintf(name, room, "%s", entry->d_name);
	}
}
