/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/run_config_app.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/tuple.h"
#include "loader/policy/word.h"
#include "user/apps/generate_frames.h"
#include "user/base/cleanup.h"

#define RATE_MAX 1000000000 /* packets a second: more is "max" */

/* A file's name, beside the configuration's where it is relative; malloced. */
static char *beside(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	char *found = NULL;

	if (*name == '/' || !slash || !strcmp(path, "-"))
		return strdup(name);
	return asprintf(&found, "%.*s/%s", (int)(slash - path), path, name) < 0 ? NULL
										: found;
}

/* --- ports ------------------------------------------------------------------------------ */

static void read_ports(const struct shunt_run_config *config, struct shunt_run_app *app,
		       const struct shunt_node *node)
{
	struct shunt_node list = shunt_node_get(node, "ports");

	if (!list.json || !shunt_node_list(&list, "names of ports"))
		return;
	if (shunt_node_count(&list) > SHUNT_RUN_APP_PORTS) {
		shunt_node_error(&list, "an application has %d ports at most",
				 SHUNT_RUN_APP_PORTS);
		return;
	}
	shunt_node_each(child, shunt_node_first(&list))
	{
		int at = shunt_run_config_port(config, &child);

		if (at >= 0)
			app->port[app->ports++] = (unsigned int)at;
	}
}

static void need_ports(const struct shunt_run_app *app, const struct shunt_node *node)
{
	struct shunt_node list = shunt_node_get(node, "ports");

	if (!shunt_node_count(&list) && (!list.json || cJSON_IsArray(list.json)))
		shunt_node_error(list.json ? &list : node,
				 "\"ports\" must list at least one port of %s",
				 app->name);
}

/* --- forward ----------------------------------------------------------------------------- */

/* The errors of another file, at the key that names it. */
static void tell_file(const struct shunt_node *node, const char *file,
		      struct shunt_diags *diags)
{
	size_t i;

	for (i = 0; i < diags->n; i++)
		shunt_node_error(node, "%s%s%s: %s", file,
				 *diags->at[i].pointer ? " at " : "",
				 diags->at[i].pointer, diags->at[i].message);
	shunt_diags_free(diags);
}

static void read_table(struct shunt_run_app *app, const struct shunt_node *node,
		       const struct shunt_nexthop_ports *ports, const char *path)
{
	struct shunt_node routes = shunt_node_get(node, "routes");
	struct shunt_node file = shunt_node_get(node, "table");
	struct shunt_diags diags = { 0 };
	_free_ char *name = NULL;
	const char *text;

	if (!!routes.json == !!file.json) {
		shunt_node_error(node, "mode \"table\" takes \"routes\", a list, or "
				       "\"table\", a file: one of them");
		return;
	}
	if (routes.json) {
		(void)shunt_nexthops_read(&app->table, &routes, ports);
		return;
	}
	text = shunt_node_string(&file, "the name of a file");
	name = text ? beside(path, text) : NULL;
	if (name && shunt_nexthops_read_file(&app->table, name, ports, &diags))
		tell_file(&file, name, &diags);
}

static void refuse(const struct shunt_node *node, const char *key, const char *why)
{
	struct shunt_node found = shunt_node_get(node, key);

	if (found.json)
		shunt_node_error(&found, "%s: remove it", why);
}

static void read_forward(const struct shunt_run_config *config,
			 struct shunt_run_app *app, const struct shunt_node *node,
			 const char *path)
{
	static const char *const keys[] = { "app",    "ports", "mode",	      "table",
					    "routes", "copy",  "description", NULL };
	const char *names[SHUNT_RUN_APP_PORTS];
	struct shunt_nexthop_ports ports = { .name = names, .count = app->ports };
	struct shunt_node mode = shunt_node_get(node, "mode");
	unsigned int i;
	int value;

	(void)shunt_node_object(node, keys);
	need_ports(app, node);
	for (i = 0; i < app->ports; i++)
		names[i] = config->port[app->port[i]].name;
	value = mode.json ? shunt_node_name(&mode, "a mode", shunt_run_modes)
			  : SHUNT_RUN_CROSS;
	app->mode = value < 0 ? SHUNT_RUN_CROSS : (enum shunt_run_mode)value;
	app->copy = shunt_run_config_flag(node, "copy");
	if (app->mode == SHUNT_RUN_TABLE) {
		read_table(app, node, &ports, path);
	} else if (value >= 0) {
		refuse(node, "table", "is for mode \"table\"");
		refuse(node, "routes", "is for mode \"table\"");
	}
}

