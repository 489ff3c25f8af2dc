/* SPDX-License-Identifier: BSD-2-Clause */
/* What others' programs print, read strictly: what is not understood is an error. */
#pragma once

#include "user/apps/bench/tally.h"
#include "user/base/err.h"

/*
 * Fills in the figures that are told; texts end with a NUL, and `size` is that of the
 * messages. All latencies become round trips. -EBADMSG: the format is another one than
 * what was known when this was written; the sentence quotes where.
 */
typedef int shunt_bench_read_fn(const char *client, const char *server, uint32_t size,
				struct shunt_bench_round *round, struct shunt_err *err);

shunt_bench_read_fn shunt_bench_read_sockperf_turns;
shunt_bench_read_fn shunt_bench_read_sockperf_flow;
shunt_bench_read_fn shunt_bench_read_fi_pingpong;
shunt_bench_read_fn shunt_bench_read_ucx_turns;
shunt_bench_read_fn shunt_bench_read_ucx_flow;
shunt_bench_read_fn shunt_bench_read_perftest_turns;
shunt_bench_read_fn shunt_bench_read_perftest_flow;
