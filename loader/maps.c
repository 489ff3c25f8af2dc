/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "loader/bpffs.h"

static const char *const names[SHUNT_MAP_COUNT] = {
#define X(id, name) [SHUNT_MAP_##id] = name,
	SHUNT_MAPS(X)
#undef X
};

static struct bpf_map *find(const struct bpf_object *object, int i)
{
	char name[32];

	snprintf(name, sizeof(name), "shunt_%s", names[i]);
	return bpf_object__find_map_by_name(object, name);
}

int shunt_maps_lend(const struct shunt_maps *maps, struct bpf_object *object,
		    struct shunt_err *err)
{
	int i, ret;

	for (i = 0; i < SHUNT_MAP_COUNT; i++) {
		struct bpf_map *map = find(object, i);

		if (!map || maps->fd[i] < 0)
			continue;
		ret = bpf_map__reuse_fd(map, maps->fd[i]);
		if (ret)
			return shunt_fail_errno(err, ret, "use the pinned map %s",
						names[i]);
	}
	return 0;
}

int shunt_maps_take(struct shunt_maps *maps, const struct bpf_object *object,
		    struct shunt_err *err)
{
	int i;

	for (i = 0; i < SHUNT_MAP_COUNT; i++) {
		const struct bpf_map *map = find(object, i);

		if (!map || maps->fd[i] >= 0)
			continue;
		maps->fd[i] = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);
		if (maps->fd[i] < 0)
			return shunt_fail_errno(err, -errno, "keep the map %s",
						names[i]);
	}
	return 0;
}

int shunt_maps_mmap(struct shunt_maps *maps, struct shunt_err *err)
{
	void *at = mmap(NULL, sizeof(*maps->gen), PROT_READ | PROT_WRITE, MAP_SHARED,
			maps->fd[SHUNT_MAP_GEN], 0);

	if (at == MAP_FAILED)
		return shunt_fail_errno(err, -errno, "map the generation word");
	maps->gen = at;
	at = mmap(NULL, SHUNT_SLOTS * (size_t)SHUNT_IMAGE_BYTES, PROT_READ | PROT_WRITE,
		  MAP_SHARED, maps->fd[SHUNT_MAP_IMAGE], 0);
	if (at == MAP_FAILED)
		return shunt_fail_errno(err, -errno, "map the policy images");
	maps->images = at;
	return 0;
}

int shunt_maps_pin(const struct shunt_maps *maps, const char *instance,
		   struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	int i, ret;

	for (i = 0; i < SHUNT_MAP_COUNT; i++) {
		shunt_pin_path(path, instance, "maps", names[i]);
		if (maps->fd[i] < 0 || !access(path, F_OK))
			continue;
		ret = shunt_pin_put(maps->fd[i], path, err);
		if (ret)
			return ret;
	}
	return 0;
}

int shunt_maps_open(struct shunt_maps *maps, const char *instance,
		    struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	int i;

	*maps = (struct shunt_maps)SHUNT_MAPS_NONE;
	for (i = 0; i < SHUNT_MAP_COUNT; i++) {
		shunt_pin_path(path, instance, "maps", names[i]);
		maps->fd[i] = bpf_obj_get(path);
		if (maps->fd[i] < 0 && errno != ENOENT) {
			int ret = -errno;

			shunt_maps_close(maps);
			return shunt_fail_errno(err, ret, "open the pin %s", path);
		}
	}
	if (maps->fd[SHUNT_MAP_GEN] < 0 || maps->fd[SHUNT_MAP_IMAGE] < 0 ||
	    maps->fd[SHUNT_MAP_COUNTER] < 0) {
		shunt_maps_close(maps);
		return shunt_fail(err, -ENOENT,
				  "open instance %s: its maps are not all pinned; "
				  "`shunt detach` removes what is left of it",
				  instance);
	}
	i = shunt_maps_mmap(maps, err);
	if (i)
		shunt_maps_close(maps);
	return i;
}

void shunt_maps_close(struct shunt_maps *maps)
{
	int i;

	for (i = 0; i < SHUNT_MAP_COUNT; i++)
		if (maps->fd[i] >= 0)
			close(maps->fd[i]);
	if (maps->gen)
		munmap(maps->gen, sizeof(*maps->gen));
	if (maps->images)
		munmap(maps->images, SHUNT_SLOTS * (size_t)SHUNT_IMAGE_BYTES);
	*maps = (struct shunt_maps)SHUNT_MAPS_NONE;
}
