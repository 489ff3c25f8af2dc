/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/instance.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "loader/adopt.h"
#include "loader/chain.h"
#include "loader/lock.h"
#include "loader/namespaces.h"
#include "loader/netfilter.h"
#include "loader/plan.h"
#include "loader/probation.h"
#include "loader/residue.h"
#include "loader/steer.h"
#include "loader/takeover.h"
#include "loader/whereabouts.h"
#include "user/base/cleanup.h"

/* The kernel's own, which the headers do not have: the map is no map to be mapped. */
#define ENOTSUPP 524

bool shunt_instance_is_broken(int error)
{
	switch (-error) {
	case ENOENT:
	case EPROTO:
	case EAGAIN:
	case EINVAL:
	case EACCES:
	case ENODEV:
	case ENOTSUPP:
		return true;
	default:
		return false;
	}
}

bool shunt_instance_exists(const char *name)
{
	char path[SHUNT_PIN_MAX];

	shunt_pin_path(path, name, NULL, NULL);
	return !access(path, F_OK);
}

bool shunt_instance_sits(const struct shunt_instance *instance, unsigned int ifindex)
{
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		if (shunt_place_alive(hook, &instance->state->place[hook],
				      instance->name, ifindex))
			return true;
	return false;
}

static int ask_there(void *ctx)
{
	const struct shunt_instance *instance = ctx;

	return shunt_instance_sits(instance, instance->state->ifindex);
}

bool shunt_instance_alive(const struct shunt_instance *instance)
{
	const struct shunt_place *nf = &instance->state->place[SHUNT_HOOK_NETFILTER];
	int hook;

	/* it keeps the other hooks alive that nobody can reach any more */
	if (nf->on && !shunt_nf_lives(nf->netns, instance->state->ifindex))
		return false;
	if (shunt_chain_elsewhere(instance->name))
		return true;
	/* a link tells it from anywhere, a filter from inside its namespace only */
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		const struct shunt_place *place = &instance->state->place[hook];

		if (strcmp(place->mode, "clsact") &&
		    shunt_place_alive(hook, place, instance->name, 0))
			return true;
	}
	return shunt_namespaces_inside(instance->name, ask_there, (void *)instance) > 0;
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
		instance->gen = shunt_gen_look(instance->maps.gen);
		ret = shunt_state_read(&instance->state, instance->name,
				       instance->gen.ruling, err);
	}
	if (!ret)
		refresh_programs(instance);
	return ret;
}

/* Its folder takes the name that its interface has now: -ESTALE, it is not here. */
static int follow(struct shunt_instance *instance, struct shunt_err *err)
{
	char old[sizeof(instance->state->interface)];
	struct shunt_whereabouts at;
	int lock, ret;

	if (instance->state->ifindex == instance->ifindex ||
	    shunt_whereabouts(instance, false, &at) ||
	    !strcmp(at.instance, instance->name))
		return 0;
	ret = shunt_lock_try(&lock, at.instance, err);
	if (ret)
		return ret;
	ret = shunt_whereabouts_follow(instance->name, &at, err);
	memcpy(old, instance->state->interface, sizeof(old));
	memcpy(instance->state->interface, at.interface, sizeof(at.interface));
	instance->state->ifindex = at.ifindex;
	if (!ret)
		ret = shunt_state_stage(instance->state, at.instance, err);
	if (!ret)
		ret = shunt_state_commit(at.instance, err);
	close(lock);
	return ret ? ret
		   : shunt_fail(err, -ESTALE,
				"%s, which Shunt is attached to, is called %s now: say "
				"that name",
				old, at.interface);
}

static int settle_steering(struct shunt_instance *instance, struct shunt_err *err)
{
	const struct shunt_settling settling = { .state = instance->state };

	return shunt_steer_settle(instance, &settling, err);
}

static int recover(struct shunt_instance *instance, struct shunt_err *err)
{
	uint64_t newest = shunt_gen_look(instance->maps.gen).newest;
	int ret = shunt_state_recover(instance->name, newest, err);

	if (!ret)
		ret = read_state(instance, err);
	if (!ret && instance->gen.ruling != newest)
		ret = shunt_probation_revert(instance, err);
	if (!ret)
		ret = follow(instance, err);
	if (!ret)
		ret = shunt_residue_settle(instance, err);
	if (!ret)
		ret = shunt_takeover_recover(instance, err);
	/* on trial, the NIC has what both policies want */
	if (!ret && !instance->gen.armed)
		ret = settle_steering(instance, err);
	if (ret)
		return ret;
	/* on trial, what both policies need stays */
	return instance->gen.armed
		       ? shunt_plan_finish_sets(&instance->maps, instance->state, err)
		       : shunt_plan_tidy(&instance->maps, instance->state, false, err);
}

