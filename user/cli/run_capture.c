/* SPDX-License-Identifier: BSD-2-Clause */
/* run capture: packets into a capture file, with what the program says of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/apps/apps.h"
#include "user/apps/record.h"
#include "user/apps/record_port.h"
#include "user/cli/cli.h"
#include "user/cli/consume.h"

#define NS_PER_S UINT64_C(1000000000)

/* "1000000", "64K", "10M", "1G" */
static int read_size(const struct shunt_cli *cli, const char *name, uint64_t *bytes,
		     struct shunt_err *err)
{
	static const char units[] = "KMG";
	const char *text = shunt_cli_option(cli, name), *unit;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	*bytes = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit && *bytes <= UINT64_MAX >> 30) {
		*bytes <<= 10 * (unit - units + 1);
		end++;
	}
	if (errno || end == text || *end || !*bytes || *text < '0' || *text > '9')
		return shunt_fail(err, -EINVAL,
				  "--%s \"%s\" is no size: say 1000000, 64K, 10M or 1G",
				  name, text);
	return 0;
}

static int check_files(const struct shunt_cli *cli,
		       const struct shunt_record_file_opts *file, struct shunt_err *err)
{
	if (!file->path)
		return shunt_fail(err, -EINVAL,
				  "run capture: into which file? --write FILE.pcapng "
				  "says");
	if (cli->json && !strcmp(file->path, "-"))
		return shunt_fail(err, -EINVAL,
				  "standard output cannot take the capture and --json: "
				  "write into a file");
	if (!strcmp(file->path, "-") && isatty(STDOUT_FILENO))
		return shunt_fail(err, -EINVAL,
				  "a capture is nothing for a terminal: send standard "
				  "output into a pipe or a file");
	if (file->keep && !file->most_bytes && !file->most_ns)
		return shunt_fail(err, -EINVAL,
				  "--files: there is one file; --rotate-size or "
				  "--rotate-time makes it several");
	return 0;
}

static int read_record(const struct shunt_cli *cli, struct shunt_record_opts *record,
		       struct shunt_err *err)
{
	uint64_t snap = 0;
	int ret;

	record->file.path = shunt_cli_option(cli, "write");
	record->file.source = cli->arg[0];
	record->filter = shunt_cli_option(cli, "filter");
	record->rule = shunt_cli_option(cli, "rule");
	record->verdict = shunt_cli_option(cli, "verdict");
	record->reason = shunt_cli_option(cli, "reason");
	ret = read_size(cli, "rotate-size", &record->file.most_bytes, err);
	if (!ret)
		ret = shunt_cli_duration(cli, "rotate-time", &record->file.most_ns,
					 err);
	if (!ret)
		ret = shunt_cli_number(cli, "files", &record->file.keep, err);
	if (!ret)
		ret = read_size(cli, "snap", &snap, err);
	record->snap = snap < UINT32_MAX ? (uint32_t)snap : UINT32_MAX;
	return ret ? ret : check_files(cli, &record->file, err);
}

static int from_port(struct shunt_cli *cli, const struct shunt_consume_opts *loop,
		     struct shunt_err *err)
{
	const char *protect[SHUNT_CLI_VALUES];
	char session[SHUNT_CLI_SESSION];
	struct shunt_record_port_opts opts = {
		.port = cli->arg[0],
		.record = *loop->record,
		.duration_ns = loop->duration_ns,
		.interval_ns = loop->interval_ns,
		.wait = loop->wait,
		.out = loop->out,
		.json = loop->json,
		.feed = { .netns = shunt_cli_option(cli, "netns"),
			  .session = shunt_cli_session(cli, session),
			  .protect = protect,
			  .protects = shunt_cli_protected(cli, protect) },
	};

	if (shunt_cli_option(cli, "consumer") || shunt_cli_option(cli, "copies"))
		return shunt_fail(err, -EINVAL,
				  "run capture: %s is a port; --consumer and --copies "
				  "are for an interface",
				  cli->arg[0]);
	opts.record.packets = loop->packets;
	return shunt_app_record_port(&opts, err);
}

int shunt_cli_run_capture(struct shunt_cli *cli, struct shunt_err *err)
{
	struct shunt_record_opts record = { 0 };
	struct shunt_consume_opts opts = { .interval_ns = NS_PER_S, .record = &record };
	const char *consumer = shunt_cli_option(cli, "consumer");
	const char *copies = shunt_cli_option(cli, "copies");
	int ret = read_record(cli, &record, err);

	if (!ret)
		ret = shunt_cli_duration(cli, "interval", &opts.interval_ns, err);
	if (ret)
		return ret;
	if (strchr(cli->arg[0], ':')) {
		ret = shunt_cli_consume_options(cli, &opts, err);
		return ret ? ret : from_port(cli, &opts, err);
	}
	if (!consumer == !copies)
		return shunt_fail(
			err, -EINVAL,
			"run capture: of %s, what a consumer gets (--consumer NAME), "
			"or samples and mirrored packets (--copies)? Or name a port, "
			"such as af_packet:%s",
			cli->arg[0], cli->arg[0]);
	if (copies)
		return shunt_cli_copies(cli, &opts, shunt_app_record, err);
	return shunt_cli_consume(cli, &opts, shunt_app_record, err);
}
