/* SPDX-License-Identifier: BSD-2-Clause */
/* Loops that move packets, measured in turn, each beside a peer of the same round. */
#pragma once

/*
 * Every round measures each row once. A row runs in a process of its own on CPU 0, so that
 * its CPU time is its own; ratios are taken within a round. The name of the program is in
 * every complaint; there is no way on from a failure.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/stat.h"

struct loop_result {
	double seconds;
	uint64_t packets;
	uint64_t lost;
	double cpu; /* share of one core, 0..1; 0 from run: all that it took, opening too */
};

struct loop_row {
	const char *name;
	void (*run)(const struct loop_row *row, double seconds,
		    struct loop_result *result);
	int beside;	     /* the row that it is compared with; its own: a peer */
	int wait;	     /* enum shunt_wait */
	bool generic;	     /* the program runs in generic mode */
	bool foreign;	     /* frames of other memory than the port's */
	const char *options; /* of a port */
	unsigned int bytes;  /* of a frame; 0: as the program likes */
};

static inline void loop_fail(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
		strerror(errno));
	exit(1);
}

static inline void loop_refuse(const char *sentence)
{
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, sentence);
	exit(1);
}

static inline void loop_command(const char *line)
{
	if (system(line))
		loop_fail(line);
}

static inline void loop_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		loop_fail("pin to a CPU");
}

static inline double loop_cpu_seconds(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return use.ru_utime.tv_sec + use.ru_stime.tv_sec +
	       (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static inline struct loop_result loop_measure(const struct loop_row *row,
					      double seconds)
{
	struct loop_result *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct loop_result copy;
	double before;
	int status;
	pid_t pid;

	if (result == MAP_FAILED)
		loop_fail("mmap");
	pid = fork();
	if (pid < 0)
		loop_fail("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		loop_pin(0);
		before = loop_cpu_seconds();
		row->run(row, seconds, result);
		if (!result->cpu)
			result->cpu = (loop_cpu_seconds() - before) / result->seconds;
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status || !result->packets) {
		fprintf(stderr, "%s: %s measured nothing\n",
			program_invocation_short_name, row->name);
		exit(1);
	}
	copy = *result;
	munmap(result, sizeof(*result));
	return copy;
}

/* results[round * n + row] */
static inline void loop_report(const struct loop_row *rows, int n,
			       const struct loop_result *results, int rounds)
{
	double rate[BENCH_SAMPLES], cpu[BENCH_SAMPLES], ratio[BENCH_SAMPLES],
		lost[BENCH_SAMPLES];
	struct bench_stat r, q;
	int i, k, places;

	printf("%-26s %26s %7s %8s %7s %22s\n", "row", "Mpps median (min-max)", "CPU %",
	       "CPU ns", "lost %", "beside its peer");
	for (i = 0; i < n; i++) {
		for (k = 0; k < rounds; k++) {
			const struct loop_result *mine = &results[k * n + i];
			const struct loop_result *peer =
				&results[k * n + rows[i].beside];

			rate[k] = mine->packets / mine->seconds / 1e6;
			cpu[k] = mine->cpu;
			lost[k] = 100.0 * mine->lost / (mine->packets + mine->lost);
			ratio[k] = rate[k] / (peer->packets / peer->seconds / 1e6);
		}
		r = bench_stat_of(rate, rounds);
		q = bench_stat_of(ratio, rounds);
		/* a guest's loops are slow */
		places = r.median < 0.1 ? 4 : 2;
		printf("%-26s %12.*f (%5.*f-%5.*f) %7.1f %8.1f %7.2f %8.2f "
		       "(%.2f-%.2f)\n",
		       rows[i].name, places, r.median, places, r.min, places, r.max,
		       bench_stat_of(cpu, rounds).median * 100,
		       bench_stat_of(cpu, rounds).median * 1e3 / r.median,
		       bench_stat_of(lost, rounds).median, q.median, q.min, q.max);
	}
	fflush(stdout);
}

/* [--quick | rounds [seconds]] */
static inline void loop_arguments(int argc, char **argv, int *rounds, double *seconds)
{
	bool quick = argc == 2 && !strcmp(argv[1], "--quick");

	*rounds = quick ? 1 : argc > 1 ? atoi(argv[1]) : 5;
	*seconds = quick ? 0.2 : argc > 2 ? atof(argv[2]) : 2;
	if (*rounds < 1 || *rounds > BENCH_SAMPLES || *seconds <= 0) {
		fprintf(stderr, "usage: %s [--quick | rounds [seconds]]\n",
			program_invocation_short_name);
		exit(2);
	}
}
