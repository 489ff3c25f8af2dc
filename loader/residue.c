/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/residue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "loader/adopt.h"
#include "loader/bpffs.h"
#include "loader/chain.h"
#include "loader/hook.h"
#include "loader/hookpin.h"
#include "loader/limits.h"
#include "loader/netns.h"
#include "loader/objects.h"
#include "loader/program.h"
#include "loader/sets.h"
#include "loader/steer.h"
#include "user/base/cleanup.h"

static int unpin(const char *path, struct shunt_err *err)
{
	if (unlink(path) && errno != ENOENT)
		return shunt_fail_errno(err, -errno, "unpin %s", path);
	return 0;
}

static int unpin_link(const char *instance, enum shunt_hook hook, struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];

	shunt_hookpin_link_path(path, instance, hook);
	return unpin(path, err);
}

static int unpin_program(const char *instance, enum shunt_hook hook, const char *suffix,
			 struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];

	shunt_hookpin_path(path, instance, hook, suffix);
	return unpin(path, err);
}

/* Unpinned, a link would leave in the kernel's own time: this is at once. */
static void let_go(const char *instance, enum shunt_hook hook)
{
	char path[SHUNT_PIN_MAX];

	shunt_hookpin_link_path(path, instance, hook);
	_fd_ int fd = bpf_obj_get(path);
	if (fd >= 0)
		bpf_link_detach(fd);
}

/* Both TC hooks share one qdisc: whichever leaves last takes it away. */
static void hand_over_qdisc(struct shunt_state *state, enum shunt_hook hook)
{
	int other;

	for (other = SHUNT_HOOK_TC_INGRESS; other < SHUNT_HOOK_MAX; other++)
		if (state->place[other].on &&
		    !strcmp(state->place[other].mode, "clsact"))
			state->place[other].made_qdisc |= state->place[hook].made_qdisc;
}

int shunt_residue_unhook(struct shunt_instance *instance, enum shunt_hook hook,
			 struct shunt_err *err)
{
	struct shunt_place *place = &instance->state->place[hook];
	int ret;

	let_go(instance->name, hook);
	ret = unpin_link(instance->name, hook, err);
	if (!ret)
		ret = shunt_place_detach(hook, place->made_qdisc, instance->name,
					 instance->ifindex, err);
	if (!ret)
		ret = unpin_program(instance->name, hook, "", err);
	if (!ret)
		ret = unpin_program(instance->name, hook, "_next", err);
	if (!ret)
		ret = unpin_program(instance->name, hook, "_qdisc", err);
	if (ret)
		return ret;
	hand_over_qdisc(instance->state, hook);
	memset(place, 0, sizeof(*place));
	return 0;
}

/* --- hooks and record -------------------------------------------------------- */

static bool has_link(const char *instance, enum shunt_hook hook)
{
	char path[SHUNT_PIN_MAX];

	shunt_hookpin_link_path(path, instance, hook);
	return !access(path, F_OK);
}

static bool has_program(const char *instance, enum shunt_hook hook, const char *suffix)
{
	char path[SHUNT_PIN_MAX];

	shunt_hookpin_path(path, instance, hook, suffix);
	return !access(path, F_OK);
}

/* Does a program of this instance sit there, pinned or not? */
static bool sits(const struct shunt_instance *instance, enum shunt_hook hook)
{
	uint32_t gen = shunt_maps_id(instance->maps.fd[SHUNT_MAP_GEN]), id = 0;
	struct shunt_program_object program;
	struct shunt_link_object link;

	if (hook != SHUNT_HOOK_XDP &&
	    shunt_object_program(shunt_place_filter(hook, instance->ifindex),
				 &program) &&
	    program.gen == gen && program.hook == hook)
		return true;
	while (shunt_object_next_program(&id, &program)) {
		uint32_t at = 0;

		if (program.gen == gen && program.hook == hook &&
		    shunt_object_next_link(&at, id, &link))
			return true;
	}
	return false;
}

enum shunt_residue_hook shunt_residue_hook(const struct shunt_instance *instance,
					   enum shunt_hook hook)
{
	const struct shunt_place *place = &instance->state->place[hook];
	bool any = has_link(instance->name, hook) ||
		   has_program(instance->name, hook, "") ||
		   has_program(instance->name, hook, "_qdisc");

	if (!place->on)
		return any ? SHUNT_RESIDUE_UNRECORDED : SHUNT_RESIDUE_SOUND;
	if (shunt_place_alive(hook, place, instance->name, instance->ifindex) &&
	    has_program(instance->name, hook, ""))
		return SHUNT_RESIDUE_SOUND;
	return sits(instance, hook) ? SHUNT_RESIDUE_UNPINNED : SHUNT_RESIDUE_LOST;
}

/* What an interface is called that was renamed or moved, with its programs on it. */
static bool note_name(struct shunt_instance *instance)
{
	struct shunt_state *state = instance->state;
	char name[IF_NAMESIZE] = "", text[SHUNT_INSTANCE_MAX];

	if (!instance->ifindex || !if_indextoname(instance->ifindex, name) ||
	    (!strcmp(name, state->interface) && instance->ifindex == state->ifindex) ||
	    shunt_instance_name(text, name, NULL) || strcmp(text, instance->name))
		return false;
	shunt_netns_name(state->netns, sizeof(state->netns));
	memcpy(state->interface, name, sizeof(name));
	state->ifindex = instance->ifindex;
	return true;
}

