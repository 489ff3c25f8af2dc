/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replacing a policy under traffic, beside nftables and iptables: how long the command
 * takes and what of it, the longest moment without a packet, and packets lost.
 *
 *     apply [--json] [--quick] [--rounds N] [--rules N]
 *
 * Two sets of rules of the same size take turns, on the stage of bench/gap.h. The first
 * rule of both passes the traffic's packets; all others are those of
 * tests/model/classbench.h, and differ. In each round each contender is put up, has its
 * rules replaced once unmeasured, and once more: from the start of the command to its
 * end, and then for as long again with nothing going on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/gap.h"
#include "bench/netfilter.h"
#include "bench/options.h"
#include "bench/phases.h"
#include "loader/shunt.h"
#include "user/base/cleanup.h"

#define ROUNDS_MAX BENCH_SAMPLES
#define FOLDER "/tmp/shunt-bench-apply-XXXXXX"
#define PATH_BYTES 96

static struct {
	bool json, quick;
	unsigned int rounds;
	uint32_t rules;
} opt = { .rounds = 9 };

static const uint32_t sizes[] = { 1, 1000, 16000 };

enum language { JSON, NFT, IPTABLES, LANGUAGES };

struct sets {
	uint32_t n;
	char file[LANGUAGES][2][PATH_BYTES]; /* each set in each language */
};

/* --- contenders ---------------------------------------------------------------- */

