/* SPDX-License-Identifier: BSD-2-Clause */
/* What reliable delivery costs a message, beside a copy of it and beside TCP. */

/*
 * One thread is both ends. A batch of messages is sent, carried over, received, looked at
 * and released; the figure is CPU time a message for all of that, kernel included. The
 * subjects take turns, round by round; ratios are medians over the rounds.
 *
 *     floor       three copies through rings as large as the layer's: what it copies
 *     memory      the layer alone: packets pass from one end to the other by themselves
 *     memory, 1%  the same, and each hundredth packet is lost, either way (simulated time)
 *     in order    the layer where the carrier loses nothing: credits only
 *     udp         packets over UDP on the loopback, 32 in a system call
 *     tcp         TCP on the loopback, a system call a message, as it comes (Nagle is on)
 *
 * The sockets are in a network namespace of their own: nobody else's rules or traffic.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/options.h"
#include "bench/stat.h"
#include "tests/model/random.h"
#include "user/base/clock.h"
#include "user/transport/reliable.h"

#define ROOM 1400u
#define BATCH 32u
#define LARGEST 65536u
#define SUBJECTS 6u
#define RING (4u << 20)

static struct {
	bool json, quick;
	unsigned int rounds;
} opt = { .rounds = BENCH_ROUNDS_UNTOLD };

static uint8_t message[LARGEST];
static volatile uint64_t sink;

static void need(bool sound, const char *what)
{
	if (sound)
		return;
	fprintf(stderr, "reliable: %s\n", what);
	exit(1);
}

/* --- the layer ---------------------------------------------------------------------------- */

struct pair {
	struct shunt_reliable *from, *to;
	struct shunt_random r;
	uint32_t lose; /* one in so many; 0: none */
	uint64_t now_ns, got;
	int fd[2]; /* UDP */
};

static void open_pair(struct pair *pair, unsigned int lossless)
{
	struct shunt_reliable_opts opts = {
		.sz = sizeof(opts),
		.congestion = SHUNT_RELIABLE_FIXED,
		.congestion_bytes = 512 << 10,
		.lossless = lossless,
	};

	need(!shunt_reliable_terms(&opts.theirs, NULL) &&
		     !shunt_reliable_open(&pair->from, &opts, NULL) &&
		     !shunt_reliable_open(&pair->to, &opts, NULL),
	     "no memory");
}

static void close_pair(struct pair *pair)
{
	shunt_reliable_close(pair->from);
	shunt_reliable_close(pair->to);
}

/* From one end to the other, all that there is. */
static bool carry(struct pair *pair, struct shunt_reliable *from,
		  struct shunt_reliable *to)
{
	uint8_t packet[ROOM];
	uint32_t bytes;
	bool any = false;

	while ((bytes = shunt_reliable_packet(from, pair->now_ns, packet, ROOM))) {
		any = true;
		if (pair->lose && shunt_random_one_in(&pair->r, pair->lose))
			continue;
		need(!shunt_reliable_input(to, pair->now_ns, packet, bytes),
		     "a packet is refused");
	}
	return any;
}

static void consume(struct pair *pair)
{
	struct shunt_reliable_message got[BATCH];
	unsigned int n, i;

	while ((n = shunt_reliable_recv(pair->to, got, BATCH))) {
		for (i = 0; i < n; i++)
			sink += got[i].data[0];
		shunt_reliable_release(pair->to, got, n);
		pair->got += n;
	}
}

static void memory_turn(struct pair *pair)
{
	bool any = carry(pair, pair->from, pair->to);
	uint64_t due, other;

	consume(pair);
	any |= carry(pair, pair->to, pair->from);
	pair->now_ns += 1000;
	if (any)
		return;
	due = shunt_reliable_due(pair->from);
	other = shunt_reliable_due(pair->to);
	due = due < other ? due : other;
	if (due > pair->now_ns && due != UINT64_MAX)
		pair->now_ns = due;
}

static void run_pair(struct pair *pair, void (*turn)(struct pair *), uint64_t count,
		     uint32_t bytes)
{
	uint64_t sent = 0;

	pair->got = 0;
	while (pair->got < count) {
		unsigned int i;

		for (i = 0; i < BATCH && sent < count; i++) {
			int taken = shunt_reliable_send(pair->from, 0, message, bytes);

			need(taken >= 0, "a message is refused");
			if (!taken)
				break;
			sent++;
		}
		turn(pair);
	}
}

/* They stay, so that what is measured is neither opening nor the first touch of rings. */
static struct pair in_memory = { .now_ns = 1 },
		   in_memory_lossy = { .now_ns = 1, .lose = 100 },
		   in_memory_ordered = { .now_ns = 1 }, over_udp = { .now_ns = 1 };

