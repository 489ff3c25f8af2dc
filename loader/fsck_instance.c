/* SPDX-License-Identifier: BSD-2-Clause */
/* fsck of one instance: a function a kind of finding. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "loader/adopt.h"
#include "loader/finding.h"
#include "loader/fsck.h"
#include "loader/limits.h"
#include "loader/lock.h"
#include "loader/namespaces.h"
#include "loader/netns.h"
#include "loader/objects.h"
#include "loader/program.h"
#include "loader/residue.h"
#include "loader/rings.h"
#include "loader/sets.h"
#include "loader/steer.h"
#include "loader/whereabouts.h"
#include "maps/ring.h"
#include "maps/setblob.h"
#include "user/base/cleanup.h"

#define LOCK_TRIES 500
#define LOCK_NAP_US 10000

struct look {
	const char *name;
	cJSON *list;
	bool namespace_gone;
	struct shunt_instance instance; /* opened to read */
	struct shunt_whereabouts at;	/* where it should be */
	struct shunt_err err;
};

/* --- hooks, record, interface ------------------------------------------------ */

static void check_hooks(struct look *look)
{
	static const struct {
		int kind;
		const char *why;
	} found[] = {
		[SHUNT_RESIDUE_UNRECORDED] = { SHUNT_FINDING_HOOK_UNRECORDED,
					       "an attach was killed before its record "
					       "named the hook, so it never came to "
					       "pass" },
		[SHUNT_RESIDUE_UNPINNED] = { SHUNT_FINDING_HOOK_UNPINNED,
					     "its program judges packets, but somebody "
					     "has removed the pin of the program or of "
					     "its link" },
		[SHUNT_RESIDUE_LOST] = { SHUNT_FINDING_HOOK_LOST,
					 "a detach of this hook was killed, its filter "
					 "or link was taken off by somebody else, or "
					 "the interface was moved (a clsact qdisc does "
					 "not go along)" },
	};
	char where[64];
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		enum shunt_residue_hook is = shunt_residue_hook(&look->instance, hook);

		if (is == SHUNT_RESIDUE_SOUND)
			continue;
		snprintf(where, sizeof(where), "hook %s of %s", shunt_hook_name(hook),
			 look->instance.state->interface);
		shunt_finding_add(look->list, found[is].kind, look->name, where, "%s",
				  found[is].why);
	}
}

/* An instance none of whose hooks judges packets. */
static void check_dead(struct look *look)
{
	const struct shunt_state *state = look->instance.state;

	if (look->namespace_gone)
		shunt_finding_add(
			look->list, SHUNT_FINDING_NAMESPACE_GONE, look->name,
			state->interface,
			"its network namespace%s%s is gone, and with it the "
			"interface; the pins stay until somebody removes them",
			*state->netns ? " " : "", state->netns);
	else if (look->instance.ifindex && look->instance.ifindex != state->ifindex)
		shunt_finding_add(look->list, SHUNT_FINDING_INTERFACE_GONE, look->name,
				  state->interface,
				  "its interface (ifindex %u) was deleted; the one of "
				  "that name (ifindex %u) is another, which has no "
				  "program of Shunt's",
				  state->ifindex, look->instance.ifindex);
	else
		shunt_finding_add(look->list, SHUNT_FINDING_INTERFACE_GONE, look->name,
				  state->interface,
				  "its interface (ifindex %u) was deleted, or all of "
				  "its programs were taken off; the pins stay until "
				  "somebody removes them",
				  state->ifindex);
}

/* Is the interface called otherwise, or in another namespace? */
static void check_place(struct look *look)
{
	const struct shunt_state *state = look->instance.state;
	size_t prefix = strcspn(look->name, ":");
	bool same;

	if (!strcmp(look->at.instance, look->name)) {
		if (strcmp(state->interface, look->at.interface))
			shunt_finding_add(look->list, SHUNT_FINDING_RENAMED, look->name,
					  state->interface,
					  "its interface is called %s now; a command "
					  "was killed before the record said so",
					  look->at.interface);
		return;
	}
	same = !strchr(look->name, ':') == !strchr(look->at.instance, ':') &&
	       (!strchr(look->name, ':') ||
		!strncmp(look->name, look->at.instance, prefix + 1));
	shunt_finding_add(
		look->list, same ? SHUNT_FINDING_RENAMED : SHUNT_FINDING_MOVED,
		look->name, state->interface,
		same ? "its interface (ifindex %u) is called %s now (instance %s)%s"
		     : "its interface (ifindex %u) is called %s in another network "
		       "namespace now (instance %s)%s",
		look->at.ifindex, look->at.interface, look->at.instance,
		same ? "; rules with \"iface\" go by the old name until the next apply"
		     : "");
}

