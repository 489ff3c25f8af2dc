/* SPDX-License-Identifier: BSD-2-Clause */
/* run forward, drop, echo, generate: options into a configuration; run app reads one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/policy/name.h"
#include "user/apps/generate_frames.h"
#include "user/apps/run.h"
#include "user/base/cleanup.h"
#include "user/base/json.h"
#include "user/cli/cli.h"
#include "user/cli/run_ports.h"
#include "user/cli/tuple.h"
#include "user/net/csum.h"

/* --- options --------------------------------------------------------------------------- */

/* What an option's word stands for in a table; *value stays when not given. */
static int read_name(const struct shunt_cli *cli, const char *option,
		     const struct shunt_name *table, int *value, struct shunt_err *err)
{
	const char *text = shunt_cli_option(cli, option);
	char words[128] = "";
	int found;

	if (!text)
		return 0;
	found = shunt_name_value(table, text);
	if (found >= 0) {
		*value = found;
		return 0;
	}
	for (; table->name; table++)
		snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s%s",
			 *words ? ", " : "", table->name);
	return shunt_fail(err, -EINVAL, "--%s \"%s\": there are %s", option, text,
			  words);
}

static int read_size(const struct shunt_cli *cli, const char *option, uint64_t max,
		     uint32_t *value, struct shunt_err *err)
{
	uint64_t number = *value;
	int ret = shunt_cli_number(cli, option, &number, err);

	if (ret)
		return ret;
	if (number > max)
		return shunt_fail(err, -EINVAL, "--%s %llu: it is %llu at most", option,
				  (unsigned long long)number, (unsigned long long)max);
	*value = (uint32_t)number;
	return 0;
}

/* "max", 250000, 250k, 1.5M */
static int read_rate(const struct shunt_cli *cli, uint64_t *rate, struct shunt_err *err)
{
	const char *text = shunt_cli_option(cli, "rate");
	double value, unit = 1;
	char *end;

	if (!text || !strcmp(text, "max"))
		return 0;
	value = strtod(text, &end);
	if (end != text && (*end == 'k' || *end == 'M'))
		unit = *end++ == 'k' ? 1e3 : 1e6;
	if (end == text || *end || !(value * unit >= 1 && value * unit <= 1e9))
		return shunt_fail(err, -EINVAL,
				  "--rate \"%s\": say packets a second, such as 1000, "
				  "250k or 1.5M, or max",
				  text);
	*rate = (uint64_t)(value * unit);
	return 0;
}

int shunt_cli_run_limits(const struct shunt_cli *cli, struct shunt_run_config *config,
			 struct shunt_err *err)
{
	int ret = shunt_cli_duration(cli, "duration", &config->duration_ns, err);

	if (!ret)
		ret = shunt_cli_duration(cli, "interval", &config->interval_ns, err);
	if (!ret)
		ret = shunt_cli_number(cli, "packets", &config->packets, err);
	return ret;
}

/* The i-th number of --cores 0,1; SHUNT_WORKER_ANY without it. */
static int read_core(const struct shunt_cli *cli, unsigned int i, int *core,
		     struct shunt_err *err)
{
	const char *text = shunt_cli_option(cli, "cores"), *at = text;
	unsigned int n;
	char *end;
	long value;

	*core = SHUNT_WORKER_ANY;
	for (n = 0; at && n <= i; n++) {
		value = strtol(at, &end, 10);
		if (end == at || value < 0 || value > 1023 || (*end && *end != ','))
			return shunt_fail(err, -EINVAL,
					  "--cores \"%s\": say a core for each worker, "
					  "such as 0,1",
					  text);
		if (n == i)
			*core = (int)value;
		else if (!*end)
			return shunt_fail(
				err, -EINVAL,
				"--cores \"%s\": worker %u has none, name one "
				"for each",
				text, i);
		at = end + 1;
	}
	return 0;
}

/* --- configurations -------------------------------------------------------------------- */

struct shunt_run_config *shunt_cli_run_new(struct shunt_err *err)
{
	struct shunt_run_config *config = shunt_run_config_new();

