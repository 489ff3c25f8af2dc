/* SPDX-License-Identifier: BSD-2-Clause */
/* The remote session that a command comes from, and who else is not to be locked out. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/base/cleanup.h"
#include "user/cli/cli.h"

#define VARIABLE "SSH_CONNECTION="
#define ENVIRON_MAX (1 << 18) /* bytes of a process's environment that are looked at */
#define PARENTS_MAX 64

/* Its value in the environment of a process. */
static bool find_in(int pid, char value[SHUNT_CLI_SESSION])
{
	_free_ char *text = malloc(ENVIRON_MAX);
	char path[64], *at;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 && text ? read(fd, text, ENVIRON_MAX - 1) : 0;
	for (at = text; n > 0 && at < text + n; at += strlen(at) + 1) {
		text[n] = 0;
		if (strncmp(at, VARIABLE, strlen(VARIABLE)))
			continue;
		snprintf(value, SHUNT_CLI_SESSION, "%s", at + strlen(VARIABLE));
		return *value;
	}
	return false;
}

static int parent_of(int pid)
{
	char path[64], line[512], *at;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	_file_ FILE *file = fopen(path, "re");
	/* the name, in parentheses, may have any character */
	if (file && fgets(line, sizeof(line), file) && (at = strrchr(line, ')')) &&
	    sscanf(at + 1, " %*c %d", &parent) != 1)
		parent = 0;
	return parent;
}

const char *shunt_cli_session(const struct shunt_cli *cli,
			      char value[SHUNT_CLI_SESSION])
{
	const char *own = getenv("SSH_CONNECTION");
	int pid = getppid(), n;

	if (shunt_cli_option(cli, "force"))
		return NULL;
	if (own && *own)
		return own;
	/* sudo leaves it out */
	for (n = 0; pid > 1 && n < PARENTS_MAX; n++, pid = parent_of(pid))
		if (find_in(pid, value))
			return value;
	return NULL;
}

size_t shunt_cli_protected(const struct shunt_cli *cli,
			   const char *protect[SHUNT_CLI_VALUES])
{
	size_t n = 0;

	while (n < SHUNT_CLI_VALUES &&
	       (protect[n] = shunt_cli_option_at(cli, "protect", n)))
		n++;
	return shunt_cli_option(cli, "force") ? 0 : n;
}
