/* SPDX-License-Identifier: BSD-2-Clause */
/* The backends' vtables, for the rows of shunt_transport_backends[]. */
#pragma once

#include "user/transport/backend.h"

extern const struct shunt_transport_ops shunt_epoll_ops, shunt_uring_ops, shunt_raw_ops,
	shunt_afxdp_ops, shunt_dpdk_ops, shunt_ringbuf_ops, shunt_xdp_ops,
	shunt_kqueue_ops, shunt_kmod_ops, shunt_rdma_ops;
