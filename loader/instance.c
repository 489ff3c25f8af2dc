/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/instance.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "loader/chain.h"
#include "loader/plan.h"
#include "loader/takeover.h"
#include "user/base/cleanup.h"

bool shunt_instance_exists(const char *name)
{
	char path[SHUNT_PIN_MAX];

	shunt_pin_path(path, name, NULL, NULL);
	return !access(path, F_OK);
}

/* Is its interface one of the calling thread's network namespace? */
static bool is_here(const struct shunt_instance *instance)
{
	char name[SHUNT_INSTANCE_MAX];

	return !shunt_instance_name(name, instance->state->interface, NULL) &&
	       !strcmp(name, instance->name);
}

bool shunt_instance_alive(const struct shunt_instance *instance)
{
	bool here = is_here(instance);
	int hook;

	if (shunt_chain_elsewhere(instance->name))
		return true;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		const struct shunt_place *place = &instance->state->place[hook];

		/* a filter can only be asked for from inside its namespace */
		if (!here && place->on && !strcmp(place->mode, "clsact"))
			return true;
		if (shunt_place_alive(hook, place, instance->name,
				      instance->state->ifindex))
			return true;
	}
	return false;
}

static uint64_t word(const struct shunt_instance *instance)
{
	return __atomic_load_n(&instance->maps.gen->word, __ATOMIC_ACQUIRE);
}

/* A program may have taken over since the record was written. */
static void refresh_programs(struct shunt_instance *instance)
{
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		struct shunt_place *place = &instance->state->place[hook];
		uint32_t id = shunt_place_program(hook, place, instance->name,
						  instance->ifindex);

		if (id)
			place->prog_id = id;
	}
}

/* The record of the generation that rules; an apply that is under way is waited out. */
static int read_state(struct shunt_instance *instance, struct shunt_err *err)
{
	int tries, ret = -EAGAIN;

	for (tries = 0; ret == -EAGAIN && tries < 1000; tries++) {
		if (tries)
			usleep(1000);
		ret = shunt_state_read(&instance->state, instance->name, word(instance),
				       err);
	}
	if (!ret)
		refresh_programs(instance);
	return ret;
}

static int recover(struct shunt_instance *instance, struct shunt_err *err)
{
	int ret = shunt_state_recover(instance->name, word(instance), err);

	if (!ret)
		ret = read_state(instance, err);
	if (!ret)
		ret = shunt_takeover_recover(instance, err);
	return ret ? ret
		   : shunt_plan_tidy(&instance->maps, instance->state, false, err);
}

int shunt_instance_load(struct shunt_instance *instance, struct shunt_err *err)
{
	int ret = shunt_maps_open(&instance->maps, instance->name, err);

	return ret ? ret : recover(instance, err);
}

static int load_to_read(struct shunt_instance *instance, struct shunt_err *err)
{
	int ret = shunt_maps_open(&instance->maps, instance->name, err);

	return ret ? ret : read_state(instance, err);
}

int shunt_instance_open(struct shunt_instance *instance, const char *interface,
			bool write, struct shunt_err *err)
{
	bool mounted;
	int ret;

	*instance = (struct shunt_instance)SHUNT_INSTANCE_NONE;
	ret = shunt_bpffs_ready(false, &mounted, err);
	if (!ret)
		ret = shunt_instance_name(instance->name, interface, err);
	if (!ret && write)
		ret = shunt_lock(&instance->lock, instance->name, err);
	if (ret)
		return ret;
	instance->ifindex = if_nametoindex(interface);
	if (!shunt_instance_exists(instance->name)) {
		shunt_instance_close(instance);
		return shunt_fail(
			err, -ENOENT,
			"nothing of Shunt's is attached to %s%s: `shunt list` "
			"shows what is, `shunt attach %s -p FILE` attaches",
			interface,
			if_nametoindex(interface)
				? ""
				: ", an interface that does not exist in this "
				  "network namespace (--netns NAME names another)",
			interface);
	}
	ret = write ? shunt_instance_load(instance, err) : load_to_read(instance, err);
	if (ret)
		shunt_instance_close(instance);
	return ret;
}

int shunt_instance_open_named(struct shunt_instance *instance, const char *name,
			      struct shunt_err *err)
{
	int ret;

	*instance = (struct shunt_instance)SHUNT_INSTANCE_NONE;
	strncpy(instance->name, name, sizeof(instance->name) - 1);
	ret = load_to_read(instance, err);
	if (ret)
		shunt_instance_close(instance);
	return ret;
}

void shunt_instance_close(struct shunt_instance *instance)
{
	shunt_maps_close(&instance->maps);
	shunt_state_free(instance->state);
	instance->state = NULL;
	if (instance->lock < 0)
		return;
	/* a lock that was only taken to find nothing leaves no file */
	if (shunt_instance_exists(instance->name))
		close(instance->lock);
	else
		shunt_unlock_gone(instance->lock, instance->name);
	instance->lock = -1;
}
