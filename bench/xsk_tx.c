/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames a second out of an AF_XDP port over veth, beside libxdp's plain transmit loop.
 *
 *     xsk_tx [rounds, 5] [seconds a measurement, 2]
 *
 *     CPU 0                                             CPU 0, then CPU 1
 *     the loop under test ─▶ tx ring ─▶ system call ─▶ veth ─▶ program that drops
 *
 * First the receiving end runs inside the sender's system call, then as a NAPI thread of
 * its own on the other core. Every round measures each row once, in turn; the ratios are
 * taken within a round. The namespace has no name: it goes with the last process in it.
 */
#include <fcntl.h>
#include <net/if.h>
#include <sys/mount.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <xdp/xsk.h>

#include "bench/loop.h"
#include "user/base/clock.h"
#include "user/io/port.h"
#include "user/io/xsk.h"
#include "xsk_rx.skel.h"

#define IF_A "shc-tx"
#define IF_B "shc-sink"
#define FRAME_BYTES 60

/* --- the loops under test ---------------------------------------------------- */

static void fill_frames(struct shunt_frame *frames, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		memset(frames[i].data, 2, FRAME_BYTES);
		frames[i].len = FRAME_BYTES;
	}
}

/* What a generator's loop costs: take frames, send them, and see to their return. */
static void run_port(const struct loop_row *row, double seconds,
		     struct loop_result *result)
{
	struct shunt_memory *memory = NULL;
	struct shunt_frame frames[SHUNT_BURST];
	struct shunt_port_stats stats;
	struct shunt_port *port;
	struct shunt_pool *pool;
	struct shunt_err err = { 0 };
	uint64_t start, now;
	unsigned int n, took;
	char text[128];

	snprintf(text, sizeof(text), "af_xdp:" IF_A ",rx=off,%s", row->options);
	if (shunt_port_open(&port, text, NULL, &err) ||
	    (row->foreign && shunt_memory_open(&memory, NULL, &err)))
		loop_refuse(err.message);
	pool = memory ? &memory->pool : port->pool;
	start = now = shunt_now_ns();
	while (now - start < seconds * 1e9) {
		n = shunt_pool_get(pool, frames, SHUNT_BURST);
		fill_frames(frames, n);
		took = shunt_port_tx(port, frames, n);
		shunt_frames_put(frames + took, n - took);
		/* a system call for a ring's half, as the plain loop does */
		if (took < n || port->count.tx_packets % 1024 == 0)
			if (shunt_port_kick(port, &err))
				loop_refuse(err.message);
		now = shunt_now_ns();
	}
	result->seconds = (now - start) / 1e9;
	if (shunt_port_stats(port, &stats, &err))
		loop_refuse(err.message);
	result->packets = stats.tx_packets;
	result->lost = stats.tx_failed;
	shunt_port_close(port);
	shunt_memory_close(memory);
}

struct plain {
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons completion;
	struct xsk_umem *umem;
	struct xsk_socket *socket;
	uint8_t *area;
	uint32_t next, out;
};

static void open_plain(struct plain *plain)
{
	const struct xsk_umem_config umem = { .fill_size = SHUNT_XSK_TX_RING,
					      .comp_size = SHUNT_XSK_TX_RING,
					      .frame_size = SHUNT_MEMORY_FRAME_BYTES };
	const struct xsk_socket_config socket = {
		.tx_size = SHUNT_XSK_TX_RING,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
	};
	const size_t bytes = (size_t)SHUNT_MEMORY_FRAMES * SHUNT_MEMORY_FRAME_BYTES;
	const struct timespec pause = { .tv_nsec = 20000000 };
	int tries = 50;

	for (;;) {
		memset(plain, 0, sizeof(*plain));
		plain->area = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (plain->area == MAP_FAILED ||
		    xsk_umem__create(&plain->umem, plain->area, bytes, &plain->fill,
				     &plain->completion, &umem))
			loop_fail("plain loop: UMEM");
		if (!xsk_socket__create(&plain->socket, IF_A, 0, plain->umem, NULL,
					&plain->tx, &socket))
			break;
		xsk_umem__delete(plain->umem);
		munmap(plain->area, bytes);
		if (!tries--)
			loop_fail("plain loop: socket");
		nanosleep(&pause, NULL);
	}
}

