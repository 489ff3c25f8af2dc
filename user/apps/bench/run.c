/* SPDX-License-Identifier: BSD-2-Clause */
/* The rounds: all contenders in turn, again and again, and what they come to. */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/apps/bench/bench.h"
#include "user/apps/bench/beside.h"
#include "user/apps/bench/contender.h"
#include "user/apps/bench/ends.h"
#include "user/apps/bench/name.h"
#include "user/apps/bench/reply.h"
#include "user/apps/bench/stage.h"
#include "user/base/cleanup.h"
#include "user/base/progress.h"

#define LEAST_RATE 1000u
#define BRIEF_NS 100000000u /* for finding out how fast something is */

struct bench {
	const struct shunt_bench_opts *opts;
	struct shunt_bench_field field;
	struct shunt_bench_stage stage;
	struct shunt_stop stop;
	struct shunt_bench_facts facts;
	char local[SHUNT_ENDPOINT_TEXT]; /* our address towards a peer elsewhere */
	size_t done, steps;
};

/* --- where ------------------------------------------------------------------------------ */

/* The first two cores that this process may use; the same twice where it is one. */
static void choose_cores(struct bench *bench)
{
	int found[2] = { -1, -1 }, core;
	cpu_set_t set;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	for (core = 0; core < CPU_SETSIZE && found[1] < 0; core++)
		if (CPU_ISSET(core, &set))
			found[found[0] >= 0] = core;
	if (found[1] < 0)
		found[1] = found[0];
	bench->facts.client_core =
		bench->opts->cores[0] >= 0 ? bench->opts->cores[0] : found[0];
	bench->facts.server_core =
		bench->opts->cores[1] >= 0 ? bench->opts->cores[1] : found[1];
}

/* The address that packets to the peer leave with: what a socket would have. */
static int find_local(struct bench *bench, struct shunt_err *err)
{
	struct sockaddr_storage at;
	struct shunt_endpoint peer, own;
	socklen_t len = sizeof(at);
	char text[SHUNT_ENDPOINT_TEXT];
	int ret = shunt_endpoint_parse(&peer, bench->opts->peer, err);

	if (ret)
		return ret;
	_fd_ int fd = socket(peer.l3 == SHUNT_L3_IP6 ? AF_INET6 : AF_INET,
			     SOCK_DGRAM | SOCK_CLOEXEC, 0);
	len = shunt_endpoint_to_socket(&peer, &at);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, len))
		return shunt_fail_errno(err, -errno, "bench: find a way to %s",
					bench->opts->peer);
	len = sizeof(at);
	if (getsockname(fd, (struct sockaddr *)&at, &len))
		return shunt_fail_errno(err, -errno, "bench: find our own address");
	shunt_endpoint_from_socket(&own, &at);
	own.port = 0;
	shunt_endpoint_text(&own, text);
	*strrchr(text, ':') = '\0';
	snprintf(bench->local, sizeof(bench->local), "%s", text);
	return 0;
}

/* --- one contender ------------------------------------------------------------------------ */

/* The two ends' addresses, and their transports at them. */
static void make_uris(const struct bench *bench,
		      const struct shunt_bench_contender *contender,
		      struct shunt_bench_job *job)
{
	const struct shunt_bench_rdma *rdma = contender->rdma;
	const char *there = rdma ? rdma->server.address : SHUNT_BENCH_SERVER_ADDRESS,
		   *here = bench->opts->peer ? bench->local
			   : rdma	     ? rdma->client.address
					     : SHUNT_BENCH_CLIENT_ADDRESS;
	const struct shunt_transport_ops *client =
		*contender->client ? shunt_bench_backend(contender->client)
				   : contender->ops;
	char address[SHUNT_ENDPOINT_TEXT + 4];

	snprintf(address, sizeof(address), "%s:%d", there, SHUNT_BENCH_PORT);
	shunt_bench_uri(job->server, sizeof(job->server), contender->ops, address,
			contender->proto, contender->wait);
	strncat(job->server, contender->options,
		sizeof(job->server) - strlen(job->server) - 1);
	snprintf(address, sizeof(address), "%s:0", here);
	shunt_bench_uri(job->client, sizeof(job->client), client, address,
			contender->proto, contender->wait);
}

