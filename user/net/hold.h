/* SPDX-License-Identifier: BSD-2-Clause */
/* Holding a UDP port whose datagrams somebody else takes from below the kernel. */
#pragma once

#include "user/base/err.h"
#include "user/net/endpoint.h"

/*
 * Binds a UDP socket that takes nothing: nobody else gets the port, and the kernel, where
 * it sees the datagrams as well, stays silent instead of calling it unreachable. Port 0
 * becomes a free one. The address need not be one of this host. Returns the descriptor,
 * by whose close the port is free again; or -errno.
 */
SHUNT_MUST_CHECK int shunt_hold_port(struct shunt_endpoint *local,
				     struct shunt_err *err);
