/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AF_XDP ports with zero copy beside the same with copies, on two NICs of one wire whose
 * driver can (virtio_net from Linux 7 on; bench/guest has such a guest).
 *
 *     zero_copy NIC FAR [--quick | rounds [seconds]]
 *
 *     send     [NIC]  ─▶ wire ─▶ FAR, whose program drops all
 *     receive  [NIC]  ◀─ wire ◀─ FAR, where a process on CPU 1 sends without a pause
 *     turn     [NIC]  ◀▶ wire ◀▶ FAR, where a process on CPU 1 sends everything back
 *
 * What is in brackets is measured, on CPU 0, and both ends are of the same mode in a turn.
 * Both interfaces are up, alone, and promiscuous.
 */
#include <ctype.h>

#include <linux/if_link.h>

#include "bench/plain.h"
#include "user/io/af_xdp.h"
#include "user/io/port.h"

#define LOST_NS 200000000u /* a round trip that takes longer is lost */
#define NUMBER_AT 42	   /* behind the headers */
#define BEGIN_S 10	   /* the other end has begun by then */

/* Of an interface: its program, which feeds the port that is on its map. */
static struct end {
	const char *nic;
	struct xsk_rx_bpf *skel;
} near, far;

static struct shunt_port *open_on(const struct end *end, const char *mode,
				  const char *what)
{
	struct shunt_err err = { 0 };
	struct shunt_port *port;
	char text[128];

	snprintf(text, sizeof(text), "af_xdp:%s,mode=%s,%s", end->nic, mode, what);
	if (shunt_port_open(&port, text, NULL, &err) ||
	    (strstr(what, "rx=on") &&
	     shunt_af_xdp_feed(port, bpf_map__fd(end->skel->maps.shunt_xsk), 0, NULL,
			       &err)))
		loop_refuse(err.message);
	return port;
}

static void kick(struct shunt_port *port)
{
	struct shunt_err err = { 0 };

	if (shunt_port_kick(port, &err))
		loop_refuse(err.message);
}

static void write_frames(struct shunt_frame *frames, unsigned int n, unsigned int bytes)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		memset(frames[i].data, 0, bytes);
		plain_frame(frames[i].data);
		frames[i].len = bytes;
	}
}

static void send_burst(struct shunt_port *port, unsigned int bytes)
{
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int n = shunt_pool_get(port->pool, frames, SHUNT_BURST), took;

	write_frames(frames, n, bytes);
	took = shunt_port_tx(port, frames, n);
	shunt_frames_put(frames + took, n - took);
	kick(port);
}

/* --- what the other end does, until it is ended ------------------------------------------- */

static void send_always(const struct loop_row *row)
{
	struct shunt_port *port = open_on(&far, "copy", "rx=off");

	for (;;)
		send_burst(port, row->bytes);
}

static void send_back(const struct loop_row *row)
{
	struct shunt_port *port = open_on(&far, row->options, "rx=on");
	struct shunt_frame frames[SHUNT_BURST];

	for (;;) {
		unsigned int n = shunt_port_rx(port, frames, SHUNT_BURST),
			     took = shunt_port_tx(port, frames, n);

		shunt_frames_put(frames + took, n - took);
		kick(port);
	}
}

static pid_t start_far(const struct loop_row *row,
		       void (*work)(const struct loop_row *row))
{
	pid_t pid = fork();

	if (pid < 0)
		loop_fail("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		loop_pin(1);
		work(row);
	}
	return pid;
}

