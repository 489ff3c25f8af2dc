/* SPDX-License-Identifier: BSD-2-Clause */
/* What the generation word costs a packet: the same XDP program with and without it. */

/*
 *     word [--json] [--quick] [--cpu N] [--rounds N]
 *
 *     empty      a program that does nothing: the floor
 *     as it is   the XDP program of the policy; no trial is under way
 *     armed      the same program, while a policy is on trial: it looks at the clock
 *     fixed      built without the word: which image rules is known when it is loaded
 *     carry      hands the generation on to TC, as metadata of each packet that passes
 *
 * All stand over the same maps, and behind the same source of packets, which also takes
 * the metadata off again. In test runs, one after the other, for several rounds;
 * differences and ratios are taken within a round. All packets pass.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/contender.h"
#include "bench/options.h"
#include "classify_peer.skel.h"
#include "fixed.skel.h"
#include "loader/gen.h"
#include "maps/config.h"

#define FLOWS 1024
#define RUNS (512u * FLOWS) /* packets a sample */
#define WARM (64u * FLOWS)  /* and before it, for the predictor to learn them again */
#define TRIAL_NS 3600000000000ull

enum { ALONE, EMPTY, PLAIN, ARMED, FIXED, CARRY };

static struct {
	bool json, quick;
	int cpu;
	unsigned int rounds, runs;
} opt = { .cpu = -1, .rounds = 15, .runs = RUNS };

static const struct bench_case cases[] = {
	{ "acl-1", SHUNT_CLASSBENCH_ACL, 4, 1 },
	{ "acl-256", SHUNT_CLASSBENCH_ACL, 4, 256 },
	{ "acl-4k", SHUNT_CLASSBENCH_ACL, 4, 4096 },
};

static struct classify_peer_bpf *peer;

static void put_flows(const struct bench_list *list)
{
	struct shunt_random random = { FLOWS };
	struct shunt_frame_spec spec;
	uint32_t i;

	for (i = 0; i < FLOWS; i++) {
		bench_list_draw_spec(&random, list, &spec);
		bench_spec_write(&spec, (void *)peer->bss->bench_flow[i]);
	}
	peer->bss->bench_flow_mask = FLOWS - 1;
	peer->bss->bench_flow_next = 0;
}

/* --- the programs -------------------------------------------------------------- */

static uint64_t generation(const struct shunt_maps *maps)
{
	return shunt_gen_look(maps->gen).newest;
}

/* Loads bench/fixed.bpf.c over the maps that there are. */
static int load_fixed(struct bench_contender *c, const struct shunt_maps *maps,
		      uint32_t features, struct shunt_err *err)
{
	struct fixed_bpf *skel = fixed_bpf__open();
	int ret;

	if (!skel)
		return shunt_fail_errno(err, -errno, "open the program without a word");
	skel->rodata->shunt_config.features = features;
	skel->rodata->shunt_config.image_bytes = maps->image_bytes;
	skel->rodata->bench_generation = generation(maps);
	ret = shunt_maps_lend(maps, skel->obj, err);
	if (!ret) {
		ret = fixed_bpf__load(skel);
		if (ret)
			shunt_fail_errno(err, ret, "load the program without a word");
	}
	if (!ret)
		c->prog = dup(bpf_program__fd(skel->progs.shunt_xdp));
	fixed_bpf__destroy(skel);
	return ret;
}

static int enter_all(struct bench_field *field, const struct bench_list *list,
		     struct shunt_err *err)
{
	struct shunt_maps *maps;
	uint32_t features;
	int ret;

	bench_enter_empty(field, bpf_program__fd(peer->progs.bench_empty));
	ret = bench_enter_shunt(field, "as it is", list, false, err);
	if (ret)
		return ret;
	maps = &field->at[PLAIN].maps;
	features = shunt_maps_image(maps, generation(maps))->features;
	bench_enter(field, "armed", BENCH_SHUNT)->prog = dup(field->at[PLAIN].prog);
	bench_enter(field, "fixed", BENCH_SHUNT);
	ret = load_fixed(&field->at[FIXED], maps, features, err);
	if (ret)
		return ret;
	bench_enter(field, "carry", BENCH_SHUNT)->prog = ret =
		shunt_program_load(SHUNT_HOOK_XDP, features | SHUNT_HAS_CARRY, maps,
				   err);
	return ret < 0 ? ret : 0;
}

