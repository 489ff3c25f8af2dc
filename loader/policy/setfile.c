/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/policy.h"
#include "loader/policy/prefix.h"
#include "loader/policy/word.h"
#include "user/base/cleanup.h"

/* Room for a prefix and for blanks around it: a longer line has no prefix in it. */
#define LINE_MAX_BYTES 256

/*
 * Reads one line without its comment and outer blanks. Returns 1; 0 at the end of the
 * file; -EINVAL for a line that is too long or has a NUL.
 */
static int read_line(FILE *f, char line[LINE_MAX_BYTES])
{
	size_t n = 0;
	bool comment = false;
	int c = getc_unlocked(f);

	if (c == EOF)
		return 0;
	for (; c != EOF && c != '\n'; c = getc_unlocked(f)) {
		comment |= c == '#';
		if (comment || (n == 0 && isspace(c)))
			continue;
		if (c == 0 || n == LINE_MAX_BYTES - 1)
			return -EINVAL;
		line[n++] = c;
	}
	while (n && isspace((unsigned char)line[n - 1]))
		n--;
	line[n] = 0;
	return 1;
}

static int append(struct shunt_prefix **list, size_t n, size_t *room,
		  const struct shunt_prefix *prefix)
{
	if (n == *room) {
		size_t want = *room ? *room * 2 : 1024;
		struct shunt_prefix *grown = realloc(*list, want * sizeof(**list));

		if (!grown)
			return -ENOMEM;
		*list = grown;
		*room = want;
	}
	(*list)[n] = *prefix;
	return 0;
}

int shunt_set_file_read(const char *path, enum shunt_set_type type,
			struct shunt_prefix **element, size_t *elements,
			struct shunt_err *err)
{
	_file_ FILE *f = fopen(path, "re");
	_free_ struct shunt_prefix *list = NULL;
	size_t n = 0, room = 0;
	unsigned long number = 1;
	char line[LINE_MAX_BYTES];
	int got;

	if (!f)
		return shunt_fail_errno(err, -errno, "open set file %s",
					SHUNT_QUOTE(path));
	for (; (got = read_line(f, line)) > 0; number++) {
		struct shunt_prefix prefix;
		int ret;

		if (!*line)
			continue;
		ret = shunt_prefix_member(&prefix, line, type, err);
		if (ret)
			return shunt_fail_in(err, ret, "%s:%lu: ", path, number);
		if (n == 2 * SHUNT_SET_SIZE_MAX)
			n = shunt_prefix_unique(list, n);
		if (n == 2 * SHUNT_SET_SIZE_MAX)
			return shunt_fail(
				err, -EINVAL,
				"%s:%lu: more than %u members, the most that a set "
				"can hold of IPv4 and IPv6 each",
				path, number, SHUNT_SET_SIZE_MAX);
		if (append(&list, n, &room, &prefix) < 0)
			return shunt_fail(err, -ENOMEM, "%s: out of memory", path);
		n++;
	}
	if (got < 0)
		return shunt_fail(
			err, got,
			"%s:%lu: not one address or prefix a line: the line is "
			"too long or is no text",
			path, number);
	if (ferror(f))
		return shunt_fail_errno(err, -errno, "read set file %s",
					SHUNT_QUOTE(path));
	*elements = shunt_prefix_unique(list, n);
	*element = shunt_steal(&list);
	return 0;
}
