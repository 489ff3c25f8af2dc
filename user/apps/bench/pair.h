/* SPDX-License-Identifier: BSD-2-Clause */
/* A server and a client, each a process on a core of its own, measure something. */
#pragma once

#include "user/apps/bench/link.h"
#include "user/apps/bench/stage.h"
#include "user/apps/stop.h"
#include "user/base/err.h"

struct shunt_bench_job {
	const char *name;		/* "epoll/udp, spin" */
	char server[512];		/* URI of the server's transport */
	char client[512];		/* and of the client's */
	char peer[SHUNT_ENDPOINT_TEXT]; /* of a server elsewhere; "": one is started */
	bool spins;			/* a plain socket is asked again and again */
	bool answers; /* the server is in the kernel: it cannot be asked */
	const struct shunt_bench_stage *stage; /* NULL: in this network namespace */
	int client_core, server_core;	       /* -1: wherever */
	/* What the two processes do; each returns when it is done, or told to stop. */
	void (*serve)(struct shunt_bench_link *link, const struct shunt_bench_job *job);
	void (*ask)(struct shunt_bench_link *link, const struct shunt_bench_job *job);
};

/* Memory for a pair; NULL: there is none. */
struct shunt_bench_link *shunt_bench_link_open(void);
void shunt_bench_link_close(struct shunt_bench_link *link);

/*
 * Runs link->todo and waits until both have ended; results are in the link. What goes
 * wrong with the transport is told there as well; an error is returned where nothing can
 * be measured at all, and -EINTR at ^C.
 */
SHUNT_MUST_CHECK int shunt_bench_pair(const struct shunt_bench_job *job,
				      struct shunt_bench_link *link,
				      const struct shunt_stop *stop,
				      struct shunt_err *err);

/* Starts a process in a namespace (-1: this one) and on a core (-1: any), which dies with
 * its parent and is not reached by ^C; 0 in it, its number in the parent, or -errno. */
SHUNT_MUST_CHECK int shunt_bench_fork(int space, int core);

/* Nanoseconds of CPU time of this process, all its threads together. */
uint64_t shunt_bench_cpu_ns(void);

/* The same of another process of this machine; 0: it is not known. */
uint64_t shunt_bench_cpu_of_ns(int pid);
