/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/residue.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "loader/bpffs.h"
#include "loader/hook.h"
#include "loader/program.h"

static int unpin(const char *instance, const char *folder, enum shunt_hook hook,
		 struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];

	shunt_pin_path(path, instance, folder, shunt_hook_name(hook));
	if (unlink(path) && errno != ENOENT)
		return shunt_fail_errno(err, -errno, "unpin %s", path);
	return 0;
}

int shunt_residue_unhook(struct shunt_instance *instance, enum shunt_hook hook,
			 struct shunt_err *err)
{
	struct shunt_place *place = &instance->state->place[hook];
	int ret = unpin(instance->name, "links", hook, err);

	if (!ret)
		ret = shunt_place_detach(hook, place->made_qdisc, instance->name,
					 instance->ifindex, err);
	if (!ret)
		ret = unpin(instance->name, "progs", hook, err);
	if (!ret)
		memset(place, 0, sizeof(*place));
	return ret;
}

int shunt_residue_remove(const char *name, unsigned int ifindex, struct shunt_err *err)
{
	struct shunt_instance instance;
	bool made_qdisc[SHUNT_HOOK_MAX] = { false };
	int hook, ret;

	/* the record may be missing or damaged; then there is only less to know */
	if (!shunt_instance_open_named(&instance, name, NULL)) {
		for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
			made_qdisc[hook] = instance.state->place[hook].made_qdisc;
		shunt_instance_close(&instance);
	}
	for (hook = SHUNT_HOOK_TC_INGRESS; hook <= SHUNT_HOOK_TC_EGRESS; hook++) {
		ret = shunt_place_detach(hook, made_qdisc[hook], name, ifindex, err);
		if (ret)
			return ret;
	}
	return shunt_pin_remove_all(name, err);
}

int shunt_residue_clear(const char *name, unsigned int ifindex, bool *cleared,
			struct shunt_err *err)
{
	struct shunt_instance instance;
	bool alive;
	int ret;

	*cleared = false;
	if (!shunt_instance_exists(name))
		return 0;
	ret = shunt_instance_open_named(&instance, name, err);
	if (ret == -EPROTO)
		return ret;
	/* a record that does not open at all is that of an attach which got no further */
	alive = !ret && shunt_instance_alive(&instance);
	if (!ret)
		shunt_instance_close(&instance);
	if (alive)
		return 0;
	*cleared = true;
	return shunt_residue_remove(name, ifindex, err);
}
