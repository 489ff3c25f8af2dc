/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same rule sets in Shunt, nftables and iptables, on one veth: packets a second, what
 * it takes to put them in force, and the memory that they hold.
 *
 *     rules [--json] [--quick] [--rounds N] [--seconds S] [--family acl|fw|ipc]
 *           [--rules N] [--ip 4|6]
 *
 * bench/wire.h has the stage. First each contender gets a mix of packets, and must let
 * through exactly those that the first matching rule passes: a chain behind all of them
 * counts and drops these. Then the rates, with packets that the rules drop, so that
 * the stack behind is no part of them; in alternation, over all rounds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "bench/contender.h"
#include "bench/list.h"
#include "bench/nft_tree.h"
#include "bench/options.h"
#include "bench/stat.h"
#include "bench/wire.h"
#include "loader/plan.h"

#define ROUNDS_MAX BENCH_SAMPLES
#define CHECK_BURST 64 /* frames that are sent at once: fewer than veth's queue holds */

static struct {
	bool json, quick;
	unsigned int rounds;
	double seconds;
	const char *family_name;
	int family, ip;
	uint32_t rules;
} opt = { .rounds = 5, .seconds = 0.5, .family = -1 };

static const uint32_t sizes[] = { 16, 256, 1024, 4096, 16384 };

struct set {
	struct shunt_classbench_rule *rules;
	uint32_t n;
	int family, ip;
};

/* What a contender costs beside the packets. */
struct cost {
	double compile_ms; /* Shunt: reading and compiling; else 0 */
	double load_ms;	   /* all of it */
	double kib;	   /* in: negative where it is asked for */
};

/* --- contenders ----------------------------------------------------------------------- */

static struct bench_contender shunt;
static int shunt_link = -1;

static int load_shunt(const struct set *set, struct cost *cost, struct shunt_err *err)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	_free_ char *text = shunt_classbench_policy(set->rules, set->n);
	struct shunt_policy *policy = NULL;
	struct shunt_diags diags = { 0 };
	struct shunt_plan plan = { 0 };
	double start;
	int ret;

	shunt = (struct bench_contender){ .name = "shunt", .maps = SHUNT_MAPS_NONE };
	start = bench_now_ns(CLOCK_MONOTONIC);
	ret = shunt_policy_read(&policy, text, strlen(text), NULL, &diags);
	if (ret)
		ret = shunt_fail(err, ret, "the policy is refused: %s",
				 diags.n ? diags.at[0].message : "out of memory");
	if (!ret)
		ret = shunt_plan_make(&plan, policy, "", NULL, true, err);
	cost->compile_ms = (bench_now_ns(CLOCK_MONOTONIC) - start) / 1e6;
	if (!ret) {
		struct shunt_needs needs = shunt_plan_needs(&plan);

		shunt_maps_choose(&shunt.maps, &needs);
		ret = shunt.prog = shunt_program_load(SHUNT_HOOK_XDP, needs.features,
						      &shunt.maps, err);
	}
	if (ret >= 0)
		ret = shunt_maps_mmap(&shunt.maps, err);
	if (!ret)
		ret = shunt_plan_write(&plan, &shunt.maps, err);
	if (!ret)
		shunt_plan_flip(&plan, &shunt.maps);
	cost->load_ms = (bench_now_ns(CLOCK_MONOTONIC) - start) / 1e6;
	shunt_plan_free(&plan);
	shunt_policy_free(policy);
	shunt_diags_free(&diags);
	if (!ret)
		shunt_link = ret = bpf_link_create(shunt.prog, if_nametoindex(WIRE_A),
						   BPF_XDP, &opts);
	return ret < 0 ? shunt_fail_errno(err, ret, "attach Shunt") : 0;
}

static void unload_shunt(const struct set *set)
{
	(void)set;
	if (shunt_link >= 0)
		close(shunt_link);
	shunt_link = -1;
	shunt_maps_close(&shunt.maps);
	if (shunt.prog >= 0)
		close(shunt.prog);
}

