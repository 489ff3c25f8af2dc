/* SPDX-License-Identifier: BSD-2-Clause */
/* A device of DPDK: found by its name, plugged in, its queues set up on a mempool. */
#pragma once

/*
 *     eth1             an interface: a net_af_xdp device on it (feed.h)
 *     net_pcap0        a virtual device: driver and number, with args=…
 *     0000:00:04.0     a PCI device that is bound to vfio or uio
 *
 * An interface that exists comes before a driver of its name.
 */
#include <stdbool.h>
#include <stdint.h>

#include <rte_ethdev.h>

#include "user/io/dpdk/feed.h"
#include "user/io/dpdk/options.h"
#include "user/io/dpdk/pool.h"

struct shunt_device {
	char bus[8], name[64], args[SHUNT_DPDK_ARGS + 160];
	bool plugged;
	uint16_t id;	 /* of the port, for rte_eth_… */
	uint16_t queues; /* each way */
	uint16_t first;	 /* queue of the interface */
	uint16_t rx_places, tx_places;
	uint32_t frames;
	struct rte_eth_dev_info info;
	bool fed; /* by feed: it is a net_af_xdp device */
	struct shunt_feed feed;
	struct shunt_mbufs *mbufs;
};

/*
 * Begins DPDK if need be, plugs the device in and starts it. `pool` is used where it is
 * a mempool, else the device gets one of its own. Closes itself on failure.
 */
SHUNT_MUST_CHECK int shunt_device_open(struct shunt_device *device, const char *name,
				       const struct shunt_dpdk_opts *opts,
				       struct shunt_pool *pool, struct shunt_err *err);

void shunt_device_close(struct shunt_device *device);