static void end_far(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* --- what is measured ----------------------------------------------------------------------- */

/* A measurement's time: from begin() on, as opening takes its time in a guest. */
struct span {
	uint64_t start_ns, now_ns;
	double cpu; /* s */
};

static struct span begin(void)
{
	uint64_t now = shunt_now_ns();

	return (struct span){ now, now, loop_cpu_seconds() };
}

static bool lasts(struct span *span, double seconds)
{
	span->now_ns = shunt_now_ns();
	return span->now_ns - span->start_ns < seconds * 1e9;
}

static void end(const struct span *span, struct loop_result *result)
{
	result->seconds = (span->now_ns - span->start_ns) / 1e9;
	result->cpu = (loop_cpu_seconds() - span->cpu) / result->seconds;
}

static struct shunt_port_stats look(struct shunt_port *port)
{
	struct shunt_port_stats stats;
	struct shunt_err err = { 0 };

	if (shunt_port_stats(port, &stats, &err))
		loop_refuse(err.message);
	return stats;
}

static void run_send(const struct loop_row *row, double seconds,
		     struct loop_result *result)
{
	struct shunt_port *port = open_on(&near, row->options, "rx=off");
	struct span span = begin();

	while (lasts(&span, seconds))
		send_burst(port, row->bytes);
	end(&span, result);
	result->packets = look(port).tx_packets;
	result->lost = look(port).tx_failed;
	shunt_port_close(port);
}

static unsigned int receive(struct shunt_port *port)
{
	struct shunt_frame frames[SHUNT_BURST];
	unsigned int n = shunt_port_rx(port, frames, SHUNT_BURST);

	shunt_frames_put(frames, n);
	kick(port);
	return n;
}

static void run_receive(const struct loop_row *row, double seconds,
			struct loop_result *result)
{
	struct shunt_port *port = open_on(&near, row->options, "rx=on,tx=off");
	pid_t source = start_far(row, send_always);
	struct shunt_port_stats before, after;
	struct span span = begin();

	while (!receive(port) && lasts(&span, BEGIN_S))
		; /* the other end takes its time to begin */
	before = look(port);
	span = begin();
	while (lasts(&span, seconds))
		receive(port);
	end(&span, result);
	after = look(port);
	end_far(source);
	result->packets = after.rx_packets - before.rx_packets;
	result->lost = after.rx_dropped + after.rx_ring_full - before.rx_dropped -
		       before.rx_ring_full;
	shunt_port_close(port);
}

/* Whether the frame with that number has come back; what is late is passed over. */
static bool came_back(struct shunt_port *port, uint32_t number)
{
	struct shunt_frame frame;
	unsigned int n = shunt_port_rx(port, &frame, 1);
	bool same = n && !memcmp(frame.data + NUMBER_AT, &number, sizeof(number));

	shunt_frames_put(&frame, n);
	return same;
}

/* One round trip: true; false: it is lost. */
static bool turn(struct shunt_port *port, unsigned int bytes)
{
	static uint32_t number;
	struct shunt_frame frame;
	uint64_t start = shunt_now_ns();
	unsigned int n = shunt_pool_get(port->pool, &frame, 1);
	bool back;

	number++;
	write_frames(&frame, n, bytes);
	if (n)
		memcpy(frame.data + NUMBER_AT, &number, sizeof(number));
	n -= shunt_port_tx(port, &frame, n);
	shunt_frames_put(&frame, n);
	do {
		kick(port);
		back = came_back(port, number);
	} while (!back && shunt_now_ns() - start < LOST_NS);
	return back;
}

static void run_turn(const struct loop_row *row, double seconds,
		     struct loop_result *result)
{
	struct shunt_port *port = open_on(&near, row->options, "rx=on");
	pid_t echo = start_far(row, send_back);
	struct span span = begin();

	while (!turn(port, row->bytes) && lasts(&span, BEGIN_S))
		; /* it takes its time as well */
	span = begin();
	while (lasts(&span, seconds)) {
		if (turn(port, row->bytes))
			result->packets++;
		else
			result->lost++;
	}
	end(&span, result);
	end_far(echo);
	shunt_port_close(port);
}

/* clang-format off */
static const struct loop_row rows[] = {
	{ "send 60, copy", run_send, 0, .options = "copy", .bytes = 60 },
	{ "send 60, zero copy", run_send, 0, .options = "zero-copy", .bytes = 60 },
	{ "send 1400, copy", run_send, 2, .options = "copy", .bytes = 1400 },
	{ "send 1400, zero copy", run_send, 2, .options = "zero-copy", .bytes = 1400 },
	{ "receive 60, copy", run_receive, 4, .options = "copy", .bytes = 60 },
	{ "receive 60, zero copy", run_receive, 4, .options = "zero-copy", .bytes = 60 },
	{ "receive 1400, copy", run_receive, 6, .options = "copy", .bytes = 1400 },
	{ "receive 1400, zero copy", run_receive, 6, .options = "zero-copy", .bytes = 1400 },
	{ "turn 60, copy", run_turn, 8, .options = "copy", .bytes = 60 },
	{ "turn 60, zero copy", run_turn, 8, .options = "zero-copy", .bytes = 60 },
	{ "turn 1400, copy", run_turn, 10, .options = "copy", .bytes = 1400 },
	{ "turn 1400, zero copy", run_turn, 10, .options = "zero-copy", .bytes = 1400 },
};
/* clang-format on */

#define ROWS ((int)(sizeof(rows) / sizeof(rows[0])))

/* The program is there as long as this process and those that it has started. */
static void set_up(struct end *end, const char *nic)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);

	end->nic = nic;
	end->skel = xsk_rx_bpf__open_and_load();
	if (!end->skel)
		loop_fail("load the programs");
	if (bpf_link_create(bpf_program__fd(end->skel->progs.xsk_rx),
			    (int)if_nametoindex(nic), BPF_XDP, &opts) < 0)
		loop_fail("attach in native mode");
}

int main(int argc, char **argv)
{
	static struct loop_result results[BENCH_SAMPLES * ROWS];
	double seconds;
	int i, rounds;

	if (argc < 3 || !isalpha((unsigned char)*argv[1])) {
		printf("zero_copy: it takes two NICs on one wire whose driver has zero "
		       "copy: bench/guest has them\n");
		return 0;
	}
	loop_arguments(argc - 2, argv + 2, &rounds, &seconds);
	libbpf_set_print(NULL);
	set_up(&near, argv[1]);
	set_up(&far, argv[2]);
	for (i = 0; i < rounds * ROWS; i++)
		results[i] = loop_measure(&rows[i % ROWS], seconds);
	loop_report(rows, ROWS, results, rounds);
	xsk_rx_bpf__destroy(near.skel);
	xsk_rx_bpf__destroy(far.skel);
	return 0;
}
