/* SPDX-License-Identifier: BSD-2-Clause */
/* bench transports. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/apps/bench/bench.h"
#include "user/apps/bench/link.h"
#include "user/apps/bench/payload.h"
#include "user/apps/bench/tally.h"
#include "user/base/cleanup.h"
#include "user/base/file.h"
#include "user/base/json.h"
#include "user/cli/cli.h"

#define REPLY_MAX (64u << 20) /* bytes of an answer that is shown again */
#define QUICK_NS 50000000u    /* of a case, with --quick */

/* "64,1400": up to SHUNT_BENCH_FEW numbers from min to max. */
static int read_list(const struct shunt_cli *cli, const char *name, uint32_t min,
		     uint32_t max, uint32_t *list, size_t *count, struct shunt_err *err)
{
	const char *text = shunt_cli_option(cli, name);
	char *end;

	if (!text)
		return 0;
	for (*count = 0;; text = end + 1) {
		unsigned long value;

		errno = 0;
		value = strtoul(text, &end, 10);
		if (end == text || errno || *text == '-' || value < min ||
		    value > max || (*end && *end != ',') || *count == SHUNT_BENCH_FEW)
			return shunt_fail(
				err, -EINVAL,
				"--%s \"%s\": say up to %d numbers from %u to "
				"%u, such as %u,%u",
				name, shunt_cli_option(cli, name), SHUNT_BENCH_FEW, min,
				max, min, max);
		list[(*count)++] = (uint32_t)value;
		if (!*end)
			return 0;
	}
}

/* In the order given; the first one is measured in full. */
static int read_waits(const struct shunt_cli *cli, struct shunt_bench_opts *opts,
		      struct shunt_err *err)
{
	static const char *const waits[] = { "spin", "poll", "adaptive" };
	const char *text;
	size_t i, w;

	for (i = 0; (text = shunt_cli_option_at(cli, "wait", i)); i++) {
		for (w = 0; w < 3 && strcmp(waits[w], text) != 0; w++)
			;
		if (w == 3 || i == SHUNT_BENCH_FEW)
			return shunt_fail(err, -EINVAL,
					  "--wait \"%s\": there are spin, poll and "
					  "adaptive",
					  text);
		opts->waits[i] = waits[w];
	}
	opts->wait_count = i ? i : 3;
	for (w = 0; !i && w < 3; w++)
		opts->waits[w] = waits[w];
	return 0;
}

static int read_cores(const struct shunt_cli *cli, struct shunt_bench_opts *opts,
		      struct shunt_err *err)
{
	uint32_t list[SHUNT_BENCH_FEW];
	size_t count = 0;
	int ret = read_list(cli, "cores", 0, 1023, list, &count, err);

	if (ret || !count)
		return ret;
	if (count != 2)
		return shunt_fail(err, -EINVAL,
				  "--cores: say the client's and the server's: 0,1");
	opts->cores[0] = (int)list[0];
	opts->cores[1] = (int)list[1];
	return 0;
}

/* "192.0.2.1,192.0.2.2", which is taken apart in `room`. */
static int read_rdma(const struct shunt_cli *cli, struct shunt_bench_opts *opts,
		     char room[64], struct shunt_err *err)
{
	const char *text = shunt_cli_option(cli, "rdma");
	struct in_addr at;
	char *comma;

	if (!text)
		return 0;
	snprintf(room, 64, "%s", text);
	comma = strchr(room, ',');
	if (comma)
		*comma = '\0';
	if (!comma || inet_pton(AF_INET, room, &at) != 1 ||
	    inet_pton(AF_INET, comma + 1, &at) != 1)
		return shunt_fail(
			err, -EINVAL,
			"--rdma \"%s\": say the IPv4 addresses of two devices, "
			"the client's and the server's: 192.0.2.1,192.0.2.2",
			text);
	opts->rdma[0] = room;
	opts->rdma[1] = comma + 1;
	return 0;
}

static int read_options(const struct shunt_cli *cli, struct shunt_bench_opts *opts,
			struct shunt_err *err)
{
	uint64_t rounds = opts->rounds;
	const char *backend;
	static char rdma[64];
	int ret;

