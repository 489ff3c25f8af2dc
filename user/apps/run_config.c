/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/run_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/name.h"
#include "loader/queues.h"
#include "user/io/feed.h"
#include "user/apps/generate_frames.h"
#include "user/io/spec.h"
#include "user/rt/pool.h"

const struct shunt_name shunt_run_kinds[] = {
	{ "forward", SHUNT_RUN_FORWARD },
	{ "drop", SHUNT_RUN_DROP },
	{ "generate", SHUNT_RUN_GENERATE },
	{ "echo", SHUNT_RUN_ECHO },
	{ NULL, 0 },
};

const struct shunt_name shunt_run_modes[] = {
	{ "cross", SHUNT_RUN_CROSS },
	{ "swap", SHUNT_RUN_SWAP },
	{ "table", SHUNT_RUN_TABLE },
	{ NULL, 0 },
};

const struct shunt_name shunt_run_waits[] = {
	{ "adaptive", SHUNT_WAIT_ADAPTIVE },
	{ "poll", SHUNT_WAIT_POLL },
	{ "spin", SHUNT_WAIT_SPIN },
	{ NULL, 0 },
};

struct shunt_run_config *shunt_run_config_new(void)
{
	return calloc(1, sizeof(struct shunt_run_config));
}

void shunt_run_config_free(struct shunt_run_config *config)
{
	unsigned int i;

	for (i = 0; config && i < SHUNT_RUN_APPS; i++) {
		shunt_nexthops_free(&config->app[i].table);
		shunt_run_frames_free(&config->app[i].generate.frames);
		free(config->app[i].answerer);
	}
	free(config);
}

static bool app_uses(const struct shunt_run_app *app, unsigned int port)
{
	unsigned int i;

	for (i = 0; i < app->ports; i++)
		if (app->port[i] == port)
			return true;
	return false;
}

/* --- the usual memory ------------------------------------------------------------------ */

#define TX_FRAMES 3072u /* of a port: its ring, and what a sender has in hand */

static bool is_forwarded(const struct shunt_run_config *config, unsigned int port)
{
	unsigned int i;

	for (i = 0; i < config->apps; i++)
		if (config->app[i].kind == SHUNT_RUN_FORWARD &&
		    app_uses(&config->app[i], port))
			return true;
	return false;
}

/* What is said of an option that takes a number or queues; else *value stays. */
static void read_option(const struct shunt_spec *spec, const char *key,
			enum shunt_spec_type type, uint64_t *value)
{
	const struct shunt_spec_row rows[] = {
		{ .key = key, .type = type, .max = UINT32_MAX }, { NULL }
	};
	struct shunt_spec one = *spec;
	char text[SHUNT_RUN_SPEC];
	const char *at = spec->rest;

	for (; *at; at += strcspn(at, ","), at += *at == ',') {
		if (strncmp(at, key, strlen(key)) != 0 || at[strlen(key)] != '=')
			continue;
		snprintf(text, sizeof(text), "%.*s", (int)strcspn(at, ","), at);
		one.rest = text;
		if (shunt_spec_read(&one, rows, value, NULL))
			return; /* the port will say what is wrong with it */
	}
}

/* How many frames a port keeps busy: twice its receive rings, and what it transmits. */
static uint32_t frames_of(const struct shunt_run_port *port)
{
	uint64_t queues = UINT64_MAX, ring = SHUNT_FEED_RING;
	struct shunt_spec spec;
	unsigned int count;

	if (shunt_spec_split(&spec, port->spec, NULL) ||
	    strcmp(spec.scheme, "af_xdp") != 0)
		return SHUNT_MEMORY_FRAMES;
	read_option(&spec, "queues", SHUNT_SPEC_QUEUES, &queues);
	read_option(&spec, "ring", SHUNT_SPEC_NUMBER, &ring);
	queues &= shunt_queues(spec.device);
	count = queues ? (unsigned int)__builtin_popcountll(queues) : 1;
	return 2 * count * ((uint32_t)ring + SHUNT_BURST) + TX_FRAMES;
}

void shunt_run_config_share(struct shunt_run_config *config)
{
	struct shunt_run_memory *usual = &config->memory[config->memories];
	unsigned int i;

	for (i = 0; i < config->ports; i++) {
		if (config->port[i].insists || !is_forwarded(config, i))
			continue;
		config->port[i].memory = (int)config->memories;
		usual->frames += frames_of(&config->port[i]);
	}
	if (!usual->frames)
		return;
	snprintf(usual->name, sizeof(usual->name), "usual");
	config->memories++;
}

/* --- who receives ---------------------------------------------------------------------- */

/* What can only be received from: a file that is read, a ring, a port with tx=off, a
 * receiver of ship. */
static bool only_receives(const struct shunt_run_port *port)
{
	struct shunt_spec spec;
	const char *at;

	if (shunt_spec_split(&spec, port->spec, NULL))
		return false;
	if (!strcmp(spec.scheme, "ringbuf"))
		return true;
	for (at = spec.rest; *at; at += strcspn(at, ","), at += *at == ',')
		if (!strncmp(at, "write", 5) || !strncmp(at, "tx=off", 6) ||
		    !strncmp(at, "listen", 6))
			return *at != 'w';
	return !strcmp(spec.scheme, "pcap");
}

