/* SPDX-License-Identifier: BSD-2-Clause */
/* Two nameless network namespaces, a veth between them, and a source of frames. */
#pragma once

/*
 *     namespace B, CPU 1                       namespace A, CPU 0
 *     live frames of a BPF test run ─▶ veth ─▶ NAPI thread ─▶ what is measured
 *
 * The caller is in A. The namespaces go when the last process in them does. veth
 * takes redirected frames only where the receiving end runs NAPI, hence GRO; NAPI in a
 * thread, so that the source and what is measured do not share a core.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bench/list.h"
#include "rules_gen.skel.h"
#include "user/base/err.h"

#define WIRE_A "shr-rx"
#define WIRE_B "shr-gen"
#define WIRE_FLOWS 4096
#define WIRE_REPEAT (1u << 20) /* a call costs about 20 ms of setup */
#define WIRE_BATCH 64

struct bench_wire {
	struct rules_gen_bpf *source;
	int space; /* B */
};

static inline int wire_command(const char *line, struct shunt_err *err)
{
	int status = system(line);

	return status ? shunt_fail(err, -EIO, "%s: exit status %d", line,
				   WEXITSTATUS(status))
		      : 0;
}

static inline void wire_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* A namespace of its own, held open by the descriptor alone. */
static inline int wire_make_space(void)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), space = -1;

	if (home >= 0 && !unshare(CLONE_NEWNET))
		space = open("/proc/self/ns/net", O_RDONLY);
	if (space >= 0 && setns(home, CLONE_NEWNET)) {
		close(space);
		space = -1;
	}
	if (home >= 0)
		close(home);
	return space;
}

/* /sys shows the interfaces of the namespace that it was mounted in. */
static inline int wire_open(struct bench_wire *wire, struct shunt_err *err)
{
	char line[512];
	int ret;

	wire->space = -1;
	wire->source = rules_gen_bpf__open_and_load();
	if (!wire->source)
		return shunt_fail_errno(err, -errno, "load the source of frames");
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL))
		return shunt_fail_errno(err, -errno, "make a network namespace");
	wire->space = wire_make_space();
	if (wire->space < 0)
		return shunt_fail_errno(err, -errno, "make a network namespace");
	snprintf(line, sizeof(line),
		 "ip link add " WIRE_A
		 " address 02:00:00:00:00:01 type veth peer name " WIRE_B
		 " netns /proc/%d/fd/%d && ip link set lo up && "
		 "ethtool -K " WIRE_A " gro on && ip link set " WIRE_A " up && "
		 "echo 1 >/sys/class/net/" WIRE_A "/threaded",
		 getpid(), wire->space);
	ret = wire_command(line, err);
	if (!ret) {
		snprintf(line, sizeof(line),
			 "nsenter --net=/proc/%d/fd/%d sh -c 'sysctl -qw "
			 "net.ipv6.conf.all.disable_ipv6=1; ip link set " WIRE_B " up'",
			 getpid(), wire->space);
		ret = wire_command(line, err);
	}
	return ret;
}

static inline void wire_close(struct bench_wire *wire)
{
	rules_gen_bpf__destroy(wire->source);
	if (wire->space >= 0)
		close(wire->space);
}

/* Frames that the receiving end took off the wire so far. */
static inline uint64_t wire_received(void)
{
	_file_ FILE *in = fopen("/proc/self/net/dev", "r");
	unsigned long long packets = 0, found = 0;
	char line[512], name[64];

	while (in && fgets(line, sizeof(line), in))
		if (sscanf(line, " %63[^:]: %*u %llu", name, &packets) == 2 &&
		    !strcmp(name, WIRE_A))
			found = packets;
	return found;
}

/* Sends n frames, or for ever; in the child. */
static inline void wire_send(const struct bench_wire *wire, bool ip6, uint64_t n)
{
	uint8_t frame[BENCH_ETH_BYTES + BENCH_L3_BYTES] = {
		2, [5] = 1, [6] = 2, [11] = 2
	};
	struct xdp_md context = { .data_end = sizeof(frame) };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = sizeof(frame), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = n ? n : WIRE_REPEAT,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = WIRE_BATCH);
	int ret;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	frame[12] = (ip6 ? SHUNT_ETH_IP6 : SHUNT_ETH_IP4) >> 8;
	frame[13] = (ip6 ? SHUNT_ETH_IP6 : SHUNT_ETH_IP4) & 255;
	wire_pin(1);
	if (setns(wire->space, CLONE_NEWNET))
		_exit(1);
	wire->source->bss->rules_out = if_nametoindex(WIRE_B);
	do
		ret = bpf_prog_test_run_opts(
			bpf_program__fd(wire->source->progs.rules_gen), &opts);
	while (!n && (!ret || ret == -EINTR));
	_exit(ret ? 1 : 0);
}

static inline pid_t wire_start(const struct bench_wire *wire, bool ip6, uint64_t n)
{
	pid_t pid = fork();

	if (!pid)
		wire_send(wire, ip6, n);
	return pid;
}