static void make_job(const struct bench *bench,
		     const struct shunt_bench_contender *contender,
		     struct shunt_bench_job *job)
{
	bool on_stage = !bench->opts->peer && !contender->rdma;

	*job = (struct shunt_bench_job){
		.name = contender->name,
		.spins = !strcmp(contender->wait, "spin"),
		.answers = *contender->client,
		.stage = on_stage ? &bench->stage : NULL,
		.client_core = bench->facts.client_core,
		.server_core = bench->facts.server_core,
		.serve = contender->ops ? shunt_bench_serve : shunt_bench_plain_serve,
		.ask = contender->ops ? shunt_bench_ask : shunt_bench_plain_ask,
	};
	if (contender->ops)
		make_uris(bench, contender, job);
	if (bench->opts->peer)
		snprintf(job->peer, sizeof(job->peer), "%s", bench->opts->peer);
}

/* The reason why a contender goes no further: an end's own words come first. */
static void note_failure(struct shunt_bench_contender *contender,
			 const struct shunt_bench_link *link)
{
	char words[SHUNT_BENCH_WORDS] = "";
	uint32_t i;

	if (*link->server_error)
		snprintf(words, sizeof(words), "server: %.490s", link->server_error);
	else if (*link->client_error)
		snprintf(words, sizeof(words), "client: %.490s", link->client_error);
	for (i = 0; !*words && i < link->cases; i++)
		if (link->result[i].state == SHUNT_BENCH_FAILED)
			snprintf(words, sizeof(words), "%s", link->result[i].error);
	if (*words && !*contender->failed)
		snprintf(contender->failed, sizeof(contender->failed), "%s", words);
}

static int measure_pair(struct bench *bench, struct shunt_bench_contender *contender,
			struct shunt_err *err)
{
	struct shunt_bench_link *link = shunt_bench_link_open();
	struct shunt_bench_job job;
	uint32_t i;
	int ret;

	if (!link)
		return shunt_fail_errno(err, -ENOMEM, "bench: memory for results");
	make_job(bench, contender, &job);
	link->cases = contender->cases;
	for (i = 0; i < contender->cases; i++)
		link->todo[i] = contender->tally[i].todo;
	ret = shunt_bench_pair(&job, link, &bench->stop, err);
	for (i = 0; !ret && i < contender->cases; i++)
		shunt_bench_tally_result(&contender->tally[i], &link->result[i]);
	if (!ret)
		note_failure(contender, link);
	shunt_bench_link_close(link);
	return ret;
}

static int measure_program(struct bench *bench, struct shunt_bench_contender *contender,
			   struct shunt_err *err)
{
	const int cores[] = { bench->facts.client_core, bench->facts.server_core };
	uint32_t i;

	for (i = 0; i < contender->cases && !*contender->failed; i++) {
		struct shunt_bench_tally *tally = &contender->tally[i];
		struct shunt_bench_round round;
		int tries = 2, ret = 0; /* some give up on a busy moment */

		do {
			round.known = 0;
			*tally->error = '\0';
			ret = shunt_bench_program_run(contender->program, &tally->todo,
						      &bench->stage, contender->rdma,
						      cores, &bench->stop, &round,
						      tally->error, err);
		} while (!ret && *tally->error && --tries);
		if (ret)
			return ret;
		if (*tally->error)
			snprintf(contender->failed, sizeof(contender->failed), "%s",
				 tally->error);
		else
			shunt_bench_tally_round(tally, &round);
	}
	return 0;
}

static void step(struct bench *bench, const struct shunt_bench_contender *contender)
{
	char text[64], what[80];

	snprintf(what, sizeof(what), "measure %s",
		 shunt_bench_contender_text(contender, text));
	shunt_progress(what, bench->done++, bench->steps);
}

/* --- a common rate ------------------------------------------------------------------------ */

/* Two digits are enough, and the same from one run to the next more often. */
static uint64_t round_down(double rate)
{
	uint64_t whole = (uint64_t)rate, unit = 1;

	while (whole / unit >= 100)
		unit *= 10;
	whole = whole / unit * unit;
	return whole > LEAST_RATE ? whole : LEAST_RATE;
}