static void memory(uint64_t count, uint32_t bytes)
{
	run_pair(&in_memory, memory_turn, count, bytes);
}

static void memory_lossy(uint64_t count, uint32_t bytes)
{
	run_pair(&in_memory_lossy, memory_turn, count, bytes);
}

static void in_order(uint64_t count, uint32_t bytes)
{
	run_pair(&in_memory_ordered, memory_turn, count, bytes);
}

/* --- sockets ------------------------------------------------------------------------------ */

static struct mmsghdr datagram[BATCH];
static struct iovec part[BATCH];
static uint8_t packets[BATCH][ROOM];

static void udp_send(struct pair *pair, struct shunt_reliable *end, int fd)
{
	unsigned int n;

	do {
		for (n = 0; n < BATCH; n++) {
			part[n].iov_len = shunt_reliable_packet(end, pair->now_ns,
								packets[n], ROOM);
			if (!part[n].iov_len)
				break;
		}
		if (n)
			need(sendmmsg(fd, datagram, n, 0) == (int)n, "sendmmsg");
	} while (n == BATCH);
}

static void udp_recv(struct pair *pair, struct shunt_reliable *end, int fd)
{
	int n, i;

	do {
		for (i = 0; i < (int)BATCH; i++)
			part[i].iov_len = ROOM;
		n = recvmmsg(fd, datagram, BATCH, MSG_DONTWAIT, NULL);
		for (i = 0; i < n; i++)
			need(!shunt_reliable_input(end, pair->now_ns, packets[i],
						   datagram[i].msg_len),
			     "a packet is refused");
	} while (n == (int)BATCH);
}

static void udp_turn(struct pair *pair)
{
	pair->now_ns = shunt_now_ns();
	udp_send(pair, pair->from, pair->fd[0]);
	udp_recv(pair, pair->to, pair->fd[1]);
	consume(pair);
	udp_send(pair, pair->to, pair->fd[1]);
	udp_recv(pair, pair->from, pair->fd[0]);
}

