/* SPDX-License-Identifier: BSD-2-Clause */
/* Options of `bench transports`, and of the advice that is built on what it measures. */
#pragma once

#include "user/cli/cli.h"

/* clang-format off */
#define SHUNT_BENCH_OPTIONS \
	{ "backend", 'b', "NAME", \
	  "measure this one alone: epoll, or one of its protocols, epoll/tcp; may be " \
	  "repeated" }, \
	{ "size", 's', "BYTES[,BYTES]...", "of a message; 64,1400 is the default" }, \
	{ "peers", 0, "N[,N]...", "clients of one server; 1,4,16 is the default" }, \
	{ "wait", 'w', "HOW", \
	  "spin, poll or adaptive; may be repeated, all three are the default; the " \
	  "first is measured in full" }, \
	{ "rounds", 'r', "N", "5 is the default" }, \
	{ "duration", 'd', "TIME", "of a case in a round; 250ms is the default" }, \
	{ "rate", 0, "N", \
	  "requests a second in open loop; half of what the slowest manages is the " \
	  "default" }, \
	{ "cores", 0, "CLIENT,SERVER", \
	  "pin the two processes; the first two cores are the default" }, \
	{ "quick", 'q', NULL, "2 rounds of 50ms, to see that it works" }, \
	{ "beside", 0, NULL, \
	  "also a plain socket, sockperf, fi_pingpong, ucx_perftest and, where there is " \
	  "RDMA, perftest, as far as they are installed" }, \
	{ "against", 0, "NAME", \
	  "also each one's ratio to this one, of the same round: kmod, epoll/udp" }, \
	{ "rdma", 0, "CLIENT,SERVER", \
	  "IPv4 addresses of the RDMA devices to measure between; those of the first two " \
	  "are the default" }, \
	{ "chart", 'c', "FILE", "draw the distributions: .svg or .png, by gnuplot" }, \
	{ "show", 0, "FILE", \
	  "measure nothing: show an answer that was kept, as a table or a --chart" }, \
	{ "note", 0, "TEXT", "goes into the answer, such as a commit" }, \
	{ "peer", 0, "ADDRESS:PORT", \
	  "ask a server elsewhere, which --serve has started; with one --backend" }, \
	{ "serve", 0, "[ADDRESS:PORT]", \
	  "be that server, until ^C; *:7100 is the default" }

#define SHUNT_ADVISE_OPTIONS \
	{ "advise", 'a', NULL, "say which transport serves which goal, and why" }, \
	{ "measured", 'm', "FILE", \
	  "with what `bench transports --json` has measured; - is standard input" }, \
	{ "goal", 'g', "GOAL", \
	  "this one alone: throughput, latency, custom-packets, portable or cloud" }
/* clang-format on */
