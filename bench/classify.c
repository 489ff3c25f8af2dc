/* SPDX-License-Identifier: BSD-2-Clause */
/* What the XDP program costs a packet, beside an empty one and beside xdp-filter's. */

/*
 * Each case is a policy and the packets for it. All programs of a case run in
 * BPF_PROG_TEST_RUN behind the same source of packets (bench/classify_peer.bpf.c), one
 * after the other, for several rounds, so that what the machine does meanwhile hits all
 * of them. What a program costs over the empty one is the median, over the rounds, of
 * the difference to the empty program's sample of the same round. "ns" is that plus
 * what a test run of the empty program alone takes: the figure that a test run over one
 * packet would give, were the packets not different ones.
 *
 * xdp-filter can be asked less: it gets as many source addresses as the policy has
 * rules. Where the policy is nothing but a list of addresses, all must agree on every
 * packet, and it is an error if they do not.
 */
#include <errno.h>
#include <glob.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cjson/cJSON.h>
#include <linux/bpf.h>

#include "bench/contender.h"
#include "bench/list.h"
#include "bench/options.h"
#include "bench/stat.h"
#include "classify_peer.skel.h"
#include "loader/plan.h"
#include "user/base/cleanup.h"

#define FLOWS_MAX 65536u
#define FILTER_ROOM 10000 /* addresses of a family that xdp-filter can hold */

static struct {
	bool json, quick;
	int cpu;
	unsigned int rounds;
	unsigned int runs; /* packets a sample; a multiple of every number of flows */
	const char *only;
} opt = { .cpu = -1, .rounds = 9, .runs = 8 * FLOWS_MAX };

