/* SPDX-License-Identifier: BSD-2-Clause */
/* A port over an inbox: what a program of ours puts into its ring buffer (maps/inbox.h). */
#pragma once

/*
 * It only receives. Frames are copied from the ring into the pool: the ring gives room back
 * in the order of arrival alone, and whoever keeps one frame would hold up all others.
 */
#include "maps/inbox.h"
#include "user/io/port.h"

/* Descriptors and state are the program's, which outlives the port. */
struct shunt_inbox {
	int ring_fd;
	int loss_fd;
	struct shunt_inbox_state *state;
};

SHUNT_MUST_CHECK int shunt_inbox_open(struct shunt_port **port, const char *interface,
				      const struct shunt_inbox *inbox,
				      struct shunt_pool *pool, struct shunt_err *err);
