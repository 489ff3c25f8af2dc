/* SPDX-License-Identifier: BSD-2-Clause */
/* run ship: frames into another machine's memory, and out of it at the far end. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loader/shunt.h"
#include "user/apps/record_port.h"
#include "user/cli/run_ports.h"

#define SCHEMA "shunt.run.ship/1"

/* --- ports -------------------------------------------------------------------------------- */

/* Adds to a port's text; false: it is too long. */
static bool say(struct shunt_run_port *port, const char *fmt, ...) SHUNT_PRINTF(2, 3);

static bool say(struct shunt_run_port *port, const char *fmt, ...)
{
	size_t used = strlen(port->spec), room = sizeof(port->spec) - used;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(port->spec + used, room, fmt, args);
	va_end(args);
	return len >= 0 && (size_t)len < room;
}

/* An option of ours that a port has by another name, or the same. */
static bool say_option(const struct shunt_cli *cli, struct shunt_run_port *port,
		       const char *option, const char *key)
{
	const char *value = shunt_cli_option(cli, option);

	return !value || say(port, ",%s=%s", key, value);
}

static int name(struct shunt_run_port *port, bool fits, struct shunt_err *err)
{
	if (!fits)
		return shunt_fail(err, -EINVAL, "run ship: %.40s…: it is too long",
				  port->spec);
	snprintf(port->name, sizeof(port->name), "%s", port->spec);
	port->memory = SHUNT_RUN_OWN_MEMORY;
	return 0;
}

/* Is the consumer served by a ring buffer alone? 1, 0, or -errno. */
static int is_by_ring(const char *interface, const char *consumer,
		      struct shunt_err *err)
{
	struct shunt_consumer found;
	int ret = shunt_consumer_open(interface, consumer, &found, err);

	if (ret)
		return ret;
	if (found.map_fd >= 0)
		close(found.map_fd);
	return found.ring && !found.queues;
}

/* Where frames come from: a consumer of the interface's policy, all of it, or a port. */
static int name_source(const struct shunt_cli *cli, struct shunt_run_port *port,
		       struct shunt_err *err)
{
	const char *source = cli->arg[0], *consumer = shunt_cli_option(cli, "consumer");
	int ring = 0;

	if (strchr(source, ':')) {
		if (consumer || shunt_cli_option(cli, "ring") ||
		    shunt_cli_option(cli, "take-over"))
			return shunt_fail(err, -EINVAL,
					  "run ship: %s is a port; --consumer, --ring "
					  "and --take-over are for an interface",
					  source);
		return name(port, say(port, "%s", source), err);
	}
	if (consumer)
		ring = is_by_ring(source, consumer, err);
	if (ring < 0)
		return ring;
	if (ring)
		return name(port, say(port, "ringbuf:%s,consumer=%s", source, consumer),
			    err);
	return name(port,
		    say(port, "af_xdp:%s,tx=off", source) &&
			    say_option(cli, port, "consumer", "consumer") &&
			    say_option(cli, port, "ring", "ring") &&
			    (!shunt_cli_option(cli, "take-over") ||
			     say(port, ",take-over=on")),
		    err);
}

static int name_far(const struct shunt_cli *cli, struct shunt_run_port *port,
		    struct shunt_err *err)
{
	return name(port,
		    say(port, "ship:%s", shunt_cli_option(cli, "to")) &&
			    say_option(cli, port, "full", "full") &&
			    say_option(cli, port, "lost", "lost") &&
			    say_option(cli, port, "from", "from"),
		    err);
}

static int name_ring(const struct shunt_cli *cli, struct shunt_run_port *port,
		     struct shunt_err *err)
{
	const char *wait = shunt_cli_option(cli, "wait");

	return name(port,
		    say(port, "ship:%s,listen", shunt_cli_option(cli, "receive")) &&
			    say_option(cli, port, "memory", "ring") &&
			    (!shunt_cli_option(cli, "once") || say(port, ",once")) &&
			    (!wait || strcmp(wait, "spin") != 0 || say(port, ",spin")),
		    err);
}

