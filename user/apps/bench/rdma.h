/* SPDX-License-Identifier: BSD-2-Clause */
/* The two RDMA devices of this machine that are measured, by their addresses. */
#pragma once

/*
 * RDMA has no namespaces worth the name: before Linux 7 soft-RoCE hears the first one
 * alone. So both ends are where the command is, on two devices that are there already,
 * and what they say to each other is to go over a wire (tests/vm/rxe makes such a rig).
 */
#include <netinet/in.h>

#include "user/base/err.h"

#define SHUNT_BENCH_RDMA_SYS "/sys/class/infiniband"

struct shunt_bench_rdma_end {
	char device[64];
	unsigned int port; /* of the device, from 1 on */
	unsigned int gid;  /* the index of the address among the port's */
	char address[INET_ADDRSTRLEN];
};

struct shunt_bench_rdma {
	struct shunt_bench_rdma_end client, server;
};

/*
 * Looks below `sys` (SHUNT_BENCH_RDMA_SYS) for the devices that have these IPv4
 * addresses, by RoCE v2; NULL and NULL: the first address of each of the first two
 * devices, in the order of their names. -ENODEV: there are none.
 */
SHUNT_MUST_CHECK int shunt_bench_rdma_find(struct shunt_bench_rdma *rdma,
					   const char *sys, const char *client,
					   const char *server, struct shunt_err *err);