	if (!config)
		shunt_fail_errno(err, -ENOMEM, "run");
	else
		config->interval_ns = 1000000000;
	return config;
}

static int add_ports(const struct shunt_cli *cli, struct shunt_run_config *config,
		     struct shunt_err *err)
{
	size_t i, j;

	for (i = 0; i < cli->args; i++) {
		struct shunt_run_port *port = &config->port[i];

		for (j = 0; j < i; j++)
			if (!strcmp(cli->arg[i], cli->arg[j]))
				return shunt_fail(err, -EINVAL,
						  "%s: port %s is named twice",
						  cli->command->name, cli->arg[i]);

		if (strlen(cli->arg[i]) >= sizeof(port->spec))
			return shunt_fail(err, -EINVAL, "port %.40s…: it is too long",
					  cli->arg[i]);
		strcpy(port->name, cli->arg[i]);
		strcpy(port->spec, cli->arg[i]);
		port->memory = SHUNT_RUN_OWN_MEMORY;
	}
	config->ports = (unsigned int)cli->args;
	return 0;
}

int shunt_cli_run_workers(const struct shunt_cli *cli, struct shunt_run_config *config,
			  uint32_t workers, struct shunt_err *err)
{
	int wait = SHUNT_WAIT_ADAPTIVE, ret;
	unsigned int w;

	ret = read_name(cli, "wait", shunt_run_waits, &wait, err);
	for (w = 0; w < workers && !ret; w++) {
		struct shunt_run_worker *worker = &config->worker[w];

		snprintf(worker->name, sizeof(worker->name), "worker%u", w);
		worker->wait = (enum shunt_wait)wait;
		ret = read_core(cli, w, &worker->core, err);
	}
	config->workers = workers;
	return ret;
}

/*
 * Shares the ports out: an app a worker, each with some of the groups of `group` ports
 * that belong together.
 */
static int share_out(const struct shunt_cli *cli, struct shunt_run_config *config,
		     const struct shunt_run_app *like, unsigned int group,
		     struct shunt_err *err)
{
	unsigned int groups = config->ports / group, g, p;
	uint32_t workers = 1;
	int ret = read_size(cli, "workers", SHUNT_RUN_WORKERS, &workers, err);

	if (!ret && workers > groups)
		return shunt_fail(err, -EINVAL,
				  "--workers %u: these ports can be shared out among "
				  "%u at most; to have several on one interface, "
				  "describe a port for each queue (run app)",
				  workers, groups);
	if (!ret)
		ret = shunt_cli_run_workers(cli, config, workers, err);
	if (ret)
		return ret;
	for (g = 0; g < groups; g++) {
		struct shunt_run_app *app = &config->app[g % workers];

		if (!app->ports) {
			*app = *like;
			snprintf(app->name, sizeof(app->name), "%.16s%u", like->name,
				 g % workers);
			config->worker[g % workers].app[0] = g % workers;
			config->worker[g % workers].apps = 1;
		}
		for (p = 0; p < group; p++) {
			if (app->ports == SHUNT_RUN_APP_PORTS)
				return shunt_fail(err, -E2BIG,
						  "%s: a worker has %d ports at most: "
						  "add --workers",
						  cli->command->name,
						  SHUNT_RUN_APP_PORTS);
			app->port[app->ports++] = g * group + p;
		}
	}
	config->apps = workers;
	return 0;
}

/* --- running --------------------------------------------------------------------------- */

int shunt_cli_run(const struct shunt_cli *cli, const struct shunt_run_config *config,
		  const char *schema, struct shunt_err *err)
{
	const char *protect[SHUNT_CLI_VALUES];
	char session[SHUNT_CLI_SESSION];
	const struct shunt_run_opts opts = {
		.sz = sizeof(opts),
		.out = stdout,
		.json = cli->json,
		.schema = schema,
		.feed = { .netns = shunt_cli_option(cli, "netns"),
			  .session = shunt_cli_session(cli, session),
			  .protect = protect,
			  .protects = shunt_cli_protected(cli, protect) },
	};

	return shunt_run(config, &opts, err);
}

