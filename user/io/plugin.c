/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDERS_TEXT 1024

/* Where plug-ins lie beside a file of ours: a program, or libshunt.so. */
static const char *const beside[] = {
	"plugins",	 /* build/shunt, build/libshunt.so */
	"../plugins",	 /* build/bench/… */
	"../../plugins", /* build/tests/unit/… */
	"../lib/shunt",	 /* PREFIX/bin/shunt */
	"shunt",	 /* PREFIX/lib/libshunt.so */
};

struct search {
	const char *name;
	char path[PATH_MAX];
	char folders[FOLDERS_TEXT]; /* that were looked into, for the sentence */
};

static bool look_into(struct search *search, const char *folder)
{
	char whole[PATH_MAX];

	if (!realpath(folder, whole))
		snprintf(whole, sizeof(whole), "%s", folder);
	if (snprintf(search->path, sizeof(search->path), "%s/%s.so", whole,
		     search->name) < (int)sizeof(search->path) &&
	    !access(search->path, R_OK))
		return true;
	if (!strstr(search->folders, whole))
		snprintf(search->folders + strlen(search->folders),
			 sizeof(search->folders) - strlen(search->folders), "%s%s",
			 *search->folders ? ", " : "", whole);
	return false;
}

static bool look_beside(struct search *search, const char *file)
{
	char copy[PATH_MAX], folder[PATH_MAX + 32];
	const char *home;
	size_t i;

	snprintf(copy, sizeof(copy), "%s", file);
	home = dirname(copy);
	for (i = 0; i < sizeof(beside) / sizeof(*beside); i++) {
		snprintf(folder, sizeof(folder), "%s/%s", home, beside[i]);
		if (look_into(search, folder))
			return true;
	}
	return false;
}

static bool find(struct search *search)
{
	const char *told = secure_getenv("SHUNT_PLUGINS");
	char program[PATH_MAX] = "";
	Dl_info info;

	if (told)
		return look_into(search, told);
	if (readlink("/proc/self/exe", program, sizeof(program) - 1) > 0 &&
	    look_beside(search, program))
		return true;
	return dladdr(&beside, &info) && info.dli_fname &&
	       strcmp(info.dli_fname, program) != 0 &&
	       look_beside(search, info.dli_fname);
}

static bool fits(const struct shunt_plugin *plugin)
{
	return plugin->abi == SHUNT_PLUGIN_ABI &&
	       plugin->frame_bytes == sizeof(struct shunt_frame) &&
	       plugin->port_bytes == sizeof(struct shunt_port) &&
	       plugin->ops_bytes == sizeof(struct shunt_port_ops);
}

int shunt_plugin_open(const struct shunt_port_ops **ops, const char *name,
		      const char *package, struct shunt_err *err)
{
	struct search search = { .name = name };
	const struct shunt_plugin *plugin;
	void *object;

	if (!find(&search))
		return shunt_fail(err, -EPROTONOSUPPORT,
				  "a port of the kind %s needs the plug-in %s.so, "
				  "which is not in %s; install %s and run make, or "
				  "name its folder in SHUNT_PLUGINS",
				  name, name, search.folders, package);
	object = dlopen(search.path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!object)
		return shunt_fail(err, -EPROTONOSUPPORT,
				  "a port of the kind %s needs the plug-in %s, which "
				  "cannot be opened: %s; install %s and run make",
				  name, search.path, dlerror(), package);
	plugin = dlsym(object, "shunt_plugin");
	if (!plugin || !fits(plugin))
		return shunt_fail(err, -EPROTONOSUPPORT,
				  "the plug-in %s is of another build of Shunt: run "
				  "make again, or install both together",
				  search.path);
	*ops = plugin->ops;
	return 0;
}
