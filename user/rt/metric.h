/* SPDX-License-Identifier: BSD-2-Clause */
/* Metrics: figures that each worker keeps for itself, and anybody may sum up. */
#pragma once

/*
 *     worker 0 ─▶ [ figures of worker 0 ]─┐
 *     worker 1 ─▶ [ figures of worker 1 ]─┴─▶ shunt_metrics_sum()
 *
 * Each worker writes cache lines of its own, with plain stores: no lock, no locked
 * instruction, no line that two of them write. A reader sees each figure whole and never
 * going back; but figures that belong together may be some events apart, so don't
 * subtract one from the other.
 *
 * What figures there are is one table of who keeps them:
 *
 *     #define ECHO_METRICS(X)                                        \
 *             X(ECHO_ARP, "arp", "ARP requests answered")            \
 *             X(ECHO_PING, "ping", "ICMP echo requests answered")
 *
 *     enum { ECHO_METRICS(SHUNT_METRIC_ID) ECHO_COUNT };
 *     static const struct shunt_metric_row rows[] = { ECHO_METRICS(SHUNT_METRIC_ROW) };
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "user/base/err.h"

#define SHUNT_METRIC_LINE 64u /* bytes that cores exchange */

struct shunt_metric_row {
	const char *name; /* as in JSON: "rx_packets" */
	const char *help;
};

#define SHUNT_METRIC_ID(id, text, words) id,
#define SHUNT_METRIC_ROW(id, text, words) { .name = (text), .help = (words) },

/* --- one figure, one writer ------------------------------------------------------ */

typedef _Atomic uint64_t shunt_metric;

/* By the one thread that writes it. Relaxed: nothing else is published by a figure. */
static inline void shunt_metric_add(shunt_metric *metric, uint64_t n)
{
	atomic_store_explicit(metric,
			      atomic_load_explicit(metric, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* As shunt_metric_add(): for what goes up and down. */
static inline void shunt_metric_set(shunt_metric *metric, uint64_t value)
{
	atomic_store_explicit(metric, value, memory_order_relaxed);
}

/* By any thread. */
static inline uint64_t shunt_metric_read(const shunt_metric *metric)
{
	return atomic_load_explicit(metric, memory_order_relaxed);
}

/* --- a table of them, for each worker ---------------------------------------------- */

struct shunt_metrics;

/* `rows` must outlive it. All figures begin at 0. */
SHUNT_MUST_CHECK int shunt_metrics_open(struct shunt_metrics **metrics,
					const struct shunt_metric_row *rows,
					size_t count, size_t workers,
					struct shunt_err *err);

/* No worker writes any more. NULL is fine. */
void shunt_metrics_close(struct shunt_metrics *metrics);

/* The figures of one worker, one a row. */
shunt_metric *shunt_metrics_of(struct shunt_metrics *metrics, size_t worker);

/* Each row's figure, summed up over the workers. */
void shunt_metrics_sum(const struct shunt_metrics *metrics, uint64_t *sums);

/* Adds the sums to a JSON object, under the rows' names. */
void shunt_metrics_json(const struct shunt_metrics *metrics, cJSON *object);
