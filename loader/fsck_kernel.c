/* SPDX-License-Identifier: BSD-2-Clause */
/* fsck of what no instance has: programs, links, filters and maps of Shunt. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "loader/adopt.h"
#include "loader/finding.h"
#include "loader/fsck.h"
#include "loader/gen.h"
#include "loader/holders.h"
#include "loader/lock.h"
#include "loader/namespaces.h"
#include "loader/objects.h"
#include "loader/program.h"
#include "loader/whereabouts.h"
#include "user/base/cleanup.h"

#define AGAIN_TRIES 50 /* the kernel frees in its own time */
#define AGAIN_NAP_US 20000

/* Where a program of Shunt's sits that no tree has. */
struct stray {
	struct shunt_program_object program;
	uint32_t link_id;     /* 0: a clsact filter, or nothing */
	unsigned int ifindex; /* 0: it sits nowhere */
	char interface[IF_NAMESIZE];
	bool take_off;
};

struct look {
	const struct shunt_fsck_opts *opts;
	struct shunt_holders holders;
	cJSON *list, *held;
	struct shunt_err *why; /* of an adoption that failed */
};

/* --- where it sits ----------------------------------------------------------- */

/* A filter on an interface of the calling thread's namespace. */
static bool look_for_filter(void *ctx)
{
	struct if_nameindex *all = if_nameindex(), *one;
	struct stray *stray = ctx;
	bool found = false;

	for (one = all; one && one->if_index && !found; one++) {
		found = shunt_place_filter(stray->program.hook, one->if_index) ==
			stray->program.id;
		if (!found)
			continue;
		stray->ifindex = one->if_index;
		snprintf(stray->interface, IF_NAMESIZE, "%s", one->if_name);
		if (stray->take_off)
			found = !shunt_place_take_filter(
				stray->program.hook, one->if_index, stray->program.id);
	}
	if (all)
		if_freenameindex(all);
	return found;
}

static void locate(struct stray *stray)
{
	struct shunt_link_object link;
	uint32_t at = 0;

	if (shunt_object_next_link(&at, stray->program.id, &link)) {
		stray->link_id = link.id;
		stray->ifindex = link.ifindex;
	} else if (stray->program.hook != SHUNT_HOOK_XDP) {
		shunt_namespaces_walk(look_for_filter, stray);
	}
}

/* --- adopting ---------------------------------------------------------------- */

/* The generation that is newest, on trial or not: its record is what `state` was. */
static uint64_t newest_of(uint32_t gen)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), key = 0;
	struct shunt_gen value;

	_fd_ int fd = bpf_map_get_fd_by_id(gen);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) ||
	    info.value_size != sizeof(value) || bpf_map_lookup_elem(fd, &key, &value))
		return 0;
	return shunt_gen_of(value.word, false);
}

static bool names_program(const struct shunt_state *state, const struct stray *stray)
{
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++)
		if (state->place[hook].on &&
		    state->place[hook].prog_id == stray->program.id)
			return true;
	return false;
}

/* The record that names the program and the generation that rules: its map, or -1. */
static int find_record(const struct stray *stray, struct shunt_state **state)
{
	uint64_t newest = newest_of(stray->program.gen);
	char name[16];
	uint32_t id = 0;

	while (!bpf_map_get_next_id(id, &id)) {
		if (strcmp(shunt_object_map_name(id, name), "shunt_state"))
			continue;
		_fd_ int fd = bpf_map_get_fd_by_id(id);
		if (fd < 0 || shunt_state_read_map(state, fd, name, NULL))
			continue;
		if ((*state)->generation == newest && names_program(*state, stray))
			return shunt_steal_fd(&fd);
		shunt_state_free(*state);
		*state = NULL;
	}
	return -1;
}

struct adoption {
	const struct stray *stray;
	struct shunt_whereabouts at;
	int record_fd;
	struct shunt_err *err;
};

/* The record first: a folder with links and no record would be taken for residue. */
static int pin_all(void *ctx)
{
	const struct adoption *a = ctx;
	char path[SHUNT_PIN_MAX];
	int ret = shunt_pin_mkdirs(a->at.instance, a->err);

	shunt_pin_path(path, a->at.instance, "state", NULL);
	if (!ret && access(path, F_OK))
		ret = shunt_pin_put(a->record_fd, path, a->err);
	return ret ? ret
		   : shunt_adopt(a->at.instance, a->stray->program.gen, a->at.ifindex,
				 a->err);
}

static int adopt(const struct stray *stray, struct shunt_err *err)
{
	struct shunt_instance as = SHUNT_INSTANCE_NONE;
	struct adoption a = { .stray = stray, .err = err };
	uint32_t gen = stray->program.gen;
	int lock, ret;

	_fd_ int fd = find_record(stray, &as.state);
	if (fd < 0)
		return shunt_fail(err, -ENOENT,
				  "the record of program %u is not alive any more, so "
				  "that nobody knows its policy's text",
				  stray->program.id);
	a.record_fd = fd;
	ret = shunt_whereabouts(&as, true, &a.at);
	shunt_instance_close(&as);
	if (ret)
		return shunt_fail(err, ret, "no interface has program %u",
				  stray->program.id);
	ret = shunt_lock_try(&lock, a.at.instance, err);
	if (ret)
		return ret;
	if (shunt_instance_exists(a.at.instance))
		ret = shunt_adopt_gen(a.at.instance, &gen, err);
	if (!ret && gen != stray->program.gen)
		ret = shunt_fail(err, -EEXIST, "there is another instance %s",
				 a.at.instance);
	else if (!ret)
		ret = shunt_namespaces_inside(a.at.instance, pin_all, &a);
	if (shunt_instance_exists(a.at.instance))
		close(lock);
	else
		shunt_unlock_gone(lock, a.at.instance);
	return ret;
}

