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
#include <linux/if_link.h>

#include "bench/plain.h"
#include "user/apps/consume.h"
#include "user/io/af_xdp.h"

#define IF_A "shc-rx"
#define IF_B "shc-gen"

static int map; /* the XSKMAP */

/* --- the loops under test ---------------------------------------------------- */

static int keep_totals(void *self, const struct shunt_consume_totals *totals,
		       struct shunt_err *err)
{
	struct loop_result *result = self;

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

static void run_consume(const struct loop_row *row, double seconds,
			struct loop_result *result)
{
	static const struct shunt_consume_sink sink = { .burst = take_burst,
							.tick = keep_totals,
							.idle = take_idle };
	const struct shunt_consume_opts opts = { .interface = IF_A,
						 .consumer = "bench",
						 .xskmap_fd = map,
						 .queues = 1,
						 .duration_ns = seconds * 1e9,
						 .wait = (enum shunt_wait)row->wait };
	struct shunt_err err = { 0 };

	if (shunt_consume(&opts, &sink, result, &err))
		loop_refuse(err.message);
}

/* What an application's loop costs: receive, and give back. */
static void run_port(const struct loop_row *row, double seconds,
		     struct loop_result *result)
{
	struct shunt_frame frames[SHUNT_BURST];
	struct shunt_port_stats stats;
	struct shunt_port *port;
	struct shunt_err err = { 0 };
	uint64_t start, now, rounds = 0;

	if (shunt_port_open(&port, "af_xdp:" IF_A ",rx=on,tx=off,queues=0", NULL,
			    &err) ||
	    shunt_af_xdp_feed(port, map, 0, NULL, &err))
		loop_refuse(err.message);
	start = now = shunt_now_ns();
	while (now - start < seconds * 1e9) {
		unsigned int n = shunt_port_rx(port, frames, SHUNT_BURST);

		shunt_frames_put(frames, n);
		if (!n && row->wait == SHUNT_WAIT_POLL &&
		    shunt_port_sleep(&port, 1, 100000000))
			loop_fail("sleep");
		if (row->wait == SHUNT_WAIT_POLL || rounds++ % 64 == 0)
			now = shunt_now_ns();
	}
	result->seconds = (now - start) / 1e9;
	if (shunt_port_stats(port, &stats, &err))
		loop_refuse(err.message);
	result->packets = stats.rx_packets;
	result->lost = stats.rx_dropped + stats.rx_ring_full;
	shunt_port_close(port);
}

static void run_plain(const struct loop_row *row, double seconds,
		      struct loop_result *result)
{
	plain_run(IF_A, map, seconds, (enum shunt_wait)row->wait, result);
}

static const struct loop_row rows[] = {
	{ "plain loop, spin", run_plain, 0, SHUNT_WAIT_SPIN },
	{ "port, spin", run_port, 0, SHUNT_WAIT_SPIN },
	{ "consume loop, spin", run_consume, 0, SHUNT_WAIT_SPIN },
	{ "consume loop, adaptive", run_consume, 0, SHUNT_WAIT_ADAPTIVE },
	{ "plain loop, poll", run_plain, 4, SHUNT_WAIT_POLL },
	{ "port, poll", run_port, 4, SHUNT_WAIT_POLL },
	{ "consume loop, poll", run_consume, 4, SHUNT_WAIT_POLL },
	/* how stock libraries attach their program; the port's rate beside it */
	{ "plain loop, generic, spin", run_plain, 7, SHUNT_WAIT_SPIN, .generic = true },
	{ "port, spin, again", run_port, 7, SHUNT_WAIT_SPIN },
};

#define ROWS ((int)(sizeof(rows) / sizeof(rows[0])))

/* --- the stage --------------------------------------------------------------- */

/* Two nameless namespaces and a veth; the caller stays in A. Returns the generator. */
static pid_t set_up(void)
{
	int ready[2], go[2];
	char line[128], byte = 0;
	pid_t pid;

	if (pipe(ready) || pipe(go) || unshare(CLONE_NEWNET))
		loop_fail("make a network namespace (as root)");
	pid = fork();
	if (pid < 0)
		loop_fail("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(go[1]);
		if (unshare(CLONE_NEWNET) || write(ready[1], &byte, 1) != 1 ||
		    read(go[0], &byte, 1) != 1)
			loop_fail("make a network namespace");
		loop_command("ip link set lo up && ip link set " IF_B " up");
		plain_generate(IF_B);
	}
	if (read(ready[0], &byte, 1) != 1)
		loop_fail("make a network namespace");
	snprintf(line, sizeof(line),
		 "ip link add " IF_A " type veth peer name " IF_B " netns %d", pid);
	loop_command(line);
	/* a veth without NAPI loses frames: the native program has it run, GRO as well */
	loop_command("ip link set lo up && ethtool -K " IF_A
		     " gro on && ip link set " IF_A " up");
	if (write(go[1], &byte, 1) != 1)
		loop_fail("start the generator");
	return pid;
}

static int attach(const struct xsk_rx_bpf *skel, bool generic)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	int link = bpf_link_create(bpf_program__fd(skel->progs.xsk_rx),
				   (int)if_nametoindex(IF_A), BPF_XDP, &opts);

	if (link < 0)
		loop_fail("attach the program");
	return link;
}

int main(int argc, char **argv)
{
	static struct loop_result results[BENCH_SAMPLES * ROWS];
	struct xsk_rx_bpf *skel;
	int i, rounds, link;
	pid_t generator;
	double seconds;

	loop_arguments(argc, argv, &rounds, &seconds);
	generator = set_up();
	skel = xsk_rx_bpf__open_and_load();
	if (!skel)
		loop_fail("load the program");
	map = bpf_map__fd(skel->maps.shunt_xsk);
	for (i = 0; i < rounds * ROWS; i++) {
		link = attach(skel, rows[i % ROWS].generic);
		results[i] = loop_measure(&rows[i % ROWS], seconds);
		close(link);
	}
	kill(generator, SIGKILL);
	waitpid(generator, NULL, 0);
	loop_report(rows, ROWS, results, rounds);
	xsk_rx_bpf__destroy(skel);
	return 0;
}
