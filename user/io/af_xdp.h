/* SPDX-License-Identifier: BSD-2-Clause */
/* What AF_XDP ports can besides being ports (user/io/af_xdp.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loader/shunt.h"
#include "user/base/err.h"
#include "user/io/port.h"

extern const struct shunt_port_ops shunt_af_xdp_ops;

/*
 * Feeds a port that was opened with rx=on and no consumer: its sockets take their seats,
 * where seats are given (they must outlive the port), and go into an XSKMAP under the slot's
 * keys (maps/consumer.h). -EEXIST, -EBUSY: somebody serves one of its queues.
 */
SHUNT_MUST_CHECK int shunt_af_xdp_feed(struct shunt_port *port, int xskmap_fd,
				       uint32_t slot, struct shunt_seats *seats,
				       struct shunt_err *err);

/* Throws away what waits, and tells the seats so; returns how many packets. */
uint64_t shunt_af_xdp_discard(struct shunt_port *port);

/* Whether it is an AF_XDP port. */
static inline bool shunt_port_is_af_xdp(const struct shunt_port *port)
{
	return port->ops == &shunt_af_xdp_ops;
}
