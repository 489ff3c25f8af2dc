/* SPDX-License-Identifier: BSD-2-Clause */
/* What a lookup in a set costs, beside the kernel's trie and hash table. */

/*
 * Each case is a set and 1,048,576 addresses, half of them aimed at its elements, in
 * random order. Every program (bench/sets_peer.bpf.c) takes the next address and looks
 * it up; they run in BPF_PROG_TEST_RUN one after the other, for several rounds. What a
 * lookup costs is the median, over the rounds, of the difference to the program that
 * takes the address and does nothing. All must find the same number of addresses.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cjson/cJSON.h>

#include "bench/options.h"
#include "bench/stat.h"
#include "loader/policy/policy.h"
#include "loader/policy/prefix.h"
#include "loader/sets.h"
#include "maps/set.h"
#include "sets_peer.skel.h"
#include "tests/model/random.h"
#include "user/base/cleanup.h"

#define ADDRS (1u << 20) /* as in bench/sets_peer.bpf.c */
#define BATCH 65536

static struct {
	bool json, quick;
	int cpu;
	unsigned int rounds;
	const char *only;
} opt = { .cpu = -1, .rounds = 9 };

struct set_case {
	const char *name;
	uint8_t family;
	bool exact;
	size_t elements;
};

static const struct set_case cases[] = {
	{ "prefix4-10k", 4, false, 10000 },   { "prefix4-100k", 4, false, 100000 },
	{ "prefix4-1m", 4, false, 1000000 },  { "prefix6-10k", 6, false, 10000 },
	{ "prefix6-100k", 6, false, 100000 }, { "prefix6-1m", 6, false, 1000000 },
	{ "exact4-1m", 4, true, 1000000 },    { "exact6-1m", 6, true, 1000000 },
};

struct list {
	struct shunt_prefix *at;
	size_t n;
};

/* --- elements and addresses ---------------------------------------------------------- */

/* Lengths as routing tables have them: mostly /24 and /48, some long ones. */
static unsigned int draw_bits(struct shunt_random *r, const struct set_case *c)
{
	uint32_t dice = shunt_random_below(r, 100);

	if (c->exact)
		return c->family == 4 ? 32 : 128;
	if (c->family == 4)
		return dice < 55   ? 24
		       : dice < 85 ? shunt_random_in(r, 16, 23)
				   : shunt_random_in(r, 25, 32);
	return dice < 45   ? 48
	       : dice < 75 ? shunt_random_in(r, 32, 47)
	       : dice < 95 ? shunt_random_in(r, 49, 64)
			   : 128;
}

/* The bits behind the first `from` become random, or zero. */
static void fill_behind(struct shunt_random *r, uint8_t *addr, size_t bytes,
			unsigned int from)
{
	size_t i;

	for (i = 0; i < bytes; i++) {
		unsigned int kept = from > 8 * i ? from - 8 * i : 0;
		uint8_t mask = kept >= 8 ? 0xff : (uint8_t)(0xff00 >> kept);

		addr[i] = (addr[i] & mask) |
			  ((r ? shunt_random_next(r) : 0) & (uint8_t)~mask);
	}
}

static void draw_addr(struct shunt_random *r, uint8_t family, uint8_t addr[16])
{
	memset(addr, 0, 16);
	fill_behind(r, addr, family == 4 ? 4 : 16, 0);
	if (family == 6)
		addr[0] = 0x20 | (addr[0] & 0x1f); /* 2000::/3 */
}

static int draw_list(struct shunt_random *r, const struct set_case *c,
		     struct list *list)
{
	size_t bytes = c->family == 4 ? 4 : 16, i;

	list->at = calloc(c->elements + 1, sizeof(*list->at));
	if (!list->at)
		return -ENOMEM;
	for (list->n = 0; list->n < c->elements;) {
		for (i = list->n; i < c->elements; i++) {
			struct shunt_prefix *p = &list->at[i];

			memset(p, 0, sizeof(*p));
			p->family = c->family;
			p->bits = draw_bits(r, c);
			draw_addr(r, c->family, p->addr);
			fill_behind(NULL, p->addr, bytes, p->bits);
		}
		list->n = shunt_prefix_unique(list->at, c->elements);
	}
	return 0;
}