/* --- forward --------------------------------------------------------------------------- */

static void print_diags(const char *source, const struct shunt_diags *diags)
{
	size_t i;

	for (i = 0; i < diags->n; i++)
		fprintf(stderr, "%s: %s%s%s: %s\n", source,
			diags->at[i].warning ? "warning" : "error",
			*diags->at[i].pointer ? " at " : "", diags->at[i].pointer,
			diags->at[i].message);
}

static int read_table(const struct shunt_cli *cli, struct shunt_run_app *app,
		      struct shunt_err *err)
{
	const char *path = shunt_cli_option(cli, "table");
	const struct shunt_nexthop_ports ports = { .name = cli->arg,
						   .count = (unsigned int)cli->args };
	struct shunt_diags diags = { 0 };
	int ret;

	if (!path)
		return 0;
	if (shunt_cli_option(cli, "mode") && app->mode != SHUNT_RUN_TABLE)
		return shunt_fail(err, -EINVAL, "--table is for --mode table");
	app->mode = SHUNT_RUN_TABLE;
	ret = shunt_nexthops_read_file(&app->table, path, &ports, &diags);
	if (ret && !cli->json)
		print_diags(path, &diags);
	if (ret)
		shunt_fail(err, ret, "--table %s: %s%s%s%s", path,
			   diags.n && *diags.at[0].pointer ? "at " : "",
			   diags.n ? diags.at[0].pointer : "",
			   diags.n && *diags.at[0].pointer ? ": " : "",
			   diags.n ? diags.at[0].message : "out of memory");
	shunt_diags_free(&diags);
	return ret;
}

int shunt_cli_run_forward(struct shunt_cli *cli, struct shunt_err *err)
{
	_config_ struct shunt_run_config *config = shunt_cli_run_new(err);
	struct shunt_run_app like = { .kind = SHUNT_RUN_FORWARD, .name = "forward" };
	int mode = SHUNT_RUN_CROSS, ret;
	unsigned int group = 2;

	if (!config)
		return -ENOMEM;
	ret = read_name(cli, "mode", shunt_run_modes, &mode, err);
	like.mode = (enum shunt_run_mode)mode;
	if (!ret)
		ret = add_ports(cli, config, err);
	if (!ret)
		ret = shunt_cli_run_limits(cli, config, err);
	if (!ret)
		ret = read_table(cli, &like, err);
	if (ret)
		return ret;
	if (like.mode == SHUNT_RUN_TABLE && !shunt_cli_option(cli, "table"))
		return shunt_fail(err, -EINVAL,
				  "--mode table: which one? --table FILE says");
	if (like.mode == SHUNT_RUN_SWAP)
		group = 1;
	else if (like.mode == SHUNT_RUN_TABLE || config->ports < 2)
		group = config->ports;
	if (config->ports % group)
		return shunt_fail(err, -EINVAL,
				  "run forward: ports are joined two by two, and there "
				  "are %u: add one, or choose another --mode",
				  config->ports);
	ret = share_out(cli, config, &like, group, err);
	if (ret)
		shunt_nexthops_free(&like.table); /* nobody has taken it over */
	shunt_run_config_share(config);
	return ret ? ret : shunt_cli_run(cli, config, "shunt.run.forward/1", err);
}

/* --- drop ------------------------------------------------------------------------------ */

int shunt_cli_run_drop(struct shunt_cli *cli, struct shunt_err *err)
{
	_config_ struct shunt_run_config *config = shunt_cli_run_new(err);
	const struct shunt_run_app like = { .kind = SHUNT_RUN_DROP,
					    .name = "drop",
					    .number =
						    !!shunt_cli_option(cli, "number") };
	int ret;

	if (!config)
		return -ENOMEM;
	ret = add_ports(cli, config, err);
	if (!ret)
		ret = shunt_cli_run_limits(cli, config, err);
	if (!ret)
		ret = share_out(cli, config, &like, 1, err);
	return ret ? ret : shunt_cli_run(cli, config, "shunt.run.drop/1", err);
}

/* --- echo ------------------------------------------------------------------------------ */