/* --- runs ---------------------------------------------------------------------- */

/* As for the apply of a policy on trial, and its confirmation. */
static void arm(const struct shunt_maps *maps, bool on)
{
	uint64_t newest = generation(maps);

	if (on)
		shunt_gen_set_until(maps->gen, newest, shunt_now_ns() + TRIAL_NS);
	else
		shunt_gen_set(maps->gen, newest);
}

static int run(struct bench_field *field, size_t i, uint32_t repeat, double *ns,
	       struct shunt_err *err)
{
	const struct bench_contender *c = &field->at[i];
	uint8_t frame[BENCH_ETH_BYTES + BENCH_L3_BYTES] = { 2, [6] = 2, [12] = 8 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = sizeof(frame), .repeat = repeat);
	int prog = c->alone ? c->prog : bpf_program__fd(peer->progs.bench_fresh), ret;
	uint32_t key = 0, want = c->kind == BENCH_EMPTY ? XDP_DROP : XDP_PASS;
	double start;

	ret = bpf_map_update_elem(bpf_map__fd(peer->maps.bench_under), &key, &c->prog,
				  BPF_ANY);
	if (ret)
		return shunt_fail_errno(err, ret, "put %s behind the traffic", c->name);
	arm(&field->at[PLAIN].maps, i == ARMED);
	start = bench_now_ns(CLOCK_THREAD_CPUTIME_ID);
	ret = bpf_prog_test_run_opts(prog, &opts);
	*ns = bench_now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
	if (ret)
		return shunt_fail_errno(err, ret, "run %s", c->name);
	return opts.retval == want ? 0
				   : shunt_fail(err, -EBADMSG, "%s says %u, not %u",
						c->name, opts.retval, want);
}

/* All must find the same rules; the counters are common to them. */
static int match_all(struct bench_field *field, struct shunt_err *err)
{
	struct bench_contender *plain = &field->at[PLAIN];
	uint64_t matched = 0, before, now;
	double ns;
	size_t i;
	int ret = 0;

	for (i = PLAIN; !ret && i < field->n; i++) {
		ret = bench_count(plain, err);
		before = plain->matched;
		if (!ret)
			ret = run(field, i, opt.runs, &ns, err);
		if (!ret)
			ret = bench_count(plain, err);
		now = plain->matched - before;
		matched = i == PLAIN ? now : matched;
		if (!ret && (!now || now != matched))
			ret = shunt_fail(err, -EBADMSG,
					 "%s matches %llu of %u packets, not %llu",
					 field->at[i].name, (unsigned long long)now,
					 opt.runs, (unsigned long long)matched);
	}
	return ret;
}

/* One sample of each; what a call costs beside its runs is measured and taken off. */
static int sample_all(struct bench_field *field, unsigned int round,
		      struct shunt_err *err)
{
	double call, ns;
	size_t i;
	int ret = run(field, ALONE, 2, &call, err);

	for (i = 0; !ret && i < field->n; i++) {
		ret = run(field, i, WARM, &ns, err);
		if (!ret)
			ret = run(field, i, opt.runs, &ns, err);
		field->at[i].sample[round] = (ns - call) / (opt.runs - 2);
	}
	return ret;
}

/* --- the report ---------------------------------------------------------------- */

/* What a test run of the program alone would take, by round. */
static void alone(const struct bench_field *field, size_t i, double *ns)
{
	unsigned int r;

	for (r = 0; r < opt.rounds; r++)
		ns[r] = field->at[i].sample[r] - field->at[EMPTY].sample[r] +
			field->at[ALONE].sample[r];
}