/* --- what the maps hold ------------------------------------------------------ */

static void check_idle(struct look *look)
{
	const struct shunt_maps *maps = &look->instance.maps;
	uint64_t generation = look->instance.state->generation;
	const struct shunt_image *idle = shunt_maps_image(maps, generation + 1);
	char where[64];

	/* a trial that is over was in this slot, and no command has come by since */
	if (look->instance.gen.armed || idle->generation <= generation)
		return;
	snprintf(where, sizeof(where), "slot %u of shunt_image (map %u)",
		 shunt_gen_slot(generation + 1),
		 shunt_maps_id(maps->fd[SHUNT_MAP_IMAGE]));
	shunt_finding_add(look->list, SHUNT_FINDING_IDLE_IMAGE, look->name, where,
			  "an apply was killed or refused after it had written "
			  "generation %llu here, wholly or in part; no program reads "
			  "this slot, and the next apply writes over it",
			  (unsigned long long)idle->generation);
}

static void check_edit(struct look *look, const struct shunt_state_set *set)
{
	struct shunt_set_ref ref = { set->name, set->id, set->type, set->size };
	struct shunt_blob_head head;
	uint32_t line = 0;

	_Static_assert(sizeof(head) == SHUNT_BLOB_LINE, "line 0 is the head");
	if (set->type == SHUNT_SET_SERVICE)
		return;
	_fd_ int fd = shunt_set_open(&look->instance.maps, &ref, NULL);
	if (fd < 0 || bpf_map_lookup_elem(fd, &line, &head) ||
	    head.applied >= head.logged)
		return;
	shunt_finding_add(look->list, SHUNT_FINDING_SET_EDIT, look->name, set->name,
			  "a `shunt set` was killed after it had noted a member and "
			  "before programs saw it");
}

static void check_sets(struct look *look)
{
	const struct shunt_state *state = look->instance.state;
	const struct shunt_gen *gen = look->instance.maps.gen;
	uint64_t ids = gen->set_members[0] | gen->set_members[1];
	char where[64];
	size_t s;
	int id;

	for (s = 0; s < state->sets; s++) {
		ids &= ~(1ull << state->set[s].id);
		check_edit(look, &state->set[s]);
	}
	for (id = 0; id < SHUNT_SET_IDS; id++) {
		if (!(ids >> id & 1))
			continue;
		snprintf(where, sizeof(where), "set id %d of %s", id, state->interface);
		shunt_finding_add(look->list, SHUNT_FINDING_UNUSED_SET, look->name,
				  where,
				  "an apply was killed before its policy ruled, or "
				  "before it cleared away what it replaced");
	}
}

static void check_limits(struct look *look)
{
	const struct shunt_state *state = look->instance.state;
	uint64_t ids = look->instance.maps.gen->limit_maps;
	char where[64];
	size_t r;
	int id;

	for (r = 0; r < state->rules; r++)
		if (state->rule[r].limit.rate &&
		    state->rule[r].limit.by != SHUNT_LIMIT_RULE)
			ids &= ~(1ull << state->rule[r].limiter);
	for (id = 0; id < SHUNT_LIMIT_BY_IDS; id++) {
		if (!(ids >> id & 1))
			continue;
		snprintf(where, sizeof(where), "table %d of limits of %s", id,
			 state->interface);
		shunt_finding_add(look->list, SHUNT_FINDING_UNUSED_LIMIT, look->name,
				  where,
				  "an apply was killed before its policy ruled, or "
				  "before it cleared away what it replaced");
	}
}

static void check_rings(struct look *look)
{
	const struct shunt_state *state = look->instance.state;
	uint32_t place;
	char where[64];

	for (place = 0; place < SHUNT_RING_PLACES; place++) {
		if (!shunt_ring_is_dead(&look->instance.maps, place))
			continue;
		snprintf(where, sizeof(where), "ring %u of %s", place,
			 state->interface);
		shunt_finding_add(look->list, SHUNT_FINDING_DEAD_RING, look->name,
				  where,
				  "its reader was killed: it fills and is full from "
				  "then on, until another reader comes");
	}
}

