/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of a measurement's reply, for those that view it: tables, charts, claims, advice. */
#pragma once

#include <stdint.h>

#include <cjson/cJSON.h>

/* The row of one case; proto and wait NULL: whichever comes first. NULL: there is none. */
const cJSON *shunt_bench_row(const cJSON *reply, const char *contender,
			     const char *proto, const char *wait, const char *kind,
			     uint32_t size, uint32_t batch, uint32_t peers);

/* A figure of a row, of latency_ns too: its median, min and max. NULL: it is not known. */
const cJSON *shunt_bench_row_figure(const cJSON *row, const char *figure);

/* Its median; 0: it is not known. */
double shunt_bench_row_median(const cJSON *row, const char *figure);

/* Bytes of the shortest messages in a reply; UINT64_MAX where it has no rows. */
uint64_t shunt_bench_row_size(const cJSON *reply);