/* Memory that the kernel holds for other than files and processes, in KiB. */
static double kernel_kib(void)
{
	_file_ FILE *in = fopen("/proc/meminfo", "r");
	double sum = 0, value;
	char line[128], name[64];

	while (in && fgets(line, sizeof(line), in))
		if (sscanf(line, "%63[^:]: %lf", name, &value) == 2 &&
		    (!strcmp(name, "Slab") || !strcmp(name, "VmallocUsed") ||
		     !strcmp(name, "Percpu")))
			sum += value;
	return sum;
}

/* The same, once what was unloaded before is gone: the kernel frees after a while. */
static double settled_kib(void)
{
	double before = kernel_kib(), now;
	int tries;

	for (tries = 0; tries < 20; tries++, before = now) {
		usleep(100000);
		now = kernel_kib();
		if (now > before - 64 && now < before + 64)
			break;
	}
	return kernel_kib();
}

/* Writes the set into a file, then runs the command on it; "%s" names the file. */
static int load_file(const struct set *set, struct cost *cost, const char *command,
		     int (*write)(FILE *out, const struct set *set),
		     struct shunt_err *err)
{
	char path[] = "/tmp/shunt-rules-XXXXXX", line[256];
	int fd = mkstemp(path), ret;
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
	double start, before;

	if (!out)
		return shunt_fail_errno(err, -errno, "write %s", path);
	ret = write(out, set);
	if (fclose(out) || ret < 0) {
		unlink(path);
		return shunt_fail(err, -EIO, "write %s", path);
	}
	snprintf(line, sizeof(line), command, path);
	before = cost->kib < 0 ? settled_kib() : 0;
	start = bench_now_ns(CLOCK_MONOTONIC);
	ret = wire_command(line, err);
	cost->load_ms = (bench_now_ns(CLOCK_MONOTONIC) - start) / 1e6;
	if (cost->kib < 0)
		cost->kib = settled_kib() - before;
	unlink(path);
	return ret;
}

static int write_sets(FILE *out, const struct set *set)
{
	return nft_write_sets(out, set->rules, set->n);
}

static int write_linear(FILE *out, const struct set *set)
{
	nft_write_linear(out, set->rules, set->n);
	return 0;
}

static int write_iptables(FILE *out, const struct set *set)
{
	iptables_write(out, set->rules, set->n);
	return 0;
}

static int load_nft(const struct set *set, struct cost *cost, struct shunt_err *err)
{
	return load_file(set, cost, "timeout 120 nft -f %s", write_sets, err);
}

static int load_nft_linear(const struct set *set, struct cost *cost,
			   struct shunt_err *err)
{
	return load_file(set, cost, "timeout 120 nft -f %s", write_linear, err);
}

static void unload_nft(const struct set *set)
{
	if (system(set->ip == 6 ? "nft delete table ip6 shunt_bench"
				: "nft delete table ip shunt_bench"))
		fprintf(stderr, "rules: nft could not delete its table\n");
}

static int load_iptables(const struct set *set, struct cost *cost,
			 struct shunt_err *err)
{
	return load_file(set, cost,
			 set->ip == 6 ? "ip6tables-legacy-restore <%s"
				      : "iptables-legacy-restore <%s",
			 write_iptables, err);
}

static void unload_iptables(const struct set *set)
{
	if (system(set->ip == 6 ? "ip6tables-legacy -t raw -P PREROUTING ACCEPT && "
				  "ip6tables-legacy -t raw -F"
				: "iptables-legacy -t raw -P PREROUTING ACCEPT && "
				  "iptables-legacy -t raw -F"))
		fprintf(stderr, "rules: iptables could not remove its rules\n");
}

