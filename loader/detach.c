/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "loader/instance.h"
#include "loader/lock.h"
#include "loader/program.h"
#include "loader/reply.h"
#include "loader/residue.h"
#include "loader/shunt.h"
#include "loader/steer.h"
#include "loader/probation.h"
#include "user/base/cleanup.h"
#include "user/base/folder.h"

static bool others_on(const struct shunt_state *state, int hook)
{
	int i;

	for (i = 0; i < SHUNT_HOOK_MAX; i++)
		if (i != hook && state->place[i].on)
			return true;
	return false;
}

/* One hook of several leaves; the instance stays. */
static int detach_one(struct shunt_instance *instance, int hook, struct shunt_err *err)
{
	const struct shunt_settling settling = { .state = instance->state };
	int ret = shunt_residue_unhook(instance, hook, err);

	if (!ret)
		ret = shunt_state_stage(instance->state, instance->name, err);
	if (!ret)
		ret = shunt_state_commit(instance->name, err);
	return ret ? ret : shunt_steer_settle(instance, &settling, err);
}

static cJSON *answer(const struct shunt_state *state, int hook)
{
	cJSON *reply = shunt_reply_new("shunt.detach/1", state);
	cJSON *list = cJSON_AddArrayToObject(reply, "detached");
	int i;

	for (i = 0; i < SHUNT_HOOK_MAX; i++)
		if (state->place[i].on && (hook < 0 || i == hook))
			cJSON_AddItemToArray(list,
					     cJSON_CreateString(shunt_hook_name(i)));
	cJSON_AddBoolToObject(reply, "gone", hook < 0 || !others_on(state, hook));
	return reply;
}

/*
 * What is left of an instance that does not open any more goes all the same, but not
 * for the sake of one hook; one that could not be asked just now stays.
 */
static int detach_broken(const char *interface, bool existed, bool one_hook,
			 int open_error, cJSON **reply, struct shunt_err *err)
{
	struct shunt_residue residue;
	struct shunt_state state = { 0 };
	char name[SHUNT_INSTANCE_MAX];
	int lock, ret = shunt_instance_name(name, interface, NULL);

	strncpy(state.interface, interface, sizeof(state.interface) - 1);
	if (!ret && open_error == -ENOENT && existed && !shunt_instance_exists(name)) {
		*reply = answer(&state, -1); /* opening it has cleared it away */
		return 0;
	}
	if (ret || one_hook || !shunt_instance_exists(name) ||
	    !shunt_instance_is_broken(open_error))
		return open_error;
	ret = shunt_lock(&lock, name, err);
	if (ret)
		return ret;
	ret = shunt_residue_remove(name, if_nametoindex(interface), &residue, err);
	if (ret) {
		close(lock);
		return ret;
	}
	shunt_unlock_gone(lock, name);
	shunt_residue_wait(&residue);
	*reply = answer(&state, -1);
	return 0;
}

int shunt_detach(const char *interface, const char *hook_name, cJSON **reply,
		 struct shunt_err *err)
{
	_instance_ struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	int hook = hook_name ? shunt_hook_find(hook_name, err) : -1;
	struct shunt_residue residue = { .maps = 0 };
	_json_ cJSON *out = NULL;
	bool existed;
	int ret;

	*reply = NULL;
	if (hook_name && hook < 0)
		return hook;
	existed = !shunt_instance_name(instance.name, interface, NULL) &&
		  shunt_instance_exists(instance.name);
	ret = shunt_instance_open(&instance, interface, true, err);
	if (ret)
		return detach_broken(interface, existed, hook >= 0, ret, reply, err);
	if (hook >= 0 && !instance.state->place[hook].on)
		return shunt_fail(err, -ENOENT,
				  "detach %s: Shunt is not attached to its hook %s; "
				  "`shunt show %s` lists the hooks that it is",
				  interface, hook_name, interface);
	out = answer(instance.state, hook);
	if (hook >= 0 && others_on(instance.state, hook)) {
		ret = shunt_probation_none(&instance, "detach one hook of", err);
		if (!ret)
			ret = detach_one(&instance, hook, err);
	} else {
		ret = shunt_residue_remove(instance.name, instance.ifindex, &residue,
					   err);
	}
	shunt_instance_close(&instance);
	shunt_residue_wait(&residue);
	if (!ret)
		*reply = shunt_steal(&out);
	return ret;
}

/* --- stale instances --------------------------------------------------------- */

static int clear_one(const char *name, cJSON *list, struct shunt_err *err)
{
	bool cleared;
	int lock, ret = shunt_lock(&lock, name, err);

	if (ret)
		return ret;
	ret = shunt_residue_clear(name, 0, &cleared, err);
	if (!ret && cleared) {
		cJSON_AddItemToArray(list, cJSON_CreateString(name));
		shunt_unlock_gone(lock, name);
	} else {
		close(lock);
	}
	return ret;
}

int shunt_detach_stale(cJSON **reply, struct shunt_err *err)
{
	_json_ cJSON *out = cJSON_CreateObject();
	_folder_ struct shunt_folder tree = { 0 };
	cJSON *list;
	int i, ret;

	*reply = NULL;
	cJSON_AddStringToObject(out, "schema", "shunt.detach.stale/1");
	list = cJSON_AddArrayToObject(out, "removed");
	ret = shunt_folder_read(&tree, SHUNT_BPFFS_TREE);
	if (ret && ret != -ENOENT)
		return shunt_fail_errno(err, ret, "list " SHUNT_BPFFS_TREE);
	for (i = 0, ret = 0; !ret && i < tree.n; i++)
		ret = clear_one(tree.entry[i]->d_name, list, err);
	if (!ret)
		*reply = shunt_steal(&out);
	return ret;
}
