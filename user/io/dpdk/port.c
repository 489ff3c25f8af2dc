/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports over DPDK: the plug-in's vtable. */

/*
 * rx lends mbufs; tx takes mbufs without a copy, and copies what is none, or lies in a
 * mempool that the device cannot read (another one than its own, for af_xdp). The driver
 * sends with tx already; what it has sent comes back to its pool with a later tx or kick.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "user/base/clock.h"
#include "user/io/dpdk/device.h"
#include "user/io/dpdk/eal.h"
#include "user/io/plugin.h"

#define FRAME_EXTRA (RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN) /* beside an MTU's bytes */
#define BURST_MAX 512u
#define LOOK_NS 100000000u /* how often kick asks whether the interface is there */

/* Without a descriptor to wait for, a sleeper looks again: soon at first, then seldom. */
#define NAP_MIN_NS 50000u
#define NAP_MAX_NS 5000000u

/*
 * Packets on their way to the driver: number i is mbuf[i], and its frames end before
 * end[i] of those that tx was given; the first one's begin at `first`.
 */
struct burst {
	unsigned int first;
	uint16_t n;
	struct rte_mbuf *mbuf[BURST_MAX];
	unsigned int end[BURST_MAX];
	uint32_t bytes[BURST_MAX];
	bool copied[BURST_MAX];
};

struct dpdk_port {
	struct shunt_port port;
	struct shunt_device device;
	uint16_t burst;
	uint16_t queue; /* whose turn it is */
	/* received, and not given out yet */
	struct rte_mbuf *held[BURST_MAX];
	unsigned int held_at, held_n;
	enum { TX_QUIET, TX_RECENT, TX_SETTLED } tx_state;
	struct burst out;
	uint64_t looked_ns;
	int timer;
	uint32_t nap_ns;
};

/* --- receiving --------------------------------------------------------------------- */

static unsigned int receive(struct dpdk_port *dpdk, unsigned int max)
{
	uint16_t want = max < dpdk->burst ? (uint16_t)max : dpdk->burst, i;

	shunt_dpdk_here();
	dpdk->held_at = dpdk->held_n = 0;
	for (i = 0; i < dpdk->device.queues && !dpdk->held_n; i++) {
		dpdk->held_n = rte_eth_rx_burst(dpdk->device.id, dpdk->queue,
						dpdk->held, want);
		if (++dpdk->queue == dpdk->device.queues)
			dpdk->queue = 0;
	}
	return dpdk->held_n;
}

/* The segments of a packet as frames; each of them is an mbuf of its own from now on. */
static unsigned int lend_chain(struct dpdk_port *dpdk, struct rte_mbuf *mbuf,
			       struct shunt_frame *frames)
{
	unsigned int n = 0;

	while (mbuf) {
		struct rte_mbuf *next = mbuf->next;

		shunt_mbuf_frame(&frames[n], dpdk->port.pool, mbuf);
		dpdk->port.count.rx_bytes += frames[n].len;
		if (next)
			frames[n].flags = SHUNT_FRAME_MORE;
		mbuf->next = NULL;
		mbuf->nb_segs = 1;
		mbuf = next;
		n++;
	}
	return n;
}

/* What the driver has put into several mbufs, for a caller who takes one. */
static bool is_lendable(const struct dpdk_port *dpdk, struct rte_mbuf *mbuf,
			unsigned int max)
{
	if (mbuf->nb_segs == 1)
		return true;
	if (!(dpdk->port.caps & SHUNT_PORT_MULTI))
		return !rte_pktmbuf_linearize(mbuf);
	return mbuf->nb_segs <= max;
}

static unsigned int dpdk_rx(struct shunt_port *port, struct shunt_frame *frames,
			    unsigned int max)
{
	struct dpdk_port *dpdk = (struct dpdk_port *)port;
	unsigned int n = 0;

	if (dpdk->held_at == dpdk->held_n && !receive(dpdk, max))
		return 0;
	dpdk->nap_ns = NAP_MIN_NS;
	while (dpdk->held_at < dpdk->held_n) {
		struct rte_mbuf *mbuf = dpdk->held[dpdk->held_at];

		if (!is_lendable(dpdk, mbuf, max)) {
			rte_pktmbuf_free(mbuf);
			port->count.rx_dropped++;
		} else if (mbuf->nb_segs > max - n) {
			break;
		} else if (mbuf->nb_segs > 1) {
			n += lend_chain(dpdk, mbuf, frames + n);
			port->count.rx_packets++;
		} else {
			shunt_mbuf_frame(&frames[n], port->pool, mbuf);
			port->count.rx_bytes += frames[n++].len;
			port->count.rx_packets++;
		}
		dpdk->held_at++;
	}
	return n;
}

