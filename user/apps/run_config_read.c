/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of `run app`: schema shunt.runtime/1. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/jsonc.h"
#include "loader/policy/name.h"
#include "loader/policy/node.h"
#include "loader/policy/word.h"
#include "user/apps/run_config.h"
#include "user/apps/run_config_app.h"
#include "user/base/cleanup.h"
#include "user/base/file.h"
#include "user/io/port.h"
#include "user/rt/worker.h"

#define RUNTIME_SCHEMA "shunt.runtime/1"
#define TEXT_MAX (16u << 20) /* bytes of a file: more is a mistake */
#define CORE_MAX 1023
#define MS INT64_C(1000000)
#define DAY_MS INT64_C(86400000)

static bool too_many(const struct shunt_node *node, const char *what, size_t max)
{
	size_t n = shunt_node_count(node);

	if (n > max)
		shunt_node_error(node, "%zu %s, and there may be %zu: remove some", n,
				 what, max);
	return n > max;
}

/* An object of objects, by name; false: there is none, or it is wrong. */
static bool is_named(const struct shunt_node *node, const char *what, const char *many,
		     size_t max)
{
	return node->json && shunt_node_named(node, what) && !too_many(node, many, max);
}

/* The value of an optional key. */
static int64_t number_or(const struct shunt_node *object, const char *key,
			 const char *what, int64_t lo, int64_t hi, int64_t usual)
{
	struct shunt_node node = shunt_node_get(object, key);
	int64_t value = node.json ? shunt_node_number(&node, what, lo, hi) : usual;

	return value < 0 ? usual : value;
}

bool shunt_run_config_flag(const struct shunt_node *object, const char *key)
{
	struct shunt_node node = shunt_node_get(object, key);

	if (node.json && !cJSON_IsBool(node.json))
		shunt_node_error(&node, "must be true or false");
	return cJSON_IsTrue(node.json);
}

/* --- memory ---------------------------------------------------------------------------- */

static void read_memory(struct shunt_run_memory *memory, const struct shunt_node *node)
{
	static const char *const keys[] = { "frames", "frame_bytes", "huge",
					    "description", NULL };

	if (!shunt_node_object(node, keys))
		return;
	shunt_node_description(node);
	memory->frames = (uint32_t)number_or(node, "frames", "a number of frames", 64,
					     1 << 24, 0);
	memory->frame_bytes =
		(uint32_t)number_or(node, "frame_bytes",
				    "the bytes of a frame, headroom included", 512,
				    65536, 0);
	memory->huge = shunt_run_config_flag(node, "huge");
}

static void read_memories(struct shunt_run_config *config,
			  const struct shunt_node *node)
{
	if (!is_named(node, "memory", "memories", SHUNT_RUN_MEMORIES - 1))
		return;
	shunt_node_each(child, shunt_node_first(node))
	{
		struct shunt_run_memory *memory = &config->memory[config->memories];

		if (!shunt_node_label(&child, "memory", child.key, memory->name))
			continue;
		read_memory(memory, &child);
		config->memories++;
	}
}

/* --- names that refer to something ---------------------------------------------------- */

/* `at(config, i)` is the i-th name. The place of what a string names, or -1. */
static int refer(const struct shunt_node *node, const char *what,
		 const struct shunt_run_config *config, unsigned int n,
		 const char *(*at)(const struct shunt_run_config *, unsigned int))
{
	char words[64];
	const char *text;
	struct shunt_offer offer;
	unsigned int i;

	snprintf(words, sizeof(words), "a %s's name", what);
	text = shunt_node_string(node, words);
	offer = (struct shunt_offer)SHUNT_OFFER(text);
	for (i = 0; text && i < n; i++) {
		if (!strcmp(at(config, i), text))
			return (int)i;
		shunt_offer_add(&offer, at(config, i));
	}
	if (text)
		shunt_node_error(node, "there is no %s %s%s", what, SHUNT_QUOTE(text),
				 shunt_offer_text(&offer));
	return -1;
}

static const char *memory_name(const struct shunt_run_config *config, unsigned int i)
{
	return config->memory[i].name;
}

static const char *port_name(const struct shunt_run_config *config, unsigned int i)
{
	return config->port[i].name;
}

static const char *app_name(const struct shunt_run_config *config, unsigned int i)
{
	return config->app[i].name;
}

int shunt_run_config_port(const struct shunt_run_config *config,
			  const struct shunt_node *node)
{
	return refer(node, "port", config, config->ports, port_name);
}

/* --- ports ------------------------------------------------------------------------------ */

static bool has_backend(const char *scheme)
{
	size_t i;

	for (i = 0; shunt_port_backends[i]; i++)
		if (!strcmp(shunt_port_backends[i]->scheme, scheme))
			return true;
	return false;
}

