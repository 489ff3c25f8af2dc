/* SPDX-License-Identifier: BSD-2-Clause */
/* Two wires, a0 ── b0 and c0 ── d0, in a namespace of the test's own; behind <cmocka.h>. */
#pragma once

/*
 * b0 and d0 have a program that redirects into an XSKMAP by queue and slot
 * (tests/bpf/xsk_feed.bpf.c). What is sent on a0 arrives at b0, on the queue that it was
 * sent on.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include "tests/patience.h"
#include "user/base/clock.h"
#include "user/io/af_xdp.h"
#include "user/io/port.h"
#include "user/io/xsk.h"

#include "xsk_feed.skel.h"

#define WAIT_NS (patience() * UINT64_C(5000000000))

static struct xsk_feed_bpf *feed;

static void command(const char *line)
{
	if (system(line))
		fail_msg("%s", line);
}

static int feed_fd(void)
{
	return bpf_map__fd(feed->maps.shunt_xsk);
}

static void attach(const char *interface, struct bpf_program *program, uint32_t flags)
{
	if (bpf_xdp_attach((int)if_nametoindex(interface), bpf_program__fd(program),
			   flags, NULL))
		fail_msg("attach a program to %s: %s", interface, strerror(errno));
}

static int set_up(void **ctx)
{
	(void)ctx;
	if (unshare(CLONE_NEWNET))
		return -1;
	command("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
	command("ip link add a0 numrxqueues 2 numtxqueues 2 type veth peer b0 "
		"numrxqueues 2 numtxqueues 2");
	command("ip link add c0 type veth peer d0");
	command("for i in a0 b0 c0 d0; do ip link set $i up; done");
	feed = xsk_feed_bpf__open_and_load();
	if (!feed)
		return -1;
	attach("b0", feed->progs.xsk_feed, XDP_FLAGS_DRV_MODE);
	attach("d0", feed->progs.xsk_feed_far, XDP_FLAGS_DRV_MODE);
	return 0;
}

/* The namespace goes with the last process in it: each test makes another one. */
static int tear_down(void **ctx)
{
	(void)ctx;
	xsk_feed_bpf__destroy(feed);
	return 0;
}

/* --- ports ---------------------------------------------------------------------- */

static struct shunt_memory *memory_of(uint32_t frames, uint32_t frame_bytes)
{
	const struct shunt_memory_opts opts = { .sz = sizeof(opts),
						.frames = frames,
						.frame_bytes = frame_bytes };
	struct shunt_memory *memory;
	struct shunt_err err;

	if (shunt_memory_open(&memory, &opts, &err))
		fail_msg("%s", err.message);
	return memory;
}

static struct shunt_port *port_on(struct shunt_memory *memory, const char *text)
{
	const struct shunt_port_opts opts = { .sz = sizeof(opts),
					      .pool = memory ? &memory->pool : NULL };
	struct shunt_port *port;
	struct shunt_err err;

	if (shunt_port_open(&port, text, &opts, &err))
		fail_msg("%s", err.message);
	return port;
}

/* d0's slots begin here; those of b0 with 0. */
#define FAR 8

/* One that the rig's program feeds. */
static struct shunt_port *fed_port(struct shunt_memory *memory, const char *text,
				   uint32_t slot)
{
	struct shunt_port *port = port_on(memory, text);
	struct shunt_err err;

	if (shunt_af_xdp_feed(port, feed_fd(), slot, NULL, &err))
		fail_msg("%s", err.message);
	return port;
}

static int refused(struct shunt_memory *memory, const char *text, struct shunt_err *err)
{
	const struct shunt_port_opts opts = { .sz = sizeof(opts),
					      .pool = memory ? &memory->pool : NULL };
	struct shunt_port *port;
	int ret = shunt_port_open(&port, text, &opts, err);

	assert_null(port);
	return ret;
}

static void kick(struct shunt_port *port)
{
	struct shunt_err err;

	if (shunt_port_kick(port, &err))
		fail_msg("%s", err.message);
}

static struct shunt_port_stats stats_of(struct shunt_port *port)
{
	struct shunt_port_stats stats;
	struct shunt_err err;

	if (shunt_port_stats(port, &stats, &err))
		fail_msg("%s", err.message);
	return stats;
}