static int sockets(int kind, int fd[2])
{
	struct sockaddr_in at[2];
	socklen_t length = sizeof(at[0]);
	int i;

	for (i = 0; i < 2; i++) {
		at[i] = (struct sockaddr_in){ .sin_family = AF_INET };
		at[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		fd[i] = socket(AF_INET, kind, 0);
		if (fd[i] < 0 || bind(fd[i], (struct sockaddr *)&at[i], length) ||
		    getsockname(fd[i], (struct sockaddr *)&at[i], &length))
			return -1;
	}
	if (kind == SOCK_DGRAM)
		return connect(fd[0], (struct sockaddr *)&at[1], length) ||
		       connect(fd[1], (struct sockaddr *)&at[0], length);
	if (listen(fd[1], 1) || connect(fd[0], (struct sockaddr *)&at[1], length))
		return -1;
	i = accept(fd[1], NULL, NULL);
	close(fd[1]);
	fd[1] = i;
	return i < 0;
}

static int stream[2];

static void open_sockets(void)
{
	const int room = 8 << 20;
	unsigned int i;

	for (i = 0; i < BATCH; i++) {
		part[i].iov_base = packets[i];
		datagram[i].msg_hdr =
			(struct msghdr){ .msg_iov = &part[i], .msg_iovlen = 1 };
	}
	need(!sockets(SOCK_DGRAM, over_udp.fd) &&
		     !setsockopt(over_udp.fd[1], SOL_SOCKET, SO_RCVBUFFORCE, &room,
				 sizeof(room)),
	     "no UDP sockets");
	need(!sockets(SOCK_STREAM, stream), "no TCP sockets");
}

static void udp(uint64_t count, uint32_t bytes)
{
	run_pair(&over_udp, udp_turn, count, bytes);
}

static void tcp(uint64_t count, uint32_t bytes)
{
	static uint8_t in[LARGEST];
	uint64_t sent = 0, got = 0, total = count * bytes;

	while (got < total) {
		unsigned int i;
		ssize_t n;

		/* What is not taken whole goes on where it ended, as a program does. */
		for (i = 0; i < BATCH && sent < total; i++) {
			n = send(stream[0], message, bytes - sent % bytes,
				 MSG_DONTWAIT);
			if (n < 0)
				break;
			sent += n;
		}
		while ((n = recv(stream[1], in, sizeof(in), MSG_DONTWAIT)) > 0) {
			sink += in[0];
			got += n;
		}
	}
}

/* --- the floor ---------------------------------------------------------------------------- */

static void copies(uint64_t count, uint32_t bytes)
{
	static uint8_t ring[2][RING + LARGEST], packet[LARGEST];
	uint64_t at = 0;

	while (count--) {
		memcpy(ring[0] + at, message, bytes);
		memcpy(packet, ring[0] + at, bytes);
		__asm__ volatile("" ::: "memory");
		memcpy(ring[1] + at, packet, bytes);
		sink += ring[1][at];
		at = (at + bytes + 8) % RING;
	}
}

static const struct {
	const char *name;
	void (*run)(uint64_t count, uint32_t bytes);
} subject[SUBJECTS] = {
	{ "floor", copies },	  { "memory", memory }, { "memory, 1%", memory_lossy },
	{ "in order", in_order }, { "udp", udp },	{ "tcp", tcp },
};

/* --- rounds ------------------------------------------------------------------------------- */

static void print_row(const char *name, uint32_t bytes, struct bench_stat ns,
		      struct bench_stat floor, struct bench_stat to_tcp)
{
	if (opt.json)
		printf("{\"bench\": \"reliable\", \"case\": \"%s\", \"bytes\": %u, "
		       "\"ns\": %.1f, \"ns_min\": %.1f, \"ns_max\": %.1f, "
		       "\"x_floor\": %.3f, \"x_tcp\": %.4f, \"x_tcp_min\": %.4f, "
		       "\"x_tcp_max\": %.4f}\n",
		       name, bytes, ns.median, ns.min, ns.max, floor.median,
		       to_tcp.median, to_tcp.min, to_tcp.max);
	else
		printf("%-11s %6u %9.1f  %9.1f..%-9.1f %7.2f %8.3f  %.3f..%.3f\n", name,
		       bytes, ns.median, ns.min, ns.max, floor.median, to_tcp.median,
		       to_tcp.min, to_tcp.max);
}

static void run_size(uint32_t bytes)
{
	static double ns[SUBJECTS][BENCH_SAMPLES];
	double x_floor[BENCH_SAMPLES], x_tcp[BENCH_SAMPLES];
	uint64_t count = (opt.quick ? 4u << 20 : 32u << 20) / (bytes + 256);
	unsigned int round, s;

	for (round = 0; round < opt.rounds + 1; round++) {
		/* The first round warms up. */
		unsigned int at = round ? round - 1 : 0;

		for (s = 0; s < SUBJECTS; s++) {
			double before = bench_now_ns(CLOCK_THREAD_CPUTIME_ID);

			subject[s].run(count, bytes);
			ns[s][at] = (bench_now_ns(CLOCK_THREAD_CPUTIME_ID) - before) /
				    (double)count;
		}
	}
	for (s = 0; s < SUBJECTS; s++) {
		for (round = 0; round < opt.rounds; round++) {
			x_floor[round] = ns[s][round] / ns[0][round];
			x_tcp[round] = ns[s][round] / ns[SUBJECTS - 1][round];
		}
		print_row(subject[s].name, bytes, bench_stat_of(ns[s], opt.rounds),
			  bench_stat_of(x_floor, opt.rounds),
			  bench_stat_of(x_tcp, opt.rounds));
	}
	fflush(stdout);
}

static void own_network(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	need(!unshare(CLONE_NEWNET), "a network namespace takes root");
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	need(fd >= 0 && !ioctl(fd, SIOCSIFFLAGS, &lo), "no loopback");
	close(fd);
}

static const struct bench_option options[] = {
	BENCH_OPTION("json", NULL, &opt.json),
	BENCH_OPTION("quick", NULL, &opt.quick),
	BENCH_OPTION("rounds", "N", &opt.rounds),
	{ NULL },
};

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = { 64, 1400, LARGEST };
	static struct pair *const pairs[] = { &in_memory, &in_memory_lossy,
					      &in_memory_ordered, &over_udp };
	struct shunt_random r = { 1 };
	unsigned int i;

	if (bench_options(argc, argv, options) != argc ||
	    !bench_rounds(&opt.rounds, opt.quick))
		return bench_usage("reliable", options, NULL);
	own_network();
	open_sockets();
	for (i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
		open_pair(pairs[i], pairs[i] == &in_memory_ordered);
	for (i = 0; i < LARGEST; i++)
		message[i] = (uint8_t)shunt_random_next(&r);
	if (!opt.json)
		printf("%-11s %6s %9s  %20s %7s %8s  %s\n", "carrier", "bytes", "ns",
		       "range", "x floor", "x tcp", "range");
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		run_size(sizes[i]);
	for (i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
		close_pair(pairs[i]);
	return 0;
}