static void check_spec(const struct shunt_node *node, const char *text)
{
	struct shunt_spec spec;
	struct shunt_offer offer;
	struct shunt_err err;
	size_t i;

	if (strlen(text) >= SHUNT_RUN_SPEC || shunt_spec_split(&spec, text, &err)) {
		shunt_node_error(node, "%s",
				 strlen(text) < SHUNT_RUN_SPEC ? err.message
							       : "is too long");
		return;
	}
	if (has_backend(spec.scheme))
		return;
	offer = (struct shunt_offer)SHUNT_OFFER(spec.scheme);
	for (i = 0; shunt_port_backends[i]; i++)
		shunt_offer_add(&offer, shunt_port_backends[i]->scheme);
	shunt_node_error(node, "there is no kind of port called %s%s",
			 SHUNT_QUOTE(spec.scheme), shunt_offer_text(&offer));
}

static void read_port(struct shunt_run_config *config, struct shunt_run_port *port,
		      const struct shunt_node *node)
{
	static const char *const keys[] = { "port", "memory", "description", NULL };
	struct shunt_node spec = *node, memory;
	const char *text;

	if (!cJSON_IsString(node->json)) {
		if (!shunt_node_object(node, keys))
			return;
		shunt_node_description(node);
		memory = shunt_node_get(node, "memory");
		if (memory.json) {
			int at = refer(&memory, "memory", config, config->memories,
				       memory_name);

			port->memory = at;
			port->insists = at >= 0;
		}
		spec = shunt_node_get(node, "port");
		if (!spec.json) {
			shunt_node_error(node,
					 "the key \"port\" is missing: write \"port\": "
					 "\"af_xdp:eth1\"");
			return;
		}
	}
	text = shunt_node_string(&spec, "a port such as \"af_xdp:eth1,queues=0\"");
	if (!text)
		return;
	check_spec(&spec, text);
	snprintf(port->spec, sizeof(port->spec), "%s", text);
}

static void read_ports(struct shunt_run_config *config, const struct shunt_node *node)
{
	if (!is_named(node, "port", "ports", SHUNT_RUN_PORTS))
		return;
	shunt_node_each(child, shunt_node_first(node))
	{
		struct shunt_run_port *port = &config->port[config->ports];
		char name[SHUNT_NAME_MAX];

		if (!shunt_node_label(&child, "port", child.key, name))
			continue;
		snprintf(port->name, sizeof(port->name), "%s", name);
		port->memory = SHUNT_RUN_OWN_MEMORY;
		read_port(config, port, &child);
		config->ports++;
	}
}

/* --- workers ---------------------------------------------------------------------------- */

/* A number, or a name from "cores". */
static int read_core(const struct shunt_node *node, const struct shunt_node *cores)
{
	const char *text = cJSON_GetStringValue(node->json);
	struct shunt_offer offer = SHUNT_OFFER(text);
	struct shunt_node named;

	if (!text)
		return (int)shunt_node_number(node, "a core", 0, CORE_MAX);
	named = shunt_node_get(cores, text);
	if (cJSON_IsNumber(named.json))
		return (int)named.json->valuedouble;
	if (named.json)
		return SHUNT_WORKER_ANY; /* it was complained about there */
	shunt_node_each(child, shunt_node_first(cores))
		shunt_offer_add(&offer, child.key);
	shunt_node_error(node,
			 "%s is no name of a core%s: \"cores\" gives them numbers",
			 SHUNT_QUOTE(text), shunt_offer_text(&offer));
	return SHUNT_WORKER_ANY;
}

static void read_cores(const struct shunt_node *cores)
{
	if (!cores->json || !shunt_node_named(cores, "core"))
		return;
	shunt_node_each(child, shunt_node_first(cores))(void)
		shunt_node_number(&child, "a core", 0, CORE_MAX);
}

static void read_worker_apps(struct shunt_run_config *config,
			     struct shunt_run_worker *worker,
			     const struct shunt_node *list, int8_t *taken)
{
	if (!list->json || !shunt_node_list(list, "names of applications") ||
	    too_many(list, "applications", SHUNT_RUN_APPS))
		return;
	shunt_node_each(child, shunt_node_first(list))
	{
		int at = refer(&child, "application", config, config->apps, app_name);

		if (at < 0)
			continue;
		if (taken[at])
			shunt_node_error(&child,
					 "application %s has a worker already: name it "
					 "once",
					 config->app[at].name);
		taken[at] = 1;
		worker->app[worker->apps++] = (unsigned int)at;
	}
}

static void read_worker(struct shunt_run_config *config,
			struct shunt_run_worker *worker, const struct shunt_node *node,
			const struct shunt_node *cores, int8_t *taken)
{
	static const char *const keys[] = { "core", "wait", "applications",
					    "description", NULL };
	struct shunt_node core, wait, apps;
	int value;

	worker->core = SHUNT_WORKER_ANY;
	if (!shunt_node_object(node, keys))
		return;
	shunt_node_description(node);
	core = shunt_node_get(node, "core");
	wait = shunt_node_get(node, "wait");
	apps = shunt_node_get(node, "applications");
	if (core.json)
		worker->core = read_core(&core, cores);
	value = wait.json ? shunt_node_name(&wait, "a way of waiting", shunt_run_waits)
			  : SHUNT_WAIT_ADAPTIVE;
	worker->wait = value < 0 ? SHUNT_WAIT_ADAPTIVE : (enum shunt_wait)value;
	if (!apps.json)
		shunt_node_error(node, "the key \"applications\" is missing: what does "
				       "this worker run?");
	read_worker_apps(config, worker, &apps, taken);
}