/* --- drop -------------------------------------------------------------------------------- */

static void read_drop(struct shunt_run_app *app, const struct shunt_node *node)
{
	static const char *const keys[] = { "app", "ports", "number", "description",
					    NULL };

	(void)shunt_node_object(node, keys);
	need_ports(app, node);
	app->number = shunt_run_config_flag(node, "number");
}

/* --- echo -------------------------------------------------------------------------------- */

static void read_addresses(struct shunt_answerer *who, const struct shunt_node *node)
{
	struct shunt_node list = shunt_node_get(node, "addresses");
	struct shunt_err err;

	if (!list.json || !shunt_node_list(&list, "addresses") ||
	    !shunt_node_count(&list)) {
		shunt_node_error(list.json ? &list : node,
				 "\"addresses\" must list at least one address to "
				 "answer for");
		return;
	}
	shunt_node_each(child, shunt_node_first(&list))
	{
		const char *text = shunt_node_string(&child, "an address");

		if (text && shunt_answerer_address(who, text, &err))
			shunt_node_error(&child, "%s", err.message);
	}
}

static void read_echo(struct shunt_run_app *app, const struct shunt_node *node)
{
	static const char *const keys[] = { "app", "ports",	"addresses",
					    "mac", "udp_ports", "description",
					    NULL };
	struct shunt_node mac = shunt_node_get(node, "mac");
	struct shunt_node udp = shunt_node_get(node, "udp_ports");
	struct shunt_err err;
	const char *text;

	(void)shunt_node_object(node, keys);
	need_ports(app, node);
	app->answerer = calloc(1, sizeof(*app->answerer));
	if (!app->answerer) {
		shunt_node_error(node, "out of memory");
		return;
	}
	read_addresses(app->answerer, node);
	text = mac.json ? shunt_node_string(&mac, "a MAC address") : NULL;
	if (text && shunt_answerer_mac(app->answerer, text, &err))
		shunt_node_error(&mac, "%s", err.message);
	text = udp.json ? shunt_node_string(&udp, "ports, such as \"7,9000-9010\"")
			: NULL;
	if (shunt_answerer_ports(app->answerer, text, &err))
		shunt_node_error(&udp, "%s", err.message);
}

/* --- generate ---------------------------------------------------------------------------- */

static int64_t number_of(const struct shunt_node *object, const char *key,
			 const char *what, int64_t lo, int64_t hi)
{
	struct shunt_node node = shunt_node_get(object, key);
	int64_t value = node.json ? shunt_node_number(&node, what, lo, hi) : 0;

	return value < 0 ? 0 : value;
}

static void read_template(struct shunt_run_app *app, const struct shunt_node *node,
			  const struct shunt_node *match)
{
	const struct shunt_generate_opts opts = {
		.sz = sizeof(opts),
		.size = (uint32_t)number_of(node, "size_bytes",
					    "the bytes of a frame, without the FCS",
					    SHUNT_GENERATE_SIZE_MIN, UINT16_MAX),
		.flows = (uint32_t)number_of(node, "flows", "a number of flows", 1,
					     SHUNT_GENERATE_FLOWS_MAX),
		.number = shunt_run_config_flag(node, "number"),
	};
	_free_ uint8_t *frame = malloc(SHUNT_TUPLE_BYTES);
	struct shunt_err err;
	int bytes;

	if (!shunt_node_object(match, NULL) || !frame)
		return;
	bytes = shunt_tuple_frame(match->json, frame, &err);
	if (bytes < 0 || shunt_generate_template(&app->generate.frames, frame,
						 (uint32_t)bytes, &opts, &err))
		shunt_node_error(match, "%s", err.message);
}

