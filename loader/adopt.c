/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/adopt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "loader/hook.h"
#include "loader/hookpin.h"
#include "loader/maps.h"
#include "loader/objects.h"
#include "loader/program.h"
#include "user/base/cleanup.h"

/* By what is pinned for one hook. */
static int gen_of_hook(const char *instance, int hook, uint32_t *gen,
		       struct shunt_err *err)
{
	struct shunt_program_object program;
	uint32_t linked, pinned;
	bool sits;
	int ret = shunt_hookpin_ask_link(instance, hook, &linked, &sits, err);

	if (!ret)
		ret = shunt_hookpin_ask(instance, hook, "", &pinned, err);
	if (!ret && (shunt_object_program(linked, &program) ||
		     shunt_object_program(pinned, &program)))
		*gen = program.gen;
	return ret;
}

int shunt_adopt_gen(const char *instance, uint32_t *gen, struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	int hook, ret = 0;

	*gen = 0;
	shunt_pin_path(path, instance, "maps", "gen");
	_fd_ int fd = bpf_obj_get(path);
	if (fd < 0 && fd != -ENOENT)
		return shunt_fail_errno(err, fd, "open the pin %s", path);
	*gen = shunt_maps_id(fd);
	for (hook = 0; !ret && !*gen && hook < SHUNT_HOOK_MAX; hook++)
		if (shunt_hook_name(hook))
			ret = gen_of_hook(instance, hook, gen, err);
	return ret;
}

/* Pins a descriptor, which is the caller's, where there is no pin. */
static int pin(const char *instance, const char *folder, const char *leaf, int fd,
	       struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];

	shunt_pin_path(path, instance, folder, leaf);
	if (!access(path, F_OK))
		return 0;
	return fd < 0 ? shunt_fail_errno(err, fd, "open what is to be pinned as %s",
					 path)
		      : shunt_pin_put(fd, path, err);
}

static int pin_maps(const char *instance, const struct shunt_program_object *program,
		    struct shunt_err *err)
{
	static const char *const names[] = {
#define X(id, name) name,
		SHUNT_MAPS(X)
#undef X
	};
	int ret = 0;
	size_t i, n;

	for (i = 0; !ret && i < program->maps; i++) {
		char name[16];

		shunt_object_map_name(program->map[i], name);
		for (n = 0; !ret && n < SHUNT_MAP_COUNT; n++) {
			if (strncmp(name, "shunt_", 6) || strcmp(name + 6, names[n]))
				continue;
			_fd_ int fd = bpf_map_get_fd_by_id(program->map[i]);
			ret = pin(instance, "maps", names[n], fd, err);
		}
	}
	return ret;
}

static int adopt(const char *instance, const struct shunt_program_object *program,
		 const struct shunt_link_object *link, struct shunt_err *err)
{
	char leaf[32];
	const char *hook = shunt_hook_name(program->hook);
	int ret = pin_maps(instance, program, err);

	_fd_ int prog_fd = bpf_prog_get_fd_by_id(program->id);
	if (!ret)
		ret = pin(instance, "progs", hook, prog_fd, err);
	if (ret || !link)
		return ret;
	snprintf(leaf, sizeof(leaf), "%s%s", hook, link->ip6 ? "6" : "");
	_fd_ int link_fd = bpf_link_get_fd_by_id(link->id);
	return pin(instance, "links", leaf, link_fd, err);
}

int shunt_adopt(const char *instance, uint32_t gen, unsigned int ifindex,
		struct shunt_err *err)
{
	struct shunt_program_object program;
	struct shunt_link_object link;
	uint32_t id = 0;
	int ret = shunt_pin_mkdirs(instance, err);

	while (!ret && shunt_object_next_program(&id, &program)) {
		uint32_t link_id = 0;
		bool linked = false;

		if (program.gen != gen)
			continue;
		while (!ret && shunt_object_next_link(&link_id, id, &link)) {
			ret = adopt(instance, &program, &link, err);
			linked = true;
		}
		if (!ret && !linked && program.hook != SHUNT_HOOK_XDP && ifindex &&
		    shunt_place_filter(program.hook, ifindex) == id)
			ret = adopt(instance, &program, NULL, err);
	}
	return ret;
}