static void report(const struct bench_case *which, const struct bench_field *field)
{
	double plain[BENCH_SAMPLES], ns[BENCH_SAMPLES], ratio[BENCH_SAMPLES];
	unsigned int r;
	size_t i;

	alone(field, PLAIN, plain);
	for (i = EMPTY; i < field->n; i++) {
		struct bench_stat of, over, x;

		alone(field, i, ns);
		for (r = 0; r < opt.rounds; r++)
			ratio[r] = ns[r] / plain[r];
		of = bench_stat_of(ns, opt.rounds);
		over = bench_stat_over(ns, plain, opt.rounds);
		x = bench_stat_of(ratio, opt.rounds);
		if (opt.json)
			printf("{\"bench\":\"word\",\"case\":\"%s\",\"rules\":%u,"
			       "\"program\":\"%s\",\"rounds\":%u,\"ns\":%.2f,"
			       "\"ns_min\":%.2f,\"ns_max\":%.2f,\"over_ns\":%.2f,"
			       "\"over_min_ns\":%.2f,\"over_max_ns\":%.2f,\"x\":%.4f,"
			       "\"x_min\":%.4f,\"x_max\":%.4f}\n",
			       which->name, which->rules, field->at[i].name, opt.rounds,
			       of.median, of.min, of.max, over.median, over.min,
			       over.max, x.median, x.min, x.max);
		else
			printf("%-8s  %-9s %7.1f (%.1f..%.1f) ns  %+7.2f "
			       "(%+.2f..%+.2f)  "
			       "x %.3f (%.3f..%.3f)\n",
			       which->name, field->at[i].name, of.median, of.min,
			       of.max, over.median, over.min, over.max, x.median, x.min,
			       x.max);
	}
	fflush(stdout);
}

/* --- cases --------------------------------------------------------------------- */

static int run_case(const struct bench_case *which, struct shunt_err *err)
{
	struct bench_field field = { 0 };
	struct bench_list list;
	unsigned int round;
	uint32_t r;
	int ret = bench_list_draw(&list, which, err);

	for (r = 0; !ret && r < which->rules; r++)
		list.rule[r].drop = false;
	if (!ret)
		ret = enter_all(&field, &list, err);
	if (!ret) {
		put_flows(&list);
		ret = match_all(&field, err);
	}
	for (round = 0; !ret && round < opt.rounds; round++)
		ret = sample_all(&field, round, err);
	if (!ret)
		report(which, &field);
	bench_leave(&field);
	bench_list_free(&list);
	return ret;
}

static int pin(struct shunt_err *err)
{
	cpu_set_t set;

	if (opt.cpu < 0)
		opt.cpu = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	CPU_ZERO(&set);
	CPU_SET(opt.cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set)
		       ? shunt_fail_errno(err, -errno, "stay on CPU %d", opt.cpu)
		       : 0;
}

static const struct bench_option rows[] = {
	BENCH_OPTION("json", NULL, &opt.json),
	BENCH_OPTION("quick", NULL, &opt.quick),
	BENCH_OPTION("cpu", "N", &opt.cpu),
	BENCH_OPTION("rounds", "1..64", &opt.rounds),
	{ NULL },
};

static int read_options(int argc, char **argv)
{
	int first = bench_options(argc, argv, rows);

	if (opt.quick) {
		opt.rounds = 3;
		opt.runs = RUNS / 8;
	}
	return first < argc || !opt.rounds || opt.rounds > BENCH_SAMPLES ? -EINVAL : 0;
}

int main(int argc, char **argv)
{
	struct shunt_err err = { "" };
	size_t i;
	int ret;

	if (read_options(argc, argv))
		return bench_usage("word", rows, NULL);
	ret = pin(&err);
	peer = ret ? NULL : classify_peer_bpf__open_and_load();
	if (!ret && !peer)
		ret = shunt_fail_errno(&err, -errno, "load the source of packets");
	for (i = 0; !ret && i < sizeof(cases) / sizeof(*cases); i++)
		ret = run_case(&cases[i], &err);
	classify_peer_bpf__destroy(peer);
	if (ret)
		fprintf(stderr, "word: %s\n", err.message);
	return ret ? 1 : 0;
}
