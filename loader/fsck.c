/* SPDX-License-Identifier: BSD-2-Clause */
/* fsck: all of a tree, or one instance. */
#include "loader/fsck.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/finding.h"
#include "loader/holders.h"
#include "loader/instance.h"
#include "loader/lock.h"
#include "loader/netns.h"
#include "loader/whereabouts.h"
#include "user/base/cleanup.h"
#include "user/base/folder.h"

/* --- the tree itself --------------------------------------------------------- */

static void check_empty_tree(cJSON *list, bool mend)
{
	static const char *const folders[] = { SHUNT_BPFFS_TREE, SHUNT_BPFFS_ROOT };
	cJSON *before = cJSON_CreateArray(), *now = cJSON_CreateArray();
	size_t i;

	for (i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		_folder_ struct shunt_folder folder = { 0 };

		if (shunt_folder_read(&folder, folders[i]) || folder.n)
			continue;
		shunt_finding_add(before, SHUNT_FINDING_EMPTY_TREE, NULL, folders[i],
				  "an attach was killed before it had made its folder, "
				  "or a detach before it had removed the last one");
		if (mend && rmdir(folders[i]))
			shunt_finding_add(now, SHUNT_FINDING_EMPTY_TREE, NULL,
					  folders[i], "%s", strerror(errno));
	}
	if (mend)
		shunt_finding_compare(before, now);
	else
		cJSON_Delete(now);
	while (cJSON_GetArraySize(before))
		cJSON_AddItemToArray(list, cJSON_DetachItemFromArray(before, 0));
	cJSON_Delete(before);
}

/* A lock that nobody holds, of an instance that is not there. */
static void check_lock(cJSON *list, const char *file, bool all, bool mend)
{
	char name[SHUNT_INSTANCE_MAX];
	const char *end = strrchr(file, '.');
	cJSON *found;
	int lock;

	if (!end || strcmp(end, ".lock") || (size_t)(end - file) >= sizeof(name))
		return;
	memcpy(name, file, end - file);
	name[end - file] = 0;
	if ((!all && !shunt_netns_is_of(name)) || shunt_instance_exists(name) ||
	    shunt_holders_know(name) || shunt_lock_try(&lock, name, NULL))
		return;
	shunt_finding_add(list, SHUNT_FINDING_DEAD_LOCK, name, file,
			  "a command was killed after it had removed the instance");
	if (!mend) {
		close(lock);
		return;
	}
	shunt_unlock_gone(lock, name);
	found = cJSON_GetArrayItem(list, cJSON_GetArraySize(list) - 1);
	cJSON_ReplaceItemInObjectCaseSensitive(found, "repaired", cJSON_CreateTrue());
}

/* Of all namespaces, or of the calling thread's. */
static void check_locks(cJSON *list, bool all, bool mend)
{
	_folder_ struct shunt_folder locks = { 0 };
	int i;

	if (shunt_folder_read(&locks, SHUNT_LOCKS))
		return;
	for (i = 0; i < locks.n; i++)
		check_lock(list, locks.entry[i]->d_name, all, mend);
}

/* --- the command ------------------------------------------------------------- */

static int check_all(const struct shunt_fsck_opts *opts, cJSON *names, cJSON *list,
		     cJSON *held, struct shunt_err *err)
{
	_folder_ struct shunt_folder tree = { 0 };
	int i, ret = shunt_folder_read(&tree, SHUNT_BPFFS_TREE);

	if (ret && ret != -ENOENT)
		return shunt_fail_errno(err, ret, "list " SHUNT_BPFFS_TREE);
	for (i = 0; i < tree.n; i++) {
		const char *name = tree.entry[i]->d_name;

		if (strlen(name) >= SHUNT_INSTANCE_MAX)
			continue;
		cJSON_AddItemToArray(names, cJSON_CreateString(name));
		ret = shunt_fsck_instance(name, opts->repair, list, err);
		if (ret)
			return ret;
	}
	shunt_fsck_kernel(opts, list, held);
	check_empty_tree(list, opts->repair);
	check_locks(list, true, opts->repair);
	return 0;
}

/* The instance of an interface, which may be called after its former name. */
static int check_one(const struct shunt_fsck_opts *opts, cJSON *names, cJSON *list,
		     struct shunt_err *err)
{
	unsigned int ifindex = if_nametoindex(opts->interface);
	char name[SHUNT_INSTANCE_MAX];
	int ret = shunt_instance_name(name, opts->interface, err);

	if (ret)
		return ret;
	if (!shunt_instance_exists(name))
		ret = ifindex ? shunt_whereabouts_find(name, ifindex, err) : -ENOENT;
	if (ret == -ENOENT)
		return shunt_fail(err, -ENOENT,
				  "nothing of Shunt's is attached to %s: `shunt fsck` "
				  "without an interface looks at all there is",
				  opts->interface);
	if (ret)
		return ret;
	cJSON_AddItemToArray(names, cJSON_CreateString(name));
	ret = shunt_fsck_instance(name, opts->repair, list, err);
	check_locks(list, false, opts->repair);
	return ret;
}

int shunt_fsck(const struct shunt_fsck_opts *opts, cJSON **reply, int *left,
	       struct shunt_err *err)
{
	_json_ cJSON *out = cJSON_CreateObject();
	cJSON *names, *list, *held;
	bool mounted;
	int ret;

	*reply = NULL;
	cJSON_AddStringToObject(out, "schema", "shunt.fsck/1");
	names = cJSON_AddArrayToObject(out, "instances");
	list = cJSON_AddArrayToObject(out, "findings");
	held = cJSON_AddArrayToObject(out, "held");
	ret = shunt_bpffs_ready(opts->adopt, &mounted, err);
	if (!ret)
		ret = opts->interface ? check_one(opts, names, list, err)
				      : check_all(opts, names, list, held, err);
	if (ret)
		return ret;
	*left = shunt_finding_left(list);
	cJSON_AddNumberToObject(out, "left", *left);
	*reply = shunt_steal(&out);
	return 0;
}