static const struct contender {
	const char *name;
	int (*load)(const struct set *set, struct cost *cost, struct shunt_err *err);
	void (*unload)(const struct set *set);
} contenders[] = {
	{ "shunt", load_shunt, unload_shunt },
	{ "nftables, maps", load_nft, unload_nft },
	{ "nftables, linear", load_nft_linear, unload_nft },
	{ "iptables, linear", load_iptables, unload_iptables },
};

#define CONTENDERS (sizeof(contenders) / sizeof(*contenders))

/* What the kernel says of the maps that Shunt has open: memlock of their fdinfo. */
static double shunt_kib(void)
{
	double sum = 0, bytes;
	char path[64], line[128];

	for (int i = 0; i < SHUNT_MAP_COUNT; i++) {
		_file_ FILE *in = NULL;

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", shunt.maps.fd[i]);
		in = fopen(path, "r");
		while (in && fgets(line, sizeof(line), in))
			if (sscanf(line, "memlock: %lf", &bytes) == 1)
				sum += bytes / 1024;
	}
	return sum;
}

/* --- packets --------------------------------------------------------------------------- */

/* The kernel's stack looks at it (RFC 1071); the frames of the tests have none. */
static void put_checksum(uint8_t l3[BENCH_L3_BYTES])
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += l3[i] << 8 | l3[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	l3[10] = ~sum >> 8;
	l3[11] = ~sum;
}

/* Fills the source; returns how many of the packets the rules pass. */
static uint32_t put_flows(const struct bench_wire *wire, const struct set *set,
			  bool dropped_only)
{
	struct shunt_random random = { set->n };
	uint32_t i = 0, passed = 0;

	while (i < WIRE_FLOWS) {
		struct shunt_frame_spec spec;
		size_t place;
		uint8_t *l3;
		bool pass;

		shunt_classbench_draw(&random, set->rules, set->n, &spec);
		place = shunt_classbench_match(set->rules, set->n, &spec);
		pass = place < set->n && !set->rules[place].drop;
		if (pass && dropped_only)
			continue;
		passed += pass;
		l3 = (void *)wire->source->bss->rules_flow[i++];
		bench_spec_write(&spec, l3);
		if (set->ip == 4)
			put_checksum(l3);
	}
	wire->source->bss->rules_next = 0;
	return passed;
}

/* What came through, by the chain behind all contenders. */
static long long read_seen(void)
{
	FILE *in = popen("nft list counter inet shunt_seen seen", "r");
	long long packets = -1;
	char line[256];

	while (in && fgets(line, sizeof(line), in))
		sscanf(line, " packets %lld", &packets);
	if (in)
		pclose(in);
	return packets;
}

static int send_burst(const struct bench_wire *wire, const struct set *set,
		      struct shunt_err *err)
{
	uint64_t want = wire_received() + CHECK_BURST;
	pid_t pid = wire_start(wire, set->ip == 6, CHECK_BURST);
	double start = bench_now_ns(CLOCK_MONOTONIC);
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		return shunt_fail(err, -EIO, "the source of frames failed");
	while (wire_received() < want)
		if (bench_now_ns(CLOCK_MONOTONIC) - start > 5e9)
			return shunt_fail(err, -ETIMEDOUT, "frames were lost");
	return 0;
}

static int check(const struct bench_wire *wire, const struct set *set,
		 const struct contender *c, struct shunt_err *err)
{
	uint32_t want = put_flows(wire, set, false), sent;
	long long before = read_seen(), after;
	double start;
	int ret = 0;

	for (sent = 0; !ret && sent < WIRE_FLOWS; sent += CHECK_BURST)
		ret = send_burst(wire, set, err);
	start = bench_now_ns(CLOCK_MONOTONIC);
	do
		after = read_seen();
	while (!ret && after - before != want &&
	       bench_now_ns(CLOCK_MONOTONIC) - start < 2e9);
	if (!ret && after - before != want)
		ret = shunt_fail(err, -EBADMSG,
				 "%s lets %lld of %d packets through, not %u", c->name,
				 after - before, WIRE_FLOWS, want);
	return ret;
}

