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
#include <net/if.h>
#include <poll.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <xdp/xsk.h>

#include "bench/loop.h"
#include "bpf/lib/wire.h"
#include "user/apps/consume.h"
#include "user/base/clock.h"
#include "user/io/af_xdp.h"
#include "user/io/xsk.h"
#include "xsk_rx.skel.h"

#define IF_A "shc-rx"
#define IF_B "shc-gen"
#define FRAME_BYTES 60
#define LIVE_REPEAT (1u << 21) /* a call costs about 20 ms of setup */
#define LIVE_BATCH 64

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

struct plain {
	struct xsk_ring_cons rx, completion;
	struct xsk_ring_prod fill;
	struct xsk_umem *umem;
	struct xsk_socket *socket;
};

#define PLAIN_FRAMES (2 * SHUNT_XSK_RING)

/* As in libxdp's examples; a queue that was just closed is busy for a moment. */
static void open_plain(struct plain *plain)
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
		loop_fail("mmap");
	for (;;) {
		memset(plain, 0, sizeof(*plain));
		if (xsk_umem__create(&plain->umem, area, bytes, &plain->fill,
				     &plain->completion, &umem))
			loop_fail("plain loop: UMEM");
		if (!xsk_socket__create(&plain->socket, IF_A, 0, plain->umem,
					&plain->rx, NULL, &socket))
			break;
		xsk_umem__delete(plain->umem);
		if (!tries--)
			loop_fail("plain loop: socket");
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
		loop_fail("plain loop: XSKMAP");
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

static void run_plain(const struct loop_row *row, double seconds,
		      struct loop_result *result)
{
	struct xdp_statistics stats = { 0 };
	socklen_t size = sizeof(stats);
	uint64_t start, now, rounds = 0;
	struct plain plain;
	struct pollfd fd;

	open_plain(&plain);
	fd = (struct pollfd){ .fd = xsk_socket__fd(plain.socket), .events = POLLIN };
	start = now = shunt_now_ns();
	while (now - start < seconds * 1e9) {
		unsigned int n = plain_burst(&plain);

		result->packets += n;
		if (!n && row->wait == SHUNT_WAIT_POLL)
			poll(&fd, 1, 100);
		if (row->wait == SHUNT_WAIT_POLL || rounds++ % 64 == 0)
			now = shunt_now_ns();
	}
	result->seconds = (now - start) / 1e9;
	getsockopt(fd.fd, SOL_XDP, XDP_STATISTICS, &stats, &size);
	result->lost = stats.rx_dropped + stats.rx_ring_full;
	xsk_socket__delete(plain.socket);
	xsk_umem__delete(plain.umem);
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
		loop_fail("open the generator");
	skel->rodata->out_ifindex = if_nametoindex(IF_B);
	if (!skel->rodata->out_ifindex || xsk_rx_bpf__load(skel))
		loop_fail("load the generator");
	loop_pin(1);
	for (;;) {
		int code = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.xsk_gen),
						  &opts);

		if (code && code != -EINTR)
			loop_fail("send live frames");
	}
}

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
		generate();
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
