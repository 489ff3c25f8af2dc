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

#define WHERE (PATH_MAX + 64)

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
};

static bool look_into(struct search *search, const char *folder)
{
	return snprintf(search->path, sizeof(search->path), "%s/%s.so", folder,
			search->name) < (int)sizeof(search->path) &&
	       !access(search->path, R_OK);
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

/* `where` tells where it has looked, for the sentence. */
static bool find(struct search *search, char where[WHERE])
{
	const char *told = secure_getenv("SHUNT_PLUGINS");
	char program[PATH_MAX] = "";
	Dl_info info;

	if (told) {
		snprintf(where, WHERE, "%s", told);
		return look_into(search, told);
	}
	/* the file that this code is in, where it is no program's own */
	if (dladdr(&beside, &info) && info.dli_fname && strstr(info.dli_fname, ".so") &&
	    look_beside(search, info.dli_fname))
		return true;
	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		return false;
	snprintf(where, WHERE, "plugins or ../lib/shunt beside %s", program);
	return look_beside(search, program);
}

static bool fits(const struct shunt_plugin *plugin,
		 const struct shunt_plugin_kind *kind)
{
	return plugin->abi == SHUNT_PLUGIN_ABI &&
	       plugin->frame_bytes == sizeof(struct shunt_frame) &&
	       plugin->kind.number == kind->number &&
	       plugin->kind.common_bytes == kind->common_bytes &&
	       plugin->kind.ops_bytes == kind->ops_bytes;
}

int shunt_plugin_open(const void **ops, const struct shunt_plugin_kind *kind,
		      const char *name, const char *package, struct shunt_err *err)
{
	struct search search = { .name = name };
	const struct shunt_plugin *plugin;
	char where[WHERE] = "";
	void *object;

	if (!find(&search, where))
		return shunt_fail(err, -EPROTONOSUPPORT,
				  "a %s of the kind %s needs the plug-in %s.so, "
				  "which is not in %s: install %s and run make, or "
				  "name its folder in "
				  "SHUNT_PLUGINS",
				  kind->noun, name, name, where, package);
	object = dlopen(search.path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!object)
		return shunt_fail(err, -EPROTONOSUPPORT,
				  "a %s of the kind %s needs the plug-in %s, which "
				  "cannot be opened: %s; install %s and run make",
				  kind->noun, name, search.path, dlerror(), package);
	plugin = dlsym(object, "shunt_plugin");
	if (!plugin || !fits(plugin, kind))
		return shunt_fail(err, -EPROTONOSUPPORT,
				  "the plug-in %s is of another build of Shunt: run "
				  "make again, or install both together",
				  search.path);
	*ops = plugin->ops;
	return 0;
}

int shunt_plugin_open_port(const struct shunt_port_ops **ops, const char *name,
			   const char *package, struct shunt_err *err)
{
	static const struct shunt_plugin_kind ports = SHUNT_PLUGIN_PORTS;
	const void *vtable = NULL;
	int ret = shunt_plugin_open(&vtable, &ports, name, package, err);

	if (!ret)
		*ops = vtable;
	return ret;
}