int shunt_residue_settle(struct shunt_instance *instance, struct shunt_err *err)
{
	enum shunt_residue_hook is[SHUNT_HOOK_MAX] = { 0 };
	bool unpinned = false, changed = false, meant = false;
	int hook, ret = 0;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		is[hook] = shunt_residue_hook(instance, hook);
		unpinned |= is[hook] == SHUNT_RESIDUE_UNPINNED;
		meant |= is[hook] == SHUNT_RESIDUE_UNRECORDED &&
			 shunt_place_qdisc_meant(hook, instance->name);
	}
	if (unpinned)
		ret = shunt_adopt(instance->name,
				  shunt_maps_id(instance->maps.fd[SHUNT_MAP_GEN]),
				  instance->ifindex, err);
	if (ret || !shunt_instance_sits(instance, instance->ifindex))
		return ret;
	/* attached last, taken off first: so the note of a qdisc is the last to go */
	for (hook = SHUNT_HOOK_MAX - 1; !ret && hook >= 0; hook--) {
		if (is[hook] != SHUNT_RESIDUE_LOST &&
		    is[hook] != SHUNT_RESIDUE_UNRECORDED)
			continue;
		/* both TC hooks share the qdisc: whichever leaves last takes it away */
		instance->state->place[hook].made_qdisc |= meant;
		changed |= meant || is[hook] == SHUNT_RESIDUE_LOST;
		ret = shunt_residue_unhook(instance, hook, err);
	}
	for (hook = 0; !ret && hook < SHUNT_HOOK_MAX; hook++)
		if (instance->state->place[hook].on)
			shunt_place_qdisc_noted(hook, instance->name);
	changed |= note_name(instance);
	if (!ret && changed)
		ret = shunt_state_stage(instance->state, instance->name, err);
	return ret || !changed ? ret : shunt_state_commit(instance->name, err);
}

/* --- all of it --------------------------------------------------------------- */

static void note_id(void *self, uint32_t map_id)
{
	struct shunt_residue *residue = self;

	if (map_id)
		residue->map[residue->maps++] = map_id;
}

/* The maps, and those inside the maps of sets and limits. */
static void note_maps(struct shunt_residue *residue, const struct shunt_maps *maps)
{
	size_t i;

	for (i = 0; i < SHUNT_MAP_COUNT; i++)
		note_id(residue, shunt_maps_id(maps->fd[i]));
	for (i = 0; i < maps->past_counters; i++)
		note_id(residue, shunt_maps_id(maps->past_counter[i]));
	shunt_sets_each_map(maps, note_id, residue);
	shunt_limits_each_map(maps, note_id, residue);
}

static bool map_exists(uint32_t id)
{
	int fd = bpf_map_get_fd_by_id(id);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void shunt_residue_wait(const struct shunt_residue *residue)
{
	int naps = 1000;
	size_t i;

	for (i = 0; i < residue->maps; i++)
		while (map_exists(residue->map[i]) && naps-- > 0)
			usleep(1000);
}

int shunt_residue_remove(const char *name, unsigned int ifindex,
			 struct shunt_residue *residue, struct shunt_err *err)
{
	struct shunt_instance instance;
	bool made_qdisc = false;
	int hook, ret;

	residue->maps = 0;
	ret = shunt_instance_open_named(&instance, name, err);
	/* the record may be missing or damaged; then there is only less to know */
	if (ret && !shunt_instance_is_broken(ret))
		return ret;
	if (!ret) {
		for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
			made_qdisc |= instance.state->place[hook].made_qdisc;
		note_maps(residue, &instance.maps);
		shunt_instance_close(&instance);
	}
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		made_qdisc |= shunt_place_qdisc_meant(hook, name);
	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		let_go(name, hook);
		ret = shunt_place_detach(hook, made_qdisc, name, ifindex, err);
		if (ret)
			return ret;
	}
	ret = shunt_steer_remove(name, err);
	if (!ret)
		ret = shunt_pin_remove_all(name, err);
	if (ret)
		residue->maps = 0; /* nothing goes that could be waited for */
	return ret;
}

int shunt_residue_clear(const char *name, unsigned int ifindex, bool *cleared,
			struct shunt_err *err)
{
	struct shunt_instance instance;
	struct shunt_residue residue;
	uint32_t gen;
	bool alive;
	int ret;

	*cleared = false;
	if (!shunt_instance_exists(name) || shunt_chain_elsewhere(name))
		return 0;
	ret = shunt_instance_open_named(&instance, name, err);
	if (ret == -ENOENT && shunt_state_exists(name)) {
		/* one that has a record and lost its pins may live all the same */
		ret = shunt_adopt_gen(name, &gen, err);
		if (!ret)
			ret = shunt_adopt(name, gen, ifindex, err);
		if (!ret)
			ret = shunt_instance_open_named(&instance, name, err);
	}
	/* what cannot be read may judge packets all the same */
	if (ret && ret != -ENOENT)
		return ret;
	/* a record that is not there is that of an attach which got no further */
	alive = shunt_pin_foreign(name) || (!ret && shunt_instance_alive(&instance));
	if (!ret)
		shunt_instance_close(&instance);
	if (alive)
		return 0;
	*cleared = true;
	ret = shunt_residue_remove(name, ifindex, &residue, err);
	shunt_residue_wait(&residue);
	return ret;
}
