/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "user/base/cleanup.h"

#define ROOM_FIRST 65536 /* bytes; doubled as often as need be */

/* --- reading ----------------------------------------------------------------- */

static int read_all(FILE *f, size_t most, char **text, size_t *bytes)
{
	_free_ char *buf = NULL;
	size_t n = 0, room = 0;

	do {
		if (n + 1 >= room) {
			char *grown = realloc(buf, room ? room * 2 : ROOM_FIRST);

			if (!grown)
				return -ENOMEM;
			buf = grown;
			room = room ? room * 2 : ROOM_FIRST;
		}
		n += fread(buf + n, 1, room - n - 1, f);
		if (ferror(f))
			return -errno;
		if (n > most)
			return -EFBIG;
	} while (!feof(f));
	buf[n] = 0;
	*bytes = n;
	*text = shunt_steal(&buf);
	return 0;
}

int shunt_file_read(const char *path, size_t most, char **text, size_t *bytes,
		    struct shunt_err *err)
{
	_file_ FILE *opened = strcmp(path, "-") ? fopen(path, "re") : NULL;
	FILE *f = strcmp(path, "-") ? opened : stdin;
	int ret = f ? read_all(f, most, text, bytes) : -errno;

	return ret ? shunt_fail_errno(err, ret, "read %s", path) : 0;
}

/* --- replacing --------------------------------------------------------------- */

/* A path, taken apart. */
struct place {
	char folder[PATH_MAX];
	char path[PATH_MAX], tmp[PATH_MAX];
};

/* A link stays, and what it leads to is replaced. */
static int find_place(struct place *place, const char *path, struct shunt_err *err)
{
	_free_ char *real = realpath(path, NULL);
	const char *at = real ? real : path, *slash = strrchr(at, '/');
	const char *name = slash ? slash + 1 : at;
	struct stat st;
	int n;

	if (!lstat(at, &st) && !S_ISREG(st.st_mode))
		return shunt_fail(err, -EINVAL,
				  "write %s: it is there, and is no regular file that "
				  "could be replaced; `shunt … >%s` writes into it",
				  path, path);
	if (!*name)
		return shunt_fail(err, -EINVAL, "write \"%s\": that names no file",
				  path);
	snprintf(place->folder, PATH_MAX, "%.*s", slash ? (int)(slash - at) + 1 : 1,
		 slash ? at : ".");
	n = snprintf(place->path, PATH_MAX, "%s", at);
	if (n < PATH_MAX)
		n = snprintf(place->tmp, PATH_MAX, "%.*s.%s.tmp", (int)(name - at), at,
			     name);
	return n < PATH_MAX ? 0
			    : shunt_fail_errno(err, -ENAMETOOLONG, "write %s", path);
}

/* The temporary file, for us alone: two that write the same file take turns. */
static int open_tmp(const struct place *place, struct shunt_err *err)
{
	for (;;) {
		_fd_ int fd = open(place->tmp,
				   O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		struct stat held, named;

		if (fd < 0 || flock(fd, LOCK_EX) || fstat(fd, &held))
			return shunt_fail_errno(err, -errno, "write %s", place->tmp);
		/* the one who had it before may have renamed or removed it */
		if (lstat(place->tmp, &named) || held.st_ino != named.st_ino)
			continue;
		if (!S_ISREG(held.st_mode))
			return shunt_fail(err, -EINVAL, "write %s: it is no file",
					  place->tmp);
		if (fchmod(fd, 0600) || ftruncate(fd, 0))
			return shunt_fail_errno(err, -errno, "write %s", place->tmp);
		return shunt_steal_fd(&fd);
	}
}

static int write_all(int fd, const char *text, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, text, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		bytes -= n;
	}
	return fsync(fd) ? -errno : 0;
}

int shunt_file_replace(const char *path, const char *text, size_t bytes,
		       struct shunt_err *err)
{
	_free_ struct place *place = malloc(sizeof(*place));
	int ret;

	if (!place)
		return shunt_fail(err, -ENOMEM, "write %s: out of memory", path);
	ret = find_place(place, path, err);
	if (ret)
		return ret;
	_fd_ int folder = open(place->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return shunt_fail_errno(err, -errno, "write %s: open its folder %s",
					path, place->folder);
	_fd_ int fd = open_tmp(place, err);
	if (fd < 0)
		return fd;
	ret = write_all(fd, text, bytes);
	if (!ret && rename(place->tmp, place->path))
		ret = -errno;
	if (ret) {
		unlink(place->tmp);
		return shunt_fail_errno(err, ret, "write %s", path);
	}
	/* the rename, too, is to survive a power failure */
	return fsync(folder) ? shunt_fail_errno(err, -errno, "write %s: its folder %s",
						path, place->folder)
			     : 0;
}