static bool app_receives(const struct shunt_run_config *config,
			 const struct shunt_run_app *app, unsigned int place)
{
	if (app->kind != SHUNT_RUN_FORWARD)
		return app->kind != SHUNT_RUN_GENERATE;
	if (app->mode != SHUNT_RUN_CROSS || (place ^ 1) >= app->ports)
		return true;
	return !only_receives(&config->port[app->port[place ^ 1]]);
}

bool shunt_run_receives(const struct shunt_run_config *config, unsigned int port)
{
	unsigned int i, p;

	for (i = 0; i < config->apps; i++)
		for (p = 0; p < config->app[i].ports; p++)
			if (config->app[i].port[p] == port &&
			    app_receives(config, &config->app[i], p))
				return true;
	return false;
}

/* --- checking -------------------------------------------------------------------------- */

/* The worker of an app, or config->workers. */
static unsigned int worker_of(const struct shunt_run_config *config, unsigned int app)
{
	unsigned int w, a;

	for (w = 0; w < config->workers; w++)
		for (a = 0; a < config->worker[w].apps; a++)
			if (config->worker[w].app[a] == app)
				return w;
	return w;
}

static int check_forward(const struct shunt_run_config *config,
			 const struct shunt_run_app *app, struct shunt_err *err)
{
	unsigned int i;

	if (app->mode == SHUNT_RUN_CROSS && app->ports % 2)
		return shunt_fail(
			err, -EINVAL,
			"%s: a cross-connect joins ports two by two, and there "
			"%s %u: add one, or choose another mode",
			app->name, app->ports == 1 ? "is" : "are", app->ports);
	for (i = 1; i < app->ports && !app->copy && app->mode != SHUNT_RUN_SWAP; i++) {
		const struct shunt_run_port *one = &config->port[app->port[0]],
					    *other = &config->port[app->port[i]];

		if (one->insists && other->insists && one->memory != other->memory)
			return shunt_fail(
				err, -EINVAL,
				"%s: every frame from port %s to port %s would be "
				"copied, from memory %s into %s: give them one memory, "
				"or say \"copy\": true",
				app->name, one->name, other->name,
				config->memory[one->memory].name,
				config->memory[other->memory].name);
	}
	return 0;
}

static int check_app(const struct shunt_run_config *config,
		     const struct shunt_run_app *app, struct shunt_err *err)
{
	bool live = *app->generate.interface;

	if (app->kind == SHUNT_RUN_FORWARD)
		return check_forward(config, app, err);
	if (app->kind == SHUNT_RUN_GENERATE && app->ports != !live)
		return shunt_fail(err, -EINVAL,
				  live ? "%s: live frames go to an interface: leave "
					 "the ports out"
				       : "%s: it sends to exactly one port",
				  app->name);
	return 0;
}

/* Does it receive from a port and send to it? */
static bool is_both_ways(const struct shunt_run_app *app)
{
	return app->kind == SHUNT_RUN_FORWARD || app->kind == SHUNT_RUN_ECHO;
}

/* Two apps at one port. */
static int check_pair(const struct shunt_run_config *config, unsigned int one,
		      unsigned int other, struct shunt_err *err)
{
	const struct shunt_run_app *a = &config->app[one], *b = &config->app[other];
	unsigned int i;

	for (i = 0; i < a->ports; i++) {
		const char *port = config->port[a->port[i]].name;

		if (!app_uses(b, a->port[i]))
			continue;
		if (a->kind == b->kind || is_both_ways(a) || is_both_ways(b))
			return shunt_fail(err, -EINVAL,
					  "port %s is used by %s and by %s: open it "
					  "twice, on other queues, or leave one out",
					  port, a->name, b->name);
		if (worker_of(config, one) != worker_of(config, other))
			return shunt_fail(err, -EINVAL,
					  "port %s is used by %s and by %s, which have "
					  "different workers: a port has one",
					  port, a->name, b->name);
	}
	return 0;
}

static int check_ports_of(const struct shunt_run_app *app,
			  const struct shunt_run_config *config, struct shunt_err *err)
{
	unsigned int i, j;

	for (i = 0; i < app->ports; i++)
		for (j = 0; j < i; j++)
			if (app->port[i] == app->port[j])
				return shunt_fail(err, -EINVAL,
						  "%s: port %s is named twice",
						  app->name,
						  config->port[app->port[i]].name);
	return 0;
}

int shunt_run_config_check(const struct shunt_run_config *config, struct shunt_err *err)
{
	unsigned int i, j;
	int ret = 0;

	if (!config->apps)
		return shunt_fail(err, -EINVAL, "there is no application to run");
	for (i = 0; i < config->apps && !ret; i++) {
		ret = check_ports_of(&config->app[i], config, err);
		if (!ret)
			ret = check_app(config, &config->app[i], err);
		for (j = 0; j < i && !ret; j++)
			ret = check_pair(config, j, i, err);
	}
	return ret;
}
