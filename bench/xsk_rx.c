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
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <xdp/xsk.h>

#include "bpf/lib/wire.h"
#include "user/apps/consume.h"
#include "user/base/cleanup.h"
#include "user/base/clock.h"
#include "user/io/xsk.h"
#include "xsk_rx.skel.h"

#define IF_A "shc-rx"
#define IF_B "shc-gen"
#define FRAME_BYTES 60
#define ROUNDS_MAX 100
#define LIVE_REPEAT (1u << 21) /* a call costs about 20 ms of setup */
#define LIVE_BATCH 64

struct result {
	double seconds;
	uint64_t packets;
	uint64_t lost;
	double cpu; /* share of one core, 0..1 */
};

static void fail(const char *what)
{
	fprintf(stderr, "xsk_rx: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double cpu_seconds(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return use.ru_utime.tv_sec + use.ru_stime.tv_sec +
	       (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("pin to a CPU");
}

/* --- the loops under test ---------------------------------------------------- */

static int keep_totals(void *self, const struct shunt_consume_totals *totals,
		       struct shunt_err *err)
{
	struct result *result = self;

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
			struct result *result)
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

struct plain {
	struct xsk_ring_cons rx, completion;
	struct xsk_ring_prod fill;
	struct xsk_umem *umem;
	struct xsk_socket *socket;
};

#define PLAIN_FRAMES (2 * SHUNT_XSK_RING)

/* As in libxdp's examples; a queue that was just closed is busy for a moment. */
static void open_plain(struct plain *plain, int map)
{
	const struct xsk_umem_config umem = { .fill_size = 2 * PLAIN_FRAMES,
					      .comp_size = SHUNT_XSK_RING,
					      .frame_size = SHUNT_MEMORY_FRAME_BYTES };
	const struct xsk_socket_config socket = {
		.rx_size = SHUNT_XSK_RING,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
	};
	const size_t bytes = (size_t)PLAIN_FRAMES * SHUNT_MEMORY_FRAME_BYTES;
	const struct timespec pause = { .tv_nsec = 20000000 };
	void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	uint32_t at, i;
	int tries = 50;

	if (area == MAP_FAILED)
		fail("mmap");
	for (;;) {
		memset(plain, 0, sizeof(*plain));
		if (xsk_umem__create(&plain->umem, area, bytes, &plain->fill,
				     &plain->completion, &umem))
			fail("plain loop: UMEM");
		if (!xsk_socket__create(&plain->socket, IF_A, 0, plain->umem,
					&plain->rx, NULL, &socket))
			break;
		xsk_umem__delete(plain->umem);
		if (!tries--)
			fail("plain loop: socket");
		nanosleep(&pause, NULL);
	}
	xsk_ring_prod__reserve(&plain->fill, PLAIN_FRAMES, &at);
	for (i = 0; i < PLAIN_FRAMES; i++)
		*xsk_ring_prod__fill_addr(&plain->fill, at + i) =
			(uint64_t)i * SHUNT_MEMORY_FRAME_BYTES;
	xsk_ring_prod__submit(&plain->fill, PLAIN_FRAMES);
	i = xsk_socket__fd(plain->socket);
	at = 0;
	if (bpf_map_update_elem(map, &at, &i, 0))
		fail("plain loop: XSKMAP");
}

static unsigned int plain_burst(struct plain *plain)
{
	uint32_t from, to, i, n;

	n = xsk_ring_cons__peek(&plain->rx, SHUNT_BURST, &from);
	if (!n)
		return 0;
	while (xsk_ring_prod__reserve(&plain->fill, n, &to) != n)
		;
	for (i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&plain->fill, to + i) =
			xsk_ring_cons__rx_desc(&plain->rx, from + i)->addr &
			~(uint64_t)(SHUNT_MEMORY_FRAME_BYTES - 1);
	xsk_ring_prod__submit(&plain->fill, n);
	xsk_ring_cons__release(&plain->rx, n);
	return n;
}

static void run_plain(int map, double seconds, enum shunt_wait wait,
		      struct result *result)
{
	struct xdp_statistics stats = { 0 };
	socklen_t size = sizeof(stats);
	uint64_t start, now, rounds = 0;
	struct plain plain;
	struct pollfd fd;

	open_plain(&plain, map);
	fd = (struct pollfd){ .fd = xsk_socket__fd(plain.socket), .events = POLLIN };
	start = now = shunt_now_ns();
	while (now - start < seconds * 1e9) {
		unsigned int n = plain_burst(&plain);

		result->packets += n;
		if (!n && wait == SHUNT_WAIT_POLL)
			poll(&fd, 1, 100);
		if (wait == SHUNT_WAIT_POLL || rounds++ % 64 == 0)
			now = shunt_now_ns();
	}
	result->seconds = (now - start) / 1e9;
	getsockopt(fd.fd, SOL_XDP, XDP_STATISTICS, &stats, &size);
	result->lost = stats.rx_dropped + stats.rx_ring_full;
	xsk_socket__delete(plain.socket);
	xsk_umem__delete(plain.umem);
}

static const struct row {
	const char *name;
	void (*run)(int map, double seconds, enum shunt_wait wait,
		    struct result *result);
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
static struct result measure(const struct row *row, int map, double seconds)
{
	struct result *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct result copy;
	double before;
	int status;
	pid_t pid;

	if (result == MAP_FAILED)
		fail("mmap");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin_to(0);
		before = cpu_seconds();
		row->run(map, seconds, row->wait, result);
		result->cpu = (cpu_seconds() - before) / result->seconds;
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

/* --- the generator ----------------------------------------------------------- */

/* A UDP datagram to the discard port; the receiver looks at nothing in it. */
static void make_frame(uint8_t frame[FRAME_BYTES])
{
	const struct shunt_eth eth = { .dst = { 2, [5] = 1 },
				       .src = { 2, [5] = 2 },
				       .type = shunt_be16(SHUNT_ETH_IP4) };
	const struct shunt_ip4 ip = {
		.version_ihl = 0x45,
		.length = shunt_be16(FRAME_BYTES - sizeof(eth)),
		.ttl = 64,
		.proto = SHUNT_IP_UDP,
	};
	const struct shunt_udp udp = {
		.dport = shunt_be16(9),
		.length = shunt_be16(FRAME_BYTES - sizeof(eth) - sizeof(ip)),
	};

	memset(frame, 0, FRAME_BYTES);
	memcpy(frame, &eth, sizeof(eth));
	memcpy(frame + sizeof(eth), &ip, sizeof(ip));
	memcpy(frame + sizeof(eth) + sizeof(ip), &udp, sizeof(udp));
}

/* Never returns; ends with its parent. */
static void generate(void)
{
	struct xsk_rx_bpf *skel = xsk_rx_bpf__open();
	uint8_t frame[FRAME_BYTES];
	struct xdp_md context = { .data_end = sizeof(frame) };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = sizeof(frame), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = LIVE_REPEAT,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = LIVE_BATCH);

	make_frame(frame);
	if (!skel)
		fail("open the generator");
	skel->rodata->out_ifindex = if_nametoindex(IF_B);
	if (!skel->rodata->out_ifindex || xsk_rx_bpf__load(skel))
		fail("load the generator");
	pin_to(1);
	for (;;) {
		int code = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.xsk_gen),
						  &opts);

		if (code && code != -EINTR)
			fail("send live frames");
	}
}

/* --- the stage --------------------------------------------------------------- */

static void command(const char *line)
{
	if (system(line))
		fail(line);
}

/* Two nameless namespaces and a veth; the caller stays in A. Returns the generator. */
static pid_t set_up(void)
{
	int ready[2], go[2];
	char line[128], byte = 0;
	pid_t pid;

	if (pipe(ready) || pipe(go) || unshare(CLONE_NEWNET))
		fail("make a network namespace (as root)");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(go[1]);
		if (unshare(CLONE_NEWNET) || write(ready[1], &byte, 1) != 1 ||
		    read(go[0], &byte, 1) != 1)
			fail("make a network namespace");
		command("ip link set lo up && ip link set " IF_B " up");
		generate();
	}
	if (read(ready[0], &byte, 1) != 1)
		fail("make a network namespace");
	snprintf(line, sizeof(line),
		 "ip link add " IF_A " type veth peer name " IF_B " netns %d", pid);
	command(line);
	command("ip link set lo up && ip link set " IF_A " up");
	if (write(go[1], &byte, 1) != 1)
		fail("start the generator");
	return pid;
}

static struct xsk_rx_bpf *attach(int *link)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	struct xsk_rx_bpf *skel = xsk_rx_bpf__open_and_load();

	if (!skel)
		fail("load the program");
	*link = bpf_link_create(bpf_program__fd(skel->progs.xsk_rx),
				if_nametoindex(IF_A), BPF_XDP, &opts);
	if (*link < 0)
		fail("attach in native mode");
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

static void report(struct result results[ROWS][ROUNDS_MAX], int rounds)
{
	double rate[ROUNDS_MAX], cpu[ROUNDS_MAX], ratio[ROUNDS_MAX], lost[ROUNDS_MAX];
	struct spread r, q;
	int i, k;

	printf("%-24s %28s %7s %7s %24s\n", "row", "Mpps median (min-max)", "CPU %",
	       "lost %", "beside its plain loop");
	for (i = 0; i < ROWS; i++) {
		for (k = 0; k < rounds; k++) {
			const struct result *mine = &results[i][k];
			const struct result *peer = &results[rows[i].beside][k];

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
	static struct result results[ROWS][ROUNDS_MAX];
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