/* Runs a program with its words on standard error alone. */
static int run_command(const char *const argv[], struct shunt_err *err)
{
	pid_t pid = fork();
	int status, out;

	if (!pid) {
		out = open("/dev/null", O_WRONLY);
		dup2(out, STDOUT_FILENO);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return shunt_fail_errno(err, -errno, "start %s", argv[0]);
	return status ? shunt_fail(err, -EIO, "%s: exit status %d", argv[0],
				   WEXITSTATUS(status))
		      : 0;
}

static int swap_library(const char *path, struct shunt_err *err)
{
	double start = bench_now_ns(CLOCK_MONOTONIC), read;
	struct shunt_policy *policy = NULL;
	cJSON *reply = NULL;
	int ret = shunt_check(path, &policy, &reply, err);

	cJSON_Delete(reply);
	reply = NULL;
	read = bench_now_ns(CLOCK_MONOTONIC) - start;
	bench_phases_begin();
	if (!ret)
		ret = shunt_apply(WIRE_A, policy, NULL, &reply, err);
	bench_phases_end(read, bench_now_ns(CLOCK_MONOTONIC) - start);
	cJSON_Delete(reply);
	shunt_policy_free(policy);
	return ret;
}

static int swap_shunt(const char *path, struct shunt_err *err)
{
	const char *shunt = getenv("SHUNT");

	return run_command((const char *[]){ shunt ? shunt : "build/shunt", "apply",
					     WIRE_A, "-p", path, NULL },
			   err);
}

static int swap_nft(const char *path, struct shunt_err *err)
{
	return run_command((const char *[]){ "nft", "-f", path, NULL }, err);
}

static int swap_iptables(const char *path, struct shunt_err *err)
{
	return run_command((const char *[]){ "iptables-legacy-restore", path, NULL },
			   err);
}

static int up_shunt(const char *path, struct shunt_err *err)
{
	struct shunt_policy *policy = NULL;
	cJSON *reply = NULL;
	int ret = shunt_check(path, &policy, &reply, err);

	cJSON_Delete(reply);
	reply = NULL;
	if (!ret)
		ret = shunt_attach(WIRE_A, policy, NULL, &reply, err);
	cJSON_Delete(reply);
	shunt_policy_free(policy);
	return ret;
}

static int down_shunt(struct shunt_err *err)
{
	cJSON *reply = NULL;
	int ret = shunt_detach(WIRE_A, NULL, &reply, err);

	cJSON_Delete(reply);
	return ret;
}

static int down_nft(struct shunt_err *err)
{
	return wire_command("nft delete table ip shunt_bench", err);
}

static int down_iptables(struct shunt_err *err)
{
	return wire_command("iptables-legacy -t raw -P PREROUTING ACCEPT && "
			    "iptables-legacy -t raw -F",
			    err);
}

static const struct contender {
	const char *name;
	enum language language;
	int (*up)(const char *path, struct shunt_err *err);
	int (*swap)(const char *path, struct shunt_err *err);
	int (*down)(struct shunt_err *err);
} contenders[] = {
	{ "shunt apply", JSON, up_shunt, swap_shunt, down_shunt },
	{ "shunt, library", JSON, up_shunt, swap_library, down_shunt },
	{ "nft -f", NFT, swap_nft, swap_nft, down_nft },
	{ "iptables-restore", IPTABLES, swap_iptables, swap_iptables, down_iptables },
};

#define CONTENDERS (sizeof(contenders) / sizeof(*contenders))
#define OURS 2 /* the first ones */

/* --- rules --------------------------------------------------------------------- */

static int write_file(const char *path, enum language language,
		      const struct shunt_classbench_rule *rules, uint32_t n,
		      struct shunt_err *err)
{
	_free_ char *text = NULL;
	FILE *out = fopen(path, "w");

	if (!out)
		return shunt_fail_errno(err, -errno, "write %s", path);
	if (language == JSON) {
		text = shunt_classbench_policy(rules, n);
		fputs(text ? text : "", out);
	} else if (language == NFT) {
		/* one transaction, whether the table is there or not */
		fputs("table ip shunt_bench\ndelete table ip shunt_bench\n", out);
		nft_write_linear(out, rules, n);
	} else {
		iptables_write(out, rules, n);
	}
	return fclose(out) ? shunt_fail_errno(err, -errno, "write %s", path) : 0;
}

/* Both sets, in all languages, in files of the folder. */
static int write_sets(struct sets *sets, const char *folder, struct shunt_err *err)
{
	int i, l, ret = 0;

	for (i = 0; !ret && i < 2; i++) {
		_free_ struct shunt_classbench_rule *rules = NULL;

		if (shunt_classbench_make(SHUNT_CLASSBENCH_ACL, 4, sets->n, 1 + i,
					  &rules))
			return shunt_fail(err, -ENOMEM, "make %u rules: out of memory",
					  sets->n);
		rules[0] = (struct shunt_classbench_rule){
			.src = { { 192, 0, 2, 1 }, 32 },
			.ip = 4,
			.proto = SHUNT_IP_UDP,
			.sport = { 0, 65535 },
			.dport = { 5000, 5000 + i },
		};
		for (l = 0; !ret && l < LANGUAGES; l++) {
			snprintf(sets->file[l][i], PATH_BYTES, "%s/%u.%d.%d", folder,
				 sets->n, l, i);
			ret = write_file(sets->file[l][i], l, rules, sets->n, err);
		}
	}
	return ret;
}

static void remove_sets(const struct sets *sets)
{
	int i, l;

	for (l = 0; l < LANGUAGES; l++)
		for (i = 0; i < 2; i++)
			unlink(sets->file[l][i]);
}

/* --- rounds -------------------------------------------------------------------- */

/* Of one contender, by round; times in ns. */
struct samples {
	double took[ROUNDS_MAX], gap[ROUNDS_MAX], held[ROUNDS_MAX];
	double calm_gap[ROUNDS_MAX], calm_held[ROUNDS_MAX]; /* with nothing going on */
	double phase[PHASES][ROUNDS_MAX];
	uint64_t frames, lost, thrown; /* while it was replaced, in all rounds */
};

/* A replacement, and as long a time without one. */
static int measure(struct bench_gap *gap, const struct contender *c, const char *path,
		   struct samples *s, unsigned int round, struct shunt_err *err)
{
	uint64_t frames = gap_read(&gap->ends->bss->gap_seen);
	struct gap_found found;
	double start;
	int ret, p;

	gap_begin(gap);
	start = bench_now_ns(CLOCK_MONOTONIC);
	ret = c->swap(path, err);
	s->took[round] = bench_now_ns(CLOCK_MONOTONIC) - start;
	found = gap_end(gap);
	if (ret)
		return ret;
	s->gap[round] = found.longest;
	s->held[round] = found.held;
	s->frames += gap_read(&gap->ends->bss->gap_seen) - frames;
	for (p = 0; p < PHASES; p++)
		s->phase[p][round] = bench_spent[p];
	gap_begin(gap);
	usleep(s->took[round] / 1e3);
	found = gap_end(gap);
	s->calm_gap[round] = found.longest;
	s->calm_held[round] = found.held;
	return 0;
}

static int run_round(struct bench_gap *gap, const struct sets *sets,
		     const struct contender *c, struct samples *s, unsigned int round,
		     struct shunt_err *err)
{
	uint64_t lost, thrown;
	int ret = c->up(sets->file[c->language][0], err), again;

	if (!ret)
		ret = c->swap(sets->file[c->language][1], err);
	if (!ret)
		ret = gap_flow(gap, err);
	if (!ret)
		ret = measure(gap, c, sets->file[c->language][0], s, round, err);
	again = gap_stop(gap, &lost, &thrown, ret ? NULL : err);
	s->lost += lost;
	s->thrown += thrown;
	ret = ret ? ret : again;
	again = c->down(ret ? NULL : err);
	return ret ? ret : again;
}

/* --- the report ---------------------------------------------------------------- */

static struct bench_stat ratios(const double *sample, const double *base)
{
	double ratio[ROUNDS_MAX];
	unsigned int i;

	for (i = 0; i < opt.rounds; i++)
		ratio[i] = sample[i] / base[i];
	return bench_stat_of(ratio, opt.rounds);
}

/* As members of an object: the median, and the range, in so many ns. */
static void put_figure(const char *key, const double *sample, double unit)
{
	struct bench_stat of = bench_stat_of(sample, opt.rounds);

	printf(",\"%s\":%.3f,\"%s_min\":%.3f,\"%s_max\":%.3f", key, of.median / unit,
	       key, of.min / unit, key, of.max / unit);
}

static void put_ratio(const char *key, const double *sample, const double *base)
{
	struct bench_stat of = ratios(sample, base);

	printf(",\"%s\":%.3f,\"%s_min\":%.3f,\"%s_max\":%.3f", key, of.median, key,
	       of.min, key, of.max);
}

static void report_json(uint32_t n, const struct contender *c, const struct samples *s,
			const struct samples *mine)
{
	printf("{\"bench\":\"apply\",\"rules\":%u,\"program\":\"%s\",\"rounds\":%u", n,
	       c->name, opt.rounds);
	put_figure("ms", s->took, 1e6);
	put_ratio("x_shunt", s->took, mine->took);
	put_figure("gap_us", s->gap, 1e3);
	put_figure("calm_gap_us", s->calm_gap, 1e3);
	put_ratio("gap_x", s->gap, s->calm_gap);
	put_figure("held_us", s->held, 1e3);
	put_figure("calm_held_us", s->calm_held, 1e3);
	put_ratio("held_x", s->held, s->calm_held);
	printf(",\"packets\":%llu,\"lost\":%llu,\"thrown\":%llu}\n",
	       (unsigned long long)s->frames, (unsigned long long)s->lost,
	       (unsigned long long)s->thrown);
}

static void print_gap(const char *name, const double *gap, const double *calm)
{
	struct bench_stat of = bench_stat_of(gap, opt.rounds),
			  rest = bench_stat_of(calm, opt.rounds);

	printf("  %s %.0f (%.0f..%.0f) us, at rest %.0f (%.0f..%.0f)", name,
	       of.median / 1e3, of.min / 1e3, of.max / 1e3, rest.median / 1e3,
	       rest.min / 1e3, rest.max / 1e3);
}

static void report(uint32_t n, const struct contender *c, const struct samples *s,
		   const struct samples *mine)
{
	struct bench_stat took = bench_stat_of(s->took, opt.rounds),
			  x = ratios(s->took, mine->took);

	if (opt.json) {
		report_json(n, c, s, mine);
	} else {
		printf("%6u  %-16s %8.2f (%.2f..%.2f) ms, x %.2f (%.2f..%.2f)", n,
		       c->name, took.median / 1e6, took.min / 1e6, took.max / 1e6,
		       x.median, x.min, x.max);
		print_gap("gap", s->gap, s->calm_gap);
		print_gap("held", s->held, s->calm_held);
		printf("  %llu packets, %llu lost\n", (unsigned long long)s->frames,
		       (unsigned long long)s->lost);
	}
	fflush(stdout);
}

static void report_phases(uint32_t n, const struct samples *s)
{
	int p;

	for (p = 0; p < PHASES; p++) {
		struct bench_stat ms = bench_stat_of(s->phase[p], opt.rounds),
				  share = ratios(s->phase[p], s->phase[PHASE_ALL]);

		if (opt.json)
			printf("{\"bench\":\"apply-phase\",\"rules\":%u,\"phase\":"
			       "\"%s\",\"help\":\"%s\",\"ms\":%.3f,\"ms_min\":%.3f,"
			       "\"ms_max\":%.3f,\"share\":%.4f}\n",
			       n, bench_phase_name[p], bench_phase_help[p],
			       ms.median / 1e6, ms.min / 1e6, ms.max / 1e6,
			       share.median);
		else
			printf("          %-9s %8.3f (%.3f..%.3f) ms  %5.1f %%\n",
			       bench_phase_name[p], ms.median / 1e6, ms.min / 1e6,
			       ms.max / 1e6, 100 * share.median);
	}
}

/* --- sizes --------------------------------------------------------------------- */

static int run_size(struct bench_gap *gap, const struct sets *sets,
		    struct shunt_err *err)
{
	static struct samples samples[CONTENDERS];
	unsigned int round;
	size_t i;
	int ret = 0;

	memset(samples, 0, sizeof(samples));
	for (round = 0; !ret && round < opt.rounds; round++)
		for (i = 0; !ret && i < CONTENDERS; i++)
			ret = run_round(gap, sets, &contenders[i], &samples[i], round,
					err);
	for (i = 0; !ret && i < CONTENDERS; i++)
		report(sets->n, &contenders[i], &samples[i], &samples[0]);
	if (!ret)
		report_phases(sets->n, &samples[1]);
	for (i = 0; !ret && i < OURS; i++)
		if (samples[i].lost)
			ret = shunt_fail(err, -EBADMSG, "%s: %llu packets are lost",
					 contenders[i].name,
					 (unsigned long long)samples[i].lost);
	return ret;
}

static int run_sizes(struct bench_gap *gap, const char *folder, struct shunt_err *err)
{
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct sets sets = { .n = sizes[i] };

		if ((opt.rules && sizes[i] != opt.rules) ||
		    (opt.quick && sizes[i] > 1000))
			continue;
		ret = write_sets(&sets, folder, err);
		if (!ret)
			ret = run_size(gap, &sets, err);
		remove_sets(&sets);
	}
	return ret;
}