	while ((backend = shunt_cli_option_at(cli, "backend", opts->backend_count)))
		opts->backends[opts->backend_count++] = backend;
	opts->peer = shunt_cli_option(cli, "peer");
	opts->note = shunt_cli_option(cli, "note");
	opts->against = shunt_cli_option(cli, "against");
	opts->beside = shunt_cli_option(cli, "beside");
	ret = read_list(cli, "size", SHUNT_BENCH_SIZE_MIN, SHUNT_BENCH_SIZE_MAX,
			opts->sizes, &opts->size_count, err);
	if (!ret)
		ret = read_list(cli, "peers", 1, SHUNT_BENCH_PEERS, opts->peers,
				&opts->peer_count, err);
	if (!ret)
		ret = read_waits(cli, opts, err);
	if (!ret)
		ret = read_cores(cli, opts, err);
	if (!ret)
		ret = read_rdma(cli, opts, rdma, err);
	if (!ret)
		ret = shunt_cli_duration(cli, "duration", &opts->duration_ns, err);
	if (!ret)
		ret = shunt_cli_number(cli, "rate", &opts->rate, err);
	if (!ret)
		ret = shunt_cli_number(cli, "rounds", &rounds, err);
	if (!ret && rounds > SHUNT_BENCH_ROUNDS)
		ret = shunt_fail(err, -EINVAL, "--rounds: at most %u",
				 SHUNT_BENCH_ROUNDS);
	opts->rounds = (uint32_t)rounds;
	if (!ret && opts->peer && opts->beside)
		ret = shunt_fail(
			err, -EINVAL,
			"--beside runs both ends, which --peer does not: leave "
			"one of them out");
	if (!ret && opts->peer && opts->backend_count != 1)
		ret = shunt_fail(err, -EINVAL,
				 "--peer: which backend serves there? --backend NAME "
				 "says, once");
	return ret;
}

static int serve(const struct shunt_cli *cli, const struct shunt_bench_opts *opts,
		 struct shunt_err *err)
{
	const char *address = shunt_cli_option(cli, "serve");
	char any[16];

	snprintf(any, sizeof(any), "*:%d", SHUNT_BENCH_PORT);
	if (opts->backend_count != 1)
		return shunt_fail(err, -EINVAL,
				  "--serve: what is to be served? --backend NAME says, "
				  "once");
	return shunt_bench_server(opts->backends[0], *address ? address : any,
				  opts->waits[0], stderr, err);
}

/* An answer of an earlier run. */
static int read_reply(const char *path, cJSON **reply, struct shunt_err *err)
{
	_free_ char *text = NULL;
	size_t bytes;
	int ret = shunt_file_read(path, REPLY_MAX, &text, &bytes, err);

	if (ret)
		return ret;
	*reply = cJSON_ParseWithLength(text, bytes);
	if (strcmp(shunt_json_str(*reply, "schema"), "shunt.bench.transports/1") != 0)
		return shunt_fail(err, -EINVAL,
				  "--show %s: this is not what `shunt bench transports "
				  "--json` writes",
				  path);
	return 0;
}

int shunt_cli_bench_transports(struct shunt_cli *cli, struct shunt_err *err)
{
	bool quick = shunt_cli_option(cli, "quick");
	struct shunt_bench_opts opts = {
		.sizes = { 64, 1400 },
		.size_count = 2,
		.peers = { 1, 4, 16 },
		.peer_count = 3,
		.rounds = quick ? 2 : 5,
		.duration_ns = quick ? QUICK_NS : 250000000u,
		.cores = { -1, -1 },
	};
	const char *chart = shunt_cli_option(cli, "chart"),
		   *show = shunt_cli_option(cli, "show");
	_json_ cJSON *reply = NULL;
	int ret = read_options(cli, &opts, err);

	if (ret)
		return ret;
	if (shunt_cli_option(cli, "serve"))
		return serve(cli, &opts, err);
	ret = show ? read_reply(show, &reply, err)
		   : shunt_bench_transports(&opts, &reply, err);
	if (ret)
		return ret;
	if (!shunt_out_wants_json(cli, reply))
		shunt_bench_print(reply, stdout);
	return chart ? shunt_bench_chart(reply, chart, err) : 0;
}
