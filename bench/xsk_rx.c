/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames a second into the consume loop over veth, beside libxdp's plain receive loop.
 *
 *     xsk_rx [rounds, 5] [seconds a measurement, 2]
 *
 *     namespace B, CPU 1                          namespace A, CPU 0
 *     live frames ─▶ veth ─▶ softirq ─▶ xsk_rx ─▶ XSKMAP ─▶ the loop under test
 *
 * Every round measures each row once, in turn; the same program and map feed all of
 * them, in copy mode with rings of the same size. The ratios are taken within a round.
 * The namespaces have no name: they go when the last process in them does.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/if_link.h>

#include "bench/plain.h"
#include "user/apps/consume.h"
#include "user/base/cleanup.h"

#define IF_A "shc-rx"
#define IF_B "shc-gen"
#define ROUNDS_MAX 100

/* --- the loops under test ---------------------------------------------------- */

static int keep_totals(void *self, const struct shunt_consume_totals *totals,
		       struct shunt_err *err)
{
	struct plain_result *result = self;

	(void)err;
	result->seconds = totals->seconds;
	result->packets = totals->sum.packets;
	result->lost = shunt_consume_lost(&totals->sum);
	return 0;
}

static int take_burst(void *self, unsigned int queue, const struct shunt_frame *frames,
		      unsigned int n, struct shunt_err *err)
{
	(void)self;
	(void)queue;
	(void)frames;
	(void)n;
	(void)err;
	return 0;
}

static int take_idle(void *self, struct shunt_err *err)
{
	(void)self;
	(void)err;
	return 0;
}

static void run_consume(int map, double seconds, enum shunt_wait wait,
			struct plain_result *result)
{
	static const struct shunt_consume_sink sink = { .burst = take_burst,
							.tick = keep_totals,
							.idle = take_idle };
	const struct shunt_consume_opts opts = { .interface = IF_A,
						 .consumer = "bench",
						 .xskmap_fd = map,
						 .queues = 1,
						 .duration_ns = seconds * 1e9,
						 .wait = wait };
	struct shunt_err err = { 0 };

	if (shunt_consume(&opts, &sink, result, &err)) {
		fprintf(stderr, "xsk_rx: %s\n", err.message);
		exit(1);
	}
}

static void run_plain(int map, double seconds, enum shunt_wait wait,
		      struct plain_result *result)
{
	plain_run(IF_A, map, seconds, wait, result);
}

static const struct row {
	const char *name;
	void (*run)(int map, double seconds, enum shunt_wait wait,
		    struct plain_result *result);
	enum shunt_wait wait;
	int beside; /* the row that it is compared with; its own: a peer */
} rows[] = {
	{ "plain loop, spin", run_plain, SHUNT_WAIT_SPIN, 0 },
	{ "consume loop, spin", run_consume, SHUNT_WAIT_SPIN, 0 },
	{ "consume loop, adaptive", run_consume, SHUNT_WAIT_ADAPTIVE, 0 },
	{ "plain loop, poll", run_plain, SHUNT_WAIT_POLL, 3 },
	{ "consume loop, poll", run_consume, SHUNT_WAIT_POLL, 3 },
};

#define ROWS ((int)(sizeof(rows) / sizeof(rows[0])))

/* In a process of its own, so that its CPU time is its own. */
static struct plain_result measure(const struct row *row, int map, double seconds)
{
	struct plain_result *result =
		mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct plain_result copy;
	double before;
	int status;
	pid_t pid;

	if (result == MAP_FAILED)
		plain_fail("mmap");
	pid = fork();
	if (pid < 0)
		plain_fail("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		plain_pin(0);
		before = plain_cpu_seconds();
		row->run(map, seconds, row->wait, result);
		result->cpu = (plain_cpu_seconds() - before) / result->seconds;
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status || !result->packets) {
		fprintf(stderr, "xsk_rx: %s measured nothing\n", row->name);
		exit(1);
	}
	copy = *result;
	munmap(result, sizeof(*result));
	return copy;
}

/* --- the stage --------------------------------------------------------------- */