static void take_off(struct stray *stray)
{
	stray->take_off = true;
	if (!stray->link_id) {
		shunt_namespaces_walk(look_for_filter, stray);
		return;
	}
	_fd_ int fd = bpf_link_get_fd_by_id(stray->link_id);
	if (fd >= 0)
		bpf_link_detach(fd);
}

/* --- what is found ----------------------------------------------------------- */

static void tell_held(cJSON *held, const char *what, uint32_t id, int pid)
{
	char path[64], name[32] = "?", text[160];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	_file_ FILE *comm = fopen(path, "re");
	if (comm && fgets(name, sizeof(name), comm))
		name[strcspn(name, "\n")] = 0;
	snprintf(text, sizeof(text), "program %s (id %u): process %d (%s)", what, id,
		 pid, name);
	cJSON_AddItemToArray(held, cJSON_CreateString(text));
}

static void found_program(struct look *look, const struct stray *stray)
{
	char where[128], hint[160] = "";
	int mounts = shunt_holders_mounts();

	if (mounts > 1)
		snprintf(hint, sizeof(hint),
			 ": %d file systems are mounted over each other at " SHUNT_BPFFS
			 ", and `umount " SHUNT_BPFFS "` takes the upper one away",
			 mounts);
	snprintf(where, sizeof(where), "program %s (id %u)", stray->program.name,
		 stray->program.id);
	if (stray->ifindex)
		shunt_finding_add(
			look->list, SHUNT_FINDING_HIDDEN, NULL, where,
			"it judges packets of ifindex %u by %s %u, and neither "
			"a process nor a tree that can be seen has it: the "
			"bpffs that it is pinned in is hidden or was unmounted%s",
			stray->ifindex,
			stray->link_id ? "link" : "a clsact filter, program",
			stray->link_id ? stray->link_id : stray->program.id, hint);
	else
		shunt_finding_add(
			look->list, SHUNT_FINDING_ORPHAN_PROGRAM, NULL, where,
			"neither a process nor a tree that can be seen has it: "
			"it is pinned under another path or in a bpffs that "
			"is hidden%s",
			hint);
}

static bool gone(uint32_t prog_id)
{
	_fd_ int fd = bpf_prog_get_fd_by_id(prog_id);

	return fd < 0;
}

static void check_programs(struct look *look, bool mend)
{
	struct stray stray = { .take_off = false };
	uint32_t id = 0;

	while (shunt_object_next_program(&id, &stray.program)) {
		const struct shunt_holder *holder =
			shunt_holder_of(&look->holders, SHUNT_OBJECT_PROGRAM, id);

		stray.link_id = 0;
		stray.ifindex = 0;
		stray.interface[0] = 0;
		if (holder && holder->pid && look->held)
			tell_held(look->held, stray.program.name, id, holder->pid);
		if (holder || gone(id))
			continue;
		locate(&stray);
		if (!mend)
			found_program(look, &stray);
		else if (stray.ifindex &&
			 !(look->opts->adopt && !adopt(&stray, look->why)) &&
			 look->opts->take_off)
			take_off(&stray);
	}
}

/* Does any program of Shunt's use it? */
static bool used(uint32_t map_id)
{
	struct shunt_program_object program;
	uint32_t id = 0;
	size_t i;

	while (shunt_object_next_program(&id, &program))
		for (i = 0; i < program.maps; i++)
			if (program.map[i] == map_id)
				return true;
	return false;
}

static void check_maps(struct look *look)
{
	char name[16], where[64];
	uint32_t id = 0;

	while (shunt_object_next_map(&id, name)) {
		if (shunt_holder_of(&look->holders, SHUNT_OBJECT_MAP, id) || used(id))
			continue;
		_fd_ int fd = bpf_map_get_fd_by_id(id);
		if (fd < 0)
			continue;
		snprintf(where, sizeof(where), "map %s (id %u)", name, id);
		shunt_finding_add(look->list, SHUNT_FINDING_ORPHAN_MAP, NULL, where,
				  "neither a program of Shunt's, nor a process, nor a "
				  "tree that can be seen has it");
	}
}

/* What a process lets go of is freed a moment later: that is no finding. */
static cJSON *inspect(const struct shunt_fsck_opts *opts, cJSON *held)
{
	struct look look = { .opts = opts };
	int tries;

	for (tries = 0; tries < AGAIN_TRIES; tries++) {
		if (tries)
			usleep(AGAIN_NAP_US);
		cJSON_Delete(look.list);
		look.list = cJSON_CreateArray();
		look.held = tries ? NULL : held;
		shunt_holders_find(&look.holders);
		check_programs(&look, false);
		check_maps(&look);
		shunt_holders_free(&look.holders);
		if (!cJSON_GetArraySize(look.list))
			break;
	}
	return look.list;
}

void shunt_fsck_kernel(const struct shunt_fsck_opts *opts, cJSON *list, cJSON *held)
{
	cJSON *before = inspect(opts, held);

	if (cJSON_GetArraySize(before) && (opts->adopt || opts->take_off)) {
		struct shunt_err why = { "" };
		struct look look = { .opts = opts, .why = &why };

		shunt_holders_find(&look.holders);
		check_programs(&look, true);
		shunt_holders_free(&look.holders);
		shunt_finding_compare(before, inspect(opts, NULL));
		if (*why.message)
			shunt_finding_failed(before, why.message);
	}
	while (cJSON_GetArraySize(before))
		cJSON_AddItemToArray(list, cJSON_DetachItemFromArray(before, 0));
	cJSON_Delete(before);
}
