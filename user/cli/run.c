/* SPDX-License-Identifier: BSD-2-Clause */
/* run count and run dump consume what a policy redirects; run sample shows copies. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loader/queues.h"
#include "loader/shunt.h"
#include "user/apps/apps.h"
#include "user/base/cleanup.h"
#include "user/cli/cli.h"
#include "user/cli/consume.h"

static int read_wait(const struct shunt_cli *cli, enum shunt_wait *wait,
		     struct shunt_err *err)
{
	static const char *const names[] = {
		[SHUNT_WAIT_ADAPTIVE] = "adaptive",
		[SHUNT_WAIT_POLL] = "poll",
		[SHUNT_WAIT_SPIN] = "spin",
	};
	const char *name = shunt_cli_option(cli, "wait");
	size_t i;

	for (i = 0; name && i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i], name))
			continue;
		*wait = i;
		return 0;
	}
	return name ? shunt_fail(err, -EINVAL,
				 "--wait \"%s\": there are adaptive, poll and spin",
				 name)
		    : 0;
}

int shunt_cli_consume_options(struct shunt_cli *cli, struct shunt_consume_opts *opts,
			      struct shunt_err *err)
{
	int ret;

	opts->interface = cli->arg[0];
	opts->out = stdout;
	opts->json = cli->json;
	ret = shunt_cli_duration(cli, "duration", &opts->duration_ns, err);
	if (!ret)
		ret = shunt_cli_number(cli, "packets", &opts->packets, err);
	return ret ? ret : read_wait(cli, &opts->wait, err);
}

static void close_tap(struct shunt_tap **tap)
{
	shunt_tap_close(*tap);
}

static void close_seats(struct shunt_seats **seats)
{
	shunt_seats_close(*seats);
}

int shunt_cli_consume(struct shunt_cli *cli, struct shunt_consume_opts *opts,
		      int (*app)(const struct shunt_consume_opts *opts,
				 struct shunt_err *err),
		      struct shunt_err *err)
{
	/* bursts outlast a moment in which another program has our core */
	uint64_t ring = 2048;
	struct shunt_tap *tap __attribute__((cleanup(close_tap))) = NULL;
	struct shunt_seats *seats __attribute__((cleanup(close_seats))) = NULL;
	struct shunt_consumer consumer;
	int ret;

	opts->consumer = shunt_cli_option(cli, "consumer");
	if (!opts->consumer)
		return shunt_fail(
			err, -EINVAL,
			"%s: which consumer of the policy? --consumer NAME says",
			cli->command->name);
	ret = shunt_cli_consume_options(cli, opts, err);
	if (!ret)
		ret = shunt_cli_number(cli, "ring", &ring, err);
	opts->ring = ring < UINT32_MAX ? ring : UINT32_MAX;
	if (!ret)
		ret = shunt_consumer_open(opts->interface, opts->consumer, &consumer,
					  err);
	if (ret)
		return ret;
	_fd_ int map_fd = consumer.map_fd;
	opts->xskmap_fd = map_fd;
	opts->slot = consumer.slot;
	if (consumer.queues)
		opts->queues = consumer.queues & shunt_queues(opts->interface);
	if (consumer.queues && !opts->queues && !consumer.ring)
		return shunt_fail(err, -ENOENT,
				  "consumer %s: none of its queues exists on %s",
				  opts->consumer, opts->interface);
	if (consumer.ring)
		ret = shunt_tap_open(&tap, opts->interface, opts->consumer, err);
	opts->tap = tap;
	if (!ret)
		ret = shunt_seats_open(&seats, opts->interface, opts->slot, err);
	opts->seats = seats;
	return ret ? ret : app(opts, err);
}

int shunt_cli_copies(struct shunt_cli *cli, struct shunt_consume_opts *opts,
		     int (*app)(const struct shunt_consume_opts *opts,
				struct shunt_err *err),
		     struct shunt_err *err)
{
	struct shunt_tap *tap __attribute__((cleanup(close_tap))) = NULL;
	int ret;

	opts->consumer = "samples";
	ret = shunt_cli_consume_options(cli, opts, err);
	if (!ret)
		ret = shunt_tap_open(&tap, opts->interface, NULL, err);
	opts->tap = tap;
	return ret ? ret : app(opts, err);
}

int shunt_cli_run_count(struct shunt_cli *cli, struct shunt_err *err)
{
	struct shunt_consume_opts opts = { .interval_ns = 1000000000 };
	int ret = shunt_cli_duration(cli, "interval", &opts.interval_ns, err);

	return ret ? ret : shunt_cli_consume(cli, &opts, shunt_app_count, err);
}

int shunt_cli_run_dump(struct shunt_cli *cli, struct shunt_err *err)
{
	struct shunt_consume_opts opts = { .write = shunt_cli_option(cli, "write") };

	return shunt_cli_consume(cli, &opts, shunt_app_dump, err);
}

int shunt_cli_run_sample(struct shunt_cli *cli, struct shunt_err *err)
{
	struct shunt_consume_opts opts = { .write = shunt_cli_option(cli, "write"),
					   .wait = SHUNT_WAIT_POLL };

	return shunt_cli_copies(cli, &opts, shunt_app_sample, err);
}
