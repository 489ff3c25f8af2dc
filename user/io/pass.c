/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/pass.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "user/base/cleanup.h"

#define BACKLOG 16

static int name_socket(struct sockaddr_un *at, socklen_t *len, const char *name)
{
	size_t bytes = strlen(name);

	memset(at, 0, sizeof(*at));
	at->sun_family = AF_UNIX;
	if (!bytes || bytes >= sizeof(at->sun_path))
		return -ENAMETOOLONG;
	memcpy(at->sun_path, name, bytes);
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes + 1);
	if (*name == '@') { /* no NUL ends an abstract one: it would be part of it */
		at->sun_path[0] = '\0';
		--*len;
	}
	return 0;
}

/* `other`: SOCK_NONBLOCK or 0. */
static int open_socket(int other)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | other, 0);

	return fd < 0 ? -errno : fd;
}

static int set_timeout(int fd, unsigned int timeout_ms)
{
	const struct timeval time = { .tv_sec = timeout_ms / 1000,
				      .tv_usec = timeout_ms % 1000 * 1000 };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) ||
			       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time,
					  sizeof(time))
		       ? -errno
		       : 0;
}

int shunt_pass_listen(const char *name)
{
	struct sockaddr_un at;
	socklen_t len;
	int ret = name_socket(&at, &len, name);

	if (ret)
		return ret;
	_fd_ int fd = open_socket(SOCK_NONBLOCK);
	if (fd < 0)
		return fd;
	if (bind(fd, (struct sockaddr *)&at, len) || listen(fd, BACKLOG))
		return -errno;
	return shunt_steal_fd(&fd);
}

int shunt_pass_connect(const char *name, unsigned int timeout_ms)
{
	struct sockaddr_un at;
	socklen_t len;
	int ret = name_socket(&at, &len, name);

	if (ret)
		return ret;
	_fd_ int fd = open_socket(0);
	if (fd < 0)
		return fd;
	ret = set_timeout(fd, timeout_ms);
	if (!ret && connect(fd, (struct sockaddr *)&at, len))
		ret = -errno;
	return ret ? ret : shunt_steal_fd(&fd);
}

int shunt_pass_accept(int listen_fd, unsigned int timeout_ms)
{
	_fd_ int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	int ret = fd < 0 ? -errno : set_timeout(fd, timeout_ms);

	return ret ? ret : shunt_steal_fd(&fd);
}

/* Room for the descriptors, aligned as the macros want it. */
union ancillary {
	struct cmsghdr header;
	char room[CMSG_SPACE(SHUNT_PASS_FDS * sizeof(int))];
};

int shunt_pass_send(int fd, const void *data, size_t bytes, const int *fds,
		    unsigned int n)
{
	struct iovec iov = { .iov_base = (void *)data, .iov_len = bytes };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	union ancillary more;

	if (n > SHUNT_PASS_FDS)
		return -E2BIG;
	if (n) {
		memset(&more, 0, sizeof(more));
		message.msg_control = &more;
		message.msg_controllen = CMSG_SPACE(n * sizeof(int));
		more.header.cmsg_level = SOL_SOCKET;
		more.header.cmsg_type = SCM_RIGHTS;
		more.header.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&more.header), fds, n * sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void close_all(const int *fds, unsigned int n)
{
	while (n--)
		close(fds[n]);
}

/* Takes the descriptors out; what is too much is closed. */
static unsigned int take_fds(struct msghdr *message, int *fds, unsigned int max)
{
	struct cmsghdr *at = CMSG_FIRSTHDR(message);
	unsigned int n, all;

	if (!at || at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
		return 0;
	all = (unsigned int)((at->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	n = all < max ? all : max;
	if (n)
		memcpy(fds, CMSG_DATA(at), n * sizeof(int));
	for (; max < all; max++) {
		int extra;

		memcpy(&extra, CMSG_DATA(at) + max * sizeof(int), sizeof(extra));
		close(extra);
	}
	return n;
}

int shunt_pass_recv(int fd, void *data, size_t bytes, int *fds, unsigned int *n)
{
	struct iovec iov = { .iov_base = data, .iov_len = bytes };
	union ancillary more;
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &more,
		.msg_controllen = sizeof(more),
	};
	unsigned int max = n ? *n : 0;
	ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

	if (n)
		*n = 0;
	if (got < 0)
		return -errno;
	max = take_fds(&message, fds, max);
	if (got && (size_t)got == bytes &&
	    !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		if (n)
			*n = max;
		return 0;
	}
	close_all(fds, max);
	return got ? -EPROTO : -ECONNRESET;
}

int shunt_pass_peer(int fd, struct shunt_pass_peer *peer)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len))
		return -errno;
	*peer = (struct shunt_pass_peer){ .pid = who.pid,
					  .uid = who.uid,
					  .gid = who.gid };
	return 0;
}