/* --- either end ---------------------------------------------------------------------------- */

/* One application on one worker, with the first ports. */
static void bind_all(struct shunt_run_config *config, enum shunt_run_kind kind,
		     unsigned int ports)
{
	struct shunt_run_app *app = &config->app[0];
	unsigned int i;

	app->kind = kind;
	snprintf(app->name, sizeof(app->name), "ship");
	for (i = 0; i < ports; i++)
		app->port[i] = i;
	app->ports = config->ports = ports;
	config->apps = config->worker[0].apps = 1;
	shunt_run_config_share(config);
}

static int ship(const struct shunt_cli *cli, struct shunt_run_config *config,
		struct shunt_err *err)
{
	/* the far end first: nothing is redirected before somebody takes it */
	int ret = name_far(cli, &config->port[0], err);

	if (!ret)
		ret = name_source(cli, &config->port[1], err);
	if (ret)
		return ret;
	bind_all(config, SHUNT_RUN_FORWARD, 2);
	return shunt_cli_run(cli, config, SCHEMA, err);
}

static int receive(const struct shunt_cli *cli, struct shunt_run_config *config,
		   struct shunt_err *err)
{
	const char *path = shunt_cli_option(cli, "write");
	struct shunt_record_port_opts opts = {
		.port = config->port[0].spec,
		.record = { .file = { .path = path, .source = config->port[0].spec },
			    .packets = config->packets },
		.duration_ns = config->duration_ns,
		.interval_ns = config->interval_ns,
		.wait = config->worker[0].wait,
		.out = stdout,
		.json = cli->json,
	};
	int ret = name_ring(cli, &config->port[0], err);

	if (ret)
		return ret;
	if (path)
		return shunt_app_record_port(&opts, err);
	config->app[0].number = shunt_cli_option(cli, "number");
	bind_all(config, SHUNT_RUN_DROP, 1);
	return shunt_cli_run(cli, config, SCHEMA, err);
}

/* --- options -------------------------------------------------------------------------------- */

/* Options that are for one end alone. */
static int check(const struct shunt_cli *cli, struct shunt_err *err)
{
	static const char *const senders[] = { "consumer", "full", "lost",
					       "from",	   "ring", "take-over" };
	static const char *const receivers[] = { "write", "memory", "once", "number" };
	bool sends = shunt_cli_option(cli, "to");
	const char *const *others = sends ? receivers : senders;
	size_t n = sends ? sizeof(receivers) / sizeof(*receivers)
			 : sizeof(senders) / sizeof(*senders);
	const char *path = shunt_cli_option(cli, "write");

	if (sends == !!shunt_cli_option(cli, "receive") || sends != !!cli->args)
		return shunt_fail(
			err, -EINVAL,
			"run ship: INTERFACE --to ADDRESS:PORT sends, and "
			"--receive ADDRESS:PORT, without an interface, is the "
			"far end");
	while (n--)
		if (shunt_cli_option(cli, others[n]))
			return shunt_fail(
				err, -EINVAL, "run ship: --%s is for %s", others[n],
				sends ? "the end that receives" : "the end that sends");
	if (path && shunt_cli_option(cli, "number"))
		return shunt_fail(err, -EINVAL,
				  "run ship: --number is for counting, without "
				  "--write");
	if (path && cli->json && !strcmp(path, "-"))
		return shunt_fail(err, -EINVAL,
				  "standard output cannot take the capture and --json: "
				  "write into a file");
	return 0;
}

int shunt_cli_run_ship(struct shunt_cli *cli, struct shunt_err *err)
{
	_config_ struct shunt_run_config *config = shunt_cli_run_new(err);
	int ret;

	if (!config)
		return -ENOMEM;
	ret = check(cli, err);
	if (!ret)
		ret = shunt_cli_run_limits(cli, config, err);
	if (!ret)
		ret = shunt_cli_run_workers(cli, config, 1, err);
	if (ret)
		return ret;
	return shunt_cli_option(cli, "to") ? ship(cli, config, err)
					   : receive(cli, config, err);
}