static int run(struct shunt_err *err)
{
	char folder[] = FOLDER;
	struct bench_wire wire = { 0 };
	struct bench_gap gap = { 0 };
	int ret = wire_open(&wire, err);

	/* /sys is our own by now, without a bpffs */
	if (!ret && mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700"))
		ret = shunt_fail_errno(err, -errno, "mount bpffs");
	if (!ret)
		ret = gap_open(&gap, &wire, err);
	if (!ret && !mkdtemp(folder))
		ret = shunt_fail_errno(err, -errno, "make %s", folder);
	if (!ret) {
		ret = run_sizes(&gap, folder, err);
		rmdir(folder);
	}
	gap_close(&gap);
	wire_close(&wire);
	return ret;
}

static const struct bench_option rows[] = {
	BENCH_OPTION("json", NULL, &opt.json),
	BENCH_OPTION("quick", NULL, &opt.quick),
	BENCH_OPTION("rounds", "1..64", &opt.rounds),
	BENCH_OPTION("rules", "1|1000|16000", &opt.rules),
	{ NULL },
};

static int read_options(int argc, char **argv)
{
	int first = bench_options(argc, argv, rows);

	if (opt.quick)
		opt.rounds = 2;
	return first < argc || !opt.rounds || opt.rounds > ROUNDS_MAX ? -EINVAL : 0;
}

int main(int argc, char **argv)
{
	struct shunt_err err = { "" };
	int ret;

	if (read_options(argc, argv))
		return bench_usage("apply", rows, NULL);
	libbpf_set_print(NULL);
	ret = run(&err);
	if (ret)
		fprintf(stderr, "apply: %s\n", err.message);
	return ret ? 1 : 0;
}
