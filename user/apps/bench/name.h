/* SPDX-License-Identifier: BSD-2-Clause */
/* Backends and their protocols by name: "epoll", "epoll/tcp", "rdma/write". */
#pragma once

#include "user/apps/bench/bench.h"
#include "user/transport/backend.h"

/* NULL: there is none of that name. */
const struct shunt_transport_ops *shunt_bench_backend(const char *scheme);

/*
 * The protocols of a backend that has a choice of them, NULL ends them, each a contender
 * by itself; the first is what is meant where none is named. NULL: there is no choice.
 */
const char *const *shunt_bench_protos(const struct shunt_transport_ops *ops);

/* RDMA calls them modes, and is measured elsewhere (user/apps/bench/rdma.h). */
bool shunt_bench_is_rdma(const struct shunt_transport_ops *ops);

/* The URI of an end of a backend at an address. */
void shunt_bench_uri(char *uri, size_t room, const struct shunt_transport_ops *ops,
		     const char *address, const char *proto, const char *wait);

/* Whether `wanted` means it: "epoll" all of its protocols, "epoll/tcp" one. */
bool shunt_bench_means(const char *wanted, const char *name, const char *proto);

/* Whether the options take it in; proto "": any of it. */
bool shunt_bench_wants(const struct shunt_bench_opts *opts, const char *name,
		       const char *proto);

/* -EINVAL: they name what there is not, and the sentence says what there is. */
SHUNT_MUST_CHECK int shunt_bench_check_names(const struct shunt_bench_opts *opts,
					     struct shunt_err *err);
