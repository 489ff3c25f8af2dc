/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/bpffs.h"
#include "loader/shunt.h"
#include "user/base/cleanup.h"
#include "user/base/clock.h"

#define NAP_US 5000	 /* between two tries */
#define HOLDER_TEXT 256u /* bytes of who holds a lock; a longer command is cut */

static __thread struct shunt_wait_opts patience = { .timeout_ns = UINT64_MAX };

void shunt_wait(const struct shunt_wait_opts *opts)
{
	patience = *opts;
}

static void lock_path(char path[SHUNT_PIN_MAX], const char *instance)
{
	snprintf(path, SHUNT_PIN_MAX, SHUNT_LOCKS "/%s.lock", instance);
}

/* --- who holds it -------------------------------------------------------------- */

/* "process 17 (shunt apply b0 -p new.json)" into the file. */
static void sign(int fd)
{
	char text[HOLDER_TEXT], command[HOLDER_TEXT - 40] = "";
	_fd_ int cmdline = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = cmdline < 0 ? 0 : read(cmdline, command, sizeof(command) - 1), i;

	for (i = 0; i + 1 < n; i++)
		if (!command[i])
			command[i] = ' ';
	n = snprintf(text, sizeof(text), "process %d (%s)", (int)getpid(), command);
	/* nothing depends on it: a writer that waits says less */
	if (ftruncate(fd, 0) || pwrite(fd, text, n, 0) != n)
		return;
}

static const char *holder(int fd, char text[HOLDER_TEXT])
{
	ssize_t n = pread(fd, text, HOLDER_TEXT - 1, 0);

	if (n <= 0)
		return "another process";
	text[n] = 0;
	return text;
}

/* --- taking it ------------------------------------------------------------------ */

/* 0 once it is ours. */
static int wait_for(int fd, const char *instance, uint64_t timeout_ns,
		    struct shunt_err *err)
{
	uint64_t start = shunt_now_ns();
	char text[HOLDER_TEXT];
	struct shunt_err who;

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		uint64_t waited = shunt_now_ns() - start;

		if (errno != EWOULDBLOCK && errno != EINTR)
			return shunt_fail_errno(err, -errno, "take the lock of %s",
						instance);
		if (waited >= timeout_ns)
			return shunt_fail(err, -EBUSY,
					  "%s is being changed by %s%s: try again, or "
					  "let the command wait",
					  instance, holder(fd, text),
					  waited > 1000000 ? ", still" : "");
		shunt_fail(&who, 0, "waiting for %s, which is changing %s",
			   holder(fd, text), instance);
		if (patience.waiting &&
		    !patience.waiting(who.message, waited, patience.ctx))
			return shunt_fail(err, -EINTR,
					  "given up waiting for %s, which is changing "
					  "%s: nothing was done",
					  holder(fd, text), instance);
		usleep(NAP_US);
	}
	return 0;
}

static int lock_within(int *lock, const char *instance, uint64_t timeout_ns,
		       struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	int ret;

	if (mkdir(SHUNT_LOCKS, 0700) && errno != EEXIST)
		return shunt_fail_errno(err, -errno, "make the folder " SHUNT_LOCKS);
	lock_path(path, instance);
	for (;;) {
		_fd_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		struct stat held, named;

		/* the last one out has removed the folder */
		if (fd < 0 && errno == ENOENT &&
		    (!mkdir(SHUNT_LOCKS, 0700) || errno == EEXIST))
			continue;
		if (fd < 0)
			return shunt_fail_errno(err, -errno, "open the lock %s", path);
		ret = wait_for(fd, instance, timeout_ns, err);
		if (ret)
			return ret;
		/* its holder may have removed the file while we waited */
		if (!fstat(fd, &held) && !stat(path, &named) &&
		    held.st_ino == named.st_ino) {
			sign(fd);
			*lock = shunt_steal_fd(&fd);
			return 0;
		}
	}
}

int shunt_lock(int *lock, const char *instance, struct shunt_err *err)
{
	return lock_within(lock, instance, patience.timeout_ns, err);
}

int shunt_lock_try(int *lock, const char *instance, struct shunt_err *err)
{
	return lock_within(lock, instance, 0, err);
}

void shunt_unlock_gone(int fd, const char *instance)
{
	char path[SHUNT_PIN_MAX];

	lock_path(path, instance);
	unlink(path);
	rmdir(SHUNT_LOCKS);
	close(fd);
}
