/* SPDX-License-Identifier: BSD-2-Clause */
/* A doorbell: wakes the one who reads a ring, and only if he sleeps. */
#pragma once

/*
 *     producer: push ─▶ shunt_bell_ring() ── eventfd, if the consumer listens ──┐
 *     consumer: shunt_bell_listen() ─▶ look once more ─▶ poll() ◀───────────────┘
 *
 * Why no wake-up is lost: both sides exchange the same word. If the producer's exchange
 * comes first, the consumer's reads from it, and then the consumer sees what was pushed
 * when it looks once more. If it comes second, it finds that the consumer listens, and
 * writes to the eventfd. A worker looks once more by itself (user/rt/worker.h).
 *
 * A ring whose consumer never sleeps needs no bell. One bell does for all the rings that
 * one worker reads.
 */
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "user/base/err.h"
#include "user/rt/metric.h"

struct shunt_bell {
	_Alignas(SHUNT_METRIC_LINE) _Atomic bool listens;
	shunt_metric rung; /* wake-ups that were sent */
	int fd;
};

SHUNT_MUST_CHECK int shunt_bell_open(struct shunt_bell *bell, struct shunt_err *err);

/* Of a bell that was opened. */
void shunt_bell_close(struct shunt_bell *bell);

/* The slow half of shunt_bell_ring(). */
void shunt_bell_wake(struct shunt_bell *bell);

/* After each burst that was pushed; by any thread. */
static inline void shunt_bell_ring(struct shunt_bell *bell)
{
	/* Release, acquire: pairs with the exchange in shunt_bell_listen(). */
	if (atomic_exchange_explicit(&bell->listens, false, memory_order_acq_rel))
		shunt_bell_wake(bell);
}

/*
 * By the consumer, before it looks once more and sleeps: fills in what poll() waits for,
 * and returns 1; 0 if max is 0. Fits into a task's wait().
 */
unsigned int shunt_bell_listen(struct shunt_bell *bell, struct pollfd *fds,
			       unsigned int max);
