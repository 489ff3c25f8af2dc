/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/io/dpdk/device.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <rte_dev.h>
#include <rte_errno.h>

#include "user/io/dpdk/eal.h"

/* What the driver allocates and never frees is no leak of ours. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#define LEAKS_BEGIN() __lsan_disable()
#define LEAKS_END() __lsan_enable()
#else
#define LEAKS_BEGIN() ((void)0)
#define LEAKS_END() ((void)0)
#endif

/* Devices come and go one at a time: a new socket is then whose device is set up. */
static pthread_mutex_t coming = PTHREAD_MUTEX_INITIALIZER;

#define AF_XDP_DRIVER "net_af_xdp"
#define TX_BUDGET 256u /* frames a system call; the kernel's own limit is 32 */

/* The driver's fill ring, half of which it fills, beside the port's own rings. */
#define FILL_PLACES 2048u
#define FRAMES_SPARE 1024u /* in hands, and in the caches of threads */

#define ROOM_USUAL 2048u
#define XDP_HEADROOM 256u

/* A queue stays bound for a moment after its last socket's close. */
#define BUSY_TRIES 150
#define BUSY_PAUSE_NS (20 * 1000 * 1000)

/* --- what it is called ------------------------------------------------------------------ */

static bool is_pci(const char *name)
{
	unsigned int domain, bus, slot, function;
	int end = 0;

	return sscanf(name, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function,
		      &end) == 4 &&
	       !name[end];
}

static bool is_virtual(const char *name)
{
	return !strncmp(name, "net_", 4) && !if_nametoindex(name);
}

/* "0-3": 0 and 4. */
static int read_queues(struct shunt_device *device, const char *name, uint64_t queues,
		       struct shunt_err *err)
{
	if (queues == UINT64_MAX || !queues)
		return shunt_fail(err, -EINVAL,
				  "port dpdk:%s: say which queues, such as queues=0-3",
				  name);
	device->first = (uint16_t)__builtin_ctzll(queues);
	queues >>= device->first;
	device->queues = (uint16_t)__builtin_popcountll(queues);
	if (queues & (queues + 1))
		return shunt_fail(err, -EINVAL,
				  "port dpdk:%s: DPDK takes queues in a row only, such "
				  "as queues=0-3",
				  name);
	return 0;
}

/* The user's arguments, which cannot contain the commas of a port's name. */
static void add_args(struct shunt_device *device, const char *args)
{
	char *at = device->args + strlen(device->args);

	if (!*args)
		return;
	snprintf(at, sizeof(device->args) - (size_t)(at - device->args), "%s%s",
		 *device->args ? "," : "", args);
	while ((at = strchr(at, ';')))
		*at = ',';
}

static int name_fed(struct shunt_device *device, const char *name,
		    const struct shunt_dpdk_opts *opts, struct shunt_err *err)
{
	static atomic_uint numbers; /* relaxed: names need only differ */
	char path[SHUNT_FEED_PATH];
	int ret;

	if (strstr(opts->args, "xdp_prog") || strstr(opts->args, "iface"))
		return shunt_fail(err, -EINVAL,
				  "port dpdk:%s: args=%s: iface and xdp_prog are the "
				  "port's own business",
				  name, opts->args);
	if (!if_nametoindex(name))
		return shunt_fail(err, -ENODEV,
				  "port dpdk:%s: there is no such interface in this "
				  "network namespace, and a driver's device is called "
				  "net_DRIVER0",
				  name);
	ret = shunt_feed_open(&device->feed, name, err);
	if (ret)
		return ret;
	device->fed = true;
	snprintf(device->bus, sizeof(device->bus), "vdev");
	snprintf(device->name, sizeof(device->name), AF_XDP_DRIVER "%u",
		 atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed));
	snprintf(device->args, sizeof(device->args),
		 "iface=%s,start_queue=%u,queue_count=%u,busy_budget=%u,xdp_prog=%s",
		 name, device->first, device->queues, (unsigned int)opts->busy,
		 shunt_feed_path(&device->feed, path));
	return 0;
}

static int name_it(struct shunt_device *device, const char *name,
		   const struct shunt_dpdk_opts *opts, struct shunt_err *err)
{
	int ret = read_queues(device, name, opts->queues, err);

	if (ret)
		return ret;
	if (strlen(name) >= sizeof(device->name))
		return shunt_fail(err, -EINVAL, "port dpdk:%s: a name of %zu bytes",
				  name, strlen(name));
	if (!is_pci(name) && !is_virtual(name)) {
		ret = name_fed(device, name, opts, err);
	} else {
		snprintf(device->bus, sizeof(device->bus), "%s",
			 is_pci(name) ? "pci" : "vdev");
		snprintf(device->name, sizeof(device->name), "%s", name);
	}
	add_args(device, opts->args);
	return ret;
}