static void read_capture(struct shunt_run_app *app, const struct shunt_node *node,
			 const struct shunt_node *file, const char *path)
{
	static const char why[] = "is for a \"template\", and a \"pcap\" has it all";
	const char *text = shunt_node_string(file, "the name of a capture");
	_free_ char *name = text ? beside(path, text) : NULL;
	struct shunt_err err;

	refuse(node, "size_bytes", why);
	refuse(node, "flows", why);
	refuse(node, "number", why);
	refuse(node, "live", "takes a \"template\"");
	if (name && shunt_generate_capture(&app->generate.frames, name, &err))
		shunt_node_error(file, "%s", err.message);
	if (!app->generate.packets) /* once */
		app->generate.packets = app->generate.frames.count;
}

static void read_pace(struct shunt_run_generate *generate,
		      const struct shunt_node *node)
{
	struct shunt_node rate = shunt_node_get(node, "rate_pps");
	const char *text = cJSON_GetStringValue(rate.json);
	int64_t value;

	generate->packets = (uint64_t)number_of(node, "packets", "a number of packets",
						1, INT64_C(1) << 52);
	generate->burst = (uint32_t)number_of(node, "burst", "a number of frames", 1,
					      SHUNT_RUN_GENERATE_BURST);
	if (!rate.json || (text && !strcmp(text, "max")))
		return;
	value = shunt_node_number(&rate, "packets a second, or \"max\"", 1, RATE_MAX);
	generate->rate = value < 0 ? 0 : (uint64_t)value;
}

static void read_live(struct shunt_run_generate *generate,
		      const struct shunt_node *node)
{
	struct shunt_node live = shunt_node_get(node, "live");
	const char *text =
		live.json ? shunt_node_string(&live, "an interface's name") : NULL;

	if (!text)
		return;
	if (!*text || strlen(text) >= sizeof(generate->interface))
		shunt_node_error(&live, "is no name of an interface");
	else
		snprintf(generate->interface, sizeof(generate->interface), "%s", text);
	refuse(node, "rate_pps", "live frames come as fast as the kernel makes them");
	refuse(node, "burst", "live frames come as fast as the kernel makes them");
}

static void read_generate(struct shunt_run_app *app, const struct shunt_node *node,
			  const char *path)
{
	static const char *const keys[] = { "app",    "ports",	  "template",
					    "pcap",   "rate_pps", "packets",
					    "burst",  "flows",	  "size_bytes",
					    "number", "live",	  "description",
					    NULL };
	struct shunt_node match = shunt_node_get(node, "template");
	struct shunt_node file = shunt_node_get(node, "pcap");
	struct shunt_node live = shunt_node_get(node, "live");

	(void)shunt_node_object(node, keys);
	if (!live.json)
		need_ports(app, node);
	read_live(&app->generate, node);
	read_pace(&app->generate, node);
	if (!!match.json == !!file.json)
		shunt_node_error(node,
				 "\"generate\" takes a \"template\", as \"match\" "
				 "of a rule, or a \"pcap\", a file: one of them");
	else if (match.json)
		read_template(app, node, &match);
	else
		read_capture(app, node, &file, path);
}

/* --- any of them ------------------------------------------------------------------------- */

void shunt_run_config_app(const struct shunt_run_config *config,
			  struct shunt_run_app *app, const struct shunt_node *node,
			  const char *path)
{
	struct shunt_node kind = shunt_node_get(node, "app");
	int value;

	if (!shunt_node_object(node, NULL))
		return;
	if (!kind.json) {
		shunt_node_error(node, "the key \"app\" is missing: forward, drop, "
				       "generate or echo");
		return;
	}
	value = shunt_node_name(&kind, "an application", shunt_run_kinds);
	if (value < 0)
		return;
	app->kind = (enum shunt_run_kind)value;
	shunt_node_description(node);
	read_ports(config, app, node);
	if (app->kind == SHUNT_RUN_FORWARD)
		read_forward(config, app, node, path);
	else if (app->kind == SHUNT_RUN_DROP)
		read_drop(app, node);
	else if (app->kind == SHUNT_RUN_ECHO)
		read_echo(app, node);
	else
		read_generate(app, node, path);
}
