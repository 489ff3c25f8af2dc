/* SPDX-License-Identifier: BSD-2-Clause */
/* The transports that the suite is run over. */
#include "tests/transport/suite/tests.h"

#define UDP (SHUNT_TRANSPORT_DATAGRAMS | SHUNT_TRANSPORT_BLOCKS)
#define TCP                                                                            \
	(SHUNT_TRANSPORT_RELIABLE | SHUNT_TRANSPORT_ORDERED | SHUNT_TRANSPORT_STREAM | \
	 SHUNT_TRANSPORT_BLOCKS)

static const struct rig_row epoll_udp = {
	.name = "epoll udp",
	.scheme = "epoll",
	.options = "",
	.must = UDP,
	.burst = 64,
	.small = "buffers=128",
};

static const struct rig_row epoll_tcp = {
	.name = "epoll tcp",
	.scheme = "epoll",
	.options = "proto=tcp",
	.must = TCP,
	.burst = 64,
	.small = "buffers=128",
};

static const struct rig_row uring_udp = {
	.name = "uring udp",
	.scheme = "uring",
	.options = "",
	.must = UDP,
	.burst = 64,
	.holds = 1024,
	.small = "buffers=128",
};

static const struct rig_row uring_tcp = {
	.name = "uring tcp",
	.scheme = "uring",
	.options = "proto=tcp",
	.must = TCP,
	.burst = 64,
	.holds = 1024,
	.small = "buffers=128",
};

static const struct rig_row raw = {
	.name = "raw",
	.scheme = "raw",
	.dies = true,
	.options = "",
	.must = UDP,
	.burst = 64,
	.small = "buffers=128",
};

static const struct rig_row afxdp = {
	.name = "afxdp",
	.scheme = "afxdp",
	.options = "",
	.must = UDP,
	.burst = 64,
	.small = "buffers=128",
	.slow = true,
	.dies = true,
};

/* On a guest's NICs: by the best there is, and by zero copy or not at all. */
static const struct rig_not nics_not[] = {
	{ "its interface is deleted", "nobody deletes a NIC" },
	{ 0 },
};

static const struct rig_row afxdp_nics = {
	.name = "afxdp nics",
	.scheme = "afxdp",
	.options = "",
	.must = UDP,
	.burst = 64,
	.small = "buffers=128",
	.slow = true,
	.borrows = true,
	.dies = true,
	.except = nics_not,
};

static const struct rig_row zero_copy = {
	.name = "afxdp zero-copy",
	.scheme = "afxdp",
	.options = "mode=zero-copy",
	.must = UDP | SHUNT_TRANSPORT_ZERO_COPY,
	.burst = 64,
	.small = "buffers=128",
	.slow = true,
	.borrows = true,
	.dies = true,
	.except = nics_not,
};

static const struct rig_row dpdk = {
	.name = "dpdk",
	.scheme = "dpdk",
	.options = "",
	/* two of them would wait for each other's answer to ARP, in one process */
	.peer = "epoll",
	.peer_options = "",
	.must = UDP,
	.burst = 64,
	.small = "buffers=128",
	.slow = true,
	.dies = true,
	.mtu_max = 3520,
	.forgets = true,
};

static const struct rig_row ringbuf = {
	.name = "ringbuf",
	.scheme = "ringbuf",
	.options = "",
	.must = UDP,
	.burst = 64,
	.small = "buffers=128&ring=256K",
	.slow = true,
	.dies = true,
	.mtu_max = 3498, /* XDP programs without fragments */
};

static const struct rig_row ringbuf_tc = {
	.name = "ringbuf tc",
	.scheme = "ringbuf",
	.options = "hook=tc",
	.must = UDP,
	.burst = 64,
	.small = "buffers=128&ring=256K",
	.slow = true,
	.dies = true,
};

