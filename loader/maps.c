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

#define IMAGE_LEAST 65536u /* bytes of a slot */
#define RULES_LEAST 128u   /* counters of rules */

static uint32_t power_of_two(uint32_t at_least)
{
	uint32_t size = 1;

	while (size < at_least)
		size *= 2;
	return size;
}

static uint32_t at_most(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void shunt_maps_choose(struct shunt_maps *maps, const struct shunt_needs *needs)
{
	uint32_t bytes = needs->image_bytes + needs->image_bytes / 8;
	uint32_t rules = needs->counters > SHUNT_COUNTER_RULES
				 ? 2 * (needs->counters - SHUNT_COUNTER_RULES)
				 : 0;

	if (maps->fd[SHUNT_MAP_IMAGE] < 0)
		maps->image_bytes =
			at_most(power_of_two(bytes < IMAGE_LEAST ? IMAGE_LEAST : bytes),
				SHUNT_IMAGE_BYTES);
	if (maps->fd[SHUNT_MAP_COUNTER] < 0)
		maps->counters = at_most(
			SHUNT_COUNTER_RULES +
				power_of_two(rules < RULES_LEAST ? RULES_LEAST : rules),
			SHUNT_COUNTER_MAX);
}

/* The two maps whose size is the instance's own. */
static int size(const struct shunt_maps *maps, struct bpf_object *object,
		struct shunt_err *err)
{
	int ret = 0;

	if (maps->fd[SHUNT_MAP_IMAGE] < 0)
		ret = bpf_map__set_value_size(find(object, SHUNT_MAP_IMAGE),
					      maps->image_bytes);
	if (!ret && maps->fd[SHUNT_MAP_COUNTER] < 0)
		ret = bpf_map__set_max_entries(find(object, SHUNT_MAP_COUNTER),
					       maps->counters * SHUNT_HOOK_MAX);
	return ret ? shunt_fail_errno(err, ret,
				      "size the maps for images of %u bytes and %u "
				      "counters",
				      maps->image_bytes, maps->counters)
		   : 0;
}

int shunt_maps_lend(const struct shunt_maps *maps, struct bpf_object *object,
		    struct shunt_err *err)
{
	int i, ret = size(maps, object, err);

	if (ret)
		return ret;

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

/* --- memory ------------------------------------------------------------------ */

int shunt_maps_mmap_images(struct shunt_maps *maps, struct shunt_err *err)
{
	void *at =
		mmap(NULL, SHUNT_SLOTS * (size_t)maps->image_bytes,
		     PROT_READ | PROT_WRITE, MAP_SHARED, maps->fd[SHUNT_MAP_IMAGE], 0);

	if (at == MAP_FAILED)
		return shunt_fail_errno(err, -errno, "map the policy images");
	maps->images = at;
	return 0;
}

void shunt_maps_munmap_images(struct shunt_maps *maps)
{
	if (maps->images)
		munmap(maps->images, SHUNT_SLOTS * (size_t)maps->image_bytes);
	maps->images = NULL;
}

int shunt_maps_mmap(struct shunt_maps *maps, struct shunt_err *err)
{
	void *at = mmap(NULL, sizeof(*maps->gen), PROT_READ | PROT_WRITE, MAP_SHARED,
			maps->fd[SHUNT_MAP_GEN], 0);

	if (at == MAP_FAILED)
		return shunt_fail_errno(err, -errno, "map the generation word");
	maps->gen = at;
	return shunt_maps_mmap_images(maps, err);
}

struct shunt_image *shunt_maps_image(const struct shunt_maps *maps, uint64_t generation)
{
	size_t slot = shunt_gen_slot(generation);

	return (struct shunt_image *)(maps->images + slot * maps->image_bytes);
}

/* --- pins -------------------------------------------------------------------- */

#define NEXT_IMAGE "image_next"

/* The path of the nth map of counters. */
static void counter_path(char path[SHUNT_PIN_MAX], const char *instance, size_t n)
{
	char name[32];

	snprintf(name, sizeof(name), n ? "%s%zu" : "%s", names[SHUNT_MAP_COUNTER], n);
	shunt_pin_path(path, instance, "maps", name);
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

int shunt_maps_pin_image(const struct shunt_maps *maps, const char *instance,
			 struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];

	shunt_pin_path(path, instance, "maps", NEXT_IMAGE);
	unlink(path); /* a killed apply may have got this far */
	return shunt_pin_put(maps->fd[SHUNT_MAP_IMAGE], path, err);
}

int shunt_maps_pin_counter(const struct shunt_maps *maps, const char *instance,
			   struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];

	counter_path(path, instance, maps->past_counters);
	return shunt_pin_put(maps->fd[SHUNT_MAP_COUNTER], path, err);
}

int shunt_maps_settle(const char *instance, struct shunt_err *err)
{
	char from[SHUNT_PIN_MAX], to[SHUNT_PIN_MAX];

	shunt_pin_path(from, instance, "maps", NEXT_IMAGE);
	shunt_pin_path(to, instance, "maps", names[SHUNT_MAP_IMAGE]);
	if (rename(from, to) && errno != ENOENT)
		return shunt_fail_errno(err, -errno, "rename %s to %s", from, to);
	return 0;
}

int shunt_maps_close_gaps(const char *instance, bool *gaps, struct shunt_err *err)
{
	char from[SHUNT_PIN_MAX], to[SHUNT_PIN_MAX];
	size_t n, next = 0;

	if (gaps)
		*gaps = false;
	for (n = 0; n <= SHUNT_COUNTER_MAPS; n++) {
		counter_path(from, instance, n);
		if (access(from, F_OK))
			continue;
		counter_path(to, instance, next);
		if (gaps)
			*gaps |= n != next;
		else if (n != next && rename(from, to))
			return shunt_fail_errno(err, -errno, "rename %s to %s", from,
						to);
		next++;
	}
	return 0;
}

/* A pinned map; -1: there is none. */
static int open_pin(int *fd, const char *path, struct shunt_err *err)
{
	*fd = bpf_obj_get(path);
	if (*fd >= 0 || errno == ENOENT)
		return 0;
	return shunt_fail_errno(err, -errno, "open the pin %s", path);
}

/* The maps of counters, the last of which is the one that is used. */
static int open_counters(struct shunt_maps *maps, const char *instance,
			 struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	int fd, ret;

	while (maps->past_counters < SHUNT_COUNTER_MAPS) {
		bool first = maps->fd[SHUNT_MAP_COUNTER] < 0;

		counter_path(path, instance, first ? 0 : maps->past_counters + 1);
		ret = open_pin(&fd, path, err);
		if (ret || fd < 0)
			return ret;
		if (!first)
			maps->past_counter[maps->past_counters++] =
				maps->fd[SHUNT_MAP_COUNTER];
		maps->fd[SHUNT_MAP_COUNTER] = fd;
	}
	return 0;
}

static int open_all(struct shunt_maps *maps, const char *instance,
		    struct shunt_err *err)
{
	char path[SHUNT_PIN_MAX];
	int i, ret = open_counters(maps, instance, err);

	shunt_pin_path(path, instance, "maps", NEXT_IMAGE);
	if (!ret)
		ret = open_pin(&maps->fd[SHUNT_MAP_IMAGE], path, err);
	for (i = 0; !ret && i < SHUNT_MAP_COUNT; i++) {
		shunt_pin_path(path, instance, "maps", names[i]);
		if (maps->fd[i] < 0)
			ret = open_pin(&maps->fd[i], path, err);
	}
	return ret;
}

int shunt_maps_measure(struct shunt_maps *maps, struct shunt_err *err)
{
	struct bpf_map_info image = { 0 }, counter = { 0 };
	__u32 image_len = sizeof(image), counter_len = sizeof(counter);

	if (bpf_obj_get_info_by_fd(maps->fd[SHUNT_MAP_IMAGE], &image, &image_len) ||
	    bpf_obj_get_info_by_fd(maps->fd[SHUNT_MAP_COUNTER], &counter, &counter_len))
		return shunt_fail_errno(err, -errno, "ask for the size of the maps");
	maps->image_bytes = image.value_size;
	maps->counters = counter.max_entries / SHUNT_HOOK_MAX;
	return 0;
}

int shunt_maps_open(struct shunt_maps *maps, const char *instance,
		    struct shunt_err *err)
{
	int ret;

	*maps = (struct shunt_maps)SHUNT_MAPS_NONE;
	ret = open_all(maps, instance, err);
	if (!ret && (maps->fd[SHUNT_MAP_GEN] < 0 || maps->fd[SHUNT_MAP_IMAGE] < 0 ||
		     maps->fd[SHUNT_MAP_COUNTER] < 0))
		ret = shunt_fail(err, -ENOENT,
				 "open instance %s: its maps are not all pinned; "
				 "`shunt detach` removes what is left of it",
				 instance);
	if (!ret)
		ret = shunt_maps_measure(maps, err);
	if (!ret)
		ret = shunt_maps_mmap(maps, err);
	if (ret)
		shunt_maps_close(maps);
	return ret;
}

uint32_t shunt_maps_id(int fd)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) ? info.id : 0;
}

void shunt_maps_close(struct shunt_maps *maps)
{
	size_t i;

	for (i = 0; i < SHUNT_MAP_COUNT; i++)
		if (maps->fd[i] >= 0)
			close(maps->fd[i]);
	for (i = 0; i < maps->past_counters; i++)
		close(maps->past_counter[i]);
	if (maps->gen)
		munmap(maps->gen, sizeof(*maps->gen));
	shunt_maps_munmap_images(maps);
	*maps = (struct shunt_maps)SHUNT_MAPS_NONE;
}