/* --- queues ------------------------------------------------------------------------------ */

static uint32_t choose_room(const struct shunt_device *device,
			    const struct shunt_dpdk_opts *opts)
{
	uint32_t wanted =
		device->feed.mtu + RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN + XDP_HEADROOM;

	if (opts->room)
		return (uint32_t)opts->room;
	if (!device->fed || wanted <= ROOM_USUAL)
		return ROOM_USUAL;
	return SHUNT_MBUFS_PAGE_ROOM;
}

static enum shunt_mbufs_layout choose_layout(const struct shunt_device *device)
{
	if (!device->fed)
		return SHUNT_MBUFS_DEFAULT;
	return device->feed.zero_copy ? SHUNT_MBUFS_PAGES : SHUNT_MBUFS_DENSE;
}

static int make_pool(struct shunt_device *device, const char *name,
		     const struct shunt_dpdk_opts *opts, struct shunt_pool *pool,
		     struct shunt_err *err)
{
	uint32_t places = device->queues * (device->rx_places + device->tx_places),
		 room = choose_room(device, opts);
	struct shunt_mbufs *given = shunt_mbufs_of(pool);

	if (device->fed)
		places += device->queues * FILL_PLACES;
	device->frames = (uint32_t)opts->frames;
	if (!device->frames)
		device->frames = places + FRAMES_SPARE;
	if (given) {
		device->mbufs = shunt_mbufs_use(given);
		device->frames = given->mempool->size;
		return 0;
	}
	if (device->fed && device->frames < places)
		return shunt_fail(err, -ENOBUFS,
				  "port dpdk:%s: frames=%u: with %u queues and ring=%u "
				  "the driver keeps up to %u of them itself",
				  name, device->frames, device->queues,
				  device->rx_places, places);
	if (device->fed && room > SHUNT_MBUFS_PAGE_ROOM)
		return shunt_fail(err, -EMSGSIZE,
				  "port dpdk:%s: room=%u: an mbuf in AF_XDP's memory "
				  "holds %u bytes at most",
				  name, room, SHUNT_MBUFS_PAGE_ROOM);
	return shunt_mbufs_open(&device->mbufs, device->frames, room,
				choose_layout(device), err);
}

static int set_up_queues(struct shunt_device *device, const char *name,
			 struct shunt_err *err)
{
	uint16_t queue;
	int ret;

	for (queue = 0; queue < device->queues; queue++) {
		ret = rte_eth_tx_queue_setup(device->id, queue, device->tx_places,
					     SOCKET_ID_ANY, NULL);
		if (!ret)
			ret = rte_eth_rx_queue_setup(device->id, queue,
						     device->rx_places, SOCKET_ID_ANY,
						     NULL, device->mbufs->mempool);
		if (ret)
			return shunt_dpdk_fail(
				err, ret,
				"port dpdk:%s: set up queue %u with %u places and %u "
				"mbufs (frames=%u)",
				name, device->first + queue, device->rx_places,
				device->frames, device->frames);
	}
	return 0;
}

static int configure(struct shunt_device *device, const char *name,
		     const struct shunt_dpdk_opts *opts, struct shunt_pool *pool,
		     struct shunt_err *err)
{
	const struct rte_eth_conf conf = { 0 };
	int ret = rte_eth_dev_info_get(device->id, &device->info);

	device->rx_places = device->tx_places = (uint16_t)opts->ring;
	if (!ret && (device->queues > device->info.max_rx_queues ||
		     device->queues > device->info.max_tx_queues))
		return shunt_fail(err, -ENODEV,
				  "port dpdk:%s: %u queues: the device has %u to "
				  "receive and %u to transmit",
				  name, device->queues, device->info.max_rx_queues,
				  device->info.max_tx_queues);
	if (!ret)
		ret = rte_eth_dev_configure(device->id, device->queues, device->queues,
					    &conf);
	if (!ret)
		ret = rte_eth_dev_adjust_nb_rx_tx_desc(device->id, &device->rx_places,
						       &device->tx_places);
	if (ret)
		return shunt_dpdk_fail(err, ret, "port dpdk:%s: configure the device",
				       name);
	ret = make_pool(device, name, opts, pool, err);
	return ret ? ret : set_up_queues(device, name, err);
}

/* --- open, close ---------------------------------------------------------------------- */

