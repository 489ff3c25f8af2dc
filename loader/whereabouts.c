/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/whereabouts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loader/namespaces.h"
#include "loader/netfilter.h"
#include "loader/netns.h"
#include "loader/residue.h"
#include "user/base/cleanup.h"

struct search {
	const struct shunt_instance *instance;
	struct shunt_whereabouts *at;
};

/* Does the interface have the program of any of the instance's hooks? */
static bool carries(const struct shunt_instance *instance, unsigned int ifindex)
{
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		const struct shunt_place *place = &instance->state->place[hook];

		if (hook == SHUNT_HOOK_NETFILTER &&
		    place->netns != shunt_nf_namespace())
			continue;
		if (place->on && shunt_place_carries(hook, ifindex, place->prog_id))
			return true;
	}
	return false;
}

/* In the calling thread's namespace. */
static bool look(void *ctx)
{
	const struct search *search = ctx;
	struct if_nameindex *all = if_nameindex(), *one;
	bool found = false;

	for (one = all; one && one->if_index && !found; one++) {
		if (!carries(search->instance, one->if_index) ||
		    shunt_instance_name(search->at->instance, one->if_name, NULL))
			continue;
		found = true;
		search->at->ifindex = one->if_index;
		snprintf(search->at->interface, IF_NAMESIZE, "%s", one->if_name);
	}
	if (all)
		if_freenameindex(all);
	return found;
}

int shunt_whereabouts(const struct shunt_instance *instance, bool everywhere,
		      struct shunt_whereabouts *at)
{
	struct search search = { instance, at };

	return look(&search) || (everywhere && shunt_namespaces_walk(look, &search))
		       ? 0
		       : -ENOENT;
}

static int swap(const char *from, const char *to, unsigned int flags)
{
	char old[SHUNT_PIN_MAX], new[SHUNT_PIN_MAX];

	shunt_pin_path(old, from, NULL, NULL);
	shunt_pin_path(new, to, NULL, NULL);
	return renameat2(AT_FDCWD, old, AT_FDCWD, new, flags) ? -errno : 0;
}

int shunt_whereabouts_follow(const char *instance, const struct shunt_whereabouts *to,
			     struct shunt_err *err)
{
	bool cleared;
	int ret = shunt_residue_clear(to->instance, to->ifindex, &cleared, err);

	if (ret)
		return ret;
	ret = swap(instance, to->instance, RENAME_NOREPLACE);
	if (ret == -EEXIST)
		ret = swap(instance, to->instance, RENAME_EXCHANGE);
	return ret ? shunt_fail_errno(err, ret, "rename the instance %s to %s",
				      instance, to->instance)
		   : 0;
}

/* 0: the instance is one of the calling thread's namespace, and the interface its. */
static int is_of(const char *name, unsigned int ifindex, struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	int ret = shunt_netns_is_of(name)
			  ? shunt_instance_open_named(&instance, name, err)
			  : -ENOENT;

	if (ret)
		return shunt_instance_is_broken(ret) ? -ENOENT : ret;
	return instance.state->ifindex == ifindex && carries(&instance, ifindex)
		       ? 0
		       : -ENOENT;
}

int shunt_whereabouts_find(char name[SHUNT_INSTANCE_MAX], unsigned int ifindex,
			   struct shunt_err *err)
{
	_dir_ DIR *tree = opendir(SHUNT_BPFFS_TREE);
	struct dirent *entry;
	int ret = -ENOENT;

	if (!tree && errno != ENOENT)
		return shunt_fail_errno(err, -errno, "open " SHUNT_BPFFS_TREE);
	while (tree && ret == -ENOENT && (entry = readdir(tree))) {
		size_t len = strlen(entry->d_name);

		if (entry->d_name[0] == '.' || len >= SHUNT_INSTANCE_MAX)
			continue;
		ret = is_of(entry->d_name, ifindex, err);
		if (!ret)
			memcpy(name, entry->d_name, len + 1);
	}
	return ret;
}