static void put_addrs(struct shunt_random *r, const struct set_case *c,
		      const struct list *list, struct sets_peer_bpf *peer)
{
	size_t bytes = c->family == 4 ? 4 : 16, i;

	for (i = 0; i < ADDRS; i++) {
		uint8_t *addr = (uint8_t *)peer->bss->bench_addr[i];

		draw_addr(r, c->family, addr);
		if (i & 1) {
			const struct shunt_prefix *p =
				&list->at[shunt_random_below(r, list->n)];

			memcpy(addr, p->addr, 16);
			fill_behind(r, addr, bytes, p->bits);
		}
	}
	peer->bss->bench_mask = ADDRS - 1;
}

/* --- the contenders -------------------------------------------------------------------- */

struct contender {
	const char *name;
	int prog;
	double load_ms;
	size_t bytes;
	uint64_t hits;
	double sample[BENCH_SAMPLES];
};

/* What the kernel charges for a map. */
static size_t memlock(int fd)
{
	char path[64], line[128];
	size_t bytes = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	_file_ FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %zu", &bytes) == 1)
			break;
	return bytes;
}

static int fill_peer(int fd, const struct list *list, bool trie, size_t key_bytes)
{
	_free_ uint8_t *key = calloc(BATCH, key_bytes);
	_free_ uint32_t *value = calloc(BATCH, sizeof(*value));
	size_t done = 0, i;

	if (!key || !value)
		return -ENOMEM;
	while (done < list->n) {
		uint32_t n = list->n - done < BATCH ? list->n - done : BATCH, count = n;
		size_t skip = trie ? 4 : 0;
		int ret;

		for (i = 0; i < n; i++) {
			const struct shunt_prefix *p = &list->at[done + i];
			uint32_t bits = p->bits;

			if (trie)
				memcpy(key + i * key_bytes, &bits, 4);
			memcpy(key + i * key_bytes + skip, p->addr, key_bytes - skip);
		}
		ret = bpf_map_update_batch(fd, key, value, &count, NULL);
		if (!ret || count < n)
			done += count;
		if (!ret)
			continue;
		/* 6.18 says ENOMEM with memory free: the one that stopped it, alone */
		ret = bpf_map_update_elem(fd, key + (count < n ? count : 0) * key_bytes,
					  value, BPF_ANY);
		if (ret)
			return ret;
		done++;
	}
	return 0;
}

static int load_peer(struct contender *c, struct bpf_map *map, const struct list *list,
		     bool trie)
{
	double start = bench_now_ns(CLOCK_MONOTONIC);
	int ret = fill_peer(bpf_map__fd(map), list, trie, bpf_map__key_size(map));

	c->load_ms = (bench_now_ns(CLOCK_MONOTONIC) - start) / 1e6;
	c->bytes = memlock(bpf_map__fd(map));
	return ret;
}

static int load_shunt(struct contender *c, struct sets_peer_bpf *peer,
		      const struct list *list, struct shunt_err *err)
{
	struct shunt_set_ref ref = { "bench", 0, SHUNT_SET_PREFIX, SHUNT_SET_SIZE_MAX };
	double start = bench_now_ns(CLOCK_MONOTONIC);
	uint32_t id = 0;
	int ret;

	_fd_ int fd = shunt_set_make(&ref, list->at, list->n, err);
	if (fd < 0)
		return fd;
	ret = bpf_map_update_elem(bpf_map__fd(peer->maps.shunt_set), &id, &fd, BPF_ANY);
	c->load_ms = (bench_now_ns(CLOCK_MONOTONIC) - start) / 1e6;
	c->bytes = memlock(fd);
	return ret ? shunt_fail_errno(err, ret, "put the set into place") : 0;
}

/* --- runs -------------------------------------------------------------------------------- */

