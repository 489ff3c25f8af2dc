/* SPDX-License-Identifier: BSD-2-Clause */
/* Two wires in namespaces of their own: one brings frames, one takes them away. */
#pragma once

/*
 *     CPU 1                               CPU 0
 *     live frames ─▶ veth ─▶ softirq ─▶ [shp-in]  what is measured  [shp-out] ─▶ veth ─▶ sink
 *
 * The caller is in the namespace in the middle. veth's receive softirq runs on the CPU of
 * its sender: so the source and the softirq of what it sends share CPU 1, and the sink's
 * program runs on the CPU that sends to it. veth takes redirected frames only if the
 * receiving end runs NAPI: the sink is native XDP, and STAGE_IN has GRO on. The namespaces go with their last process.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/if_link.h>

#include "bench/plain.h"
#include "ports.skel.h"

#define STAGE_IN "shp-in"
#define STAGE_OUT "shp-out"
#define STAGE_SOURCE "shp-source"
#define STAGE_SINK "shp-sink"

struct stage {
	struct ports_bpf *ports;      /* sink and redirect */
	struct xsk_rx_bpf *feed;      /* frames of STAGE_IN into its XSKMAP */
	int source_space, sink_space; /* which live as long as their descriptors */
	pid_t source;
	int link; /* on STAGE_IN; -1: none */
};

static inline int stage_space(void)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), space;

	if (home < 0 || unshare(CLONE_NEWNET))
		loop_fail("make a network namespace (as root)");
	loop_command("sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip link set lo up");
	space = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (space < 0 || setns(home, CLONE_NEWNET))
		loop_fail("go back to the network namespace");
	close(home);
	return space;
}

static inline void stage_wire(const char *here, const char *there, int space)
{
	char line[256];

	snprintf(line, sizeof(line),
		 "ip link add %s type veth peer name %s netns /proc/%d/fd/%d && "
		 "ethtool -K %s gro on && ip link set %s up && "
		 "nsenter --net=/proc/%d/fd/%d ip link set %s up",
		 here, there, getpid(), space, here, here, getpid(), space, there);
	loop_command(line);
}

/* Attached in the space, for as long as this process lives. */
static inline void stage_sink(struct stage *stage)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (home < 0 || setns(stage->sink_space, CLONE_NEWNET) ||
	    bpf_link_create(bpf_program__fd(stage->ports->progs.ports_sink),
			    (int)if_nametoindex(STAGE_SINK), BPF_XDP, &opts) < 0 ||
	    setns(home, CLONE_NEWNET))
		loop_fail("put up the sink");
	close(home);
}

static inline void stage_open(struct stage *stage)
{
	stage->ports = ports_bpf__open_and_load();
	stage->feed = xsk_rx_bpf__open_and_load();
	if (!stage->ports || !stage->feed)
		loop_fail("load the programs");
	if (unshare(CLONE_NEWNET))
		loop_fail("make a network namespace (as root)");
	loop_command("sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip link set lo up");
	stage->source_space = stage_space();
	stage->sink_space = stage_space();
	stage_wire(STAGE_IN, STAGE_SOURCE, stage->source_space);
	stage_wire(STAGE_OUT, STAGE_SINK, stage->sink_space);
	stage_sink(stage);
	stage->ports->bss->ports_out = if_nametoindex(STAGE_OUT);
	stage->link = -1;
}

static inline uint64_t stage_seen(const struct stage *stage)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < 64; i++)
		sum += __atomic_load_n(&stage->ports->bss->ports_seen[i].packets,
				       __ATOMIC_RELAXED);
	return sum;
}

/* What the program sends on is not counted by user space: how many frames came in. */
static inline uint64_t stage_came_in(void)
{
	FILE *in = fopen("/proc/thread-self/net/dev", "re");
	unsigned long long packets, found = 0;
	char line[512], name[64];

	while (in && fgets(line, sizeof(line), in))
		if (sscanf(line, " %63[^:]: %*u %llu", name, &packets) == 2 &&
		    !strcmp(name, STAGE_IN))
			found = packets;
	if (in)
		fclose(in);
	return found;
}

static inline void stage_flow(struct stage *stage)
{
	stage->source = fork();
	if (stage->source)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setns(stage->source_space, CLONE_NEWNET))
		_exit(1);
	plain_generate(STAGE_SOURCE);
}

static inline void stage_still(struct stage *stage)
{
	if (stage->source > 0) {
		kill(stage->source, SIGKILL);
		waitpid(stage->source, NULL, 0);
	}
	stage->source = 0;
}

/* A program onto STAGE_IN. */
static inline void stage_attach(struct stage *stage, const struct bpf_program *program,
				unsigned int mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = mode);

	stage->link = bpf_link_create(bpf_program__fd(program),
				      (int)if_nametoindex(STAGE_IN), BPF_XDP, &opts);
	if (stage->link < 0)
		loop_fail("attach a program to " STAGE_IN);
}

static inline void stage_detach(struct stage *stage)
{
	if (stage->link >= 0)
		close(stage->link);
	stage->link = -1;
}

static inline int stage_map(const struct stage *stage)
{
	return bpf_map__fd(stage->feed->maps.shunt_xsk);
}