static int plug_in(struct shunt_device *device, const char *name, struct shunt_err *err)
{
	int ret;

	/* plugging it in again succeeds, and unplugging it ends the other port's */
	if (!rte_eth_dev_get_port_by_name(device->name, &device->id)) {
		device->id = RTE_MAX_ETHPORTS;
		return shunt_fail(err, -EBUSY,
				  "port dpdk:%s: this process has that device open "
				  "already; another number names another device",
				  name);
	}
	ret = rte_eal_hotplug_add(device->bus, device->name, device->args);
	if (ret)
		return shunt_dpdk_fail(err, ret == -1 ? -EIO : ret,
				       "port dpdk:%s: plug in %s device %s (%s)", name,
				       device->bus, device->name,
				       *device->args ? device->args : "no args");
	device->plugged = true;
	ret = rte_eth_dev_get_port_by_name(device->name, &device->id);
	return ret ? shunt_dpdk_fail(err, ret, "port dpdk:%s: find the device", name)
		   : 0;
}

static void unplug(struct shunt_device *device)
{
	if (device->id != RTE_MAX_ETHPORTS) {
		rte_eth_dev_stop(device->id);
		rte_eth_dev_close(device->id);
	}
	if (device->plugged)
		rte_eal_hotplug_remove(device->bus, device->name);
	device->id = RTE_MAX_ETHPORTS;
	device->plugged = false;
}

/*
 * On its close the af_xdp driver detaches whatever program it finds under its interface's
 * number, in the network namespace of the thread: so it is shown one with no interfaces.
 */
static void *unplug_nowhere(void *self)
{
	unshare(CLONE_NEWNET); /* if it may not, our link has kept others off so far */
	unplug(self);
	return NULL;
}

static void take_down(struct shunt_device *device)
{
	pthread_t thread;

	if (device->fed)
		shunt_feed_stop(&device->feed);
	if (device->fed && !pthread_create(&thread, NULL, unplug_nowhere, device))
		pthread_join(thread, NULL);
	else
		unplug(device);
	if (device->fed)
		shunt_feed_clear(&device->feed);
	shunt_mbufs_leave(device->mbufs);
	device->mbufs = NULL;
}

static int set_up(struct shunt_device *device, const char *name,
		  const struct shunt_dpdk_opts *opts, struct shunt_pool *pool,
		  struct shunt_err *err)
{
	struct shunt_feed_fds before;
	int ret;

	shunt_dpdk_listen();
	shunt_feed_before(&before);
	ret = plug_in(device, name, err);
	LEAKS_BEGIN();
	if (!ret)
		ret = configure(device, name, opts, pool, err);
	LEAKS_END();
	if (ret)
		return ret;
	ret = rte_eth_dev_start(device->id);
	if (ret)
		return shunt_dpdk_fail(err, ret, "port dpdk:%s: start the device",
				       name);
	if (!device->fed)
		return 0;
	shunt_feed_after(&device->feed, &before, rte_eth_fp_ops[device->id].rxq.data,
			 device->queues);
	shunt_feed_budget(&device->feed, TX_BUDGET);
	return shunt_feed_adopt(&device->feed, err);
}

/*
 * The driver says only that something failed, which may be a queue that is busy yet; and
 * the mbufs that it had for the queue are lost then. So all is done again, on a new pool.
 */
static int set_up_patiently(struct shunt_device *device, const char *name,
			    const struct shunt_dpdk_opts *opts, struct shunt_pool *pool,
			    struct shunt_err *err)
{
	const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NS };
	int tries = device->fed && !shunt_mbufs_of(pool) ? BUSY_TRIES : 1, ret;

	for (;;) {
		pthread_mutex_lock(&coming);
		ret = set_up(device, name, opts, pool, err);
		if (ret)
			take_down(device);
		pthread_mutex_unlock(&coming);
		if (!ret)
			return 0;
		if (!--tries || ret != -EINVAL)
			return ret;
		nanosleep(&pause, NULL);
	}
}

int shunt_device_open(struct shunt_device *device, const char *name,
		      const struct shunt_dpdk_opts *opts, struct shunt_pool *pool,
		      struct shunt_err *err)
{
	int ret;

	memset(device, 0, sizeof(*device));
	device->id = RTE_MAX_ETHPORTS;
	ret = name_it(device, name, opts, err);
	if (ret)
		return ret;
	ret = shunt_dpdk_begin(opts, is_pci(name) ? name : NULL, err);
	if (!ret)
		ret = set_up_patiently(device, name, opts, pool, err);
	if (ret && device->fed)
		shunt_feed_close(&device->feed);
	return ret;
}

void shunt_device_close(struct shunt_device *device)
{
	pthread_mutex_lock(&coming);
	take_down(device);
	pthread_mutex_unlock(&coming);
	if (device->fed)
		shunt_feed_close(&device->feed);
}
