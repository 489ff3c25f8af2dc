/* SPDX-License-Identifier: BSD-2-Clause */
/* Two network namespaces and a veth between them, in which transports are measured. */
#pragma once

/*
 *     client's namespace                        server's namespace
 *     198.18.0.1  shbench-client ◀── veth ──▶ shbench-server  198.18.0.2
 *
 * The namespaces have no names: they live as long as their descriptors and the processes
 * in them, so that nothing is left whatever ends the command. Addresses are of the block
 * that RFC 2544 has set aside for benchmarks; each end knows the other's MAC address.
 */
#include "user/base/err.h"

#define SHUNT_BENCH_CLIENT "shbench-client"
#define SHUNT_BENCH_SERVER "shbench-server"
#define SHUNT_BENCH_CLIENT_ADDRESS "198.18.0.1"
#define SHUNT_BENCH_SERVER_ADDRESS "198.18.0.2"

struct shunt_bench_stage {
	int client, server; /* descriptors of the namespaces */
};

SHUNT_MUST_CHECK int shunt_bench_stage_open(struct shunt_bench_stage *stage,
					    struct shunt_err *err);
/* Fine on one that could not be opened, and on { -1, -1 }. */
void shunt_bench_stage_close(struct shunt_bench_stage *stage);