static int rate(const struct bench_wire *wire, const struct set *set, double *pps,
		struct shunt_err *err)
{
	pid_t pid = wire_start(wire, set->ip == 6, 0);
	uint64_t before, after;
	double start;

	if (pid < 0)
		return shunt_fail_errno(err, -errno, "start the source of frames");
	usleep(100000); /* the source's setup */
	before = wire_received();
	start = bench_now_ns(CLOCK_MONOTONIC);
	usleep(opt.seconds * 1e6);
	after = wire_received();
	*pps = (after - before) / ((bench_now_ns(CLOCK_MONOTONIC) - start) / 1e9);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return *pps > 0 ? 0 : shunt_fail(err, -EIO, "no frame came through");
}

/* --- sets ------------------------------------------------------------------------------- */

/* nftables may need minutes for a large set: then it has no row, and this says so. */
static bool give_up(const struct set *set, const struct contender *c,
		    struct shunt_err *err)
{
	if (c->load == load_shunt)
		return false;
	fprintf(stderr, "rules: %s, IPv%d, %u rules: %s is left out: %s\n",
		shunt_classbench_name(set->family), set->ip, set->n, c->name,
		err->message);
	return true;
}

static int round_of(const struct bench_wire *wire, const struct set *set,
		    const struct contender *c, bool first, double *pps,
		    struct cost *cost, struct shunt_err *err)
{
	int ret = 0;

	if (c->load == load_shunt)
		cost->kib = shunt_kib();
	if (first)
		ret = check(wire, set, c, err);
	if (!ret) {
		put_flows(wire, set, true);
		ret = rate(wire, set, pps, err);
	}
	c->unload(set);
	return ret;
}

static void report(const struct set *set, const struct contender *c, double *pps,
		   const double *mine, double *load, const struct cost *cost)
{
	struct bench_stat r = bench_stat_of(pps, opt.rounds), x;
	double ratio[ROUNDS_MAX];

	for (unsigned int i = 0; i < opt.rounds; i++)
		ratio[i] = mine[i] / pps[i];
	x = bench_stat_of(ratio, opt.rounds);
	if (opt.json)
		printf("{\"bench\":\"rules\",\"family\":\"%s\",\"ip\":%d,\"rules\":%u,"
		       "\"program\":\"%s\",\"mpps\":%.4f,\"mpps_min\":%.4f,"
		       "\"mpps_max\":%.4f,\"shunt_x\":%.3f,\"shunt_x_min\":%.3f,"
		       "\"shunt_x_max\":%.3f,\"compile_ms\":%.3f,\"load_ms\":%.3f,"
		       "\"kib\":%.0f}\n",
		       shunt_classbench_name(set->family), set->ip, set->n, c->name,
		       r.median / 1e6, r.min / 1e6, r.max / 1e6, x.median, x.min, x.max,
		       cost->compile_ms, bench_stat_of(load, opt.rounds).median,
		       cost->kib);
	else
		printf("  %-18s %8.4f (%.4f-%.4f) Mpps  shunt x %7.2f (%.2f-%.2f)  "
		       "load %9.2f ms  %8.0f KiB\n",
		       c->name, r.median / 1e6, r.min / 1e6, r.max / 1e6, x.median,
		       x.min, x.max, bench_stat_of(load, opt.rounds).median, cost->kib);
	fflush(stdout);
}

static int measure(const struct bench_wire *wire, const struct set *set,
		   struct shunt_err *err)
{
	double pps[CONTENDERS][ROUNDS_MAX], load[CONTENDERS][ROUNDS_MAX];
	struct cost cost[CONTENDERS] = { 0 };
	bool out[CONTENDERS] = { false };
	unsigned int round;
	size_t i;
	int ret = 0;