static void found_lost(void *ctx, const char *what)
{
	struct look *look = ctx;

	shunt_finding_add(look->list, SHUNT_FINDING_STEERING_LOST, look->name, what,
			  "somebody has changed it, or the driver has forgotten it, as "
			  "some do when an interface goes down");
}

static void check_steering(struct look *look)
{
	if (look->instance.gen.armed || !shunt_netns_is_of(look->at.instance))
		return; /* the NIC has what both policies want */
	if (shunt_steer_is_staged(&look->instance))
		shunt_finding_add(look->list, SHUNT_FINDING_STAGED_STEERING, look->name,
				  look->instance.state->interface,
				  "a command was killed after it had begun to change "
				  "the NIC's filters or queues");
	else
		shunt_steer_lost(&look->instance, found_lost, look);
}

/* --- all of them ------------------------------------------------------------- */

/* Does any program of an instance that cannot be opened judge packets? */
static bool judges(const char *name, unsigned int ifindex)
{
	struct shunt_program_object program;
	struct shunt_link_object link;
	uint32_t gen, id = 0;

	if (shunt_adopt_gen(name, &gen, NULL))
		return true; /* in doubt */
	while (gen && shunt_object_next_program(&id, &program)) {
		uint32_t at = 0;

		if (program.gen == gen &&
		    (shunt_object_next_link(&at, id, &link) ||
		     shunt_place_carries(program.hook, ifindex, id)))
			return true;
	}
	return false;
}

static void check_broken(struct look *look, int error)
{
	char path[SHUNT_PIN_MAX];
	int kind = error == -EPROTO   ? SHUNT_FINDING_RECORD_REFUSED
		   : error == -EAGAIN ? SHUNT_FINDING_RECORD_ASTRAY
				      : SHUNT_FINDING_UNFINISHED;

	shunt_pin_path(path, look->name, NULL, NULL);
	if (kind == SHUNT_FINDING_UNFINISHED)
		shunt_finding_add(look->list, kind, look->name, path,
				  "an attach was killed before it wrote its record, or "
				  "a detach before it had removed all pins");
	else
		shunt_finding_add(look->list, kind, look->name, path, "%s",
				  look->err.message);
}

static void check_living(struct look *look)
{
	if (shunt_whereabouts(&look->instance, true, &look->at))
		memcpy(look->at.instance, look->name, strlen(look->name) + 1);
	else
		check_place(look);
	/* its folder is to follow it; hooks are asked for where it is */
	if (shunt_netns_is_of(look->at.instance) && look->at.ifindex)
		look->instance.ifindex = look->at.ifindex;
	check_hooks(look);
	check_idle(look);
	check_sets(look);
	check_limits(look);
	check_rings(look);
	check_steering(look);
}

/* In the instance's namespace, if there is one. */
static int look_at(void *ctx)
{
	struct look *look = ctx;
	char interface[IF_NAMESIZE];
	int ret;

	snprintf(look->at.instance, sizeof(look->at.instance), "%s", look->name);
	if (!shunt_instance_exists(look->name))
		return 0;
	shunt_fsck_pins(look->name, look->list);
	ret = shunt_instance_open_named(&look->instance, look->name, &look->err);
	shunt_instance_interface(interface, look->name);
	look->instance.ifindex = look->namespace_gone ? 0 : if_nametoindex(interface);
	if (ret == -ENOENT && shunt_state_exists(look->name) &&
	    judges(look->name, look->instance.ifindex))
		return 0; /* that is what shunt_fsck_pins() has found */
	if (ret)
		check_broken(look, ret);
	else if (shunt_instance_alive(&look->instance))
		check_living(look);
	else if (!shunt_pin_foreign(look->name))
		check_dead(look);
	return 0;
}

static struct shunt_whereabouts inspect(const char *name, cJSON *list)
{
	struct look look = { .name = name,
			     .list = list,
			     .instance = SHUNT_INSTANCE_NONE };

	if (shunt_namespaces_inside(name, look_at, &look) == -ESRCH) {
		look.namespace_gone = true;
		look_at(&look);
	}
	shunt_instance_close(&look.instance);
	return look.at;
}

/* --- repairing --------------------------------------------------------------- */