/* --- transmitting ------------------------------------------------------------------ */

static bool is_own(const struct dpdk_port *dpdk, const struct shunt_frame *frame)
{
	struct shunt_mbufs *mbufs = shunt_mbufs_of(frame->pool);

	return mbufs && (mbufs == dpdk->device.mbufs || !dpdk->device.fed);
}

/* Can the packet go as it is? All of its frames are mbufs that the device reads. */
static bool goes_as_is(const struct dpdk_port *dpdk, const struct shunt_frame *frames,
		       unsigned int n)
{
	unsigned int i;

	if (n > 1 && !(dpdk->port.caps & SHUNT_PORT_MULTI))
		return false;
	for (i = 0; i < n; i++)
		if (!is_own(dpdk, &frames[i]))
			return false;
	return true;
}

static struct rte_mbuf *chain(const struct shunt_frame *frames, unsigned int n,
			      uint32_t bytes)
{
	struct rte_mbuf *first = shunt_mbuf_of(&frames[0]);
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct rte_mbuf *mbuf = shunt_mbuf_of(&frames[i]);

		mbuf->data_off = (uint16_t)(frames[i].data - (uint8_t *)mbuf->buf_addr);
		mbuf->data_len = (uint16_t)frames[i].len;
		mbuf->next = i + 1 < n ? shunt_mbuf_of(&frames[i + 1]) : NULL;
	}
	first->nb_segs = (uint16_t)n;
	first->pkt_len = bytes;
	first->ol_flags = 0;
	return first;
}

/* The driver did not take it: frames as they were. */
static void unchain(const struct shunt_frame *frames, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		shunt_mbuf_of(&frames[i])->next = NULL;
		shunt_mbuf_of(&frames[i])->nb_segs = 1;
	}
}

static struct rte_mbuf *copy(const struct dpdk_port *dpdk,
			     const struct shunt_frame *frames, unsigned int n,
			     uint32_t bytes)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(dpdk->device.mbufs->mempool);

	if (mbuf) {
		shunt_packet_copy(rte_pktmbuf_mtod(mbuf, uint8_t *), frames, n);
		mbuf->data_len = (uint16_t)bytes;
		mbuf->pkt_len = bytes;
	}
	return mbuf;
}

/* Packets from `at` on, as many as the burst takes; returns where the next one begins. */
static unsigned int fill_burst(struct dpdk_port *dpdk, const struct shunt_frame *frames,
			       unsigned int at, unsigned int n)
{
	struct burst *out = &dpdk->out;
	unsigned int k;
	uint32_t bytes;

	out->first = at;
	for (out->n = 0; at < n && out->n < dpdk->burst; out->n++) {
		k = shunt_packet_frames(frames + at, n - at, &bytes);
		if (!k || bytes > dpdk->port.frame_max)
			break;
		out->copied[out->n] = !goes_as_is(dpdk, frames + at, k);
		out->mbuf[out->n] = out->copied[out->n]
					    ? copy(dpdk, frames + at, k, bytes)
					    : chain(frames + at, k, bytes);
		if (!out->mbuf[out->n])
			break; /* no mbuf is free now */
		at += k;
		out->end[out->n] = at;
		out->bytes[out->n] = bytes;
	}
	return at;
}

/* Returns where the first packet begins that the driver did not take. */
static unsigned int send_burst(struct dpdk_port *dpdk, const struct shunt_frame *frames)
{
	struct shunt_port_stats *count = &dpdk->port.count;
	struct burst *out = &dpdk->out;
	unsigned int at = out->first, gone = at;
	uint16_t i, sent = 0;

	if (out->n)
		sent = rte_eth_tx_burst(dpdk->device.id, 0, out->mbuf, out->n);
	for (i = 0; i < out->n; at = out->end[i++]) {
		unsigned int n = out->end[i] - at;

		if (i < sent) {
			count->tx_packets++;
			count->tx_bytes += out->bytes[i];
			count->tx_copied += out->copied[i];
			gone = out->end[i];
			if (out->copied[i])
				shunt_frames_put(frames + at, n);
		} else if (out->copied[i]) {
			rte_pktmbuf_free(out->mbuf[i]);
		} else {
			unchain(frames + at, n);
		}
	}
	if (sent)
		dpdk->tx_state = TX_RECENT;
	return gone;
}

