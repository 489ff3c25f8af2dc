/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/transport/backends.h"

/* clang-format off */
const struct shunt_transport_ops *const shunt_transport_backends[] = {
	&shunt_epoll_ops,
	&shunt_uring_ops,
	&shunt_raw_ops,
	&shunt_afxdp_ops,
	&shunt_dpdk_ops,
	&shunt_ringbuf_ops,
	&shunt_xdp_ops,
	&shunt_rdma_ops,
	&shunt_kqueue_ops,
	&shunt_kmod_ops,
	NULL,
};
/* clang-format on */
