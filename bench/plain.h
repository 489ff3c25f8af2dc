/* SPDX-License-Identifier: BSD-2-Clause */
/* libxdp's plain receive loop, as its examples have it, and a source of live frames. */
#pragma once

#include <net/if.h>
#include <poll.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/xsk.h>

#include "bench/loop.h"
#include "bpf/lib/wire.h"
#include "user/base/clock.h"
#include "user/io/xsk.h"
#include "user/rt/idle.h"
#include "user/rt/pool.h"
#include "xsk_rx.skel.h"

#define PLAIN_BYTES 60
#define PLAIN_REPEAT (1u << 21) /* a call costs about 20 ms of setup */
#define PLAIN_BATCH 64

/* --- the loop ----- */

struct plain {
	struct xsk_ring_cons rx, completion;
	struct xsk_ring_prod fill;
	struct xsk_umem *umem;
	struct xsk_socket *socket;
};

#define PLAIN_FRAMES (2 * SHUNT_XSK_RING)

/* As in libxdp's examples; a queue that was just closed is busy for a moment. */
static inline void plain_open(struct plain *plain, const char *ifname, int map)
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
		if (!xsk_socket__create(&plain->socket, ifname, 0, plain->umem,
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

static inline unsigned int plain_burst(struct plain *plain)
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

static inline void plain_run(const char *ifname, int map, double seconds,
			     enum shunt_wait wait, struct loop_result *result)
{
	struct xdp_statistics stats = { 0 };
	socklen_t size = sizeof(stats);
	uint64_t start, now, rounds = 0;
	struct plain plain;
	struct pollfd fd;

	plain_open(&plain, ifname, map);
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

/* --- the source ----- */

/* A UDP datagram to the discard port; the receiver looks at nothing in it. */
static inline void plain_frame(uint8_t frame[PLAIN_BYTES])
{
	const struct shunt_eth eth = { .dst = { 2, [5] = 1 },
				       .src = { 2, [5] = 2 },
				       .type = shunt_be16(SHUNT_ETH_IP4) };
	const struct shunt_ip4 ip = {
		.version_ihl = 0x45,
		.length = shunt_be16(PLAIN_BYTES - sizeof(eth)),
		.ttl = 64,
		.proto = SHUNT_IP_UDP,
	};
	const struct shunt_udp udp = {
		.dport = shunt_be16(9),
		.length = shunt_be16(PLAIN_BYTES - sizeof(eth) - sizeof(ip)),
	};

	memset(frame, 0, PLAIN_BYTES);
	memcpy(frame, &eth, sizeof(eth));
	memcpy(frame + sizeof(eth), &ip, sizeof(ip));
	memcpy(frame + sizeof(eth) + sizeof(ip), &udp, sizeof(udp));
}

/* Never returns; ends with its parent. */
static inline void plain_generate(const char *ifname)
{
	struct xsk_rx_bpf *skel = xsk_rx_bpf__open();
	uint8_t frame[PLAIN_BYTES];
	struct xdp_md context = { .data_end = sizeof(frame) };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = sizeof(frame), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = PLAIN_REPEAT,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = PLAIN_BATCH);

	plain_frame(frame);
	if (!skel)
		loop_fail("open the generator");
	skel->rodata->out_ifindex = if_nametoindex(ifname);
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