/* A packet that can never be sent, if the next one is such; returns its frames. */
static unsigned int refuse(struct dpdk_port *dpdk, const struct shunt_frame *frames,
			   unsigned int n)
{
	uint32_t bytes;
	unsigned int k = shunt_packet_frames(frames, n, &bytes);

	if (!k || bytes <= dpdk->port.frame_max)
		return 0;
	dpdk->port.count.tx_refused++;
	shunt_frames_put(frames, k);
	return k;
}

static unsigned int dpdk_tx(struct shunt_port *port, struct shunt_frame *frames,
			    unsigned int n)
{
	struct dpdk_port *dpdk = (struct dpdk_port *)port;
	unsigned int at = 0, end, before;

	shunt_dpdk_here();
	do {
		before = at;
		end = fill_burst(dpdk, frames, at, n);
		at = send_burst(dpdk, frames);
		if (at < end)
			break;
		at += refuse(dpdk, frames + at, n - at);
	} while (at < n && at > before);
	return at;
}

/*
 * The driver has been told with every tx; what is left to do is to fetch what it has
 * sent, once nothing has been sent since the last look.
 */
static int dpdk_kick(struct shunt_port *port, struct shunt_err *err)
{
	struct dpdk_port *dpdk = (struct dpdk_port *)port;
	uint64_t now;

	if (dpdk->tx_state == TX_SETTLED) {
		rte_eth_tx_burst(dpdk->device.id, 0, NULL, 0);
		port->count.wakeups++;
		dpdk->tx_state = TX_QUIET;
	} else if (dpdk->tx_state == TX_RECENT) {
		dpdk->tx_state = TX_SETTLED;
	}
	if (!dpdk->device.fed)
		return 0;
	now = shunt_now_ns();
	if (now - dpdk->looked_ns < LOOK_NS)
		return 0;
	dpdk->looked_ns = now;
	return shunt_feed_check(&dpdk->device.feed, err);
}

/* --- waiting ------------------------------------------------------------------------- */

static void arm(const struct dpdk_port *dpdk, uint32_t after_ns)
{
	const struct itimerspec when = { .it_value.tv_nsec = after_ns };

	timerfd_settime(dpdk->timer, 0, &when, NULL);
}

static unsigned int dpdk_wait(struct shunt_port *port, struct pollfd *fds,
			      unsigned int max)
{
	struct dpdk_port *dpdk = (struct dpdk_port *)port;
	const struct shunt_feed *feed = &dpdk->device.feed;
	unsigned int i;

	if (dpdk->held_at == dpdk->held_n && dpdk->device.fed && feed->sockets) {
		for (i = 0; i < feed->sockets && i < max; i++)
			fds[i] = (struct pollfd){ .fd = feed->socket[i],
						  .events = POLLIN };
		return i;
	}
	if (!max)
		return 0;
	if (dpdk->held_at < dpdk->held_n) {
		arm(dpdk, 1);
	} else {
		arm(dpdk, dpdk->nap_ns);
		if (dpdk->nap_ns < NAP_MAX_NS)
			dpdk->nap_ns *= 2;
	}
	fds[0] = (struct pollfd){ .fd = dpdk->timer, .events = POLLIN };
	return 1;
}

/* --- what it is ---------------------------------------------------------------------- */

static int dpdk_stats(struct shunt_port *port, struct shunt_port_stats *stats,
		      struct shunt_err *err)
{
	struct dpdk_port *dpdk = (struct dpdk_port *)port;
	struct rte_eth_stats kernel;
	int ret;

	if (dpdk->device.fed)
		ret = shunt_feed_count(&dpdk->device.feed, stats);
	else
		ret = rte_eth_stats_get(dpdk->device.id, &kernel);
	if (ret)
		return shunt_fail_errno(err, ret, "read the counters of %s",
					port->name);
	if (!dpdk->device.fed) {
		stats->rx_dropped += kernel.ierrors + kernel.rx_nombuf;
		stats->rx_ring_full += kernel.imissed;
		stats->tx_failed += kernel.oerrors;
	}
	return 0;
}

static bool describe_xdp(const struct dpdk_port *dpdk, cJSON *json)
{
	const struct shunt_feed *feed = &dpdk->device.feed;

	return cJSON_AddStringToObject(json, "interface", feed->ifname) &&
	       cJSON_AddStringToObject(json, "mode",
				       feed->native ? "native" : "generic") &&
	       cJSON_AddBoolToObject(json, "zero_copy", shunt_feed_zero_copy(feed)) &&
	       cJSON_AddNumberToObject(json, "first_queue", dpdk->device.first);
}