/* --- packets ---------------------------------------------------------------------- */

/* Byte i of packet n; the first six are the destination, which names the slot. */
static uint8_t packet_byte(uint32_t n, uint32_t i, uint8_t slot)
{
	if (i < 6)
		return i == 5 ? slot : 2;
	return (uint8_t)(n * 7 + i * 13 + (i >> 8));
}

/* Fills frames of a pool with one packet; how many it took, 0: the pool is dry. */
static unsigned int make_packet(struct shunt_pool *pool, struct shunt_frame *frames,
				uint32_t n, uint32_t bytes, uint8_t slot)
{
	unsigned int want = (bytes + pool->room - 1) / pool->room, i;
	unsigned int got = shunt_pool_get(pool, frames, want);
	uint32_t at = 0, k;

	if (got < want) {
		shunt_frames_put(frames, got);
		return 0;
	}
	for (i = 0; i < want; i++) {
		uint32_t left = bytes - at;

		frames[i].len = left < pool->room ? left : pool->room;
		frames[i].flags = i + 1 < want ? SHUNT_FRAME_MORE : 0;
		for (k = 0; k < frames[i].len; k++)
			frames[i].data[k] = packet_byte(n, at + k, slot);
		at += frames[i].len;
	}
	return want;
}

/* Sends packets number first to first + n - 1, all of one length. */
static void send_packets(struct shunt_port *port, struct shunt_pool *pool,
			 uint32_t first, uint32_t n, uint32_t bytes, uint8_t slot)
{
	struct shunt_frame frames[32];
	uint64_t deadline = shunt_now_ns() + WAIT_NS;
	uint32_t i = 0;

	while (i < n) {
		unsigned int count = make_packet(pool, frames, first + i, bytes, slot);

		if (count && shunt_port_tx(port, frames, count) == count)
			i++;
		else
			shunt_frames_put(frames, count);
		kick(port);
		if (shunt_now_ns() > deadline)
			fail_msg("packet %u was not taken", first + i);
	}
}

/* The same, and waits until they are in the rx ring, or lost in front of it. */
static void send_and_arrive(struct shunt_port *port, uint32_t first, uint32_t n,
			    uint32_t bytes, uint8_t slot)
{
	const volatile __u64 *fed = &feed->bss->xsk_fed;
	uint64_t deadline = shunt_now_ns() + WAIT_NS, before = *fed;

	send_packets(port, port->pool, first, n, bytes, slot);
	while (*fed < before + n)
		if (shunt_now_ns() > deadline)
			fail_msg("%llu packets of %u arrived", *fed - before, n);
	shunt_xsk_settle(); /* what the program redirects is delivered at the end of its poll */
}

static void check_packet(const struct shunt_frame *frames, unsigned int count,
			 uint32_t n, uint32_t bytes, uint8_t slot)
{
	static uint8_t whole[1 << 17];
	uint32_t i;

	assert_int_equal(shunt_packet_copy(whole, frames, count), bytes);
	for (i = 0; i < bytes; i++)
		if (whole[i] != packet_byte(n, i, slot))
			fail_msg("packet %u of %u bytes differs at byte %u", n, bytes,
				 i);
}

/* Receives packets number first to first + n - 1, and puts them back. */
static void expect_packets(struct shunt_port *port, uint32_t first, uint32_t n,
			   uint32_t bytes, uint8_t slot)
{
	uint64_t deadline = shunt_now_ns() + WAIT_NS;
	struct shunt_frame frames[SHUNT_BURST];
	uint32_t seen = 0, len;

	while (seen < n) {
		unsigned int got = shunt_port_rx(port, frames, SHUNT_BURST), at = 0;

		while (at < got) {
			unsigned int count =
				shunt_packet_frames(frames + at, got - at, &len);

			assert_int_not_equal(count, 0);
			check_packet(frames + at, count, first + seen, bytes, slot);
			seen++;
			at += count;
		}
		shunt_frames_put(frames, got);
		if (!got && shunt_port_sleep(&port, 1, 10000000) < 0)
			fail_msg("sleep");
		if (shunt_now_ns() > deadline)
			fail_msg("%u packets of %u came", seen, n);
	}
	assert_int_equal(seen, n);
}
