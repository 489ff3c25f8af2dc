/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/objects.h"

#include <string.h>

#include <bpf/bpf.h>
#include <linux/netfilter.h>

#include "loader/program.h"
#include "user/base/cleanup.h"

/* --- programs ---------------------------------------------------------------- */

/* The hook of a program's name; a suffix such as that of shunt_xdp_tag is a variant. */
static int hook_of(const char *name)
{
	static const char *const names[SHUNT_HOOK_MAX] = {
#define X(id, value, text, prog) [value] = #prog,
		SHUNT_HOOKS(X)
#undef X
	};
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		size_t len = names[hook] ? strlen(names[hook]) : 0;

		if (len && !strncmp(name, names[hook], len) &&
		    (!name[len] || name[len] == '_'))
			return hook;
	}
	return -1;
}

static bool map_info(uint32_t id, struct bpf_map_info *info)
{
	__u32 len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	_fd_ int fd = bpf_map_get_fd_by_id(id);
	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, info, &len);
}

/* Which of the three maps that all programs of Shunt have this one is. */
static unsigned int part_of(const struct bpf_map_info *info)
{
	if (!strcmp(info->name, "shunt_gen"))
		return info->type == BPF_MAP_TYPE_ARRAY && info->max_entries == 1 &&
		       info->map_flags & BPF_F_MMAPABLE;
	if (!strcmp(info->name, "shunt_image"))
		return (info->type == BPF_MAP_TYPE_ARRAY && info->max_entries == 2 &&
			info->map_flags & BPF_F_MMAPABLE)
		       << 1;
	return (!strcmp(info->name, "shunt_counter") &&
		info->type == BPF_MAP_TYPE_PERCPU_ARRAY)
	       << 2;
}

bool shunt_object_program(uint32_t id, struct shunt_program_object *object)
{
	const size_t room = sizeof(object->map) / sizeof(*object->map);
	struct bpf_prog_info info = { .map_ids = (uintptr_t)object->map,
				      .nr_map_ids = room };
	__u32 len = sizeof(info);
	unsigned int parts = 0;
	size_t i;
	int hook;

	_fd_ int fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return false;
	hook = hook_of(info.name);
	if (hook < 0)
		return false;
	object->id = id;
	object->hook = hook;
	object->gen = 0;
	memcpy(object->name, info.name, sizeof(object->name));
	object->maps = info.nr_map_ids < room ? info.nr_map_ids : room;
	for (i = 0; i < object->maps; i++) {
		struct bpf_map_info map;
		unsigned int part = map_info(object->map[i], &map) ? part_of(&map) : 0;

		parts |= part;
		if (part == 1)
			object->gen = object->map[i];
	}
	return parts == 7;
}

bool shunt_object_next_program(uint32_t *id, struct shunt_program_object *object)
{
	while (!bpf_prog_get_next_id(*id, id))
		if (shunt_object_program(*id, object))
			return true;
	return false;
}

/* --- links and maps ---------------------------------------------------------- */

/* The headers of Debian 12 are older. */
#define LINK_TYPE_NETFILTER 10
#define LINK_TYPE_TCX 11

/* The interface of a link that has one; 0: it has none. */
static unsigned int interface_of(const struct bpf_link_info *info)
{
	struct shunt_program_facts facts;

	if (info->type == LINK_TYPE_NETFILTER)
		return shunt_program_ask(SHUNT_HOOK_NETFILTER, info->prog_id, &facts,
					 NULL)
			       ? 0
			       : facts.ifindex;
	return info->type == BPF_LINK_TYPE_XDP || info->type == LINK_TYPE_TCX
		       ? info->xdp.ifindex
		       : 0;
}

bool shunt_object_next_link(uint32_t *id, uint32_t prog_id,
			    struct shunt_link_object *link)
{
	while (!bpf_link_get_next_id(*id, id)) {
		struct bpf_link_info info = { 0 };
		__u32 len = sizeof(info);

		_fd_ int fd = bpf_link_get_fd_by_id(*id);
		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) ||
		    (prog_id && info.prog_id != prog_id) || !interface_of(&info))
			continue;
		link->id = *id;
		link->prog_id = info.prog_id;
		link->ifindex = interface_of(&info);
		/* of netfilter, the family comes first */
		link->ip6 = info.type == LINK_TYPE_NETFILTER &&
			    info.xdp.ifindex == NFPROTO_IPV6;
		return true;
	}
	return false;
}

const char *shunt_object_map_name(uint32_t id, char name[16])
{
	struct bpf_map_info info;

	*name = 0;
	if (map_info(id, &info))
		memcpy(name, info.name, sizeof(info.name));
	return name;
}

bool shunt_object_next_map(uint32_t *id, char name[16])
{
	while (!bpf_map_get_next_id(*id, id)) {
		struct bpf_map_info info;

		if (!map_info(*id, &info) || !part_of(&info))
			continue;
		memcpy(name, info.name, sizeof(info.name));
		return true;
	}
	return false;
}