static const struct rig_row xdp = {
	.name = "xdp",
	.scheme = "xdp",
	.options = "",
	.must = UDP | SHUNT_TRANSPORT_ANSWERS,
	.burst = 64,
	.small = "buffers=128&ring=256K",
	.slow = true,
	.dies = true,
	.mtu_max = 3498, /* XDP programs without fragments */
};

static const struct rig_row kqueue_udp = {
	.name = "kqueue udp",
	.scheme = "kqueue",
	.options = "",
	.must = UDP,
	.burst = 64,
	.small = "buffers=128",
};

static const struct rig_row kqueue_tcp = {
	.name = "kqueue tcp",
	.scheme = "kqueue",
	.options = "proto=tcp",
	.must = TCP,
	.burst = 64,
	.small = "buffers=128",
};

/* Where the module is loaded, as tests/vm/suite/kmod does it. */
static const struct rig_row kmod = {
	.name = "kmod",
	.scheme = "kmod",
	.options = "",
	.must = UDP,
	.burst = 64,
	.small = "buffers=128&slots=128",
	.bad = { "slots=100", "tx-slots=8" },
	.guest = "kmod",
};

#define RDMA (SHUNT_TRANSPORT_BLOCKS | SHUNT_TRANSPORT_ZERO_COPY)
#define RDMA_RC (RDMA | SHUNT_TRANSPORT_RELIABLE | SHUNT_TRANSPORT_ORDERED)

#define RXE_STAYS "rxe does not go before all who have used it have ended"
#define RXE_FAILS                                                                      \
	"rxe fails a queue pair at once whose packet has no route, the one that asks " \
	"for connections as well, and that for ever"

static const struct rig_not rdma_not[] = {
	{ "its interface goes down and comes up", RXE_FAILS },
	{ "the other end's interface goes down and comes up", RXE_FAILS },
	{ "its interface is deleted", RXE_STAYS },
	{ 0 },
};

static const struct rig_not rdma_ud_not[] = {
	{ "its interface is deleted", RXE_STAYS },
	{ 0 },
};

static const struct rig_row rdma_rc = {
	.name = "rdma rc",
	.scheme = "rdma",
	.options = "",
	.must = RDMA_RC,
	.burst = 16, /* half of the credits may be granted, and not yet told */
	.small = "buffers=128&credits=32",
	.bad = { "mode=smoke", "credits=1", "inline=4096" },
	.shares = true,
	.own = rig_tests_rdma,
	.except = rdma_not,
	.guest = "rdma",
};

static const struct rig_row rdma_write = {
	.name = "rdma write",
	.scheme = "rdma",
	.options = "mode=write",
	.must = RDMA_RC | SHUNT_TRANSPORT_ONE_SIDED,
	.burst = 16, /* half of the credits may be granted, and not yet told */
	.small = "buffers=128&credits=32",
	.slow = true, /* in a guest; mode=rc runs whole */
	.shares = true,
	.own = rig_tests_rdma,
	.except = rdma_not,
	.guest = "rdma",
};

static const struct rig_row rdma_ud = {
	.name = "rdma ud",
	.scheme = "rdma",
	.options = "mode=ud",
	.must = RDMA,
	.burst = 64,
	.silent = true, /* rxe does not count them */
	.small = "buffers=128",
	/* 1,041 datagrams take longer than two seconds where a guest is slow */
	.longest = "message-max=200000",
	.slow = true, /* in a guest; mode=rc runs whole */
	.shares = true,
	.own = rig_tests_rdma,
	.except = rdma_ud_not,
	.guest = "rdma",
};

/* clang-format off */
const struct rig_row *const rig_rows[] = {
	&epoll_udp,
	&epoll_tcp,
	&uring_udp,
	&uring_tcp,
	&raw,
	&afxdp,
	&afxdp_nics,
	&zero_copy,
	&dpdk,
	&ringbuf,
	&ringbuf_tc,
	&xdp,
	&kqueue_udp,
	&kqueue_tcp,
	&kmod,
	&rdma_rc,
	&rdma_write,
	&rdma_ud,
	NULL,
};
/* clang-format on */
