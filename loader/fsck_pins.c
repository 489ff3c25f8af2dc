/* SPDX-License-Identifier: BSD-2-Clause */
/* fsck of an instance's pins: strange ones, staged ones, missing ones. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loader/adopt.h"
#include "loader/bpffs.h"
#include "loader/finding.h"
#include "loader/fsck.h"
#include "loader/maps.h"
#include "loader/objects.h"
#include "loader/program.h"
#include "loader/steer_record.h"
#include "user/base/cleanup.h"

static bool is_map_leaf(const char *leaf)
{
	unsigned int n;
	int end = 0;

	if (sscanf(leaf, "counter%u%n", &n, &end) == 1 && !leaf[end])
		return n > 0 && n <= SHUNT_COUNTER_MAPS;
#define X(id, name)                                                                    \
	if (!strcmp(leaf, name))                                                       \
		return true;
	SHUNT_MAPS(X)
#undef X
	return false;
}

/* The kind of a hook's pin by what stands behind the hook's name; -1: it is sound. */
static int program_leaf(const char *leaf)
{
	int hook;

	for (hook = 0; hook < SHUNT_HOOK_MAX; hook++) {
		const char *name = shunt_hook_name(hook);
		size_t len = strlen(name);

		if (strncmp(leaf, name, len))
			continue;
		if (!leaf[len])
			return -1;
		if (!strcmp(leaf + len, "_next"))
			return SHUNT_FINDING_STAGED_PROGRAM;
		if (!strcmp(leaf + len, "_qdisc"))
			return SHUNT_FINDING_STAGED_QDISC;
	}
	return SHUNT_FINDING_UNKNOWN_PIN;
}

static int kind_of(const char *folder, const char *leaf)
{
	if (!strcmp(folder, "links"))
		return !shunt_pin_is_link(leaf) ? SHUNT_FINDING_UNKNOWN_PIN
		       : strstr(leaf, "_next")	? SHUNT_FINDING_STAGED_PROGRAM
						: -1;
	if (!strcmp(folder, "progs"))
		return program_leaf(leaf);
	if (!strcmp(folder, "maps"))
		return !strcmp(leaf, "image_next") ? SHUNT_FINDING_STAGED_IMAGE
		       : is_map_leaf(leaf)	   ? -1
						   : SHUNT_FINDING_UNKNOWN_PIN;
	return SHUNT_FINDING_UNKNOWN_PIN;
}

static void found_pin(const char *instance, cJSON *list, int kind, const char *path)
{
	static const char *const why[] = {
		[SHUNT_FINDING_UNKNOWN_PIN] =
			"this version of Shunt pins nothing of that name: another one "
			"does, or somebody has put it there",
		[SHUNT_FINDING_STAGED_RECORD] =
			"a command was killed between writing this record and putting "
			"it into place",
		[SHUNT_FINDING_STAGED_PROGRAM] =
			"a command was killed while this program took its hook over",
		[SHUNT_FINDING_STAGED_IMAGE] =
			"an apply was killed before all programs used this map, which "
			"is larger than the one before",
		[SHUNT_FINDING_STAGED_QDISC] =
			"an attach was killed before its record said that it had made "
			"the clsact qdisc",
	};

	if (kind >= 0)
		shunt_finding_add(list, kind, instance, path, "%s", why[kind]);
}

static void check_folder(const char *instance, cJSON *list, const char *folder)
{
	char path[SHUNT_PIN_MAX];
	struct dirent *entry;

	shunt_pin_path(path, instance, folder, NULL);
	_dir_ DIR *dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) > 64)
			continue;
		shunt_pin_path(path, instance, folder, entry->d_name);
		found_pin(instance, list, kind_of(folder, entry->d_name), path);
	}
}

static void check_pins(const char *instance, cJSON *list)
{
	static const char *const known[] = { "links",	"progs", "maps",
					     "history", "state", "state_next" };
	char path[SHUNT_PIN_MAX];
	struct dirent *entry;
	size_t i;

	shunt_pin_path(path, instance, NULL, NULL);
	_dir_ DIR *dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		bool is_known = entry->d_name[0] == '.';

		for (i = 0; i < sizeof(known) / sizeof(*known); i++)
			is_known |= !strcmp(entry->d_name, known[i]);
		is_known |= shunt_steer_is_pin(entry->d_name);
		if (strlen(entry->d_name) > 64)
			continue;
		shunt_pin_path(path, instance, entry->d_name, NULL);
		if (!is_known)
			found_pin(instance, list, SHUNT_FINDING_UNKNOWN_PIN, path);
		else if (!strcmp(entry->d_name, "state_next"))
			found_pin(instance, list, SHUNT_FINDING_STAGED_RECORD, path);
	}
	for (i = 0; i < 3; i++)
		check_folder(instance, list, known[i]);
}

static void check_counters(const char *instance, cJSON *list)
{
	char path[SHUNT_PIN_MAX];
	bool gaps;

	shunt_pin_path(path, instance, "maps", "counter");
	if (!shunt_maps_close_gaps(instance, &gaps, NULL) && gaps)
		shunt_finding_add(list, SHUNT_FINDING_COUNTER_GAP, instance, path,
				  "a map of counters between others has lost its pin, "
				  "so that those behind it were not found; what the "
				  "lost one had counted is gone");
}

/* Maps that the programs use and that are not pinned. */
static void check_maps(const char *instance, cJSON *list)
{
	uint32_t gen, id = 0;
	struct shunt_program_object program;
	char path[SHUNT_PIN_MAX], name[16];
	size_t i;

	if (shunt_adopt_gen(instance, &gen, NULL))
		return; /* what cannot be asked is found in opening it */
	while (gen && shunt_object_next_program(&id, &program)) {
		for (i = 0; program.gen == gen && i < program.maps; i++) {
			shunt_object_map_name(program.map[i], name);
			if (strncmp(name, "shunt_", 6) || !is_map_leaf(name + 6))
				continue;
			shunt_pin_path(path, instance, "maps", name + 6);
			if (!access(path, F_OK))
				continue;
			shunt_finding_add(list, SHUNT_FINDING_MAP_UNPINNED, instance,
					  path,
					  "program %s (id %u) uses this map, but "
					  "somebody has removed its pin",
					  program.name, program.id);
		}
		if (program.gen == gen)
			return;
	}
}

void shunt_fsck_pins(const char *instance, cJSON *list)
{
	check_pins(instance, list);
	check_counters(instance, list);
	check_maps(instance, list);
}