static int read_answerer(const struct shunt_cli *cli, struct shunt_answerer *who,
			 struct shunt_err *err)
{
	const char *mac = shunt_cli_option(cli, "mac"), *address;
	int ret = shunt_csum_choose(getenv("SHUNT_CSUM"), err);
	size_t i;

	for (i = 0; !ret && (address = shunt_cli_option_at(cli, "address", i)); i++)
		ret = shunt_answerer_address(who, address, err);
	if (!ret && !i)
		ret = shunt_fail(err, -EINVAL,
				 "run echo: for which addresses? --address says, such "
				 "as 192.0.2.9/24 or 2001:db8::9");
	if (!ret && mac)
		ret = shunt_answerer_mac(who, mac, err);
	return ret ? ret
		   : shunt_answerer_ports(who, shunt_cli_option(cli, "udp-port"), err);
}

int shunt_cli_run_echo(struct shunt_cli *cli, struct shunt_err *err)
{
	_config_ struct shunt_run_config *config = shunt_cli_run_new(err);
	struct shunt_run_app like = { .kind = SHUNT_RUN_ECHO, .name = "echo" };
	int ret;

	if (!config)
		return -ENOMEM;
	like.answerer = config->app[0].answerer = calloc(1, sizeof(*like.answerer));
	if (!like.answerer)
		return shunt_fail_errno(err, -ENOMEM, "run echo");
	ret = read_answerer(cli, like.answerer, err);
	if (!ret)
		ret = add_ports(cli, config, err);
	if (!ret)
		ret = shunt_cli_run_limits(cli, config, err);
	if (!ret)
		ret = share_out(cli, config, &like, config->ports, err);
	return ret ? ret : shunt_cli_run(cli, config, "shunt.run.echo/1", err);
}

/* --- generate -------------------------------------------------------------------------- */

static int read_template(const struct shunt_cli *cli, struct shunt_run_app *app,
			 struct shunt_err *err)
{
	_free_ uint8_t *frame = malloc(SHUNT_TUPLE_BYTES);
	struct shunt_generate_opts opts = { .sz = sizeof(opts) };
	int bytes, ret;

	if (!frame)
		return shunt_fail_errno(err, -ENOMEM, "run generate");
	opts.number = shunt_cli_option(cli, "number");
	ret = read_size(cli, "size", UINT16_MAX, &opts.size, err);
	if (!ret)
		ret = read_size(cli, "flows", SHUNT_GENERATE_FLOWS_MAX, &opts.flows,
				err);
	if (ret)
		return ret;
	bytes = shunt_cli_tuple(cli, frame, err);
	if (!bytes) { /* nothing is said of it */
		_json_ cJSON *match = cJSON_CreateObject();

		cJSON_AddStringToObject(match, "proto", "udp");
		bytes = shunt_tuple_frame(match, frame, err);
	}
	return bytes < 0 ? bytes
			 : shunt_generate_template(&app->generate.frames, frame,
						   (uint32_t)bytes, &opts, err);
}