struct repair {
	const char *name;
	struct shunt_err *err;
};

/* The image that never ruled: a reader of the slot finds no rule in it. */
static void empty_idle(struct shunt_instance *instance)
{
	uint64_t generation = instance->state->generation;
	struct shunt_image *idle = shunt_maps_image(&instance->maps, generation + 1);

	if (idle->generation > generation)
		memset(idle, 0, sizeof(*idle));
}

static int steer_again(const struct shunt_instance *instance, struct shunt_err *err)
{
	const struct shunt_settling settling = { .state = instance->state,
						 .again = true };

	return shunt_steer_settle(instance, &settling, err);
}

/* As a command that changes the instance begins, and it is under our lock already. */
static int load(void *ctx)
{
	const struct repair *repair = ctx;
	struct shunt_instance instance = SHUNT_INSTANCE_NONE;
	char interface[IF_NAMESIZE];
	uint32_t gen;
	bool cleared;
	int ret = shunt_adopt_gen(repair->name, &gen, repair->err);

	shunt_instance_interface(interface, repair->name);
	instance.ifindex = if_nametoindex(interface);
	snprintf(instance.name, sizeof(instance.name), "%s", repair->name);
	if (!ret)
		ret = shunt_residue_clear(repair->name, instance.ifindex, &cleared,
					  repair->err);
	if (ret || cleared)
		return ret;
	ret = shunt_maps_close_gaps(repair->name, NULL, repair->err);
	if (!ret && gen)
		ret = shunt_adopt(repair->name, gen, instance.ifindex, repair->err);
	if (!ret)
		ret = shunt_instance_load(&instance, repair->err);
	if (!ret)
		empty_idle(&instance);
	if (!ret && !instance.gen.armed)
		ret = steer_again(&instance, repair->err);
	shunt_instance_forget(&instance);
	return ret;
}

static void unlock(int lock, const char *name)
{
	if (shunt_instance_exists(name))
		close(lock);
	else
		shunt_unlock_gone(lock, name);
}

static int repair_here(const char *name, struct shunt_err *err)
{
	struct repair repair = { name, err };
	int ret = shunt_namespaces_inside(name, load, &repair);
	bool cleared;

	/* gone with its namespace, unless its interface lives in another */
	return ret == -ESRCH ? shunt_residue_clear(name, 0, &cleared, err) : ret;
}

/* Where the interface is called otherwise, the folder follows it first. */
static int repair(const char *name, const struct shunt_whereabouts *at,
		  struct shunt_err *err)
{
	int lock, ret;

	if (!strcmp(at->instance, name))
		return repair_here(name, err);
	ret = shunt_lock_try(&lock, at->instance, err);
	if (ret)
		return ret;
	ret = shunt_whereabouts_follow(name, at, err);
	if (!ret)
		ret = repair_here(at->instance, err);
	unlock(lock, at->instance);
	return ret;
}

static int take_lock(int *lock, const char *name, struct shunt_err *err)
{
	int tries, ret = -EBUSY;

	for (tries = 0; ret == -EBUSY && tries < LOCK_TRIES; tries++) {
		if (tries)
			usleep(LOCK_NAP_US);
		ret = shunt_lock_try(lock, name, err);
	}
	return ret;
}

int shunt_fsck_instance(const char *name, bool mend, cJSON *list, struct shunt_err *err)
{
	cJSON *before = cJSON_CreateArray(), *now;
	struct shunt_whereabouts at;
	struct shunt_err why = { "" };
	int lock, ret = take_lock(&lock, name, err);

	if (ret == -EBUSY) {
		shunt_finding_add(list, SHUNT_FINDING_BUSY, name, name,
				  "another command has held its lock for five seconds");
		ret = 0;
	} else if (!ret) {
		at = inspect(name, before);
		if (mend && cJSON_GetArraySize(before)) {
			/* what stays is told by the second look */
			ret = repair(name, &at, &why);
			now = cJSON_CreateArray();
			inspect(shunt_instance_exists(name) ? name : at.instance, now);
			shunt_finding_compare(before, now);
			if (ret)
				shunt_finding_failed(before, why.message);
			ret = 0;
		}
		unlock(lock, name);
	}
	while (cJSON_GetArraySize(before))
		cJSON_AddItemToArray(list, cJSON_DetachItemFromArray(before, 0));
	cJSON_Delete(before);
	return ret;
}