static int run(struct sets_peer_bpf *peer, struct contender *c, double *ns)
{
	uint8_t frame[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = sizeof(frame), .repeat = ADDRS);
	uint64_t before = peer->bss->bench_hits;
	double start;
	int ret;

	peer->bss->bench_next = 0;
	start = bench_now_ns(CLOCK_THREAD_CPUTIME_ID);
	ret = bpf_prog_test_run_opts(c->prog, &opts);
	*ns = (bench_now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / ADDRS;
	c->hits = peer->bss->bench_hits - before;
	return ret;
}

static void report(const struct set_case *which, const struct contender *c, size_t n)
{
	struct bench_stat base = bench_stat_over(c[2].sample, c[0].sample, opt.rounds);
	size_t i;

	for (i = 1; i < n; i++) {
		struct bench_stat s =
			bench_stat_over(c[i].sample, c[0].sample, opt.rounds);
		double times = base.median / s.median;

		if (opt.json)
			printf("{\"bench\":\"sets\",\"case\":\"%s\",\"program\":\"%s\","
			       "\"lookup_ns\":%.1f,\"min_ns\":%.1f,\"max_ns\":%.1f,"
			       "\"times_faster\":%.2f,\"load_ms\":%.0f,\"bytes\":%zu,"
			       "\"hits\":%.4f}\n",
			       which->name, c[i].name, s.median, s.min, s.max, times,
			       c[i].load_ms, c[i].bytes, (double)c[i].hits / ADDRS);
		else
			printf("%-13s %-11s %8.1f %8.1f..%-8.1f %6.2f %9.0f %9.1f "
			       "%6.1f %%\n",
			       which->name, c[i].name, s.median, s.min, s.max, times,
			       c[i].load_ms, c[i].bytes / 1e6,
			       100.0 * c[i].hits / ADDRS);
	}
	fflush(stdout);
}

static int sample(const struct set_case *which, struct sets_peer_bpf *peer,
		  struct contender *c, size_t n, struct shunt_err *err)
{
	unsigned int round;
	size_t i;
	double ns;

	for (i = 0; i < n; i++) {
		if (run(peer, &c[i], &ns))
			return shunt_fail(err, -EIO, "run %s", c[i].name);
		if (i > 1 && c[i].hits != c[1].hits)
			return shunt_fail(err, -EBADMSG,
					  "%s: %s finds %llu addresses, %s %llu",
					  which->name, c[i].name,
					  (unsigned long long)c[i].hits, c[1].name,
					  (unsigned long long)c[1].hits);
	}
	for (round = 0; round < opt.rounds; round++)
		for (i = 0; i < n; i++)
			if (run(peer, &c[i], &c[i].sample[round]))
				return shunt_fail(err, -EIO, "run %s", c[i].name);
	report(which, c, n);
	return 0;
}

static int prog(const struct bpf_program *program)
{
	return bpf_program__fd(program);
}

static int measure(const struct set_case *which, const struct list *list,
		   struct shunt_random *r, struct shunt_err *err)
{
	struct sets_peer_bpf *peer = sets_peer_bpf__open();
	bool six = which->family == 6;
	struct bpf_map *map = NULL;
	int ret = -ENOMEM;

	if (peer) {
		map = which->exact
			      ? six ? peer->maps.bench_hash6 : peer->maps.bench_hash4
		      : six ? peer->maps.bench_lpm6
			    : peer->maps.bench_lpm4;
		ret = bpf_map__set_max_entries(map, list->n);
	}
	if (!ret)
		ret = sets_peer_bpf__load(peer);
	if (!ret) {
		struct contender c[] = {
			{ "none", prog(peer->progs.bench_none) },
			{ "shunt",
			  prog(six ? peer->progs.bench_set6 : peer->progs.bench_set4) },
			{ which->exact ? "hash" : "LPM trie",
			  prog(which->exact ? six ? peer->progs.bench_table6
						  : peer->progs.bench_table4
			       : six	    ? peer->progs.bench_trie6
					    : peer->progs.bench_trie4) },
		};

		put_addrs(r, which, list, peer);
		ret = load_shunt(&c[1], peer, list, err);
		if (!ret && load_peer(&c[2], map, list, !which->exact))
			ret = shunt_fail(err, -EIO, "fill the %s", c[2].name);
		if (!ret)
			ret = sample(which, peer, c, 3, err);
	} else {
		shunt_fail_errno(err, ret, "load the programs");
	}
	sets_peer_bpf__destroy(peer);
	return ret;
}

/* --- loading from a file -------------------------------------------------------------------
 */

static int write_files(const struct list *list, bool exact, const char *plain,
		       const char *ipset)
{
	_file_ FILE *a = fopen(plain, "we");
	_file_ FILE *c = fopen(ipset, "we");
	bool six = list->at->family == 6;
	char text[SHUNT_PREFIX_TEXT];
	size_t i;

	if (!a || !c)
		return -errno;
	fprintf(c, "create s hash:%s family inet%s maxelem %zu hashsize %zu\n",
		exact ? "ip" : "net", six ? "6" : "", list->n, list->n);
	for (i = 0; i < list->n; i++) {
		shunt_prefix_format(&list->at[i], text);
		fprintf(a, "%s\n", text);
		fprintf(c, "add s %s\n", text);
	}
	return 0;
}

/* A command in a network namespace of its own, which goes with it; ms, or -1. */
static double command(const char *text)
{
	double start = bench_now_ns(CLOCK_MONOTONIC);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp("unshare", "unshare", "-n", "sh", "-c", text, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
		return -1;
	return (bench_now_ns(CLOCK_MONOTONIC) - start) / 1e6;
}

static double load_file(const char *path)
{
	struct shunt_set_ref ref = { "bench", 0, SHUNT_SET_PREFIX, SHUNT_SET_SIZE_MAX };
	_free_ struct shunt_prefix *element = NULL;
	double start = bench_now_ns(CLOCK_MONOTONIC);
	size_t n;

	if (shunt_set_file_read(path, SHUNT_SET_PREFIX, &element, &n, NULL))
		return -1;
	_fd_ int fd = shunt_set_make(&ref, element, n, NULL);
	return fd < 0 ? -1 : (bench_now_ns(CLOCK_MONOTONIC) - start) / 1e6;
}

static void shuffle(struct shunt_random *r, struct list *list)
{
	size_t i;

	for (i = list->n - 1; i; i--) {
		size_t j = shunt_random_below(r, i + 1);
		struct shunt_prefix p = list->at[i];

		list->at[i] = list->at[j];
		list->at[j] = p;
	}
}

static void say(const char *name, const char *who, double ms)
{
	if (ms < 0)
		printf("%-13s %-11s failed, or is not here\n", name, who);
	else
		printf("%-13s %-11s %9.0f ms\n", name, who, ms);
	fflush(stdout);
}

/* 1M elements in random order from a file, three times in alternation. */
static int load_times(const struct set_case *which, struct list *list,
		      struct shunt_random *r)
{
	char folder[] = "/tmp/shunt-bench-XXXXXX", plain[64], ipset[64];
	char restore[128];
	int round, ret;

	if (!mkdtemp(folder))
		return -errno;
	snprintf(plain, sizeof(plain), "%s/plain", folder);
	snprintf(ipset, sizeof(ipset), "%s/ipset", folder);
	snprintf(restore, sizeof(restore),
		 "ipset restore <%s && ipset list -t | grep memory", ipset);
	shuffle(r, list);
	ret = write_files(list, which->exact, plain, ipset);
	for (round = 0; !ret && round < 3; round++) {
		say(which->name, "shunt", load_file(plain));
		say(which->name, "ipset", command(restore));
	}
	unlink(plain);
	unlink(ipset);
	rmdir(folder);
	return ret;
}

/* --- the command ------------------------------------------------------------------------- */

static int one(const struct set_case *which, bool load, struct shunt_err *err)
{
	struct shunt_random r = { 0x73657473 };
	struct list list = { NULL, 0 };
	int ret = draw_list(&r, which, &list);

	if (ret)
		ret = shunt_fail(err, ret, "draw a set: out of memory");
	else
		ret = load ? load_times(which, &list, &r)
			   : measure(which, &list, &r, err);
	free(list.at);
	return ret;
}

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu < 0 ? sched_getcpu() : cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static const struct bench_option rows[] = {
	BENCH_OPTION("json", NULL, &opt.json),
	BENCH_OPTION("quick", NULL, &opt.quick),
	BENCH_OPTION("cpu", "N", &opt.cpu),
	BENCH_OPTION("case", "NAME", &opt.only),
	{ NULL },
};

static int read_options(int argc, char **argv)
{
	int first = bench_options(argc, argv, rows);

	opt.rounds = opt.quick ? 1 : opt.rounds;
	return first < 0 ? first : 0;
}

int main(int argc, char **argv)
{
	struct shunt_err err = { "" };
	size_t i;
	int load;

	if (read_options(argc, argv))
		return bench_usage("sets", rows, NULL);
	libbpf_set_print(NULL);
	pin_to(opt.cpu);
	if (!opt.json)
		printf("%-13s %-11s %8s %18s %6s %9s %9s %8s\n", "case", "program",
		       "ns", "min..max", "x", "load ms", "MB", "hits");
	for (load = 0; load < (opt.quick || opt.json ? 1 : 2); load++) {
		for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			bool large = cases[i].elements > 10000;

			if ((opt.only && strcmp(opt.only, cases[i].name)) ||
			    (opt.quick && large) ||
			    (load && cases[i].elements < 1000000))
				continue;
			if (one(&cases[i], load, &err)) {
				fprintf(stderr, "sets: %s: %s\n", cases[i].name,
					err.message);
				return 1;
			}
		}
	}
	return 0;
}