static int read_capture(const struct shunt_cli *cli, struct shunt_run_app *app,
			const char *path, struct shunt_err *err)
{
	static const char *const others[] = { "number", "size", "flows", "live" };
	size_t i;
	int ret;

	for (i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (shunt_cli_option(cli, others[i]))
			return shunt_fail(
				err, -EINVAL,
				"--%s is for frames of a template, and --pcap "
				"sends them as they are",
				others[i]);
	ret = shunt_generate_capture(&app->generate.frames, path, err);
	if (!ret && !app->generate.packets)
		app->generate.packets = app->generate.frames.count;
	return ret;
}

/* Where the frames go: to the port, or as live frames to the interface of that name. */
static int read_target(const struct shunt_cli *cli, struct shunt_run_config *config,
		       struct shunt_run_app *app, struct shunt_err *err)
{
	size_t room = sizeof(app->generate.interface);

	if (!shunt_cli_option(cli, "live")) {
		app->ports = 1;
		return add_ports(cli, config, err);
	}
	if (shunt_cli_option(cli, "rate") || shunt_cli_option(cli, "burst"))
		return shunt_fail(err, -EINVAL,
				  "--live: the kernel makes them as fast as it can: "
				  "leave --rate and --burst out");
	if (strchr(cli->arg[0], ':') || strlen(cli->arg[0]) >= room)
		return shunt_fail(err, -EINVAL,
				  "--live: name an interface, not a port: %s",
				  cli->arg[0]);
	snprintf(app->generate.interface, room, "%s", cli->arg[0]);
	return 0;
}

int shunt_cli_run_generate(struct shunt_cli *cli, struct shunt_err *err)
{
	_config_ struct shunt_run_config *config = shunt_cli_run_new(err);
	const char *path = shunt_cli_option(cli, "pcap");
	struct shunt_run_app *app;
	int ret;

	if (!config)
		return -ENOMEM;
	app = &config->app[0];
	app->kind = SHUNT_RUN_GENERATE;
	snprintf(app->name, sizeof(app->name), "generate");
	config->apps = config->worker[0].apps = 1;
	ret = shunt_cli_run_limits(cli, config, err);
	app->generate.packets = config->packets; /* of the app, not of what is read */
	config->packets = 0;
	if (!ret)
		ret = read_rate(cli, &app->generate.rate, err);
	if (!ret)
		ret = read_size(cli, "burst", SHUNT_RUN_GENERATE_BURST,
				&app->generate.burst, err);
	if (!ret)
		ret = read_target(cli, config, app, err);
	if (!ret)
		ret = shunt_cli_run_workers(cli, config, 1, err);
	if (!ret)
		ret = path ? read_capture(cli, app, path, err)
			   : read_template(cli, app, err);
	return ret ? ret : shunt_cli_run(cli, config, "shunt.run.generate/1", err);
}

/* --- app ------------------------------------------------------------------------------- */

static void add_diags(cJSON *reply, const char *key, const struct shunt_diags *diags,
		      bool warning)
{
	cJSON *list = cJSON_AddArrayToObject(reply, key);
	size_t i;

	for (i = 0; i < diags->n; i++) {
		cJSON *one;

		if (diags->at[i].warning != warning)
			continue;
		one = cJSON_CreateObject();
		cJSON_AddStringToObject(one, "pointer", diags->at[i].pointer);
		cJSON_AddStringToObject(one, "message", diags->at[i].message);
		cJSON_AddItemToArray(list, one);
	}
}

/* Is it sound? Tells what is not. */
static void tell_check(const struct shunt_cli *cli, const char *path,
		       const struct shunt_diags *diags)
{
	_json_ cJSON *reply = cJSON_CreateObject();

	cJSON_AddStringToObject(reply, "schema", "shunt.run.check/1");
	cJSON_AddStringToObject(reply, "source", path);
	cJSON_AddBoolToObject(reply, "valid", !diags->errors);
	add_diags(reply, "errors", diags, false);
	add_diags(reply, "warnings", diags, true);
	if (cli->json)
		shunt_out_json(reply);
	else
		shunt_out_diags(reply);
}

int shunt_cli_run_app(struct shunt_cli *cli, struct shunt_err *err)
{
	_config_ struct shunt_run_config *config = NULL;
	struct shunt_diags diags = { 0 };
	bool check = shunt_cli_option(cli, "check");
	int ret = shunt_run_config_read(&config, cli->arg[0], &diags);

	if (ret || check || !cli->json)
		tell_check(cli, cli->arg[0], &diags);
	if (ret && !cli->json)
		shunt_fail(err, ret, "%s has %zu error%s: nothing was started",
			   cli->arg[0], diags.errors, diags.errors == 1 ? "" : "s");
	shunt_diags_free(&diags);
	if (!ret && check && !cli->json)
		printf("%s is sound: %u ports, %u workers, %u applications\n",
		       cli->arg[0], config->ports, config->workers, config->apps);
	if (ret || check)
		return ret;
	ret = shunt_cli_run_limits(cli, config, err);
	return ret ? ret : shunt_cli_run(cli, config, "shunt.run.app/1", err);
}
