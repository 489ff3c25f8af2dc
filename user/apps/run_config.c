/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/apps/run_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader/policy/name.h"
#include "user/apps/generate_frames.h"
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

void shunt_run_config_share(struct shunt_run_config *config)
{
	struct shunt_run_memory *usual = &config->memory[config->memories];
	unsigned int i, n = 0;

	for (i = 0; i < config->ports; i++) {
		if (config->port[i].insists)
			continue;
		config->port[i].memory = (int)config->memories;
		n++;
	}
	if (!n)
		return;
	snprintf(usual->name, sizeof(usual->name), "usual");
	usual->frames = SHUNT_MEMORY_FRAMES * n;
	config->memories++;
}

static bool app_uses(const struct shunt_run_app *app, unsigned int port)
{
	unsigned int i;

	for (i = 0; i < app->ports; i++)
		if (app->port[i] == port)
			return true;
	return false;
}

bool shunt_run_receives(const struct shunt_run_config *config, unsigned int port)
{
	unsigned int i;

	for (i = 0; i < config->apps; i++)
		if (config->app[i].kind != SHUNT_RUN_GENERATE &&
		    app_uses(&config->app[i], port))
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