static int load_once(struct shunt_instance *instance, struct shunt_err *err)
{
	uint32_t gen;
	int ret = shunt_maps_close_gaps(instance->name, NULL, err);

	if (!ret)
		ret = shunt_maps_open(&instance->maps, instance->name, err);
	/* programs that judge packets still have what has lost its pin */
	if (ret == -ENOENT && shunt_instance_exists(instance->name)) {
		ret = shunt_adopt_gen(instance->name, &gen, err);
		if (!ret)
			ret = shunt_adopt(instance->name, gen, instance->ifindex, err);
		if (!ret)
			ret = shunt_maps_open(&instance->maps, instance->name, err);
	}
	return ret ? ret : recover(instance, err);
}

/* The folder that bears another name, as that of its interface was, takes this one. */
static int come(struct shunt_instance *instance, struct shunt_err *err)
{
	struct shunt_whereabouts here = { .ifindex = instance->ifindex };
	char old[SHUNT_INSTANCE_MAX];
	int lock, ret;

	if (!instance->ifindex || shunt_instance_exists(instance->name))
		return 0;
	ret = shunt_whereabouts_find(old, instance->ifindex, err);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	memcpy(here.instance, instance->name, sizeof(here.instance));
	ret = shunt_lock_try(&lock, old, err);
	if (ret)
		return ret;
	ret = shunt_whereabouts_follow(old, &here, err);
	if (ret)
		close(lock);
	else
		shunt_unlock_gone(lock, old);
	return ret;
}

int shunt_instance_load(struct shunt_instance *instance, struct shunt_err *err)
{
	int ret = come(instance, err);

	if (!ret)
		ret = load_once(instance, err);
	/* another may have taken its place: that of the interface so called now */
	if (ret == -ESTALE && instance->ifindex) {
		shunt_instance_forget(instance);
		ret = come(instance, err);
		if (!ret)
			ret = load_once(instance, err);
	}
	return ret;
}

static int load_to_read(struct shunt_instance *instance, struct shunt_err *err)
{
	int ret = shunt_maps_open(&instance->maps, instance->name, err);

	return ret ? ret : read_state(instance, err);
}

static int nothing_there(const char *interface, struct shunt_err *err)
{
	return shunt_fail(err, -ENOENT,
			  "nothing of Shunt's is attached to %s%s: `shunt list` "
			  "shows what is, `shunt attach %s -p FILE` attaches",
			  interface,
			  if_nametoindex(interface)
				  ? ""
				  : ", an interface that does not exist in this "
				    "network namespace (--netns NAME names another)",
			  interface);
}

static int open_to_read(struct shunt_instance *instance, struct shunt_err *err)
{
	struct shunt_whereabouts at;
	int ret;

	if (!shunt_instance_exists(instance->name)) {
		ret = instance->ifindex ? shunt_whereabouts_find(instance->name,
								 instance->ifindex, err)
					: -ENOENT;
		if (ret)
			return ret;
	}
	ret = load_to_read(instance, err);
	if (ret || instance->state->ifindex == instance->ifindex ||
	    shunt_whereabouts(instance, false, &at))
		return ret;
	return shunt_fail(err, -ESTALE,
			  "%s, which Shunt is attached to, is called %s now: say that "
			  "name",
			  instance->state->interface, at.interface);
}

static int open_to_write(struct shunt_instance *instance, struct shunt_err *err)
{
	int ret = shunt_instance_load(instance, err);
	bool cleared;

	/* what a killed attach or detach has left, and no program uses */
	if (ret == -ENOENT && shunt_instance_exists(instance->name)) {
		shunt_instance_forget(instance);
		ret = shunt_residue_clear(instance->name, instance->ifindex, &cleared,
					  err);
		ret = ret ? ret : -ENOENT;
	}
	return ret;
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
	ret = write ? open_to_write(instance, err) : open_to_read(instance, err);
	if (ret == -ENOENT && !shunt_instance_exists(instance->name))
		ret = nothing_there(interface, err);
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

void shunt_instance_forget(struct shunt_instance *instance)
{
	shunt_maps_close(&instance->maps);
	shunt_state_free(instance->state);
	instance->state = NULL;
}

void shunt_instance_close(struct shunt_instance *instance)
{
	shunt_instance_forget(instance);
	if (instance->lock < 0)
		return;
	/* a lock that was only taken to find nothing leaves no file */
	if (shunt_instance_exists(instance->name))
		close(instance->lock);
	else
		shunt_unlock_gone(instance->lock, instance->name);
	instance->lock = -1;
}
