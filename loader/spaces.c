/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/spaces.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/netns.h"
#include "loader/visit.h"
#include "user/base/folder.h"

#define NAMES "/run/netns"

static int oom(struct shunt_err *err)
{
	return shunt_fail(err, -ENOMEM, "list network namespaces: out of memory");
}

static int look(struct shunt_space *space, const char *name, struct shunt_err *err)
{
	_visit_ struct shunt_visit visit = SHUNT_VISIT_NONE;
	int ret = shunt_visit_begin(&visit, name, err);

	if (!ret)
		ret = shunt_netns_cookie(&space->cookie, err);
	space->host = !ret && shunt_netns_is_host();
	space->name = NULL;
	return ret;
}

/* One of the names: it may be another name of a namespace that we have. */
static int add(struct shunt_spaces *spaces, const char *name, bool all)
{
	struct shunt_space found, *grown;
	size_t i;

	if (look(&found, name, NULL)) /* a name that leads nowhere, after a crash */
		return 0;
	for (i = 0; i < spaces->n && spaces->at[i].cookie != found.cookie; i++)
		;
	if (i < spaces->n) {
		if (!spaces->at[i].name && !found.host &&
		    !(spaces->at[i].name = strdup(name)))
			return -ENOMEM;
		return 0;
	}
	if (!all)
		return 0;
	grown = realloc(spaces->at, (spaces->n + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	spaces->at = grown;
	found.name = strdup(name);
	if (!found.name)
		return -ENOMEM;
	grown[spaces->n++] = found;
	return 0;
}

static int add_names(struct shunt_spaces *spaces, bool all, struct shunt_err *err)
{
	_folder_ struct shunt_folder names = { 0 };
	int i, ret = shunt_folder_read(&names, NAMES);

	if (ret)
		return ret == -ENOENT ? 0 : shunt_fail_errno(err, ret, "list " NAMES);
	for (i = 0; !ret && i < names.n; i++)
		ret = add(spaces, names.entry[i]->d_name, all);
	return ret ? oom(err) : 0;
}

int shunt_spaces_find(struct shunt_spaces *spaces, const char *own, bool all,
		      struct shunt_err *err)
{
	int ret;

	*spaces = (struct shunt_spaces){ calloc(1, sizeof(*spaces->at)), 1 };
	if (!spaces->at)
		return oom(err);
	ret = look(spaces->at, NULL, err);
	if (!ret && own && !spaces->at->host && !(spaces->at->name = strdup(own)))
		ret = oom(err);
	if (!ret)
		ret = add_names(spaces, all, err);
	if (ret)
		shunt_spaces_free(spaces);
	return ret;
}

void shunt_spaces_free(struct shunt_spaces *spaces)
{
	size_t i;

	for (i = 0; i < spaces->n; i++)
		free(spaces->at[i].name);
	free(spaces->at);
	*spaces = (struct shunt_spaces){ NULL, 0 };
}

const struct shunt_space *shunt_spaces_of(const struct shunt_spaces *spaces,
					  const char *instance)
{
	bool host = !strchr(instance, ':'); /* no interface's name has a colon */
	size_t i;

	for (i = 0; i < spaces->n; i++) {
		const struct shunt_space *space = &spaces->at[i];
		char prefix[32];

		snprintf(prefix, sizeof(prefix),
			 "ns%llu:", (unsigned long long)space->cookie);
		if (space->host ? host : !strncmp(instance, prefix, strlen(prefix)))
			return space;
	}
	return NULL;
}