/* Round trips a second of a contender, in a moment; 0: there were none. */
static int try_one(struct bench *bench, struct shunt_bench_contender *contender,
		   double *rate, struct shunt_err *err)
{
	struct shunt_bench_link *link = shunt_bench_link_open();
	struct shunt_bench_job job;
	int ret;

	if (!link)
		return shunt_fail_errno(err, -ENOMEM, "bench: memory for results");
	make_job(bench, contender, &job);
	link->cases = 1;
	link->todo[0] = contender->tally[0].todo;
	if (link->todo[0].duration_ns > BRIEF_NS)
		link->todo[0].duration_ns = BRIEF_NS;
	ret = shunt_bench_pair(&job, link, &bench->stop, err);
	if (!ret)
		note_failure(contender, link);
	*rate = link->result[0].elapsed_ns ? (double)link->result[0].replies * 1e9 /
						     (double)link->result[0].elapsed_ns
					   : 0;
	shunt_bench_link_close(link);
	return ret;
}

/* Half of what the slowest manages, so that nobody is overloaded; what fails at it is not
 * asked again. It warms the machine up as well. */
static int find_rate(struct bench *bench, struct shunt_err *err)
{
	double slowest = 0;
	size_t i;

	for (i = 0; i < bench->field.contenders; i++) {
		struct shunt_bench_contender *contender = &bench->field.contender[i];
		double rate = 0;
		int ret;

		if (!contender->ops || *contender->failed)
			continue;
		step(bench, contender);
		ret = try_one(bench, contender, &rate, err);
		if (ret)
			return ret;
		if (!*contender->failed && rate > 0 && (!slowest || rate < slowest))
			slowest = rate;
	}
	bench->facts.rate =
		bench->opts->rate ? bench->opts->rate : round_down(slowest / 2);
	return 0;
}

/* --- all of it ------------------------------------------------------------------------------ */

static void set_cases(struct bench *bench)
{
	size_t i, c;

	for (i = 0; i < bench->field.contenders; i++) {
		struct shunt_bench_contender *contender = &bench->field.contender[i];

		for (c = 0; c < contender->cases; c++) {
			contender->tally[c].todo.duration_ns = bench->opts->duration_ns;
			contender->tally[c].todo.rate = bench->facts.rate;
		}
	}
}

static int run_rounds(struct bench *bench, struct shunt_err *err)
{
	uint32_t round;
	size_t i;

	for (round = 0; round < bench->opts->rounds; round++) {
		for (i = 0; i < bench->field.contenders; i++) {
			struct shunt_bench_contender *contender =
				&bench->field.contender[i];
			int ret;

			step(bench, contender);
			if (*contender->failed)
				continue;
			ret = contender->program
				      ? measure_program(bench, contender, err)
				      : measure_pair(bench, contender, err);
			if (ret)
				return ret;
		}
	}
	return 0;
}

static int work(struct bench *bench, struct shunt_err *err)
{
	int ret = bench->opts->peer ? find_local(bench, err)
				    : shunt_bench_stage_open(&bench->stage, err);
	size_t i;

	for (i = 0; i < bench->field.contenders; i++)
		bench->steps += bench->opts->rounds + !!bench->field.contender[i].ops;
	set_cases(bench); /* how long; the rate comes next */
	if (!ret)
		ret = find_rate(bench, err);
	set_cases(bench);
	if (!ret)
		ret = run_rounds(bench, err);
	shunt_progress("measure", bench->steps, bench->steps);
	return ret;
}

int shunt_bench_transports(const struct shunt_bench_opts *opts, cJSON **reply,
			   struct shunt_err *err)
{
	static struct bench bench;
	int ret;

	bench = (struct bench){ .opts = opts, .stage = { -1, -1 } };
	*reply = NULL;
	ret = shunt_bench_field_make(&bench.field, opts, err);
	if (ret)
		return ret;
	choose_cores(&bench);
	shunt_bench_facts_look(&bench.facts);
	ret = shunt_stop_open(&bench.stop, err);
	if (!ret) {
		ret = work(&bench, err);
		shunt_stop_close(&bench.stop);
	}
	if (!ret)
		*reply = shunt_bench_reply(opts, &bench.facts, &bench.field);
	shunt_bench_stage_close(&bench.stage);
	shunt_bench_field_free(&bench.field);
	return ret;
}
