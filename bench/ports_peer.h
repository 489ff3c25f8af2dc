/* SPDX-License-Identifier: BSD-2-Clause */
/* dpdk-testpmd as a peer: started in this namespace, told what to do, and asked. */
#pragma once

/*
 * Both of its threads are on CPU 0, one of which only waits for commands. Its own
 * options stay as they come, but for those that it needs to run without hugepages; the
 * XDP program is libxdp's.
 */
#include <ctype.h>
#include <stdarg.h>

#include "bench/ports_stage.h"

struct peer {
	pid_t pid;
	int in, out; /* its stdin, its stdout */
	char said[1 << 16];
	size_t n;
};

struct peer_count {
	uint64_t rx, tx, rx_dropped, tx_dropped;
	double cpu; /* s */
};

static inline bool peer_is_there(void)
{
	return !system("command -v dpdk-testpmd >/dev/null");
}

/* Reads until it has said these words since the last call; false: not within 20 s. */
static inline bool peer_await(struct peer *peer, const char *words)
{
	uint64_t start = shunt_now_ns();

	while (!strstr(peer->said, words)) {
		struct pollfd fd = { .fd = peer->out, .events = POLLIN };
		ssize_t n;

		if (shunt_now_ns() - start > 20000000000u || poll(&fd, 1, 1000) < 0)
			return false;
		if (!(fd.revents & (POLLIN | POLLHUP)))
			continue;
		if (peer->n > sizeof(peer->said) / 2)
			peer->n = 0;
		n = read(peer->out, peer->said + peer->n,
			 sizeof(peer->said) - 1 - peer->n);
		if (n <= 0)
			return false;
		peer->n += (size_t)n;
		peer->said[peer->n] = '\0';
	}
	return true;
}

static inline void peer_tell(struct peer *peer, const char *line)
{
	peer->n = 0;
	*peer->said = '\0';
	if (write(peer->in, line, strlen(line)) != (ssize_t)strlen(line))
		loop_fail("tell dpdk-testpmd something");
}

static inline void peer_exec(int in, int out, const char *mode, const char *const *ifs)
{
	char device[4][64], *argv[24], **arg = argv, prefix[32];
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, 0);
	dup2(out, 1);
	dup2(out, 2);
	snprintf(prefix, sizeof(prefix), "shp-%d", getpid());
	*arg++ = (char *)"stdbuf"; /* it becomes what it starts */
	*arg++ = (char *)"-oL";
	*arg++ = (char *)"dpdk-testpmd";
	*arg++ = (char *)"--lcores=0@0,1@0";
	*arg++ = (char *)"--no-huge";
	*arg++ = (char *)"-m512";
	*arg++ = (char *)"--no-pci";
	*arg++ = (char *)"--no-shconf";
	*arg++ = (char *)"--no-telemetry";
	*arg++ = (char *)"--file-prefix";
	*arg++ = prefix;
	for (i = 0; ifs[i]; i++) {
		snprintf(device[i], sizeof(device[i]), "--vdev=net_af_xdp%u,iface=%s",
			 i, ifs[i]);
		*arg++ = device[i];
	}
	*arg++ = (char *)"--";
	*arg++ = (char *)"-i";
	*arg++ = (char *)"--total-num-mbufs=16384";
	*arg++ = (char *)"--forward-mode";
	*arg++ = (char *)mode;
	*arg = NULL;
	execvp(*argv, argv);
	_exit(127);
}

/* On interfaces (NULL ends them); it waits for "start" then. */
static inline void peer_open(struct peer *peer, const char *mode,
			     const char *const *ifs)
{
	int in[2], out[2];

	*peer = (struct peer){ .in = -1 };
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		loop_fail("make a pipe");
	peer->pid = fork();
	if (peer->pid < 0)
		loop_fail("fork");
	if (!peer->pid)
		peer_exec(in[0], out[1], mode, ifs);
	close(in[0]);
	close(out[1]);
	peer->in = in[1];
	peer->out = out[0];
	if (!peer_await(peer, "testpmd> ")) {
		fprintf(stderr, "bench: dpdk-testpmd does not start:\n%s\n",
			peer->said);
		exit(1);
	}
}

static inline void peer_close(struct peer *peer)
{
	char folder[64];

	peer_tell(peer, "quit\n");
	close(peer->in);
	while (peer_await(peer, "\n\n\n\n"))
		;
	close(peer->out);
	waitpid(peer->pid, NULL, 0);
	snprintf(folder, sizeof(folder), "/run/dpdk/shp-%d", peer->pid);
	rmdir(folder);
}

static inline double peer_cpu(const struct peer *peer)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(peer->pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* A figure behind these words, in what it said last. */
static inline uint64_t peer_figure(const struct peer *peer, const char *words)
{
	const char *from = strstr(peer->said, "Accumulated forward statistics"),
		   *at = from ? strstr(from, words) : NULL;

	return at ? strtoull(at + strlen(words), NULL, 10) : 0;
}

/* Between "start" and "stop"; *count is what it says of that time. */
static inline void peer_start(struct peer *peer, struct peer_count *count)
{
	count->cpu = peer_cpu(peer);
	peer_tell(peer, "start\n");
}

static inline void peer_stop(struct peer *peer, struct peer_count *count)
{
	count->cpu = peer_cpu(peer) - count->cpu;
	peer_tell(peer, "stop\n");
	if (!peer_await(peer, "Done."))
		loop_fail("hear from dpdk-testpmd");
	count->rx = peer_figure(peer, "RX-packets:");
	count->rx_dropped = peer_figure(peer, "RX-dropped:");
	count->tx = peer_figure(peer, "TX-packets:");
	count->tx_dropped = peer_figure(peer, "TX-dropped:");
}
