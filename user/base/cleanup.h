/* SPDX-License-Identifier: BSD-2-Clause */
/* Scope cleanup: a short-lived resource is declared and acquired in one statement. */
#pragma once

/*
 *     _fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
 *     …
 *     return shunt_steal_fd(&fd);     hands it out; nothing is closed
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>

static inline void shunt_cleanup_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void shunt_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void shunt_cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void shunt_cleanup_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static inline void shunt_cleanup_json(cJSON **json)
{
	cJSON_Delete(*json);
}

#define _fd_ __attribute__((cleanup(shunt_cleanup_fd)))
#define _free_ __attribute__((cleanup(shunt_cleanup_free)))
#define _file_ __attribute__((cleanup(shunt_cleanup_file)))
#define _dir_ __attribute__((cleanup(shunt_cleanup_dir)))
#define _json_ __attribute__((cleanup(shunt_cleanup_json)))

static inline int shunt_steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

static inline void *shunt_steal(void *p)
{
	void *stolen = *(void **)p;

	*(void **)p = NULL;
	return stolen;
}
