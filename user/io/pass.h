/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors over a UNIX socket (SCM_RIGHTS), and who is at its other end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "user/base/err.h"

#define SHUNT_PASS_FDS 250u /* in one message; the kernel takes 253 */

/*
 * Sockets are of type SOCK_SEQPACKET: a message arrives as a whole or not at all. A name
 * that begins with "@" is abstract: it belongs to the network namespace of the calling
 * thread and leaves nothing behind; others are paths.
 */

/* A socket that listens, not blocking. -EADDRINUSE: somebody does already; -errno. */
int shunt_pass_listen(const char *name);

/* A connection that blocks for at most `timeout_ms` at a time; -ECONNREFUSED, -errno. */
int shunt_pass_connect(const char *name, unsigned int timeout_ms);

/* The next connection, set like the above; -EAGAIN: there is none. */
int shunt_pass_accept(int listen_fd, unsigned int timeout_ms);

/* Sends a message with n descriptors, which stay the caller's. 0 or -errno. */
SHUNT_MUST_CHECK int shunt_pass_send(int fd, const void *data, size_t bytes,
				     const int *fds, unsigned int n);

/*
 * Receives a message of exactly so many bytes, and up to *n descriptors (close-on-exec, the
 * caller's to close); *n says how many there were. -EPROTO: another message, -ECONNRESET:
 * the other end is gone, -EAGAIN: the time is over.
 */
SHUNT_MUST_CHECK int shunt_pass_recv(int fd, void *data, size_t bytes, int *fds,
				     unsigned int *n);

/* Who has connected, as the kernel knows it. */
struct shunt_pass_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

SHUNT_MUST_CHECK int shunt_pass_peer(int fd, struct shunt_pass_peer *peer);
