/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/claim.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "user/base/cleanup.h"

static socklen_t address(struct sockaddr_un *at, const char *name)
{
	memset(at, 0, sizeof(*at));
	at->sun_family = AF_UNIX;
	snprintf(at->sun_path + 1, sizeof(at->sun_path) - 1, "%s", name);
	return offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
}

int shunt_claim(const char *name)
{
	struct sockaddr_un at;
	socklen_t len = address(&at, name);
	_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len))
		return -errno;
	return shunt_steal_fd(&fd);
}

bool shunt_is_claimed(const char *name)
{
	struct sockaddr_un at;
	socklen_t len = address(&at, name);
	_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && !connect(fd, (struct sockaddr *)&at, len);
}