/* Two nameless namespaces and a veth; the caller stays in A. Returns the generator. */
static pid_t set_up(void)
{
	int ready[2], go[2];
	char line[128], byte = 0;
	pid_t pid;

	if (pipe(ready) || pipe(go) || unshare(CLONE_NEWNET))
		plain_fail("make a network namespace (as root)");
	pid = fork();
	if (pid < 0)
		plain_fail("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(go[1]);
		if (unshare(CLONE_NEWNET) || write(ready[1], &byte, 1) != 1 ||
		    read(go[0], &byte, 1) != 1)
			plain_fail("make a network namespace");
		plain_command("ip link set lo up && ip link set " IF_B " up");
		plain_generate(IF_B);
	}
	if (read(ready[0], &byte, 1) != 1)
		plain_fail("make a network namespace");
	snprintf(line, sizeof(line),
		 "ip link add " IF_A " type veth peer name " IF_B " netns %d", pid);
	plain_command(line);
	plain_command("ip link set lo up && ip link set " IF_A " up");
	if (write(go[1], &byte, 1) != 1)
		plain_fail("start the generator");
	return pid;
}

static struct xsk_rx_bpf *attach(int *link)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	struct xsk_rx_bpf *skel = xsk_rx_bpf__open_and_load();

	if (!skel)
		plain_fail("load the program");
	*link = bpf_link_create(bpf_program__fd(skel->progs.xsk_rx),
				if_nametoindex(IF_A), BPF_XDP, &opts);
	if (*link < 0)
		plain_fail("attach in native mode");
	return skel;
}

/* --- the report -------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct spread {
	double min, median, max;
};

static struct spread spread_of(double *values, int n)
{
	qsort(values, n, sizeof(*values), compare);
	return (struct spread){ values[0], values[n / 2], values[n - 1] };
}

static void report(struct plain_result results[ROWS][ROUNDS_MAX], int rounds)
{
	double rate[ROUNDS_MAX], cpu[ROUNDS_MAX], ratio[ROUNDS_MAX], lost[ROUNDS_MAX];
	struct spread r, q;
	int i, k;

	printf("%-24s %28s %7s %7s %24s\n", "row", "Mpps median (min-max)", "CPU %",
	       "lost %", "beside its plain loop");
	for (i = 0; i < ROWS; i++) {
		for (k = 0; k < rounds; k++) {
			const struct plain_result *mine = &results[i][k];
			const struct plain_result *peer = &results[rows[i].beside][k];

			rate[k] = mine->packets / mine->seconds / 1e6;
			cpu[k] = mine->cpu * 100;
			lost[k] = 100.0 * mine->lost / (mine->packets + mine->lost);
			ratio[k] = rate[k] / (peer->packets / peer->seconds / 1e6);
		}
		r = spread_of(rate, rounds);
		q = spread_of(ratio, rounds);
		printf("%-24s %14.2f (%5.2f-%5.2f) %7.1f %7.2f %10.2f (%.2f-%.2f)\n",
		       rows[i].name, r.median, r.min, r.max,
		       spread_of(cpu, rounds).median, spread_of(lost, rounds).median,
		       q.median, q.min, q.max);
	}
}

int main(int argc, char **argv)
{
	static struct plain_result results[ROWS][ROUNDS_MAX];
	bool quick = argc == 2 && !strcmp(argv[1], "--quick");
	int rounds = quick ? 1 : argc > 1 ? atoi(argv[1]) : 5;
	double seconds = quick ? 0.2 : argc > 2 ? atof(argv[2]) : 2;
	struct xsk_rx_bpf *skel;
	pid_t generator;
	int i, k, link;

	if (rounds < 1 || rounds > ROUNDS_MAX || seconds <= 0) {
		fprintf(stderr, "usage: xsk_rx [--quick | rounds [seconds]]\n");
		return 2;
	}
	generator = set_up();
	skel = attach(&link);
	for (k = 0; k < rounds; k++)
		for (i = 0; i < ROWS; i++)
			results[i][k] =
				measure(&rows[i], bpf_map__fd(skel->maps.shunt_xsk),
					seconds);
	kill(generator, SIGKILL);
	waitpid(generator, NULL, 0);
	report(results, rounds);
	close(link);
	xsk_rx_bpf__destroy(skel);
	return 0;
}