	if (!opt.json)
		printf("%s, IPv%d, %u rules\n", shunt_classbench_name(set->family),
		       set->ip, set->n);
	for (round = 0; !ret && round < opt.rounds; round++)
		for (i = 0; !ret && i < CONTENDERS; i++) {
			struct cost now = { .kib = round ? 0 : -1 };

			if (out[i])
				continue;
			ret = contenders[i].load(set, &now, err);
			out[i] = ret && give_up(set, &contenders[i], err);
			if (out[i]) {
				ret = 0;
				continue;
			}
			if (!ret)
				ret = round_of(wire, set, &contenders[i], !round,
					       &pps[i][round], &now, err);
			load[i][round] = now.load_ms;
			if (!round)
				cost[i] = now;
		}
	for (i = 0; !ret && i < CONTENDERS; i++)
		if (!out[i])
			report(set, &contenders[i], pps[i], pps[0], load[i], &cost[i]);
	return ret;
}

static int run_set(const struct bench_wire *wire, int family, int ip, uint32_t n,
		   struct shunt_err *err)
{
	struct set set = { .family = family, .ip = ip, .n = n };
	int ret;

	if (n > SHUNT_RULE_MAX) {
		fprintf(stderr,
			"rules: %s, IPv%d, %u rules is left out: a policy has at most "
			"%d\n",
			shunt_classbench_name(family), ip, n, SHUNT_RULE_MAX);
		return 0;
	}
	if (shunt_classbench_make(family, ip, n, 1, &set.rules))
		return shunt_fail(err, -ENOMEM, "make %u rules: out of memory", n);
	ret = measure(wire, &set, err);
	free(set.rules);
	return ret;
}

static int run_sets(const struct bench_wire *wire, struct shunt_err *err)
{
	int family, ip, ret = 0;
	size_t i;

	for (family = 0; family < SHUNT_CLASSBENCH_FAMILY_COUNT; family++)
		for (ip = 4; ip <= 6; ip += 2)
			for (i = 0; !ret && i < sizeof(sizes) / sizeof(*sizes); i++) {
				if ((opt.family >= 0 && family != opt.family) ||
				    (opt.ip && ip != opt.ip) ||
				    (opt.rules && sizes[i] != opt.rules) ||
				    (opt.quick && sizes[i] != 256))
					continue;
				ret = run_set(wire, family, ip, sizes[i], err);
			}
	return ret;
}

static const struct bench_option rows[] = {
	BENCH_OPTION("json", NULL, &opt.json),
	BENCH_OPTION("quick", NULL, &opt.quick),
	BENCH_OPTION("rounds", "1..64", &opt.rounds),
	BENCH_OPTION("seconds", "S", &opt.seconds),
	BENCH_OPTION("family", "acl|fw|ipc", &opt.family_name),
	BENCH_OPTION("ip", "4|6", &opt.ip),
	BENCH_OPTION("rules", "N", &opt.rules),
	{ NULL },
};

static int read_options(int argc, char **argv)
{
	int first = bench_options(argc, argv, rows);

	if (opt.family_name)
		opt.family = shunt_classbench_family(opt.family_name);
	if (opt.quick) {
		opt.rounds = 1;
		opt.seconds = 0.2;
	}
	return first < argc || !opt.rounds || opt.rounds > ROUNDS_MAX ||
			       opt.seconds <= 0 || (opt.family_name && opt.family < 0)
		       ? -EINVAL
		       : 0;
}

int main(int argc, char **argv)
{
	struct bench_wire wire = { 0 };
	struct shunt_err err = { "" };
	int ret;

	if (read_options(argc, argv))
		return bench_usage("rules", rows, NULL);
	ret = wire_open(&wire, &err);
	if (!ret)
		ret = wire_command(
			"nft 'table inet shunt_seen { counter seen {}; chain seen { "
			"type filter hook prerouting priority -290; counter name seen "
			"drop; }; }'",
			&err);
	if (!ret)
		ret = run_sets(&wire, &err);
	wire_close(&wire);
	if (ret)
		fprintf(stderr, "rules: %s\n", err.message);
	return ret ? 1 : 0;
}
