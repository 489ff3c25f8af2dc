/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/queue_cpus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "user/base/cleanup.h"

int shunt_sysfs_open(void)
{
	_fd_ int fs = fsopen("sysfs", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int open_file(int sysfs, const char *interface, enum shunt_queue_kind kind,
		     uint32_t queue, int flags)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path),
		 kind == SHUNT_QUEUE_RPS ? "class/net/%s/queues/rx-%u/rps_cpus"
					 : "class/net/%s/queues/tx-%u/xps_cpus",
		 interface, queue);
	fd = openat(sysfs, path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int shunt_queue_cpus_read(int sysfs, const char *interface, enum shunt_queue_kind kind,
			  uint32_t queue, char text[SHUNT_CPUS_TEXT])
{
	_fd_ int fd = open_file(sysfs, interface, kind, queue, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, text, SHUNT_CPUS_TEXT - 1);
	if (n < 0)
		/* XPS of an interface with one transmit queue */
		return errno == EINVAL ? -ENOENT : -errno;
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
	return 0;
}

int shunt_queue_cpus_write(int sysfs, const char *interface, enum shunt_queue_kind kind,
			   uint32_t queue, const char *text)
{
	_fd_ int fd = open_file(sysfs, interface, kind, queue, O_WRONLY);

	if (fd < 0)
		return fd;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

void shunt_cpus_format(const uint64_t cpus[SHUNT_CPU_WORDS], char text[SHUNT_CPUS_TEXT])
{
	int group = SHUNT_CPU_MAX / 32 - 1;
	size_t n = 0;

	while (group > 0 && !(uint32_t)(cpus[group / 2] >> group % 2 * 32))
		group--;
	for (; group >= 0; group--)
		n += snprintf(text + n, SHUNT_CPUS_TEXT - n, n ? ",%08x" : "%x",
			      (uint32_t)(cpus[group / 2] >> group % 2 * 32));
}

/* The next digit that counts, as a pointer behind it; *digit 0: the end. */
static const char *next(const char *at, char *digit)
{
	while (*at == ',')
		at++;
	*digit = *at;
	return *at ? at + 1 : at;
}

static const char *first(const char *at)
{
	return at + strspn(at, "0,");
}

bool shunt_cpus_same(const char *a, const char *b)
{
	char x, y;

	a = first(a);
	b = first(b);
	do {
		a = next(a, &x);
		b = next(b, &y);
		if (x != y)
			return false;
	} while (x);
	return true;
}

bool shunt_cpus_any(const char *text)
{
	return *first(text);
}