/* As in libxdp's examples: a burst into the ring, and a system call when it is full. */
static void plain_burst(struct plain *plain)
{
	uint32_t at, i, n;

	n = xsk_ring_cons__peek(&plain->completion, SHUNT_BURST, &at);
	xsk_ring_cons__release(&plain->completion, n);
	plain->out -= n;
	if (!xsk_ring_prod__reserve(&plain->tx, SHUNT_BURST, &at)) {
		sendto(xsk_socket__fd(plain->socket), NULL, 0, MSG_DONTWAIT, NULL, 0);
		return;
	}
	for (i = 0; i < SHUNT_BURST; i++) {
		uint64_t addr = (uint64_t)(plain->next++ % SHUNT_MEMORY_FRAMES) *
				SHUNT_MEMORY_FRAME_BYTES;

		memset(plain->area + addr, 2, FRAME_BYTES);
		*xsk_ring_prod__tx_desc(&plain->tx, at + i) =
			(struct xdp_desc){ .addr = addr, .len = FRAME_BYTES };
	}
	xsk_ring_prod__submit(&plain->tx, SHUNT_BURST);
	plain->out += SHUNT_BURST;
}

static void run_plain(const struct loop_row *row, double seconds,
		      struct loop_result *result)
{
	struct plain plain;
	uint64_t start, now;

	(void)row;
	open_plain(&plain);
	start = now = shunt_now_ns();
	while (now - start < seconds * 1e9) {
		plain_burst(&plain);
		now = shunt_now_ns();
	}
	result->seconds = (now - start) / 1e9;
	result->packets = plain.next - plain.out; /* what has come back */
	xsk_socket__delete(plain.socket);
	xsk_umem__delete(plain.umem);
}

static const struct loop_row rows[] = {
	{ "plain loop", run_plain, 0 },
	{ "port", run_port, 0, .options = "huge" },
	{ "port, small pages", run_port, 0, .options = "huge=off" },
	{ "port, 32 a call", run_port, 0, .options = "tx-budget=32" },
	/* frames of a pool that is not the port's */
	{ "port, copied", run_port, 0, .options = "huge", .foreign = true },
};

#define ROWS ((int)(sizeof(rows) / sizeof(rows[0])))

/* --- the stage --------------------------------------------------------------- */

static struct xsk_rx_bpf *set_up(void)
{
	struct xsk_rx_bpf *skel;

	/* /sys shows the interfaces of the namespace that it was mounted in */
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL))
		loop_fail("make a network namespace (as root)");
	loop_command("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
	loop_command("ip link add " IF_A " type veth peer name " IF_B
		     " && ip link set " IF_A " up && ip link set " IF_B " up");
	skel = xsk_rx_bpf__open_and_load();
	/* its map is empty: everything is dropped */
	if (!skel || bpf_xdp_attach((int)if_nametoindex(IF_B),
				    bpf_program__fd(skel->progs.xsk_rx),
				    XDP_FLAGS_DRV_MODE, NULL))
		loop_fail("attach in native mode");
	return skel;
}

int main(int argc, char **argv)
{
	static struct loop_result results[BENCH_SAMPLES * ROWS];
	int i, rounds, threaded;
	struct xsk_rx_bpf *skel;
	double seconds;

	loop_arguments(argc, argv, &rounds, &seconds);
	skel = set_up();
	for (threaded = 0; threaded < 2; threaded++) {
		if (threaded)
			loop_command("echo 1 >/sys/class/net/" IF_B "/threaded");
		printf("received %s:\n",
		       threaded ? "by a thread of its own" : "inside the system call");
		for (i = 0; i < rounds * ROWS; i++)
			results[i] = loop_measure(&rows[i % ROWS], seconds);
		loop_report(rows, ROWS, results, rounds);
	}
	xsk_rx_bpf__destroy(skel);
	return 0;
}
