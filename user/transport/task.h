/* SPDX-License-Identifier: BSD-2-Clause */
/* A transport as a worker's task: what comes is handled, what waits is sent. */
#pragma once

/*
 *     worker ─▶ run: recv ─▶ handle ─▶ kick          user/rt/worker.h
 *               wait, due: the transport's own
 *
 * The worker's thread is the one that uses the transport from then on. Several transports
 * may be tasks of one worker, beside a mesh (user/rt/mesh.h) by which it talks to others.
 */
#include "user/rt/worker.h"
#include "user/transport/transport.h"

struct shunt_transport_task {
	struct shunt_transport *transport;
	void *context;
	/*
	 * n messages, which are the handler's now: it submits or releases each of them. 0,
	 * or -errno, which ends the workers.
	 */
	int (*handle)(void *context, struct shunt_transport *transport,
		      struct shunt_message *messages, unsigned int n,
		      struct shunt_err *err);
};

/* `task` must outlive the worker. */
SHUNT_API struct shunt_task shunt_transport_task(struct shunt_transport_task *task);