/* A family's sets in all sizes. */
#define SIZES(name, id, ip, help)                                                      \
	{ name "-16", SHUNT_CLASSBENCH_##id, ip, 16, 0, false, "16 rules, " help },    \
		{ name "-256", SHUNT_CLASSBENCH_##id, ip, 256, 0,                      \
		  false,       "256 rules, " help },                                   \
		{ name "-1k", SHUNT_CLASSBENCH_##id, ip, 1024, 0,                      \
		  false,      "1,024 rules, " help },                                  \
		{ name "-4k", SHUNT_CLASSBENCH_##id, ip, 4096, 0,                      \
		  false,      "4,096 rules, " help },                                  \
	{                                                                              \
		name "-16k", SHUNT_CLASSBENCH_##id, ip, 16384, 0, false,               \
			"16,384 rules, " help                                          \
	}

/* clang-format off: a table */
static const struct bench_case cases[] = {
	SIZES("acl", ACL, 4, "access list"),
	SIZES("acl-v6", ACL, 6, "access list, IPv6"),
	SIZES("fw", FW, 4, "firewall"),
	SIZES("fw-v6", FW, 6, "firewall, IPv6"),
	SIZES("ipc", IPC, 4, "a host's chains"),
	SIZES("ipc-v6", IPC, 6, "a host's chains, IPv6"),
	{ "acl-1", SHUNT_CLASSBENCH_ACL, 4, 1, 0, false, "1 rule" },
	{ "acl-256-set", SHUNT_CLASSBENCH_ACL, 4, 256, 1000, false,
	  "a set of 1,000 prefixes, and 255 rules behind it" },
	{ "block-256", SHUNT_CLASSBENCH_ACL, 4, 256, 256, true,
	  "256 blocked sources, as rules and as a set" },
	{ "block-10k", SHUNT_CLASSBENCH_ACL, 4, 0, 10000, true,
	  "10,000 blocked sources, as a set" },
};
/* clang-format on */

static struct classify_peer_bpf *peer;

static void put_flows(const struct bench_list *list, uint32_t flows)
{
	struct shunt_random random = { flows };
	uint32_t i;

	for (i = 0; i < flows; i++) {
		struct shunt_frame_spec spec;

		bench_list_draw_spec(&random, list, &spec);
		bench_spec_write(&spec, (void *)peer->bss->bench_flow[i]);
	}
	peer->bss->bench_flow_mask = flows - 1;
	peer->bss->bench_flow_next = 0;
}

/* --- the programs -------------------------------------------------------------------
 */

/* Does the first of Shunt's programs have all as rules, or is there a set? */
static bool first_has_rules(const struct bench_case *which)
{
	return which->rules && (!which->members || which->block);
}

static int enter_all(struct bench_field *field, const struct bench_list *list,
		     struct shunt_err *err)
{
	const struct bench_case *which = list->which;
	int ret = 0;

	bench_enter_empty(field, bpf_program__fd(peer->progs.bench_empty));
	if (first_has_rules(which))
		ret = bench_enter_shunt(field, "shunt", list, false, err);
	if (ret >= 0 && which->members)
		ret = bench_enter_shunt(field, which->block ? "shunt, set" : "shunt",
					list, true, err);
	if (which->rules > FILTER_ROOM)
		return ret < 0 ? ret : 0;
	if (ret >= 0)
		ret = bench_enter_filter(field, "xdp-filter, ip", "xdpfilt_alw_ip.o",
					 list, err);
	if (ret >= 0)
		ret = bench_enter_filter(field, "xdp-filter, all", "xdpfilt_alw_all.o",
					 list, err);
	return ret < 0 ? ret : 0;
}

/* --- runs ----------------------------------------------------------------------------
 */

/* The kernel's own figure is whole nanoseconds; hence the thread's clock. */
static int run(const struct bench_contender *c, uint32_t repeat, double *ns,
	       struct shunt_err *err)
{
	uint8_t frame[BENCH_ETH_BYTES + BENCH_L3_BYTES] = { 2, [6] = 2 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = sizeof(frame), .repeat = repeat);
	bool ip6 = *(uint8_t *)peer->bss->bench_flow[0] >> 4 == 6;
	uint32_t key = 0;
	double start;
	int prog = c->prog, ret;

	frame[12] = (ip6 ? SHUNT_ETH_IP6 : SHUNT_ETH_IP4) >> 8;
	frame[13] = (ip6 ? SHUNT_ETH_IP6 : SHUNT_ETH_IP4) & 255;
	if (!c->alone) {
		prog = bpf_program__fd(peer->progs.bench_traffic);
		ret = bpf_map_update_elem(bpf_map__fd(peer->maps.bench_under), &key,
					  &c->prog, BPF_ANY);
		if (ret)
			return shunt_fail_errno(err, ret, "put %s behind the traffic",
						c->name);
	}
	start = bench_now_ns(CLOCK_THREAD_CPUTIME_ID);
	ret = bpf_prog_test_run_opts(prog, &opts);
	*ns = bench_now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
	if (ret)
		return shunt_fail_errno(err, ret, "run %s", c->name);
	if (opts.retval == XDP_ABORTED)
		return shunt_fail(err, -EIO, "%s did not get its packets", c->name);
	return 0;
}

/* One sample of each; what a call costs beside its runs is measured and taken off. */
static int sample_all(struct bench_field *field, unsigned int round,
		      struct shunt_err *err)
{
	double call, ns;
	size_t i;
	int ret = run(&field->at[0], 2, &call, err);

	for (i = 0; !ret && i < field->n; i++) {
		ret = run(&field->at[i], opt.runs, &ns, err);
		field->at[i].sample[round] = (ns - call) / (opt.runs - 2);
	}
	return ret;
}

/* Which share of the packets a rule, or the list, matched; warms the caches up, too. */
static int match(struct bench_contender *c, double *share, struct shunt_err *err)
{
	struct bench_contender before;
	double ns;
	int ret = bench_count(c, err);

	before = *c;
	if (!ret)
		ret = run(c, opt.runs, &ns, err);
	if (!ret)
		ret = bench_count(c, err);
	*share = c->kind == BENCH_EMPTY ? NAN
					: (double)(c->matched - before.matched) /
						  (c->seen - before.seen);
	if (!ret && c->kind != BENCH_EMPTY && c->seen - before.seen != opt.runs)
		ret = shunt_fail(err, -EIO, "%s counted %llu of %u packets", c->name,
				 (unsigned long long)(c->seen - before.seen), opt.runs);
	return ret;
}

static int match_all(struct bench_field *field, const struct bench_case *which,
		     double share[BENCH_CONTENDERS], struct shunt_err *err)
{
	size_t i;
	int ret;

	for (i = 0; i < field->n; i++) {
		ret = match(&field->at[i], &share[i], err);
		if (ret)
			return ret;
		if (which->block && i > 2 && share[i] != share[2])
			return shunt_fail(err, -EBADMSG,
					  "%s: %s matches %.4f of the packets, %s %.4f",
					  which->name, field->at[i].name, share[i],
					  field->at[2].name, share[2]);
	}
	return 0;
}

/* --- the report ----------------------------------------------------------------------
 */

struct figure {
	struct bench_stat over; /* ns over the empty program */
	double ns;		/* that, and the empty program alone */
	double share;
};

static const char *named(const char *name, const char *const text[2])
{
	return strstr(name, "ip") ? text[0] : text[1];
}

static void report_json(const struct bench_case *which, uint32_t flows,
			const struct bench_field *field, const struct figure *figure)
{
	static const char *const key[2] = { "x_filter_ip", "x_filter_all" };
	size_t i, f;

	for (i = 1; i < field->n; i++) {
		_json_ cJSON *line = cJSON_CreateObject();
		_free_ char *text = NULL;

		cJSON_AddStringToObject(line, "bench", "classify");
		cJSON_AddStringToObject(line, "case", which->name);
		cJSON_AddNumberToObject(line, "flows", flows);
		cJSON_AddStringToObject(line, "program", field->at[i].name);
		cJSON_AddNumberToObject(line, "packets", (double)opt.rounds * opt.runs);
		cJSON_AddNumberToObject(line, "ns", figure[i].ns);
		cJSON_AddNumberToObject(line, "over_ns", figure[i].over.median);
		cJSON_AddNumberToObject(line, "over_min_ns", figure[i].over.min);
		cJSON_AddNumberToObject(line, "over_max_ns", figure[i].over.max);
		cJSON_AddNumberToObject(line, "x_empty", figure[i].ns / figure[0].ns);
		for (f = 0; f < field->n; f++)
			if (field->at[f].kind == BENCH_FILTER)
				cJSON_AddNumberToObject(line,
							named(field->at[f].name, key),
							figure[i].ns / figure[f].ns);
		if (field->at[i].kind != BENCH_EMPTY)
			cJSON_AddNumberToObject(line, "matched", figure[i].share);
		text = cJSON_PrintUnformatted(line);
		puts(text ? text : "{}");
	}
}

static void report_text(uint32_t flows, const struct bench_field *field,
			const struct figure *figure)
{
	size_t i, f;

	for (i = 1; i < field->n; i++) {
		const struct figure *g = &figure[i];

		printf("  %5u  %-15s %7.1f %7.1f  %6.1f..%-6.1f %6.2f", flows,
		       field->at[i].name, g->ns, g->over.median, g->over.min,
		       g->over.max, g->ns / figure[0].ns);
		for (f = 0; f < field->n; f++)
			if (field->at[f].kind == BENCH_FILTER)
				printf(" %6.2f", g->ns / figure[f].ns);
		if (field->at[i].kind == BENCH_EMPTY)
			putchar('\n');
		else
			printf("  %5.1f %%\n", 100 * g->share);
	}
	fflush(stdout);
}

static void report(const struct bench_case *which, uint32_t flows,
		   const struct bench_field *field, const double *share)
{
	struct figure figure[BENCH_CONTENDERS];
	size_t i;

	for (i = 0; i < field->n; i++) {
		const struct bench_contender *c = &field->at[i];

		figure[i].over = bench_stat_over(c->sample, field->at[!c->alone].sample,
						 opt.rounds);
		figure[i].ns = bench_stat_of(field->at[0].sample, opt.rounds).median +
			       figure[i].over.median;
		figure[i].share = share[i];
	}
	if (opt.json)
		report_json(which, flows, field, figure);
	else
		report_text(flows, field, figure);
}

static void report_floor(const struct bench_field *field)
{
	struct bench_stat alone = bench_stat_of(field->at[0].sample, opt.rounds);
	struct bench_stat floor = bench_stat_of(field->at[1].sample, opt.rounds);

	if (!opt.json)
		printf("  (source of packets: %.1f ns)\n", floor.median - alone.median);
}

/* --- cases ---------------------------------------------------------------------------
 */

static int measure(const struct bench_list *list, struct bench_field *field,
		   uint32_t flows, struct shunt_err *err)
{
	double share[BENCH_CONTENDERS];
	unsigned int round;
	int ret;

	put_flows(list, flows);
	ret = match_all(field, list->which, share, err);
	for (round = 0; !ret && round < opt.rounds; round++)
		ret = sample_all(field, round, err);
	if (!ret)
		report(list->which, flows, field, share);
	return ret;
}

/* What it costs to put the policy of a case in force again, onto itself. */
static int apply(const struct bench_list *list, struct bench_field *field,
		 struct shunt_err *err)
{
	const struct bench_case *which = list->which;
	const struct bench_contender *c = &field->at[2];
	double make[BENCH_SAMPLES], write[BENCH_SAMPLES];
	struct shunt_policy *policy = NULL;
	struct shunt_state *old = NULL;
	size_t bytes = 0;
	unsigned int round;
	int ret = bench_list_policy(&policy, list, !first_has_rules(which), err);

	for (round = 0; !ret && round < opt.rounds; round++) {
		struct shunt_plan plan = { 0 };
		double start = bench_now_ns(CLOCK_MONOTONIC);

		ret = shunt_plan_make(&plan, policy, "", old, true, err);
		make[round] = (bench_now_ns(CLOCK_MONOTONIC) - start) / 1e6;
		start = bench_now_ns(CLOCK_MONOTONIC);
		if (!ret)
			ret = shunt_plan_write(&plan, &c->maps, err);
		if (!ret) {
			shunt_plan_flip(&plan, &c->maps);
			bytes = plan.compiled.image->bytes;
			shunt_state_free(old);
			old = shunt_steal(&plan.next);
		}
		write[round] = (bench_now_ns(CLOCK_MONOTONIC) - start) / 1e6;
		shunt_plan_free(&plan);
	}
	shunt_state_free(old);
	shunt_policy_free(policy);
	if (!ret && !opt.json)
		printf("  apply: compile %.2f ms, write and switch %.2f ms, image %zu "
		       "KiB\n",
		       bench_stat_of(make, opt.rounds).median,
		       bench_stat_of(write, opt.rounds).median, bytes >> 10);
	if (!ret && opt.json)
		printf("{\"bench\":\"classify-apply\",\"case\":\"%s\",\"compile_ms\":"
		       "%.3f,\"write_ms\":%.3f,\"image_bytes\":%zu}\n",
		       which->name, bench_stat_of(make, opt.rounds).median,
		       bench_stat_of(write, opt.rounds).median, bytes);
	return ret;
}

static int run_case(const struct bench_case *which, struct shunt_err *err)
{
	static const uint32_t flows[] = { 16, 1024, FLOWS_MAX };
	struct bench_field field = { 0 };
	struct bench_list drawn, *list = &drawn;
	size_t i;
	int ret = bench_list_draw(list, which, err);

	if (!opt.json)
		printf("\n%s: %s\n", which->name, which->help);
	if (!ret)
		ret = enter_all(&field, list, err);
	for (i = opt.quick; !ret && i < (opt.quick ? 2 : 3); i++)
		ret = measure(list, &field, flows[i], err);
	if (!ret)
		report_floor(&field);
	if (!ret)
		ret = apply(list, &field, err);
	bench_leave(&field);
	bench_list_free(list);
	return ret;
}

static bool has_room(const struct bench_case *which)
{
	if (which->rules <= SHUNT_RULE_MAX)
		return true;
	fprintf(stderr, "classify: %s is left out: a policy has at most %d rules\n",
		which->name, SHUNT_RULE_MAX);
	return false;
}

static int run_cases(struct shunt_err *err)
{
	size_t i, done = 0;
	int ret = 0;

	if (!opt.json)
		puts("\n  flows  program              ns    over    min..max    x-empty"
		     "  x-ip  x-all  matched");
	for (i = 0; !ret && i < sizeof(cases) / sizeof(*cases); i++) {
		if (opt.only && strcmp(opt.only, cases[i].name))
			continue;
		if (has_room(&cases[i]))
			ret = run_case(&cases[i], err);
		done++;
	}
	if (!done)
		return shunt_fail(err, -EINVAL, "there is no case \"%s\"", opt.only);
	return ret;
}

/* --- the machine ---------------------------------------------------------------------
 */

/* One core, the last one unless told: interrupts and init like the first. */
static int pin(struct shunt_err *err)
{
	cpu_set_t set;

	if (opt.cpu < 0)
		opt.cpu = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	CPU_ZERO(&set);
	CPU_SET(opt.cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		return shunt_fail_errno(err, -errno, "stay on CPU %d", opt.cpu);
	return 0;
}

static void warn(void)
{
	double load;
	glob_t found = { 0 };

	if (getloadavg(&load, 1) == 1 && load > 0.5)
		fprintf(stderr,
			"classify: the load is %.2f: other programs run, and the "
			"figures "
			"are worth less\n",
			load);
	if (glob("/usr/lib{,64,/*}/bpf/xdpfilt_alw_all.o", GLOB_BRACE, NULL, &found))
		fprintf(stderr,
			"classify: xdp-filter's programs (package xdp-tools) are "
			"not installed: no comparison with them\n");
	globfree(&found);
}

/* xdp-filter's objects have sections that libbpf remarks on and skips. */
static int complain(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, args) : 0;
}

static const struct bench_option rows[] = {
	BENCH_OPTION("json", NULL, &opt.json),
	BENCH_OPTION("quick", NULL, &opt.quick),
	BENCH_OPTION("cpu", "N", &opt.cpu),
	BENCH_OPTION("rounds", "1..64", &opt.rounds),
	BENCH_OPTION("case", "NAME", &opt.only),
	{ NULL },
};

static int read_options(int argc, char **argv)
{
	int first = bench_options(argc, argv, rows);

	if (opt.quick) {
		opt.rounds = 3;
		opt.runs = FLOWS_MAX;
	}
	return first < argc || !opt.rounds || opt.rounds > BENCH_SAMPLES ? -EINVAL : 0;
}

int main(int argc, char **argv)
{
	struct shunt_err err = { "" };
	int ret;

	if (read_options(argc, argv))
		return bench_usage("classify", rows, NULL);
	warn();
	libbpf_set_print(complain);
	ret = pin(&err);
	if (!ret) {
		peer = classify_peer_bpf__open_and_load();
		ret = peer ? run_cases(&err)
			   : shunt_fail_errno(&err, -errno, "load the empty program");
	}
	classify_peer_bpf__destroy(peer);
	if (ret)
		fprintf(stderr, "classify: %s\n", err.message);
	return ret ? 1 : 0;
}