static void read_workers(struct shunt_run_config *config, const struct shunt_node *root)
{
	struct shunt_node node = shunt_node_get(root, "workers");
	struct shunt_node cores = shunt_node_get(root, "cores");
	struct shunt_node apps = shunt_node_get(root, "applications");
	int8_t taken[SHUNT_RUN_APPS] = { 0 };
	unsigned int i;

	read_cores(&cores);
	if (!node.json)
		shunt_node_error(root, "the key \"workers\" is missing: who runs the "
				       "applications?");
	if (!is_named(&node, "worker", "workers", SHUNT_RUN_WORKERS))
		return;
	shunt_node_each(child, shunt_node_first(&node))
	{
		struct shunt_run_worker *worker = &config->worker[config->workers];

		if (!shunt_node_label(&child, "worker", child.key, worker->name))
			continue;
		read_worker(config, worker, &child, &cores, taken);
		config->workers++;
	}
	for (i = 0; i < config->apps; i++) {
		struct shunt_node app = shunt_node_get(&apps, config->app[i].name);

		if (!taken[i])
			shunt_node_error(&app, "no worker runs this application");
	}
}

/* --- the whole -------------------------------------------------------------------------- */

static void read_limits(struct shunt_run_config *config, const struct shunt_node *root)
{
	config->packets = (uint64_t)number_or(root, "packets", "a number of packets", 1,
					      INT64_C(1) << 52, 0);
	config->duration_ns =
		(uint64_t)(MS * number_or(root, "duration_ms", "a time in milliseconds",
					  1, 365 * DAY_MS, 0));
	config->interval_ns =
		(uint64_t)(MS * number_or(root, "interval_ms", "a time in milliseconds",
					  0, DAY_MS, 1000));
}

static void read_apps(struct shunt_run_config *config, const struct shunt_node *root,
		      const char *path)
{
	struct shunt_node node = shunt_node_get(root, "applications");

	if (!node.json)
		shunt_node_error(root,
				 "the key \"applications\" is missing: what is to "
				 "be run?");
	if (!is_named(&node, "application", "applications", SHUNT_RUN_APPS))
		return;
	shunt_node_each(child, shunt_node_first(&node))
	{
		struct shunt_run_app *app = &config->app[config->apps];

		if (!shunt_node_label(&child, "application", child.key, app->name))
			continue;
		config->apps++;
		shunt_run_config_app(config, app, &child, path);
	}
}

static void read_root(struct shunt_run_config *config, const struct shunt_node *root,
		      const char *path)
{
	static const char *const keys[] = {
		"schema",  "description",  "memory",  "ports",	     "cores",
		"workers", "applications", "packets", "duration_ms", "interval_ms",
		NULL
	};
	struct shunt_node schema, memory, ports;
	const char *text;

	if (!shunt_node_object(root, keys))
		return;
	shunt_node_description(root);
	schema = shunt_node_get(root, "schema");
	memory = shunt_node_get(root, "memory");
	ports = shunt_node_get(root, "ports");
	text = cJSON_GetStringValue(schema.json);
	if (!text || strcmp(text, RUNTIME_SCHEMA) != 0)
		shunt_node_error(
			schema.json ? &schema : root,
			"a configuration of the runtime says \"schema\": \"%s\"",
			RUNTIME_SCHEMA);
	read_memories(config, &memory);
	read_ports(config, &ports);
	read_apps(config, root, path);
	read_workers(config, root);
	read_limits(config, root);
	shunt_run_config_share(config);
}

static int read_text(struct shunt_run_config *config, const char *text, size_t bytes,
		     const char *path, struct shunt_diags *diags)
{
	struct shunt_doc doc = { .diags = diags };
	_json_ cJSON *json = NULL;
	struct shunt_node root;
	struct shunt_err err;
	int ret = shunt_jsonc_parse(&json, text, bytes, path, diags);

	if (ret)
		return ret;
	root = (struct shunt_node){ .doc = &doc, .json = json };
	shunt_node_duplicates(&root);
	read_root(config, &root, path);
	if (!diags->errors && shunt_run_config_check(config, &err))
		shunt_node_error(&root, "%s", err.message);
	if (doc.oom)
		return -ENOMEM;
	return diags->errors ? -EINVAL : 0;
}

int shunt_run_config_read(struct shunt_run_config **config, const char *path,
			  struct shunt_diags *diags)
{
	_free_ char *text = NULL;
	struct shunt_err err;
	size_t bytes;
	int ret = shunt_file_read(path, TEXT_MAX, &text, &bytes, &err);

	*config = NULL;
	if (ret) {
		shunt_diag_add(diags, false, "", "%s", err.message);
		return ret;
	}
	*config = shunt_run_config_new();
	return *config ? read_text(*config, text, bytes, path, diags) : -ENOMEM;
}
