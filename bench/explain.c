/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an explanation costs a packet, over the bare test run that it asks the program by:
 *
 *     floor    BPF_PROG_TEST_RUN of the same frames by the same program, nothing recorded
 *     run      with the request, and the program's record fetched
 *     explain  the whole reply, printed as a line of JSON into a buffer
 *     prove    probe packets of the policy, made, run and compared (per packet)
 *
 * In CPU time, in alternation, round by round; a figure is the median over the rounds, with its range,
 * and its ratio to the floor the median of the ratios within a round.
 */
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "bench/options.h"
#include "bench/stat.h"
#include "loader/policy/witness.h"
#include "loader/prove.h"
#include "tests/model/fixture.h"
#include "tests/model/kind.h"
#include "user/base/cleanup.h"

#define FRAMES 1024

enum figure { FLOOR, RUN, EXPLAIN, PROVE, FIGURES };

static const char *const figure_names[FIGURES] = { "floor", "run", "explain", "prove" };

static struct {
	size_t rounds, times;
	bool json, quick;
	const char *wanted;
} options = { .rounds = 9, .times = 16 };

static void die(const char *what, const char *why)
{
	fprintf(stderr, "explain: %s: %s\n", what, why);
	exit(1);
}

/* --- what is measured ---------------------------------------------------------- */

static int floor_run(struct shunt_explain *explain, const struct shunt_witness *w)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = w->frame,
		    .data_size_in = w->bytes, .repeat = 1);

	return bpf_prog_test_run_opts(explain->prog_fd, &opts);
}

static int explain_line(struct shunt_explain *explain, const struct shunt_witness *w,
			struct shunt_err *err)
{
	static char line[1 << 16];
	_json_ cJSON *reply = NULL;
	int ret = shunt_explain_frame(explain, 1, w->frame, w->bytes, &reply, err);

	if (!ret && !cJSON_PrintPreallocated(reply, line, sizeof(line), false))
		ret = -E2BIG;
	return ret;
}

/* ns a packet. */
static double measure(struct shunt_explain *explain, const struct shunt_policy *policy,
		      const struct shunt_witnesses *all, enum figure figure)
{
	struct shunt_err err = { "" };
	struct shunt_trace trace;
	double start = bench_now_ns(CLOCK_THREAD_CPUTIME_ID);
	size_t i, t, packets = 0, proved;
	int ret = 0;

	for (t = 0; !ret && t < options.times; t++) {
		if (figure == PROVE) {
			ret = shunt_prove(explain, policy, FRAMES, &proved, &err);
			packets += proved;
			continue;
		}
		for (i = 0; !ret && i < all->n; i++) {
			const struct shunt_witness *w = &all->at[i];

			ret = figure == FLOOR ? floor_run(explain, w)
			      : figure == RUN
				      ? shunt_explain_run(explain, w->frame, w->bytes,
							  &trace, &err)
				      : explain_line(explain, w, &err);
			packets++;
		}
	}
	if (ret)
		die(figure_names[figure], *err.message ? err.message : strerror(-ret));
	return (bench_now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / packets;
}

/* --- cases --------------------------------------------------------------------- */

static void print_figure(const char *name, size_t rules, enum figure figure,
			 const double *sample, const double *floor)
{
	double ratio[BENCH_SAMPLES];
	struct bench_stat ns = bench_stat_of(sample, options.rounds), times;
	size_t i;

	for (i = 0; i < options.rounds; i++)
		ratio[i] = sample[i] / floor[i];
	times = bench_stat_of(ratio, options.rounds);
	if (options.json)
		printf("{\"bench\":\"explain\",\"case\":\"%s\",\"rules\":%zu,"
		       "\"figure\":\"%s\",\"ns\":%.0f,"
		       "\"min\":%.0f,\"max\":%.0f,\"per_second\":%.0f,\"ratio\":%.2f,"
		       "\"ratio_min\":%.2f,\"ratio_max\":%.2f}\n",
		       name, rules, figure_names[figure], ns.median, ns.min, ns.max,
		       1e9 / ns.median, times.median, times.min, times.max);
	else
		printf("%-8s %6zu  %-8s %8.0f  %7.0f..%-7.0f %9.0f  %6.2f  "
		       "%.2f..%.2f\n",
		       name, rules, figure_names[figure], ns.median, ns.min, ns.max,
		       1e9 / ns.median, times.median, times.min, times.max);
	fflush(stdout);
}

static void run_case(const char *name, struct shunt_policy *policy)
{
	struct shunt_roll roll = shunt_roll_of_policy(policy);
	double sample[FIGURES][BENCH_SAMPLES];
	struct shunt_explain *explain;
	struct shunt_witnesses all;
	struct shunt_err err;
	size_t round;
	int f;

	if (shunt_explain_open_for(&explain, policy, "xdp", SHUNT_AUTHOR_IFACE, &err) ||
	    shunt_witness_make(&all, &explain->trials, &roll, FRAMES, &err))
		die(name, err.message);
	for (round = 0; round < options.rounds; round++)
		for (f = 0; f < FIGURES; f++)
			sample[f][round] = measure(explain, policy, &all, f);
	for (f = 0; f < FIGURES; f++)
		print_figure(name, policy->rules, f, sample[f], sample[FLOOR]);
	shunt_witness_free(&all);
	shunt_explain_close(explain);
}

static void run_kind(const char *name, enum shunt_kind kind, uint32_t rules)
{
	struct shunt_random r = { 7 };
	struct shunt_author author = { .random = &r };
	struct shunt_policy *policy = NULL;

	if (options.wanted && strcmp(options.wanted, name) != 0)
		return;
	/* kinds draw their sizes: the first one that is large enough */
	while (!policy || policy->rules < rules) {
		_free_ char *text = shunt_kind_write(kind, &author);

		shunt_policy_free(policy);
		policy = shunt_fixture_policy(text);
	}
	run_case(name, policy);
	shunt_policy_free(policy);
}

static const struct bench_option rows[] = {
	BENCH_OPTION("quick", NULL, &options.quick),
	BENCH_OPTION("json", NULL, &options.json),
	BENCH_OPTION("rounds", "1..64", &options.rounds),
	BENCH_OPTION("case", "NAME", &options.wanted),
	{ NULL },
};

static int read_options(int argc, char **argv)
{
	int first = bench_options(argc, argv, rows);

	if (options.quick) {
		options.rounds = 2;
		options.times = 1;
	}
	return first < 0 || !options.rounds || options.rounds > BENCH_SAMPLES ? -EINVAL
									      : 0;
}

int main(int argc, char **argv)
{
	if (read_options(argc, argv))
		return bench_usage("explain", rows, NULL);
	libbpf_set_print(NULL);
	if (!options.json)
		printf("case      rules  figure         ns  range              a second"
		       "  x-floor  range\n");
	run_kind("few", SHUNT_KIND_FEW, 30);
	run_kind("many", SHUNT_KIND_MANY, 1000);
	run_kind("acl", SHUNT_KIND_ACL, 4096);
	run_kind("ipc", SHUNT_KIND_IPC, 16384);
	return 0;
}
