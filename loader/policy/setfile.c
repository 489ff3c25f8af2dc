/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/policy/policy.h"
#include "loader/policy/prefix.h"
#include "loader/policy/word.h"
#include "user/base/cleanup.h"
#include "user/base/progress.h"

#define LINE_MAX_BYTES 256 /* room for a member and blanks: a longer line has none */
#define CHUNK_BYTES (256u << 10)
#define PROGRESS_LINES (1u << 18)
#define FAULTS_MAX 20 /* that are told */

struct reader {
	const char *path;
	int fd;
	bool eof;
	char *chunk;
	size_t at, n;
	unsigned long number; /* of the line */
	size_t done, bytes;   /* of the file; 0 bytes: unknown */
	char line[LINE_MAX_BYTES];
};

struct list {
	struct shunt_prefix *at;
	size_t n, room;
};

/* The chunk's next byte is there to be looked at; false: the file's end. -errno. */
static int more(struct reader *r)
{
	ssize_t got;

	if (r->at < r->n)
		return 1;
	if (r->eof)
		return 0;
	do
		got = read(r->fd, r->chunk, CHUNK_BYTES);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	r->eof = !got;
	r->at = 0;
	r->n = got;
	r->done += got;
	return got > 0;
}

static bool blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * Reads one line without its comment and outer blanks. Returns 1; 0 at the end of the
 * file; -EINVAL for a line that is too long or has a NUL.
 */
static int read_line(struct reader *r)
{
	bool comment = false;
	size_t n = 0;
	int got = more(r), ret = 1;

	if (got <= 0)
		return got;
	r->number++;
	for (; got > 0; got = more(r)) {
		char c = r->chunk[r->at++];

		if (c == '\n')
			break;
		comment |= c == '#';
		if (comment || (n == 0 && blank(c)))
			continue;
		if (c == 0 || n == LINE_MAX_BYTES - 1)
			return -EINVAL;
		r->line[n++] = c;
	}
	while (n && blank(r->line[n - 1]))
		n--;
	r->line[n] = 0;
	return got < 0 ? got : ret;
}

static int append(struct list *list, const struct shunt_prefix *prefix)
{
	if (list->n == list->room) {
		size_t want = list->room ? list->room * 2 : 1024;
		struct shunt_prefix *grown =
			realloc(list->at, want * sizeof(*list->at));

		if (!grown)
			return -ENOMEM;
		list->at = grown;
		list->room = want;
	}
	list->at[list->n++] = *prefix;
	return 0;
}

/* Adds a line's fault to the sentence, where there is room for it. */
static void tell(const struct reader *r, const struct shunt_err *fault, size_t faults,
		 size_t *told, struct shunt_err *err)
{
	size_t n = *told ? strlen(err->message) : 0;

	if (faults > FAULTS_MAX ||
	    n + strlen(r->path) + strlen(fault->message) + 128 > sizeof(err->message))
		return;
	snprintf(err->message + n, sizeof(err->message) - n, "%s%s:%lu: %s",
		 n ? "\n" : "", r->path, r->number, fault->message);
	++*told;
}

static int faulty(size_t faults, size_t told, struct shunt_err *err)
{
	size_t n = strlen(err->message);

	if (faults > told)
		snprintf(err->message + n, sizeof(err->message) - n,
			 "\nand %zu more lines are wrong", faults - told);
	return -EINVAL;
}

static int read_lines(struct reader *r, enum shunt_set_type type, struct list *list,
		      struct shunt_err *err)
{
	size_t faults = 0, told = 0;
	int got;

	while ((got = read_line(r)) > 0) {
		struct shunt_err fault = { "" };
		struct shunt_prefix prefix;

		if (r->number % PROGRESS_LINES == 0)
			shunt_progress(r->path, r->done, r->bytes);
		if (!*r->line)
			continue;
		if (shunt_prefix_member(&prefix, r->line, type, &fault)) {
			tell(r, &fault, ++faults, &told, err);
			continue;
		}
		if (list->n == 2 * SHUNT_SET_SIZE_MAX)
			list->n = shunt_prefix_unique(list->at, list->n);
		if (list->n == 2 * SHUNT_SET_SIZE_MAX)
			return shunt_fail(
				err, -EINVAL,
				"%s:%lu: more than %u members, the most that a set "
				"can hold of IPv4 and IPv6 each",
				r->path, r->number, SHUNT_SET_SIZE_MAX);
		if (append(list, &prefix))
			return shunt_fail(err, -ENOMEM, "%s: out of memory", r->path);
	}
	if (got == -EINVAL && !faults)
		return shunt_fail(err, got,
				  "%s:%lu: not one member a line: the line is too long "
				  "or is no text",
				  r->path, r->number);
	if (got < 0 && got != -EINVAL)
		return shunt_fail_errno(err, got, "read set file %s",
					SHUNT_QUOTE(r->path));
	return faults ? faulty(faults, told, err) : 0;
}

int shunt_set_file_read(const char *path, enum shunt_set_type type,
			struct shunt_prefix **element, size_t *elements,
			struct shunt_err *err)
{
	_fd_ int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC)
					: fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	_free_ char *chunk = malloc(CHUNK_BYTES);
	struct reader r = { .path = path, .fd = fd, .chunk = chunk };
	struct list list = { NULL, 0, 0 };
	struct shunt_err own;
	struct stat st;
	int ret;

	if (fd < 0)
		return shunt_fail_errno(err, -errno, "open set file %s",
					SHUNT_QUOTE(path));
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		r.bytes = st.st_size;
	ret = chunk ? read_lines(&r, type, &list, err ? err : &own)
		    : shunt_fail(err, -ENOMEM, "%s: out of memory", path);
	if (ret) {
		free(list.at);
		return ret;
	}
	shunt_progress(path, r.bytes, r.bytes);
	*elements = shunt_prefix_unique(list.at, list.n);
	*element = list.at;
	return 0;
}
