/* SPDX-License-Identifier: BSD-2-Clause */
/* Metrics: figures that each worker keeps for itself, and anybody may sum up. */
#pragma once

/*
 *     worker 0 ─▶ [ figures of worker 0 ]─┐
 *     worker 1 ─▶ [ figures of worker 1 ]─┴─▶ shunt_metrics_sum()
 *
 * Each worker writes cache lines of its own, with plain stores: no lock, no locked
 * instruction, no line that two of them write. A reader sees each figure whole and never
 * going back, but figures that belong together may be some events apart.
 *
 * What figures there are is one table of the one who keeps them:
 *
 *     #define ECHO_METRICS(X)                                        \
 *             X(ARP, "arp", "ARP requests answered")                 \
 *             X(PING, "ping", "ICMP echo requests answered")
 *
 *     SHUNT_METRIC_TABLE(echo, ECHO, ECHO_METRICS)
 *
 * makes the enum echo_metric (ECHO_ARP, ECHO_PING, ECHO_METRIC_COUNT) and the rows
 * echo_metrics[].
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "user/base/err.h"

#define SHUNT_METRIC_LINE 64u /* bytes; what cores exchange */

struct shunt_metric_row {
	const char *name; /* as in JSON: "rx_packets" */
	const char *help;
};

#define SHUNT_METRIC_ROW(id, text, words) { .name = (text), .help = (words) },
#define SHUNT_METRIC_ECHO_(prefix, id) prefix##_##id,

/* --- one figure, one writer ------------------------------------------------------ */

typedef _Atomic uint64_t shunt_metric;

/* By the one thread that writes it. Relaxed: nothing else is published by a figure. */
static inline void shunt_metric_add(shunt_metric *metric, uint64_t n)
{
	atomic_store_explicit(metric,
			      atomic_load_explicit(metric, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* By any thread. */
static inline uint64_t shunt_metric_read(const shunt_metric *metric)
{
	return atomic_load_explicit(metric, memory_order_relaxed);
}