static int dpdk_describe(struct shunt_port *port, cJSON *json)
{
	struct dpdk_port *dpdk = (struct dpdk_port *)port;
	const struct shunt_device *device = &dpdk->device;
	cJSON *eal = cJSON_AddObjectToObject(json, "eal"), *xdp;

	if (!eal || !shunt_dpdk_describe_eal(eal) ||
	    !cJSON_AddStringToObject(json, "driver", device->info.driver_name) ||
	    !cJSON_AddStringToObject(json, "device", device->name) ||
	    !cJSON_AddNumberToObject(json, "queues", device->queues) ||
	    !cJSON_AddNumberToObject(json, "ring", device->rx_places) ||
	    !cJSON_AddNumberToObject(json, "burst", dpdk->burst) ||
	    !cJSON_AddNumberToObject(json, "frames", device->frames) ||
	    !cJSON_AddNumberToObject(json, "room", port->pool->room))
		return -ENOMEM;
	if (!device->fed)
		return 0;
	xdp = cJSON_AddObjectToObject(json, "xdp");
	return xdp && describe_xdp(dpdk, xdp) ? 0 : -ENOMEM;
}

/* --- open, close ---------------------------------------------------------------------- */

static const struct shunt_port_ops dpdk_ops;

/* What is in the ring then can be received; a program that ran last may still add to it. */
static void dpdk_stop(struct shunt_port *port)
{
	struct dpdk_port *dpdk = (struct dpdk_port *)port;

	if (!dpdk->device.fed)
		return;
	shunt_feed_stop(&dpdk->device.feed);
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

static void dpdk_close(struct shunt_port *port)
{
	struct dpdk_port *dpdk = (struct dpdk_port *)port;

	rte_pktmbuf_free_bulk(dpdk->held + dpdk->held_at, dpdk->held_n - dpdk->held_at);
	shunt_device_close(&dpdk->device);
	if (dpdk->timer >= 0)
		close(dpdk->timer);
	free(dpdk);
}

static void describe_self(struct dpdk_port *dpdk, const struct shunt_spec *spec)
{
	const struct shunt_device *device = &dpdk->device;
	struct shunt_port *port = &dpdk->port;

	shunt_port_init(port, &dpdk_ops, spec);
	port->pool = &device->mbufs->pool;
	port->frame_max = port->pool->room;
	if (device->fed && device->feed.mtu + FRAME_EXTRA < port->frame_max)
		port->frame_max = device->feed.mtu + FRAME_EXTRA;
	port->caps = SHUNT_PORT_RX | SHUNT_PORT_TX | SHUNT_PORT_SHARE;
	if (device->info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS)
		port->caps |= SHUNT_PORT_MULTI;
	if (device->fed && device->feed.sockets == device->queues)
		port->caps |= SHUNT_PORT_WAIT;
	if (device->fed && shunt_feed_zero_copy(&device->feed))
		port->caps |= SHUNT_PORT_ZERO_COPY;
}

static int dpdk_open(struct shunt_port **out, const struct shunt_spec *spec,
		     const struct shunt_port_opts *opts, struct shunt_err *err)
{
	struct shunt_dpdk_opts given = { .queues = 1,
					 .ring = SHUNT_DPDK_RING,
					 .burst = SHUNT_DPDK_BURST,
					 .memory = SHUNT_DPDK_MEMORY };
	struct dpdk_port *dpdk;
	int ret = shunt_spec_read(spec, shunt_dpdk_rows, &given, err);

	*out = NULL;
	if (ret)
		return ret;
	dpdk = calloc(1, sizeof(*dpdk));
	if (!dpdk)
		return shunt_fail_errno(err, -ENOMEM, "port dpdk:%s", spec->device);
	dpdk->burst = (uint16_t)given.burst;
	dpdk->nap_ns = NAP_MIN_NS;
	dpdk->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (dpdk->timer < 0)
		ret = shunt_fail_errno(err, -errno, "port dpdk:%s: make a timer",
				       spec->device);
	else
		ret = shunt_device_open(&dpdk->device, spec->device, &given, opts->pool,
					err);
	if (ret) {
		if (dpdk->timer >= 0)
			close(dpdk->timer);
		free(dpdk);
		return ret;
	}
	describe_self(dpdk, spec);
	*out = &dpdk->port;
	return 0;
}

static const struct shunt_port_ops dpdk_ops = {
	SHUNT_DPDK_ROW,	     .open = dpdk_open,
	.stop = dpdk_stop,   .close = dpdk_close,
	.rx = dpdk_rx,	     .tx = dpdk_tx,
	.kick = dpdk_kick,   .wait = dpdk_wait,
	.stats = dpdk_stats, .describe = dpdk_describe,
};

SHUNT_PLUGIN(&dpdk_ops, SHUNT_PLUGIN_PORTS);
